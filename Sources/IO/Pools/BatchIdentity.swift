/// Names a batch for as long as anybody may see it again: over retries, reloads and restarts, so that a consumer can drop
/// duplicates.
public struct BatchID: Hashable, Sendable, CustomStringConvertible {
  /// Drawn at random for each encoder, so that numbers of two processes or pipelines never meet.
  public var series: UInt64
  /// 1, 2, 3, ... within its series; 0: not named.
  public var number: UInt64

  public init(series: UInt64, number: UInt64) {
    self.series = series
    self.number = number
  }

  public static let none = BatchID(series: 0, number: 0)

  /// `7f3a90c2e1b45d68-12`.
  public var description: String {
    let digits = String(series, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits + "-\(number)"
  }
}

/// Where a row ends, for those who send rows one by one or in small groups. 16 bytes; encoders write it as this layout says.
public struct RowMark: Sendable {
  /// Bytes from the first row of the batch to the end of this one.
  public var end: UInt32
  var reserved: UInt32 = 0
  /// The socket's cookie.
  public var key: UInt64

  public init(end: UInt32, key: UInt64) {
    self.end = end
    self.key = key
  }
}

/// What is known of a sealed batch beside its bytes.
public struct BatchFacts: Sendable, Equatable {
  public var id = BatchID.none
  public var rows = 0
  /// Bytes before the first row: what frames the batch as a whole.
  public var bodyOffset = 0
  /// Wall clock, nanoseconds since 1970, at which it was sealed.
  public var sealedAt: Int64 = 0

  public init() {}
}
