/// Durations and sizes as people write them: whole numbers, each with its unit.
enum Units {
  /// Nanoseconds of each unit of time, longest first.
  static let durations: [(unit: String, nanoseconds: Int64)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
    ("ms", 1_000_000), ("us", 1_000), ("ns", 1),
  ]

  /// Bytes of each unit of size, largest first.
  static let sizes: [(unit: String, bytes: Int64)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1),
  ]

  /// Why a text is not a duration or size; a sentence's end for a message.
  struct Mistake: TextMistake, Equatable {
    var reason: String
  }

  /// Reads `90s`, `1m30s`, `500ms`; larger units come first, each at most once.
  static func duration(_ text: String) throws(Mistake) -> Duration {
    let example = "write it like 500ms, 10s or 1m30s"
    let parts = try parts(text, example)
    var total: Int64 = 0
    var previous = Int64.max
    for (number, unit) in parts {
      guard let scale = durations.first(where: { $0.unit == unit })?.nanoseconds else {
        throw unknownUnit(unit, ofDuration: true)
      }
      guard scale < previous else { throw Mistake(reason: "has its units out of order; \(example)") }
      previous = scale
      total = try sum(total, number, scale)
    }
    return .nanoseconds(total)
  }

  /// Reads `768KiB`, `16MiB`: one number and one unit.
  static func size(_ text: String) throws(Mistake) -> Int {
    let example = "write it like 64KiB or 16MiB"
    let parts = try parts(text, example)
    guard parts.count == 1 else { throw Mistake(reason: "is not one number with one unit; \(example)") }
    guard let scale = sizes.first(where: { $0.unit == parts[0].unit })?.bytes else {
      throw unknownUnit(parts[0].unit, ofDuration: false)
    }
    return Int(try sum(0, parts[0].number, scale))
  }

  /// A duration as it would be written: `1m30s`.
  static func text(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    var (rest, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return "\(seconds)s" }
    rest += attoseconds / 1_000_000_000
    guard rest != 0 else { return "0s" }
    var text = ""
    for (unit, nanoseconds) in durations where rest >= nanoseconds {
      text += "\(rest / nanoseconds)\(unit)"
      rest %= nanoseconds
    }
    return text
  }

  /// A size as it would be written, in the largest unit that divides it.
  static func text(bytes: Int) -> String {
    guard bytes > 0, let fit = sizes.first(where: { Int64(bytes) % $0.bytes == 0 }) else { return "\(bytes)B" }
    return "\(Int64(bytes) / fit.bytes)\(fit.unit)"
  }

  private static func parts(_ text: String, _ example: String) throws(Mistake) -> [(number: Int64, unit: String)] {
    var parts: [(number: Int64, unit: String)] = []
    var rest = Substring(text)
    while !rest.isEmpty {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      let unit = rest.dropFirst(digits.count).prefix { !($0.isASCII && $0.isNumber) }
      rest = rest.dropFirst(digits.count + unit.count)
      guard !digits.isEmpty, !unit.hasPrefix(" "), !unit.hasPrefix("_") else {
        throw Mistake(reason: "is not a number with a unit; \(example)")
      }
      guard !unit.isEmpty else { throw Mistake(reason: "has no unit; \(example)") }
      if unit.hasPrefix(".") { throw Mistake(reason: "is not a whole number; use the next smaller unit") }
      guard let number = Int64(digits) else { throw tooLarge }
      parts.append((number, String(unit)))
      guard parts.count <= durations.count else { throw Mistake(reason: "has too many parts; \(example)") }
    }
    guard !parts.isEmpty else { throw Mistake(reason: "is empty; \(example)") }
    return parts
  }

  private static let tooLarge = Mistake(reason: "is too large")

  private static func sum(_ total: Int64, _ number: Int64, _ scale: Int64) throws(Mistake) -> Int64 {
    let (product, overflow) = number.multipliedReportingOverflow(by: scale)
    let (sum, overflowOfSum) = total.addingReportingOverflow(product)
    guard !overflow, !overflowOfSum else { throw tooLarge }
    return sum
  }

  /// Names the unit, and the one that was probably meant.
  private static func unknownUnit(_ unit: String, ofDuration: Bool) -> Mistake {
    let known = ofDuration ? durations.map(\.unit) : sizes.map(\.unit)
    let meant: [String: String] =
      ofDuration
      ? [
        "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m",
        "minutes": "m", "hour": "h", "hours": "h", "hr": "h", "day": "d", "days": "d", "msec": "ms", "usec": "us",
        "\u{B5}s": "us", "\u{3BC}s": "us", "nsec": "ns",
      ]
      : [
        "k": "KiB", "kb": "KiB", "kib": "KiB", "m": "MiB", "mb": "MiB", "mib": "MiB", "g": "GiB", "gb": "GiB",
        "gib": "GiB", "t": "TiB", "tb": "TiB", "tib": "TiB", "byte": "B", "bytes": "B", "b": "B",
      ]
    let list = known.reversed().joined(separator: ", ")
    let hint = meant[unit.lowercased()].map { "; did you mean `\($0)`?" } ?? ""
    return Mistake(reason: "has the unknown unit \(unit.quotedForMessage); the units are \(list)\(hint)")
  }
}

extension Duration {
  /// A duration as the configuration and the command line have it, `1m30s`; nil if the text is not one.
  public init?(asWritten text: String) {
    guard let duration = try? Units.duration(text) else { return nil }
    self = duration
  }

  /// This duration as it would be written in a configuration.
  public var asWritten: String { Units.text(self) }
}
