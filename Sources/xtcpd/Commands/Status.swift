import ArgumentParser
import Glibc

/// `xtcpd status`: what the running daemon does.
struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what the running daemon does: pipelines, sockets, drops, pools, queues, the last reload.",
    discussion: """
      With --watch, and with more than four pipelines, a line for each, those in trouble first, cut to the terminal. Pipelines that \
      are named, or --long, show all of them: sockets, rows, pools, sinks.
      Exit code 1: there is no such pipeline. 69: the daemon is not reachable. 77: not permitted to ask. The JSON is described in docs/control.md.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

  @Argument(help: "Show all of these pipelines, and of no other.")
  var pipelines: [String] = []

  @OptionGroup var control: ControlOption

  @Flag(name: [.short, .long], help: "Show it again and again, with rates, until Ctrl-C.")
  var watch = false

  @Flag(name: [.short, .long], help: "Show all of every pipeline.")
  var long = false

  @Option(help: "Time between two looks of --watch, such as 2s.", transform: DurationArgument.parse)
  var every: Duration = .seconds(2)

  @Option(name: [.short, .long], help: "text or json: one object a line.")
  var format: Format = .text

  func run() throws {
    var client = try control.connect()
    var previous: StatusReport?
    let clears = watch && format == .text && isatty(STDOUT_FILENO) == 1
    repeat {
      let next = ContinuousClock.now + every
      let report = try selected(client.status())
      let text = try rendered(report, previous)
      // Home first and clear what is left of the screen afterwards: it does not flicker.
      printOutput(
        clears ? "\u{1B}[H" + text.replacing("\n", with: "\u{1B}[K\n") + "\u{1B}[J" : text, terminator: "")
      previous = report
      if watch { DurationArgument.sleep(until: next) }
    } while watch
  }

  /// Above this many pipelines each gets one line.
  private static let few = 4

  private func selected(_ report: StatusReport) throws -> StatusReport {
    guard !pipelines.isEmpty else { return report }
    for name in pipelines where !report.pipelines.contains(where: { $0.name == name }) {
      let names = report.pipelines.map(\.name).joined(separator: ", ")
      printError("no pipeline \"\(name)\" runs; there \(report.pipelines.count == 1 ? "is" : "are") \(names)")
      throw ExitCode.failure
    }
    var report = report
    report.pipelines.removeAll { !pipelines.contains($0.name) }
    return report
  }

  /// Nil: all of every pipeline.
  private func table(_ report: StatusReport) -> StatusTable? {
    guard !long, pipelines.isEmpty, watch || report.pipelines.count > Self.few else { return nil }
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return StatusTable()
    }
    return StatusTable(width: Int(size.ws_col), height: watch ? Int(size.ws_row) : nil)
  }

  private func rendered(_ report: StatusReport, _ previous: StatusReport?) throws -> String {
    switch format {
    case .text: StatusText.render(report, since: previous, as: table(report))
    case .json: String(decoding: try ControlLine.encode(report), as: UTF8.self) + "\n"
    }
  }
}
