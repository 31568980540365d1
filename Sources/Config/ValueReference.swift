import Glibc

/// What an environment variable holds; nil if it is not set.
public struct Environment: Sendable {
  private let lookUp: @Sendable (String) -> String?

  public init(_ lookUp: @escaping @Sendable (_ name: String) -> String?) { self.lookUp = lookUp }

  /// An environment of these variables and no others.
  public init(_ variables: [String: String]) { lookUp = { variables[$0] } }

  /// That of the process.
  public static let process = Environment { name in getenv(name).map { String(cString: $0) } }

  func callAsFunction(_ name: String) -> String? { lookUp(name) }
}

/// A value that came from outside of the configuration's files, and how the files spell it.
public struct ValueReference: Sendable, Hashable {
  /// What `${...}` stood for: to be recognised, never to be shown.
  public let value: String
  /// `${env:X}`, as it is written in the file.
  public let spelling: String
}

/// Replaces values that came from outside of the files by their spelling, wherever they turn up by accident.
public struct Redaction: Sendable {
  /// Shorter values are words that a message holds anyway.
  public static let minimumBytes = 6

  /// What is replaced, in this order.
  public let references: [ValueReference]

  /// Replaces nothing.
  public init() { references = [] }

  /// Longer values are replaced first, because a shorter one may be a part of them.
  public init(_ references: [ValueReference]) {
    self.references = Set(references + references.compactMap(\.directory))
      .filter { $0.value.utf8.count >= Self.minimumBytes }
      .sorted { ($1.value.utf8.count, $0.spelling) < ($0.value.utf8.count, $1.spelling) }
  }

  /// The text with each such value replaced.
  public func callAsFunction(_ text: String) -> String {
    guard !references.isEmpty else { return text }
    var bytes = Array(text.utf8)
    var isChanged = false
    for reference in references {
      guard let replaced = Self.replacing(Array(reference.value.utf8), with: Array(reference.spelling.utf8), in: bytes)
      else { continue }
      bytes = replaced
      isChanged = true
    }
    return isChanged ? String(decoding: bytes, as: UTF8.self) : text
  }

  /// Nil if `value` is not there.
  private static func replacing(_ value: [UInt8], with spelling: [UInt8], in bytes: [UInt8]) -> [UInt8]? {
    bytes.withUnsafeBytes { text -> [UInt8]? in
      guard let base = text.baseAddress, let first = value.first, value.count <= text.count else { return nil }
      var result: [UInt8]?
      var start = 0
      var offset = 0
      while offset <= text.count - value.count,
        let found = memchr(base + offset, Int32(first), text.count - value.count - offset + 1)
      {
        offset = UnsafeRawPointer(found) - base
        if memcmp(found, value, value.count) == 0 {
          result = (result ?? []) + bytes[start..<offset] + spelling
          offset += value.count
          start = offset
        } else {
          offset += 1
        }
      }
      return result.map { $0 + bytes[start...] }
    }
  }
}

extension ValueReference {
  /// The directory of a path: what is made for a file, or cannot be, is told by that name. Not one of the root's own, which say
  /// nothing and stand in many messages.
  fileprivate var directory: ValueReference? {
    guard value.hasPrefix("/"), let slash = value.lastIndex(of: "/") else { return nil }
    let directory = value[..<slash]
    guard directory.utf8.count(where: { $0 == UInt8(ascii: "/") }) > 1 else { return nil }
    return ValueReference(value: String(directory), spelling: spelling + "/..")
  }
}
