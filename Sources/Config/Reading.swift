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
  /// The `sinks` section: what a pipeline's sinks may refer to.
  var sharedSinks = Node.emptyMapping(at: .builtIn)

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
