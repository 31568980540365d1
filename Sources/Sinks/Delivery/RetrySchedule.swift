/// When a write that failed is tried again, and when its batch is given up. A value: it reads no clock and draws from the generator it
/// is given.
///
/// The longest wait doubles with every failure in a row; the wait itself is drawn from zero to that ("full jitter"), so that many
/// daemons do not come back to a destination at the same moment.
struct RetrySchedule {
  enum Verdict: Equatable {
    /// Monotonic nanoseconds.
    case retry(at: Int64)
    /// The batch has had its time.
    case expired
  }

  var policy: RetryPolicy
  /// Failures since the last success.
  private(set) var failures = 0
  private var batch: UInt64?
  private var firstFailure: Int64 = 0

  init(_ policy: RetryPolicy) { self.policy = policy }

  /// A write of `batch` (its number) has failed.
  ///
  /// - Parameter mayGiveUp: false for a batch of which a part is out that cannot be taken back: it is tried for ever.
  mutating func failed(
    batch: UInt64, now: Int64, mayGiveUp: Bool = true, using generator: inout some RandomNumberGenerator
  ) -> Verdict {
    if self.batch != batch {
      self.batch = batch
      firstFailure = now
    }
    if mayGiveUp, now - firstFailure >= policy.giveUpAfter { return .expired }
    let wait = Int64.random(in: 0...longestWait, using: &generator)
    failures += 1
    return .retry(at: mayGiveUp ? clipped(now + wait) : now + wait)
  }

  mutating func succeeded() {
    failures = 0
    batch = nil
  }

  /// A wait that was drawn under another policy, shortened to what this one allows.
  func shortened(_ attempt: Int64, now: Int64) -> Int64 { min(clipped(attempt), now + policy.max) }

  /// The last attempt is made when the time is up, not after it.
  private func clipped(_ attempt: Int64) -> Int64 {
    let (end, overflow) = firstFailure.addingReportingOverflow(policy.giveUpAfter)
    return overflow ? attempt : min(attempt, end)
  }

  private var longestWait: Int64 {
    // Beyond 62 doublings every wait is the longest.
    let (doubled, overflow) = policy.initial.multipliedReportingOverflow(by: 1 << min(failures, 62))
    return max(0, overflow ? policy.max : min(doubled, policy.max))
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): random enough to spread retries, and the same for the same seed.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
