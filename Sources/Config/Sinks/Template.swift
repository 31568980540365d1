/// A text with places to be filled in: `/var/log/xtcpd/{pipeline}-{date}.jsonl`.
public struct Template: Sendable, Equatable {
  /// What can be filled in.
  public enum Place: String, CaseIterable, Sendable {
    case hostname, pipeline
    /// The day as `2026-11-22`, UTC.
    case date
    /// The hour as `00` to `23`, UTC.
    case hour
  }

  public enum Part: Sendable, Equatable {
    case text(String)
    case place(Place)
  }

  public var parts: [Part]

  public init(parts: [Part]) { self.parts = parts }

  /// A text without places.
  public init(_ text: String) { parts = text.isEmpty ? [] : [.text(text)] }

  /// Whether what comes out differs from one moment to another.
  public var dependsOnTime: Bool { parts.contains(.place(.date)) || parts.contains(.place(.hour)) }

  /// As it is written.
  public var written: String {
    parts.map { part in
      switch part {
      case .text(let text): text
      case .place(let place): "{\(place.rawValue)}"
      }
    }.joined()
  }
}

extension Template {
  /// Why a text is no template.
  enum Mistake: Error {
    /// A brace that nothing closes or opens.
    case unpaired
    case unknown(String)
  }

  init(parsing text: String) throws(Mistake) {
    parts = []
    var literal = ""
    var rest = Substring(text)
    while let character = rest.popFirst() {
      switch character {
      case "{":
        guard let end = rest.firstIndex(of: "}") else { throw .unpaired }
        let name = String(rest[..<end])
        guard let place = Place(rawValue: name) else { throw .unknown(name) }
        if !literal.isEmpty { parts.append(.text(literal)) }
        literal = ""
        parts.append(.place(place))
        rest = rest[rest.index(after: end)...]
      case "}": throw .unpaired
      default: literal.append(character)
      }
    }
    if !literal.isEmpty { parts.append(.text(literal)) }
  }
}

extension ValueType where Value == Template {
  /// A text with `{hostname}`, `{pipeline}`, `{date}`, `{hour}` in it.
  ///
  /// - Parameter text: what the text has to be besides.
  static func template(_ text: ValueType<String>) -> ValueType {
    let names = Template.Place.allCases.map { "{\($0.rawValue)}" }.joined(separator: ", ")
    let allowed = [text.allowed, "with \(names)"].filter { !$0.isEmpty }.joined(separator: ", ")
    return ValueType(name: text.name, allowed: allowed, schema: text.schema) { node, path, reading in
      guard let text = text.read(node, path, &reading) else { return nil }
      do throws(Template.Mistake) {
        return try Template(parsing: text)
      } catch {
        switch error {
        case .unpaired: reading.problems.error(node.mark, "`\(path)` has a brace without its other half; use \(names)")
        case .unknown(let name):
          reading.problems.error(
            node.mark, "`\(path)` has {\(name.printable(limit: 40))}, which is not known; use \(names)",
            suggestion: Suggestion.nearest(name, in: Template.Place.allCases.map(\.rawValue)).map { "{\($0)}" })
        }
        return nil
      }
    }
  }
}
