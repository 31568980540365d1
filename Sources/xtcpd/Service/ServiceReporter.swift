import IO
import Pipelines

/// Keeps the service manager informed about a daemon. Belongs to the main thread.
final class ServiceReporter {
  private let manager: ServiceManager
  private let daemon: Daemon
  private var told = ""

  init(_ manager: ServiceManager, _ daemon: Daemon, _ services: DaemonServices) {
    self.manager = manager
    self.daemon = daemon
    daemon.onStopping = { manager.stopping() }
    services.onReloading = { manager.reloading() }
    services.onVerdict = { [self] _ in ready() }
  }

  /// Everything has been started.
  func start() {
    ready()
    guard let interval = manager.watchdogInterval else { return }
    beat(every: interval / 2)
  }

  private func ready() {
    told = Self.summary(of: daemon.control.status())
    manager.ready(told)
  }

  /// A loop that hangs is what the watchdog is for: it is not fed then. A main thread that hangs does not get here.
  private func beat(every interval: Duration) {
    let status = daemon.control.status()
    if Health.live(status).isGood { manager.watchdog() }
    let summary = Self.summary(of: status)
    if summary != told {
      told = summary
      manager.status(summary)
    }
    daemon.loop.schedule(in: interval) { [self] in beat(every: interval) }
  }

  /// What `systemctl status` shows.
  static func summary(of status: DaemonStatus) -> String {
    let configuration = status.configuration
    let count = status.pipelines.count
    var text = "\(count) pipeline\(count == 1 ? "" : "s"), generation \(configuration.generation)"
    if configuration.state == .lastGood { text += ", DEGRADED: runs the last good configuration" }
    if let verdict = configuration.verdict { text += "; last reload \(verdict.result.rawValue): \(verdict.summary)" }
    return LogOutput.redacted(text)
  }
}
