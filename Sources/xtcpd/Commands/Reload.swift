import ArgumentParser
import Pipelines

/// `xtcpd reload`: has the daemon take over its configuration, and says what came of it.
struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Has the running daemon read its configuration again, and waits for the verdict.",
    discussion: """
      Prints the verdict, and what was wrong or what was done. Exit code 0: applied, or nothing had changed. 78: refused because the
      configuration is invalid or asks for too much. 77: refused because a right is missing that it needs, or not permitted to ask.
      1: refused for another reason, such as --expect-hash. 69: the daemon is not reachable. After a refusal the daemon runs on
      with what it had.
      """)

  @OptionGroup var control: ControlOption

  @Option(help: ArgumentHelp("Refuse a configuration that does not have this hash.", valueName: "hash"))
  var expectHash: String?

  func run() throws {
    // A reload may wait for files to settle and for polls to end: it answers when it is done.
    var client = try control.connect(timeout: nil)
    let response = try client.ask(ControlRequest(command: .reload, expectHash: expectHash))
    guard let verdict = response.verdict else {
      printError(response.error ?? "the daemon gave no verdict")
      throw response.code == .notPermitted ? ExitCode.missingRight : ExitCode.failure
    }
    let line = "\(verdict.result): \(verdict.summary) (generation \(verdict.generation), hash \(verdict.hash))"
    if response.ok {
      print(line)
      for detail in verdict.details { print(detail) }
      return
    }
    printError(line)
    for detail in verdict.details { printError(detail) }
    switch verdict.cause.flatMap(ReloadVerdict.Cause.init) {
    case .configuration: throw ExitCode.invalidConfiguration
    case .missingRight: throw ExitCode.missingRight
    case .system, nil: throw ExitCode.failure
    }
  }
}
