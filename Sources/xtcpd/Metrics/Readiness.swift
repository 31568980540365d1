import Pipelines

/// What /readyz answers: not before every pipeline of the start has completed a poll, and from then on always. A pipeline that a
/// reload adds is no reason to take a daemon that works out of service. Belongs to the main thread.
final class Readiness {
  private var isReady = false

  func health(_ status: DaemonStatus) -> Health {
    let health = isReady ? .good : Health.ready(status)
    isReady = health.isGood
    return health
  }
}
