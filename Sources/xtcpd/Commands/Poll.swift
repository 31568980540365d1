import ArgumentParser
import Config
import Glibc

/// `xtcpd poll`: has the daemon poll a pipeline at once.
struct Poll: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Has the running daemon poll a pipeline now, and prints one line a poll.",
    discussion: """
      The rows go where the pipeline's rows go. Exit code 0: every poll was complete. 1: some poll was not, or there is no such \
      pipeline. 69: the daemon is not reachable. 77: not permitted to ask.
      """)

  @Argument(help: "The pipeline.")
  var pipeline: String

  @OptionGroup var control: ControlOption

  @Option(name: [.customShort("n"), .long], help: "How many polls.")
  var count = 1

  @Option(help: "Time from the start of one poll to that of the next, such as 1s.", transform: DurationArgument.parse)
  var every: Duration = .seconds(1)

  func validate() throws {
    guard count > 0 else { throw ValidationError("--count must be at least 1") }
  }

  func run() throws {
    var client = try control.connect(timeout: nil)
    var isWhole = true
    var next = ContinuousClock.now
    for index in 0..<count {
      if index > 0 { DurationArgument.sleep(until: next) }
      next = .now + every
      let response = try client.demand(ControlRequest(command: .poll, pipeline: pipeline))
      guard let poll = response.poll else { throw ExitCode.failure }
      printOutput(Self.line(poll))
      isWhole = isWhole && poll.result == "complete"
    }
    if !isWhole { throw ExitCode.failure }
  }

  static func line(_ poll: ControlResponse.Poll) -> String {
    "\(poll.pipeline) poll \(poll.sequence) \(poll.result): \(Quantity.duration(poll.durationNs)), "
      + "\(Quantity.count(poll.namespaces, "namespace")), \(Quantity.count(poll.socketsReported, "socket")), "
      + Quantity.count(poll.rowsEncoded, "row")
  }
}

/// Durations on the command line.
enum DurationArgument {
  static func parse(_ text: String) throws -> Duration {
    guard let duration = Duration(asWritten: text) else {
      throw ValidationError("\"\(text)\" is not a duration; write it like 500ms, 10s or 1m30s")
    }
    guard duration > .zero else { throw ValidationError("\"\(text)\" is no time at all; the least is 1ms") }
    return duration
  }

  static func sleep(until time: ContinuousClock.Instant) {
    let rest = ContinuousClock.now.duration(to: time).nanoseconds
    if rest > 0 { usleep(UInt32(clamping: rest / 1000)) }
  }
}
