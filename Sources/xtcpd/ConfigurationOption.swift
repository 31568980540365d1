import ArgumentParser
import Config
import Glibc
import IO
import Records

/// `--config FILE`, as every command that reads one has it.
struct ConfigurationOption: ParsableArguments {
  @Option(name: [.short, .long], help: ArgumentHelp("The configuration file.", valueName: "file"))
  var config: String

  /// The configuration; nothing is printed.
  func read(unresolved: UnresolvedValues = .error) -> Outcome { Self.read(config, unresolved: unresolved) }

  /// Reads the file, prints what is wrong with it to standard error, and throws exit code 78 if anything is an error.
  func load() throws -> Settings { try read().told() }

  /// Reads a file with the environment of this process; prints nothing.
  static func read(_ path: String, unresolved: UnresolvedValues = .error) -> Outcome {
    let outcome = ConfigurationFile.read(
      path: path, vocabulary: Vocabulary(columns: RecordSchema.columnNames), environment: .process,
      unresolved: unresolved)
    LogOutput.redact(also: outcome.references)
    return outcome
  }
}

extension Outcome {
  /// Prints what is wrong to standard error, and throws exit code 78 if anything is an error.
  func told() throws -> Settings {
    printError(rendered, terminator: "")
    guard let settings else { throw ExitCode.invalidConfiguration }
    return settings
  }
}

/// Writes to standard error. Nothing can be done about one that does not take it.
func printError(_ message: String, terminator: String = "\n") {
  var text = message + terminator
  text.withUTF8 { try? Streams.writeAll(UnsafeRawBufferPointer($0), to: STDERR_FILENO) }
}
