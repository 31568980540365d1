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
      Runs in the foreground and logs to standard error. SIGTERM and SIGINT deliver what has been read and end with exit code 0;
      the totals are logged last. Reading other network namespaces needs CAP_SYS_ADMIN and CAP_SYS_PTRACE (root has them).
      """)

  @OptionGroup var source: ConfigurationOption

  func run() throws {
    // First of all: from here on a signal waits to be read instead of ending the process.
    let signals = try SignalReader()
    let outcome = source.read()
    let settings = try outcome.told()
    let log = Logger(label: "xtcpd") { _ in
      LogOutput(level: settings.global.log.level, format: settings.global.log.format)
    }
    for gap in CapabilityReport().gaps { log.warning("\(gap)") }
    let services = DaemonServices()
    let supervisor = try Supervisor(
      source: FileSource(path: source.config), services: services, options: RunOptions(version: BuildInfo.version),
      log: log)
    DaemonProcess.run(supervisor, outcome, services, signals, log)
  }
}
