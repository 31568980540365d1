/// Every setting that a configuration has in the end, with where it came from.
public struct EffectiveConfiguration: Sendable {
  private let root: Node
  private let files: [String]

  init(_ root: Node, files: [String]) {
    self.root = root
    self.files = files
  }

  /// The settings as a configuration that says the same without `defaults`, profiles and shared sinks. A `${...}` stands
  /// as it was written. With `origin` each line ends with a comment that says where its value was set, and what it took
  /// the place of.
  public func yaml(origin: Bool = false) -> String {
    var writer = YAMLWriter(files: files, showsOrigin: origin)
    writer.write(root.entries ?? [], level: 0) { path, node in
      path.count == 2 && path[0] == "pipelines" ? SinkReading.completed(node) : node
    }
    return writer.text
  }
}

/// Writes trees as YAML that xtcpd reads.
struct YAMLWriter {
  let files: [String]
  let showsOrigin: Bool
  private(set) var text = ""
  private var path: [String] = []

  init(files: [String], showsOrigin: Bool) {
    self.files = files
    self.showsOrigin = showsOrigin
  }

  /// Writes the entries of a mapping, one a line; `prepare` may change the mapping at a path before it is written.
  mutating func write(_ entries: [Node.Entry], level: Int, _ prepare: ([String], Node) -> Node) {
    let indent = String(repeating: "  ", count: level)
    for entry in entries {
      path.append(entry.key)
      defer { path.removeLast() }
      let value = prepare(path, entry.value)
      if let inner = value.entries, !inner.isEmpty {
        line("\(indent)\(Self.key(entry.key)):", entry)
        write(inner, level: level + 1, prepare)
      } else {
        line("\(indent)\(Self.key(entry.key)): \(Self.flow(value))", entry)
      }
    }
  }

  private mutating func line(_ content: String, _ entry: Node.Entry) {
    text += content
    if showsOrigin {
      text += "  # \(place(entry.keyMark))"
      if !entry.replaced.isEmpty { text += " (replaces \(entry.replaced.map(place).joined(separator: ", ")))" }
    }
    text += "\n"
  }

  private func place(_ mark: Mark) -> String {
    guard files.indices.contains(mark.source) else { return "default" }
    return "\(files[mark.source].printable(limit: 4096)):\(mark.line):\(mark.column)"
  }

  /// A value on one line.
  private static func flow(_ node: Node) -> String {
    switch node.content {
    case .scalar(let scalar): Self.scalar(scalar)
    case .sequence(let elements): "[" + elements.map(flow).joined(separator: ", ") + "]"
    case .mapping(let entries) where entries.isEmpty: "{}"
    case .mapping(let entries):
      "{ " + entries.map { "\(key($0.key)): \(flow($0.value))" }.joined(separator: ", ") + " }"
    }
  }

  private static func key(_ key: String) -> String {
    isSafe(key) ? key : quoted(key)
  }

  /// Plain where it was plain and cannot be taken for anything else; what is no number, boolean or null says the same in
  /// quotes.
  private static func scalar(_ scalar: Node.Scalar) -> String {
    scalar.isPlain && isSafe(scalar.written) ? scalar.written : quoted(scalar.written)
  }

  /// Whether a text needs no quotes anywhere: it begins with a letter, a digit or a slash and holds nothing that YAML
  /// has a use for.
  private static func isSafe(_ text: String) -> Bool {
    func isWord(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "/"):
        true
      default: false
      }
    }
    guard let first = text.utf8.first, isWord(first) else { return false }
    return text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
  }

  /// In double quotes, with YAML's escapes.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case _ where !scalar.isPrintable:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        let (letter, count) = scalar.value > 0xFFFF ? ("U", 8) : ("u", 4)
        result += "\\\(letter)" + String(repeating: "0", count: count - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
