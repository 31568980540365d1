/// Reads configurations. Everything that is wrong with one comes at once; nothing is thrown.
public enum ConfigurationFile {
  /// No honest file of a configuration is larger; what is, is refused unread.
  public static let maximumBytes = 1 << 20
  /// Bytes of all files of a configuration.
  public static let maximumTotalBytes = 4 << 20
  /// Files of a configuration.
  public static let maximumFiles = 1024

  /// Reads the file at `path`, which is also the name it is reported under, and what it includes.
  public static func read(
    path: String, vocabulary: Vocabulary, environment: Environment = .process, unresolved: UnresolvedValues = .error
  ) -> Outcome {
    read(vocabulary, environment, unresolved) { $0.read(path: path, &$1) }
  }

  /// Reads a text that was got elsewhere and is reported under `name`; it can include nothing.
  public static func read(
    text: String, named name: String, vocabulary: Vocabulary, environment: Environment = .process,
    unresolved: UnresolvedValues = .error
  ) -> Outcome {
    read(
      bytes: Array(text.utf8), named: name, vocabulary: vocabulary, environment: environment, unresolved: unresolved)
  }

  /// Reads bytes that were got elsewhere and are reported under `name`; they need not be UTF-8, which is an error then.
  public static func read(
    bytes: [UInt8], named name: String, vocabulary: Vocabulary, environment: Environment = .process,
    unresolved: UnresolvedValues = .error
  ) -> Outcome {
    read(vocabulary, environment, unresolved) { $0.read(bytes: bytes, named: name, &$1) }
  }

  /// Reads the files of an archive again: their includes are those of the archive, each `${...}` is read anew.
  public static func read(
    archived closure: ConfigurationClosure, vocabulary: Vocabulary, environment: Environment = .process
  ) -> Outcome {
    read(vocabulary, environment, .error) { $0.read(archived: closure, &$1) }
  }

  /// What admission has something to say about.
  private static let judgedLater = ["global.resources.threads", "global.resources.memory"]

  private static func read(
    _ vocabulary: Vocabulary, _ environment: Environment, _ unresolved: UnresolvedValues,
    _ readFiles: (inout ClosureReader, inout Problems) -> Void
  ) -> Outcome {
    let expander = ValueExpander(environment, unresolved: unresolved)
    var reader = ClosureReader(expander)
    var problems = Problems()
    readFiles(&reader, &problems)
    let root = FileMerge.merge(reader.trees, &problems)
    var reading = Reading(problems: problems, vocabulary: vocabulary, isIncomplete: reader.isIncomplete)
    var settings: Settings?
    var effective: EffectiveConfiguration?
    // Without the main file there is nothing that the others belong to.
    if let root, reader.hasMainTree {
      var assembly = Assembly(root)
      settings = assembly.settings(&reading)
      effective = EffectiveConfiguration(assembly.effective, files: reading.problems.files)
    }
    let isRefused = reading.problems.hasErrors
    let references = expander.references.sorted { ($0.spelling, $0.value) < ($1.spelling, $1.value) }
    var outcome = Outcome(
      settings: isRefused ? nil : settings,
      diagnostics: reading.problems.diagnostics.map { $0.redacted(by: Redaction(references)) },
      closure: reader.closure, references: references, effective: isRefused ? nil : effective,
      whole: reading.problems.whole)
    for path in judgedLater { outcome.places[path] = root?.node(at: path).map { reading.problems.place(of: $0.mark) } }
    return outcome
  }
}
