import ArgumentParser
import Glibc

/// `xtcpd status`: what the running daemon does.
struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what the running daemon does: pipelines, sockets, drops, pools, queues, the last reload.",
    discussion: """
      Exit code 69: the daemon is not reachable. 77: not permitted to ask. The JSON is described in docs/control.md.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

  @OptionGroup var control: ControlOption

  @Flag(name: [.short, .long], help: "Show it again and again, with rates, until Ctrl-C.")
  var watch = false

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
      let response = try client.demand(ControlRequest(command: .status))
      guard let report = response.status else { throw ExitCode.failure }
      let text = try rendered(report, previous)
      // Home first and clear what is left of the screen afterwards: it does not flicker.
      printOutput(
        clears ? "\u{1B}[H" + text.replacing("\n", with: "\u{1B}[K\n") + "\u{1B}[J" : text, terminator: "")
      previous = report
      if watch { DurationArgument.sleep(until: next) }
    } while watch
  }

  private func rendered(_ report: StatusReport, _ previous: StatusReport?) throws -> String {
    switch format {
    case .text: StatusText.render(report, since: previous)
    case .json: String(decoding: try ControlLine.encode(report), as: UTF8.self) + "\n"
    }
  }
}
