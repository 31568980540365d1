import IO

/// Destinations that have to be there before a pipeline counts as prepared (`healthcheck: require`). What runs goes on meanwhile.
extension EventLoop {
  /// - Parameter parcel: what the pipeline goes on with, if it is started at once.
  func beginHealthCheck(_ ticket: Ticket, _ pipeline: Pipeline, _ parcel: Parcel?) throws(StartError) {
    do throws(SystemError) {
      try watch(pipeline)
    } catch {
      prepared[ticket] = nil
      pipeline.close()
      throw .system("\(error)")
    }
    healthChecks.append(
      HealthCheck(
        ticket: ticket, pipeline: pipeline, parcel: parcel,
        deadline: MonotonicTime.now().nanoseconds + HealthCheck.patience))
  }

  /// Monotonic nanoseconds at which they are to be looked at.
  var nextHealthCheck: Int64 {
    healthChecks.isEmpty ? .max : MonotonicTime.now().nanoseconds + HealthCheck.interval
  }

  /// Gives the sinks of what is being checked a turn each, and answers for those that have come to something.
  func advanceHealthChecks(now: Int64) throws(SystemError) {
    for check in healthChecks {
      var verdict: HealthCheck.Verdict
      do throws(SystemError) {
        try check.pipeline.turnSinks()
        verdict = check.verdict(now: now)
      } catch {
        verdict = .bad("\(error)")
      }
      switch verdict {
      case .undecided: continue
      case .good: try pass(check)
      case .bad(let why): refuse(check, "pipeline \(check.pipeline.plan.name): \(why)")
      }
    }
  }

  private func pass(_ check: HealthCheck) throws(SystemError) {
    endHealthCheck(check.ticket)
    check.pipeline.isDue = true
    supervisor.post(.prepared(check.ticket, nil))
    guard let parcel = check.parcel else { return }
    prepared[check.ticket] = nil
    try start(check.pipeline, parcel)
  }

  private func refuse(_ check: HealthCheck, _ why: String) {
    endHealthCheck(check.ticket)
    prepared[check.ticket] = nil
    check.pipeline.close()
    supervisor.post(.prepared(check.ticket, .system(why)))
  }

  /// Nothing is started any more.
  func refuseHealthChecks() {
    for check in healthChecks { refuse(check, "pipeline \(check.pipeline.plan.name): xtcpd ends") }
  }

  /// Forgets a check without an answer.
  func endHealthCheck(_ ticket: Ticket) {
    guard let index = healthChecks.firstIndex(where: { $0.ticket == ticket }) else { return }
    unwatch(healthChecks.remove(at: index).pipeline)
  }
}
