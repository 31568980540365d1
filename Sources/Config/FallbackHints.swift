/// What a configuration that cannot be used still says: what may be started in its place, and where its daemon listens.
///
/// Its files are read once more for that, each as far as it can be: of one that is not YAML, the sections before the one
/// that is broken.
public struct FallbackHints: Sendable, Equatable {
  /// `global.data_dir`; nil if no file says it, or not so that it can be understood.
  public private(set) var dataDirectory: String?
  /// `global.reload.boot_fallback`; nil likewise.
  public private(set) var bootFallback: BootFallback?
  /// `global.control.socket`; nil likewise, or if it is `none`.
  public private(set) var controlSocket: String?

  /// Sections that are taken away from the end of a file before it is given up; a file has no more than seven.
  private static let attempts = 16

  public init(_ outcome: Outcome, environment: Environment = .process) {
    let expander = ValueExpander(environment, unresolved: .error)
    for file in outcome.closure?.files ?? [] {
      guard let tree = Self.tree(file.bytes, expander) else { continue }
      var reading = Reading(problems: Problems(), vocabulary: Vocabulary(columns: []))
      // Of two files the later one is right, or both are wrong.
      if let node = tree.node(at: "global.data_dir"), let path = ValueType<String>.path.read(node, "", &reading) {
        dataDirectory = path
      }
      if let node = tree.node(at: "global.reload.boot_fallback"),
        let word = ValueType<BootFallback>.choice.read(node, "", &reading)
      {
        bootFallback = word
      }
      if let node = tree.node(at: "global.control.socket"),
        let path = ValueType<String?>.none(or: .path).read(node, "", &reading)
      {
        controlSocket = path
      }
    }
  }

  private static func tree(_ bytes: [UInt8], _ expander: ValueExpander) -> Node? {
    var bytes = bytes[...]
    for _ in 0..<attempts {
      // What is wrong has been reported.
      var problems = Problems()
      let source = Source(name: "", bytes: Array(bytes))
      let index = problems.add(source)
      var nodeCount = 0
      if let tree = Composer.compose(
        source, index: index, nodeCount: &nodeCount, expander: expander, problems: &problems)
      {
        return tree
      }
      guard let start = lastSection(bytes), start > bytes.startIndex else { return nil }
      bytes = bytes[..<start]
    }
    return nil
  }

  /// Where the last line begins that is neither indented nor empty nor a comment.
  private static func lastSection(_ bytes: ArraySlice<UInt8>) -> Int? {
    var end = bytes.endIndex
    while end > bytes.startIndex {
      let start = bytes[..<(end - 1)].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.startIndex
      if !" \t\r\n#}]".utf8.contains(bytes[start]) { return start }
      end = start
    }
    return nil
  }
}
