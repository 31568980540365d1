import ArgumentParser
import Config
import Pipelines

/// `xtcpd check`: every error of a configuration, without root, network or side effects.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks a configuration file and prints every error at once.",
    discussion: """
      Reads the file and nothing else: no root, no network. Errors come as file:line:column with the line they are in.
      Adds up threads, memory and descriptors and compares them with those of this machine, or of another one that
      --for describes. Exit code 0: valid. 78: invalid, or more than there is.
      """)

  @OptionGroup var source: ConfigurationOption

  @OptionGroup var machine: MachineOption

  func run() throws {
    let (settings, admission) = try machine.admit(ConfigurationOption.read(source.config))
    do throws(StartError) {
      try Supervisor.check(settings)
    } catch {
      printError("\(source.config): error: \(error)")
      throw ExitCode.invalidConfiguration
    }
    let count = settings.pipelines.count
    print("\(source.config): valid, \(count) pipeline\(count == 1 ? "" : "s")")
    for line in admission.arithmetic { print(line) }
  }
}
