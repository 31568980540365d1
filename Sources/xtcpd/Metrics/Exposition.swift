/// Writes the text format that Prometheus reads, version 0.0.4: families with HELP and TYPE once, then their samples.
struct Exposition {
  private(set) var text = ""
  private var family = ""

  /// The content type of the text.
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// Begins a family; samples belong to the family that was begun last.
  mutating func begin(_ name: String, _ kind: MetricFamily.Kind, help: String) {
    family = name
    text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
  }

  mutating func sample(_ value: some BinaryInteger) { line("", [], String(value)) }

  mutating func sample(_ labels: [(String, String)], _ value: some BinaryInteger) { line("", labels, String(value)) }

  /// 1 for true.
  mutating func sample(_ labels: [(String, String)] = [], isTrue value: Bool) { line("", labels, value ? "1" : "0") }

  mutating func sample(_ labels: [(String, String)] = [], seconds: Double) { line("", labels, String(seconds)) }

  /// A time or moment that is counted in nanoseconds.
  mutating func sample(_ labels: [(String, String)] = [], nanoseconds: Int64) {
    line("", labels, Self.seconds(nanoseconds))
  }

  /// A histogram: buckets are cumulative, the last one has no bound.
  ///
  /// - Parameters:
  ///   - counts: one a bound and one beyond the last, not cumulative.
  mutating func histogram(_ labels: [(String, String)], bounds: [Int64], counts: [UInt64], sum: Int64) {
    var total: UInt64 = 0
    for (index, count) in counts.enumerated() {
      total += count
      let bound = bounds.indices.contains(index) ? Self.seconds(bounds[index]) : "+Inf"
      line("_bucket", labels + [("le", bound)], String(total))
    }
    line("_sum", labels, Self.seconds(sum))
    line("_count", labels, String(total))
  }

  private mutating func line(_ suffix: String, _ labels: [(String, String)], _ value: String) {
    text += family
    text += suffix
    if !labels.isEmpty {
      text += "{" + labels.map { "\($0)=\"\(Self.escaped($1, quotes: true))\"" }.joined(separator: ",") + "}"
    }
    text += " \(value)\n"
  }

  private static func seconds(_ nanoseconds: Int64) -> String { String(Double(nanoseconds) / 1e9) }

  /// Backslash and newline, and in the values of labels quotation marks.
  private static func escaped(_ text: String, quotes: Bool) -> String {
    guard text.utf8.contains(where: { [UInt8(ascii: "\\"), UInt8(ascii: "\n"), UInt8(ascii: "\"")].contains($0) })
    else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
