import ArgumentParser
import Config
import Glibc
import Pipelines

/// `xtcpd plan`: what a reload would do.
struct Plan: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what a reload would do: which pipelines are kept, adjusted, made anew, added or removed, and why.",
    discussion: """
      Asks the running daemon, which reads its configuration anew and changes nothing. If --config names another file than the \
      daemon's, that file is compared with the daemon's as it is on disk. With --against two configurations are read and nothing \
      else, no root, no network: what a daemon with the one would do if it were given that of --config. \
      Exit code 0: the plan was made. With --detailed-exitcode 0: nothing changes, 2: something does. 78: the configuration is \
      invalid, or asks for more than there is.
      """)

  @OptionGroup var control: ControlOption
  @OptionGroup var machine: MachineOption

  @Option(help: ArgumentHelp("The configuration that is assumed to run.", valueName: "file"))
  var against: String?

  @Flag(help: "Exit with 2 if anything changes.")
  var detailedExitcode = false

  func validate() throws {
    if against == nil, machine.limits != nil { throw ValidationError("--for goes with --against") }
    if against != nil, control.config == nil { throw ValidationError("--against needs --config") }
  }

  func run() throws {
    let changes = if let against, let config = control.config { try compare(config, against) } else { try ask() }
    if detailedExitcode, changes { throw ExitCode.changes }
  }

  private func compare(_ config: String, _ against: String) throws -> Bool {
    let capacity = try machine.capacity()
    let old = try ConfigurationOption.read(against).told()
    let (new, _) = try machine.admit(ConfigurationOption.read(config))
    let plan = ReloadPlan.make(from: old, to: new, on: capacity, .pipelines)
    print(plan.rendered, terminator: "")
    return !plan.isEmpty
  }

  /// What the daemon would do with another file than its own.
  private func compare(_ config: String, with running: StatusReport.Configuration) throws -> Bool {
    let outcome = ConfigurationOption.read(running.path)
    guard outcome.settings != nil else {
      printError(outcome.rendered, terminator: "")
      printError("the daemon's own file \(running.path) cannot be used, so there is nothing to compare \(config) with")
      throw ExitCode.invalidConfiguration
    }
    printError("comparing \(config) with \(running.path), which the daemon was started with")
    if outcome.closure?.hash != running.hash {
      printError("note: \(running.path) is not what runs: it was changed since, or the last good configuration runs")
    }
    return try compare(config, running.path)
  }

  private func ask() throws -> Bool {
    var client = try control.connect()
    if let config = control.config {
      let running = try client.status().configuration
      if !FilePath.isSame(config, running.path) { return try compare(config, with: running) }
    }
    let response = try client.demand(ControlRequest(command: .plan))
    guard let plan = response.plan else { throw ExitCode.failure }
    guard plan.outcome != .refused else {
      for line in plan.lines { printError(line) }
      throw ExitCode.invalidConfiguration
    }
    for line in plan.lines { print(line) }
    return plan.outcome == .changes
  }
}
