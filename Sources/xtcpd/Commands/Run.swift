import ArgumentParser
import Config
import IO
import Logging
import Pipelines

/// `xtcpd run`: the daemon, in the foreground.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the pipelines of a configuration until SIGTERM or SIGINT.",
    discussion: """
      Runs in the foreground and logs to standard error. SIGTERM and SIGINT deliver what has been read and end with exit code 0; \
      the totals are logged last. Reading other network namespaces needs CAP_SYS_ADMIN and CAP_SYS_PTRACE (root has them).
      """)

  @OptionGroup var source: ConfigurationOption

  func run() throws {
    // First of all: from here on a signal waits to be read instead of ending the process.
    let signals = try SignalReader()
    let present = source.read()
    if let log = present.settings?.global.log { LogOutput.follow(log) }
    let log = Logger(label: "xtcpd") { _ in LogOutput() }
    let (outcome, state) = try choose(present, log)
    if let log = outcome.settings?.global.log { LogOutput.follow(log) }
    for gap in CapabilityReport().gaps { log.warning("\(gap)") }
    let services = DaemonServices(log: log)
    let supervisor = try Supervisor(
      source: FileSource(path: source.config), services: services, options: RunOptions(version: BuildInfo.version),
      log: log)
    DaemonProcess.run(supervisor, outcome, state, services, signals, log)
  }

  /// The configuration to start with: the present one, or the last good one in place of one that is invalid or over budget.
  private func choose(_ present: Outcome, _ log: Logger) throws -> (Outcome, ConfigurationStatus.State) {
    var judged = present
    if let settings = present.settings { judged = present.adding(Supervisor.admission(of: settings)) }
    printError(judged.rendered, terminator: "")
    if judged.settings != nil { return (judged, .current) }
    guard let lastGood = LastGood.find(inPlaceOf: present, log: log) else { throw ExitCode.invalidConfiguration }
    log.error("\(source.config) is invalid: starting with the last good configuration instead; mend it and reload")
    return (lastGood, .lastGood)
  }
}
