/// A text of which some parts come from the clock: the path of a file, the key of an object, a topic.
public struct FilledTemplate: Sendable, Equatable {
  public enum Part: Sendable, Equatable {
    case text(String)
    /// `2026-11-22`, UTC.
    case date
    /// `00` to `23`, UTC.
    case hour
  }

  private let parts: [Part]

  public init(_ parts: [Part]) { self.parts = parts }

  /// A text in which nothing changes.
  public init(_ text: String) { parts = [.text(text)] }

  /// Whether it is another text at another time.
  public var dependsOnTime: Bool { parts.contains { $0 == .date || $0 == .hour } }

  /// The text at a time, in nanoseconds since 1970.
  public func text(at wallClock: Int64) -> String {
    let hours = max(0, wallClock) / 3_600_000_000_000
    return parts.map { part in
      switch part {
      case .text(let text): text
      case .date: Self.date(day: hours / 24)
      case .hour: Self.twoDigits(hours % 24)
      }
    }.joined()
  }

  /// When the text is another one, in nanoseconds since 1970; nil: never.
  public func changes(after wallClock: Int64) -> Int64? {
    let hour: Int64 = 3_600_000_000_000
    let step = parts.contains(.hour) ? hour : parts.contains(.date) ? 24 * hour : 0
    return step == 0 ? nil : (max(0, wallClock) / step + 1) * step
  }

  /// A day counted from 1970-01-01 in the Gregorian calendar, as ISO 8601 writes it (days_from_civil reversed, H. Hinnant 2013).
  static func date(day: Int64) -> String {
    let shifted = day + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let dayOfMonth = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(year)-\(twoDigits(month))-\(twoDigits(dayOfMonth))"
  }

  static func twoDigits(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
