import ArgumentParser
import Config
import Pipelines

/// `xtcpd plan`: what a reload would do.
struct Plan: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what a reload would do: which pipelines are kept, adjusted, made anew, added or removed, and why.",
    discussion: """
      --against names the configuration to compare with, as if it ran here. Reads configurations only: no root, no network.
      Exit code 0: the plan was made. With --detailed-exitcode 0: nothing changes, 2: something does. 78: the configuration is
      invalid, or asks for more than there is.
      """)

  @OptionGroup var source: ConfigurationOption
  @OptionGroup var machine: MachineOption

  @Option(help: ArgumentHelp("The configuration that is assumed to run.", valueName: "file"))
  var against: String?

  @Flag(help: "Exit with 2 if anything changes.")
  var detailedExitcode = false

  func run() throws {
    guard let against else { throw ValidationError("say with --against which configuration to compare with") }
    let capacity = try machine.capacity()
    let old = try ConfigurationOption.read(against).told()
    let (new, _) = try machine.admit(ConfigurationOption.read(source.config))
    let plan = ReloadPlan.make(from: old, to: new, on: capacity, .pipelines)
    print(plan.rendered, terminator: "")
    if detailedExitcode, !plan.isEmpty { throw ExitCode.changes }
  }
}
