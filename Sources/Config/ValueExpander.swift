/// Replaces `${env:X}`, `${file:/path}` and `${credential:name}` in scalars, after parsing and before typing, so that a value
/// never becomes structure. A class, because one is shared by the composers of all files of a configuration.
final class ValueExpander {
  /// What to make of a `${...}` that cannot be resolved.
  enum Kind: String, CaseIterable {
    case env, file, credential
  }

  /// Why a `${...}` has no value; a message, and whether another host may resolve it.
  struct Failure: Error {
    var message: String
    var isOfThisHost = false
    var suggestion: String?
  }

  /// Bytes of one `${file:}` or `${credential:}`.
  static let maximumFileBytes = 64 << 10
  /// Bytes of all expanded values together: many references to one file must not grow memory without bound.
  static let maximumBytes = 4 << 20
  /// Files that may be referred to.
  static let maximumFiles = 1024

  /// Values of this configuration that came from outside.
  private(set) var references: Set<ValueReference> = []
  /// Files that were read for values, or looked for, in that order.
  private(set) var files: [ConfigurationClosure.ValueFile] = []

  private let environment: Environment
  private let unresolved: UnresolvedValues
  private var contents: [String: Result<String, FileReading.Refusal>] = [:]
  private var expandedBytes = 0

  init(_ environment: Environment, unresolved: UnresolvedValues) {
    self.environment = environment
    self.unresolved = unresolved
  }

  /// The scalar with every `${...}` replaced and `$$` made a dollar; what is wrong is reported at `mark`.
  func expand(_ scalar: Node.Scalar, at mark: Mark, _ problems: inout Problems) -> Node.Scalar {
    guard scalar.written.utf8.contains(UInt8(ascii: "$")) else { return scalar }
    var scalar = scalar
    var text = ""
    var rest = Substring(scalar.written)
    while let dollar = rest.firstIndex(of: "$") {
      text += rest[..<dollar]
      rest = rest[dollar...].dropFirst()
      if rest.first == "$" {
        text += "$"
        rest = rest.dropFirst()
      } else if rest.first == "{" {
        scalar.isExpanded = true
        do throws(Failure) {
          text += try reference(&rest)
        } catch {
          report(error, mark, &problems)
          scalar.isUnresolved = true
          return scalar
        }
      } else {
        text += "$"
      }
    }
    scalar.text = text + rest
    return scalar
  }

  private func report(_ failure: Failure, _ mark: Mark, _ problems: inout Problems) {
    if failure.isOfThisHost, unresolved == .warn {
      problems.warning(mark, failure.message)
    } else {
      problems.error(mark, failure.message, suggestion: failure.suggestion)
    }
  }

  /// The value of the reference that `rest` begins with, less its dollar.
  private func reference(_ rest: inout Substring) throws(Failure) -> String {
    guard let end = rest.firstIndex(of: "}") else {
      throw Failure(message: "`${` is never closed; write `}` at its end, or `$$` for a dollar")
    }
    let spelling = "$" + rest[...end]
    let body = rest[..<end].dropFirst()
    rest = rest[end...].dropFirst()
    if body.contains("${") {
      throw Failure(message: "a `${...}` cannot hold another one; a default is text")
    }
    let value = try value(of: body, spelling)
    expandedBytes += value.utf8.count
    guard expandedBytes <= Self.maximumBytes else {
      throw Failure(message: "all `${...}` together stand for more than \(Self.maximumBytes >> 20) MiB")
    }
    return value
  }

  private func value(of body: Substring, _ spelling: String) throws(Failure) -> String {
    let shown = spelling.quotedForMessage
    let kinds = Kind.allCases.map(\.rawValue)
    guard let colon = body.firstIndex(of: ":") else {
      let isVariable = Self.isVariable(body)
      throw Failure(
        message: "\(shown) does not say what to read; the kinds are "
          + kinds.map { "`${\($0):...}`" }.joined(separator: ", "),
        suggestion: isVariable ? "${env:\(body)}" : nil)
    }
    let word = String(body[..<colon])
    let name = body[colon...].dropFirst()
    guard let kind = Kind(rawValue: word) else {
      throw Failure(
        message: "\(shown) has an unknown kind; the kinds are \(kinds.joined(separator: ", "))",
        suggestion: Suggestion.nearest(word, in: kinds))
    }
    let (value, isOwn) =
      switch kind {
      case .env: try variable(name, shown)
      case .file: (try file(String(name), shown), false)
      case .credential: (try credential(String(name), shown), false)
      }
    if !isOwn, !value.isEmpty { references.insert(ValueReference(value: value, spelling: spelling)) }
    return value
  }

  private static func isVariable(_ name: Substring) -> Bool {
    guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
  }

  /// A variable, and whether its value is the default that stands in the file. As in a shell, `:-` and `:?` take an
  /// empty variable for one that is not set.
  private func variable(_ body: Substring, _ shown: String) throws(Failure) -> (value: String, isDefault: Bool) {
    let name = body.prefix { $0 != ":" }
    let clause = body.dropFirst(name.count)
    guard Self.isVariable(name) else {
      throw Failure(message: "\(shown) needs the name of a variable: letters, digits and `_`")
    }
    guard clause.isEmpty || clause.hasPrefix(":-") || clause.hasPrefix(":?") else {
      throw Failure(message: "\(shown): write `:-` before a default, `:?` before what to say if it is not set")
    }
    let value = environment(String(name))
    if let value, clause.isEmpty || !value.isEmpty { return (value, false) }
    if clause.hasPrefix(":-") { return (clause.dropFirst(2).replacingDollars, true) }
    let advice = clause.dropFirst(2).replacingDollars.printable(limit: 200)
    let variable = "the environment variable `\(name)` is \(value == nil ? "not set" : "empty")"
    throw Failure(
      message: advice.isEmpty
        ? "\(variable); set it or give it a default: `${env:\(name):-...}`" : "\(variable): \(advice)",
      isOfThisHost: true)
  }

  private func credential(_ name: String, _ shown: String) throws(Failure) -> String {
    guard !name.isEmpty, !name.contains("/"), name != ".", name != ".." else {
      throw Failure(message: "\(shown) needs the name of a credential, without `/`")
    }
    guard let directory = environment("CREDENTIALS_DIRECTORY"), !directory.isEmpty else {
      throw Failure(
        message: "\(shown): there are no credentials ($CREDENTIALS_DIRECTORY is not set); "
          + "systemd gives them with LoadCredential=\(name.printable(limit: 60)):PATH",
        isOfThisHost: true)
    }
    return try contents(of: "\(directory)/\(name)", shown)
  }

  private func file(_ path: String, _ shown: String) throws(Failure) -> String {
    guard path.hasPrefix("/") else { throw Failure(message: "\(shown) needs an absolute path") }
    return try contents(of: path, shown)
  }

  /// The text of a file, one line break at its end left out. Each file is read once.
  private func contents(of path: String, _ shown: String) throws(Failure) -> String {
    let result: Result<String, FileReading.Refusal>
    if let known = contents[path] {
      result = known
    } else {
      guard files.count < Self.maximumFiles else {
        throw Failure(message: "values come from more than \(Self.maximumFiles) files")
      }
      result = readOnce(path)
      contents[path] = result
    }
    switch result {
    case .success(let text): return text
    case .failure(let refusal):
      throw Failure(message: "\(shown): \(refusal.message)", isOfThisHost: refusal.isOfThisHost)
    }
  }

  private func readOnce(_ path: String) -> Result<String, FileReading.Refusal> {
    do throws(FileReading.Refusal) {
      let file = try FileReading.contents(of: path, limit: Self.maximumFileBytes, what: "a value")
      files.append(ConfigurationClosure.ValueFile(path: path, identity: file.identity))
      guard var text = String(validating: file.bytes, as: UTF8.self) else {
        return .failure(FileReading.Refusal(message: "the file is not UTF-8"))
      }
      if text.utf8.last == UInt8(ascii: "\n") { text = String(decoding: text.utf8.dropLast(), as: UTF8.self) }
      return .success(text)
    } catch {
      files.append(ConfigurationClosure.ValueFile(path: path, identity: nil))
      return .failure(error)
    }
  }
}

/// What becomes of an environment variable, file or credential that is not there.
public enum UnresolvedValues: String, Sendable, CaseIterable {
  case error
  /// A warning; the value is taken for valid. For checks on another host than the one that runs it.
  case warn
}

extension Substring {
  /// With `$$` made a dollar.
  fileprivate var replacingDollars: String {
    var text = ""
    var wasDollar = false
    for character in self {
      if character == "$", wasDollar {
        wasDollar = false
        continue
      }
      wasDollar = character == "$"
      text.append(character)
    }
    return text
  }
}
