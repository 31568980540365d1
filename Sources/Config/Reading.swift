/// What the caller knows and the configuration refers to.
public struct Vocabulary: Sendable {
  /// The names of the record's columns, for `columns`.
  public var columns: [String]

  public init(columns: [String]) { self.columns = columns }
}

/// What reading a value needs besides the value: where to report, and what names may be referred to.
struct Reading {
  var problems: Problems
  let vocabulary: Vocabulary
  /// A file of the configuration could not be read, so that what is not there may be in it.
  var isIncomplete = false
  /// What is being read is laid over something that is not known yet, so that a null may remove some of it.
  var permitsRemoval = false

  init(problems: Problems, vocabulary: Vocabulary, isIncomplete: Bool = false) {
    self.problems = problems
    self.vocabulary = vocabulary
    self.isIncomplete = isIncomplete
  }

  /// Reports that `node` is not what the setting at `path` takes.
  mutating func mismatch(_ path: String, _ expected: String, _ node: Node, suggestion: String? = nil) {
    mismatch(of: "`\(path)`", expected, node, suggestion: suggestion)
  }

  /// Reports that `node` is not what `subject` has to be. A value that is missing because of an error is not reported.
  mutating func mismatch(of subject: String, _ expected: String, _ node: Node, suggestion: String? = nil) {
    if !node.isNull {
      problems.error(node.mark, "\(subject) must be \(expected), not \(node.description)", suggestion: suggestion)
    } else if !problems.hasError(at: node.mark) {
      problems.error(node.mark, "\(subject) has no value; give it \(expected) or remove the key")
    }
  }
}
