import ArgumentParser
import Config
import Glibc
import IO
import Logging
import Pipelines

/// Puts the main thread together: the daemon, and those who ask it. Ends the process.
enum DaemonProcess {
  /// `run`: with the control socket, the HTTP server and the service manager.
  static func run(
    _ supervisor: Supervisor, _ outcome: Outcome, _ state: ConfigurationStatus.State, _ services: DaemonServices,
    _ signals: consuming SignalReader, _ log: Logger
  ) -> Never {
    let signals = SignalBox(signals)
    MainLoop.run { loop in
      let daemon = Daemon(supervisor, on: loop, log: log) { status, code in
        services.close()
        for pipeline in status.pipelines { pipeline.totals.log(to: log) }
        log.info("stopped")
        XTCPD.exit(withError: code)
      }
      let service = ControlService(daemon) {
        StatusReport(
          supervisor.status(), process: .current(), pid: Int(getpid()),
          metricsAddress: services.listeners?.metricsAddress, now: wallClockNanoseconds())
      }
      let readiness = Readiness()
      services.listeners = Listeners(loop: loop, log: log, service: service) { answer($0, supervisor, readiness) }
      let reporter = ServiceReporter(.fromEnvironment(), daemon, services)
      let tell = services.onReloading
      services.onReloading = {
        // What a reload adds is not ready yet: whether all was before is to be known then, asked for or not.
        _ = readiness.health(supervisor.status())
        tell()
      }
      do throws(StartError) {
        try supervisor.start(outcome, state: state)
        try daemon.start(signals.reader)
        reporter.start()
        let status = supervisor.status()
        log.info("\(StartLine.text(of: status))", metadata: StartLine.metadata(of: status))
        supervisor.adviseOnHost()
      } catch {
        log.error("\(error)")
        services.close()
        XTCPD.exit(withError: ExitCode(error))
      }
    }
  }

  /// `snapshot`: nobody asks.
  ///
  /// - Parameter judge: the exit code of a run that came to its end.
  static func run(
    _ supervisor: Supervisor, _ outcome: Outcome, _ signals: consuming SignalReader, _ log: Logger,
    _ judge: @escaping (DaemonStatus) -> ExitCode
  ) -> Never {
    let signals = SignalBox(signals)
    MainLoop.run { loop in
      let daemon = Daemon(supervisor, on: loop, log: log) { status, code in
        XTCPD.exit(withError: code == .success ? judge(status) : code)
      }
      do throws(StartError) {
        try supervisor.start(outcome)
        try daemon.start(signals.reader)
      } catch {
        log.error("\(error)")
        XTCPD.exit(withError: ExitCode(error))
      }
    }
  }

  /// What the HTTP server answers to a path.
  private static func answer(
    _ path: String, _ control: any DaemonControl, _ readiness: Readiness
  ) -> HTTPServer.Answer? {
    switch path {
    case "/metrics":
      let scrape = Scrape(status: control.status(), process: .current(), now: wallClockNanoseconds())
      return HTTPServer.Answer(contentType: Exposition.contentType, text: MetricsText.render(scrape))
    case "/healthz": return HTTPServer.Answer(.live(control.status()))
    case "/readyz": return HTTPServer.Answer(readiness.health(control.status()))
    default: return nil
    }
  }

  /// A noncopyable value cannot be captured by an escaping closure.
  private final class SignalBox {
    let reader: SignalReader

    init(_ reader: consuming SignalReader) { self.reader = reader }
  }
}

extension HTTPServer.Answer {
  fileprivate init(_ health: Health) {
    self.init(status: health.isGood ? .ok : .serviceUnavailable, text: health.text)
  }
}
