/// Where something stands in a source: line and column count from 1, columns and width in Unicode scalars.
struct Mark: Sendable, Hashable {
  /// Index into `Problems.sources`.
  var source: Int
  var line: Int
  var column: Int
  /// How much of the line is meant; at least 1.
  var width = 1

  /// The mark of defaults, which stand in no file.
  static let builtIn = Mark(source: -1, line: 0, column: 0)

  var isBuiltIn: Bool { source < 0 }
}

/// A tree of YAML values in which everything knows where it was written. Layers (built-in values, `defaults`, a
/// pipeline) are merged as trees, before anything is typed, so that each effective value keeps the mark it came with.
///
/// Copies share storage: an alias costs no memory, `weight` says what it would cost written out.
struct Node: Sendable {
  enum Content: Sendable {
    case scalar(Scalar)
    case sequence([Node])
    case mapping([Entry])
  }

  struct Scalar: Sendable {
    var text: String
    /// Not quoted, so that it may be a number, a boolean or null.
    var isPlain: Bool
  }

  struct Entry: Sendable {
    var key: String
    var keyMark: Mark
    var value: Node
  }

  var content: Content
  var mark: Mark
  /// Nodes of this tree with every alias written out.
  var weight = 1

  /// A mapping with nothing in it.
  static func emptyMapping(at mark: Mark) -> Node { Node(content: .mapping([]), mark: mark) }

  /// The entries of a mapping; nil for anything else.
  var entries: [Entry]? {
    if case .mapping(let entries) = content { entries } else { nil }
  }

  /// The elements of a sequence; nil for anything else.
  var elements: [Node]? {
    if case .sequence(let elements) = content { elements } else { nil }
  }

  /// The scalar; nil for anything else.
  var scalar: Scalar? {
    if case .scalar(let scalar) = content { scalar } else { nil }
  }

  /// Whether this is what YAML calls null: nothing at all, `~` or `null`, unquoted.
  var isNull: Bool {
    guard let scalar, scalar.isPlain else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.text)
  }

  /// The entry of a mapping with this key.
  func entry(_ key: String) -> Entry? { entries?.first { $0.key == key } }

  /// The node at a dotted path such as `reader.recv_batch`.
  func node(at path: String) -> Node? {
    var node = self
    for key in path.split(separator: ".") {
      guard let entry = node.entry(String(key)) else { return nil }
      node = entry.value
    }
    return node
  }

  /// This layer with `later` laid over it: mappings merge key by key, everything else is replaced. Keys keep the order
  /// in which they first appeared.
  func merged(under later: Node) -> Node {
    guard case .mapping(var entries) = content, case .mapping(let laterEntries) = later.content else { return later }
    for laterEntry in laterEntries {
      if let index = entries.firstIndex(where: { $0.key == laterEntry.key }) {
        entries[index].value = entries[index].value.merged(under: laterEntry.value)
        entries[index].keyMark = laterEntry.keyMark
      } else {
        entries.append(laterEntry)
      }
    }
    return Node(content: .mapping(entries), mark: later.mark, weight: 1 + entries.reduce(0) { $0 + $1.value.weight })
  }

  /// What kind of value this is, for messages: "a list", "the number 5".
  var description: String {
    switch content {
    case .sequence: "a list"
    case .mapping: "a mapping"
    case .scalar(let scalar):
      if isNull {
        "nothing"
      } else if !scalar.isPlain {
        "the text \(scalar.text.quotedForMessage)"
      } else {
        scalar.text.quotedForMessage
      }
    }
  }
}

extension String {
  /// In backquotes, on one line, and no longer than a message bears.
  var quotedForMessage: String { "`\(self.printable(limit: 60))`" }

  /// Control characters shown as `\u{..}` and everything beyond `limit` scalars left out: what a file holds must not
  /// drive the terminal that shows the message.
  func printable(limit: Int) -> String {
    var text = ""
    for (count, scalar) in unicodeScalars.enumerated() {
      if count == limit { return text + "..." }
      text += scalar.isPrintable ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
    }
    return text
  }
}

extension Unicode.Scalar {
  /// Neither a control character nor one that reorders or hides text (the Cf category, "Trojan Source").
  var isPrintable: Bool {
    switch properties.generalCategory {
    case .control, .format, .surrogate, .unassigned, .privateUse, .lineSeparator, .paragraphSeparator: false
    default: true
    }
  }
}
