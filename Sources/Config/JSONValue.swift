/// A JSON value that keeps the order of its keys, so that generated files differ only where the settings do.
enum JSONValue: Sendable, Equatable {
  case string(String)
  case integer(Int)
  case boolean(Bool)
  case null
  case array([JSONValue])
  case object([Member])

  /// One key with its value.
  struct Member: Sendable, Equatable {
    var key: String
    var value: JSONValue

    init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// An object of the given members.
  static func object(_ members: Member...) -> JSONValue { .object(members) }

  /// The schema of YAML's null, which removes what is inherited.
  static let removal = JSONValue.object(.init("type", .string("null")))

  /// An array of strings.
  static func strings(_ strings: [String]) -> JSONValue { .array(strings.map { .string($0) }) }

  /// This object with more members at its end; anything else as it is.
  func adding(_ members: [Member]) -> JSONValue {
    if case .object(let own) = self { .object(own + members) } else { self }
  }

  /// The value as text, objects and nested arrays one member a line, two spaces a level.
  func text(indent: String = "") -> String {
    let inner = indent + "  "
    switch self {
    case .string(let string): return Self.quoted(string)
    case .integer(let integer): return String(integer)
    case .boolean(let boolean): return String(boolean)
    case .null: return "null"
    case .array(let values) where values.allSatisfy(\.isSmall):
      return "[" + values.map { $0.text() }.joined(separator: ", ") + "]"
    case .array(let values):
      return "[\n" + values.map { inner + $0.text(indent: inner) }.joined(separator: ",\n") + "\n\(indent)]"
    case .object(let members) where members.isEmpty: return "{}"
    case .object(let members):
      let lines = members.map { "\(inner)\(Self.quoted($0.key)): \($0.value.text(indent: inner))" }
      return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
    }
  }

  /// The value as text on one line.
  var line: String {
    switch self {
    case .array(let values): "[" + values.map(\.line).joined(separator: ",") + "]"
    case .object(let members):
      "{" + members.map { "\(Self.quoted($0.key)):\($0.value.line)" }.joined(separator: ",") + "}"
    default: text()
    }
  }

  private var isSmall: Bool {
    switch self {
    case .string, .integer, .boolean, .null: true
    case .array, .object: false
    }
  }

  private static func quoted(_ string: String) -> String {
    var text = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\0"..<" ": text += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
