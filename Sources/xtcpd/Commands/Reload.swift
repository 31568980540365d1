import ArgumentParser
import Pipelines

/// `xtcpd reload`: has the daemon take over its configuration, and says what came of it.
struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Has the running daemon read its configuration again, and waits for the verdict.",
    discussion: """
      Prints the verdict, and what was wrong or what was done. Exit code 0: applied, or nothing had changed. 78: refused because the \
      configuration is invalid or asks for too much. 77: refused because a right is missing that it needs, or not permitted to ask. \
      1: refused for another reason, such as --expect-hash. 69: the daemon is not reachable. After a refusal the daemon runs on \
      with what it had.
      """)

  @OptionGroup var control: ControlOption

  @Option(
    help: ArgumentHelp("Refuse a configuration whose hash does not begin so (12 digits or more).", valueName: "hash"))
  var expectHash: String?

  func validate() throws {
    guard let expectHash else { return }
    guard ControlLine.isHashPrefix(expectHash) else {
      throw ValidationError("--expect-hash: 12 to 64 of the digits 0-9a-f, the beginning of what xtcpd check prints")
    }
  }

  /// The daemon reads its own file, whatever this command was given.
  private func checkFile() throws {
    guard let config = control.config else { return }
    var client = try control.connect()
    let path = try client.status().configuration.path
    guard FilePath.isSame(config, path) else {
      printError(
        "the daemon runs \(path), not \(config): a reload would read \(path) again. Put the new configuration there, "
          + "or leave --config out; `xtcpd plan --config \(config)` compares the two")
      throw ExitCode.usage
    }
  }

  func run() throws {
    try checkFile()
    // A reload may wait for files to settle and for polls to end: it answers when it is done.
    var client = try control.connect(timeout: nil)
    let response = try client.ask(ControlRequest(command: .reload, expectHash: expectHash))
    guard let verdict = response.verdict else {
      printError(response.error ?? "the daemon gave no verdict")
      throw response.code == .notPermitted ? ExitCode.missingRight : ExitCode.failure
    }
    let hash = verdict.hash.isEmpty ? "" : ", hash \(verdict.hash)"
    let line = "\(verdict.result): \(verdict.summary) (generation \(verdict.generation)\(hash))"
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
