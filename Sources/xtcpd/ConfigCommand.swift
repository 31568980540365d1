import ArgumentParser
import Config

/// `xtcpd config`: what a configuration comes to.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Shows what a configuration comes to.", subcommands: [Show.self])

  func run() throws {
    printError(XTCPD.helpMessage(for: Self.self))
    throw ExitCode.usage
  }

  /// `xtcpd config show`.
  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints every setting in its effect, defaults included, as YAML that xtcpd reads.",
      discussion: """
        Included files, defaults, profiles and shared sinks are laid over each other. Values from outside (${...}) stand as \
        they were written and are never shown. Needs no rights.
        """)

    @OptionGroup var source: ConfigurationOption

    @Flag(help: "Say on each line where the value was set, and what it took the place of.")
    var origin = false

    func run() throws {
      let outcome = source.read()
      printError(outcome.rendered, terminator: "")
      guard let effective = outcome.effective else { throw ExitCode.invalidConfiguration }
      print(effective.yaml(origin: origin), terminator: "")
    }
  }
}
