import Glibc

/// A point on CLOCK_MONOTONIC, in nanoseconds. It never jumps; it stands still while the machine is suspended.
public struct MonotonicTime: Comparable, Hashable, Sendable {
  /// Nanoseconds since an arbitrary moment, on Linux the boot.
  public var nanoseconds: Int64

  /// The point that many nanoseconds after the clock's own zero.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The present, clock_gettime(2).
  public static func now() -> MonotonicTime { MonotonicTime(nanoseconds: readClock(CLOCK_MONOTONIC)) }

  public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.nanoseconds < b.nanoseconds }

  /// This point moved by a duration; saturates instead of overflowing.
  public func advanced(by duration: Duration) -> MonotonicTime {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.nanoseconds)
    return MonotonicTime(nanoseconds: overflow ? (duration < .zero ? .min : .max) : sum)
  }

  /// The time from `earlier` to this point.
  public func since(_ earlier: MonotonicTime) -> Duration { .nanoseconds(nanoseconds &- earlier.nanoseconds) }
}

/// CLOCK_REALTIME in nanoseconds since 1970. It may jump when the clock is set.
public func wallClockNanoseconds() -> Int64 { readClock(CLOCK_REALTIME) }

/// CPU time of the calling thread in nanoseconds, CLOCK_THREAD_CPUTIME_ID.
public func threadTime() -> Int64 { readClock(CLOCK_THREAD_CPUTIME_ID) }

extension Duration {
  /// The whole duration in nanoseconds, saturated at what an Int64 holds (292 years).
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, overflowed) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflowed ? (seconds < 0 ? .min : .max) : sum
  }
}

/// clock_gettime(2) cannot fail for these clocks and a valid pointer.
private func readClock(_ clock: clockid_t) -> Int64 {
  var time = timespec()
  clock_gettime(clock, &time)
  return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}
