/// Numbers as people read them.
enum Quantity {
  /// `1 thread`, `2 threads`.
  static func count(_ number: some BinaryInteger, _ thing: String) -> String {
    "\(number) \(thing)\(number == 1 ? "" : "s")"
  }

  /// `3.2 ms`, `12.0 s`, `2 h 5 min`.
  static func duration(_ nanoseconds: Int64) -> String {
    switch nanoseconds {
    case ..<1_000_000: "\(nanoseconds / 1000) us"
    case ..<1_000_000_000: "\(tenths(nanoseconds, of: 1_000_000)) ms"
    case ..<120_000_000_000: "\(tenths(nanoseconds, of: 1_000_000_000)) s"
    case ..<7_200_000_000_000: "\(nanoseconds / 60_000_000_000) min"
    case ..<172_800_000_000_000: "\(nanoseconds / 3_600_000_000_000) h"
    default: "\(nanoseconds / 86_400_000_000_000) d"
    }
  }

  /// `768.0 KiB`, `1.5 GiB`.
  static func bytes(_ bytes: Int) -> String {
    for (unit, scale) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes >= scale {
      return "\(tenths(Int64(bytes), of: Int64(scale))) \(unit)"
    }
    return "\(bytes) B"
  }

  /// A rate of so many in so many nanoseconds: `182/s`, `0.4/s`.
  static func rate(_ count: UInt64, in nanoseconds: Int64) -> String {
    guard nanoseconds > 0 else { return "0/s" }
    let rate = Double(count) * 1e9 / Double(nanoseconds)
    return rate < 10 && rate > 0 ? "\(tenths(Int64(rate * 10), of: 10))/s" : "\(Int64(rate.rounded()))/s"
  }

  private static func tenths(_ value: Int64, of scale: Int64) -> String {
    let tenths = (value * 10 + scale / 2) / scale
    return "\(tenths / 10).\(tenths % 10)"
  }
}
