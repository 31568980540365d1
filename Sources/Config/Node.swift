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
    /// What it stands for, every `${...}` replaced: for typing only, never for a message.
    var text: String
    /// Not quoted, so that it may be a number, a boolean or null.
    var isPlain: Bool
    /// What stands in the file: the only form that is shown, because `text` may hold a secret.
    var written: String
    /// Whether a `${...}` was replaced. What came of it has no quotes, so it is taken for whatever the setting holds.
    var isExpanded = false
    /// A `${...}` cannot be resolved here and that was permitted: the value is unknown, and taken for valid.
    var isUnresolved = false

    init(_ text: String, isPlain: Bool) {
      self.text = text
      self.isPlain = isPlain
      written = text
    }

    /// The text, where a suggestion may be made of it.
    var hint: String? { isExpanded ? nil : text }
  }

  struct Entry: Sendable {
    var key: String
    var keyMark: Mark
    var value: Node
    /// The keys whose values this one took the place of, the latest first; what is built in is not among them.
    var replaced: [Mark] = []
  }

  var content: Content
  var mark: Mark
  /// Nodes of this tree with every alias written out.
  var weight = 1
  /// Tagged `!override`: takes the place of what an earlier file says.
  var isOverride = false

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
    guard let scalar, scalar.isPlain, !scalar.isExpanded else { return false }
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

  /// Whether some value in it is unknown because a `${...}` cannot be resolved here.
  var isUnresolved: Bool {
    switch content {
    case .scalar(let scalar): scalar.isUnresolved
    case .sequence(let elements): elements.contains(where: \.isUnresolved)
    case .mapping(let entries): entries.contains { $0.value.isUnresolved }
    }
  }

  /// This mapping without some keys; anything else as it is.
  func without(_ keys: [String]) -> Node {
    guard case .mapping(let entries) = content, entries.contains(where: { keys.contains($0.key) }) else { return self }
    var node = self
    node.content = .mapping(entries.filter { !keys.contains($0.key) })
    return node
  }

  /// What kind of value this is, for messages: "a list", "the number 5".
  var description: String {
    switch content {
    case .sequence: "a list"
    case .mapping: "a mapping"
    case .scalar(let scalar):
      if isNull {
        "nothing"
      } else if scalar.isExpanded {
        "what \(scalar.written.quotedForMessage) stands for"
      } else if !scalar.isPlain {
        "the text \(scalar.written.quotedForMessage)"
      } else {
        scalar.written.quotedForMessage
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
