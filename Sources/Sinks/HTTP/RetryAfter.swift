/// `Retry-After` of a response, RFC 9110 section 10.2.3.
enum RetryAfter {
  /// No server makes a sink wait longer, in nanoseconds.
  static let longest: Int64 = 3_600_000_000_000

  /// Nanoseconds from now; nil if it cannot be read.
  ///
  /// - Parameter wallClock: nanoseconds since 1970.
  static func nanoseconds(_ text: String, wallClock: Int64) -> Int64? {
    if let seconds = UInt64(text) { return Int64(min(seconds, UInt64(longest / 1_000_000_000))) * 1_000_000_000 }
    guard let date = seconds(ofDate: text) else { return nil }
    // Nanoseconds of a date that is far away would be too many for a number.
    guard date - wallClock / 1_000_000_000 < longest / 1_000_000_000 else { return longest }
    return max(0, date * 1_000_000_000 - wallClock)
  }

  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  /// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of a date that is still sent (IMF-fixdate), in seconds since 1970.
  static func seconds(ofDate text: String) -> Int64? {
    let words = text.split(separator: " ")
    guard words.count == 6, words[5] == "GMT", let day = Int64(words[1]), let year = Int64(words[3]),
      let month = months.firstIndex(of: String(words[2])), (1...31).contains(day), (1970...9999).contains(year)
    else { return nil }
    let clock = words[4].split(separator: ":").map { Int64($0) }
    guard clock.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2],
      (0..<24).contains(hour), (0..<60).contains(minute), (0...60).contains(second)
    else { return nil }
    return days(year, Int64(month) + 1, day) * 86_400 + hour * 3_600 + minute * 60 + second
  }

  /// Days since 1970-01-01 in the Gregorian calendar (days_from_civil, H. Hinnant 2013).
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted / 400
    let yearOfEra = shifted % 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}
