/// A run of TCP ports; one port is a run of itself.
public struct PortRange: Sendable, Hashable, CustomStringConvertible {
  public let lower: UInt16
  public let upper: UInt16

  /// Why a text is no range of ports.
  public struct Mistake: TextMistake, Equatable, Sendable {
    /// What is wrong and what to do, to be put behind the text.
    public let reason: String
  }

  /// Reads `443` or `8000-8999`.
  public init(_ text: String) throws(Mistake) {
    let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let last = parts.last, let lower = Self.port(first), let upper = Self.port(last)
    else {
      throw Mistake(reason: "is neither a port from 0 to 65535 nor a range such as 8000-8999")
    }
    guard lower <= upper else { throw Mistake(reason: "runs backwards; write \(upper)-\(lower)") }
    (self.lower, self.upper) = (lower, upper)
  }

  public var description: String { lower == upper ? "\(lower)" : "\(lower)-\(upper)" }

  private static func port(_ text: Substring) -> UInt16? { ScalarForm.plainNumber(text).flatMap { UInt16($0) } }
}

extension ValueType where Value == PortRange {
  /// A port or a range of ports, quoted or not: to YAML a range is text already.
  static var portRange: ValueType {
    .parsed(
      name: "port or range", allowed: "0 to 65535, such as `443` or `8000-8999`", numbers: 0...65_535,
      pattern: "^[0-9]{1,5}(-[0-9]{1,5})?$", expected: "a port or a range such as 8000-8999"
    ) { (text) throws(PortRange.Mistake) in try PortRange(text) }
  }
}
