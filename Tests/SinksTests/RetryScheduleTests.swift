import Testing

@testable import Sinks

@Suite struct RetryScheduleTests {
  /// Draws the longest wait every time.
  struct Longest: RandomNumberGenerator {
    mutating func next() -> UInt64 { .max }
  }

  static let policy = RetryPolicy(initial: 500, max: 30_000, giveUpAfter: 300_000)

  @Test func waitsDoubleUpToTheLongest() {
    var schedule = RetrySchedule(Self.policy)
    var generator = Longest()
    var now: Int64 = 1_000
    var waits: [Int64] = []
    for _ in 0..<9 {
      guard case .retry(let time) = schedule.failed(batch: 1, now: now, using: &generator) else { return }
      waits.append(time - now)
      now = time
    }
    #expect(waits == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    schedule.succeeded()
    #expect(schedule.failed(batch: 2, now: now, using: &generator) == .retry(at: now + 500))
  }

  @Test func waitsAreSpreadFromZeroToTheLongest() {
    var generator = SplitMix64(seed: 7)
    var shortest = Int64.max
    var longest: Int64 = 0
    for _ in 0..<1_000 {
      var schedule = RetrySchedule(Self.policy)
      guard case .retry(let time) = schedule.failed(batch: 1, now: 0, using: &generator) else { continue }
      (shortest, longest) = (min(shortest, time), max(longest, time))
    }
    #expect(shortest < 10 && longest > 490 && longest <= 500)
  }

  @Test func theSameSeedDrawsTheSameWaits() {
    func waits(_ seed: UInt64) -> [RetrySchedule.Verdict] {
      var (schedule, generator) = (RetrySchedule(Self.policy), SplitMix64(seed: seed))
      return (0..<20).map { schedule.failed(batch: 1, now: Int64($0), using: &generator) }
    }
    #expect(waits(1) == waits(1))
    #expect(waits(1) != waits(2))
  }

  @Test func aBatchIsGivenUpItsOwnTimeAfterItsOwnFirstFailure() {
    var schedule = RetrySchedule(Self.policy)
    var generator = Longest()
    _ = schedule.failed(batch: 1, now: 0, using: &generator)
    #expect(schedule.failed(batch: 1, now: 299_990, using: &generator) == .retry(at: 300_000), "one last try in time")
    #expect(schedule.failed(batch: 1, now: 300_000, using: &generator) == .expired)
    guard case .retry = schedule.failed(batch: 2, now: 300_000, using: &generator) else {
      Issue.record("the next batch has a time of its own")
      return
    }
    #expect(schedule.failed(batch: 2, now: 600_000, using: &generator) == .expired)
  }

  @Test func whatCannotBeTakenBackIsTriedForEver() {
    var schedule = RetrySchedule(Self.policy)
    var generator = Longest()
    _ = schedule.failed(batch: 1, now: 0, using: &generator)
    let verdict = schedule.failed(batch: 1, now: 1_000_000, mayGiveUp: false, using: &generator)
    #expect(verdict == .retry(at: 1_001_000))
  }

  @Test func withoutRetryTheFirstFailureIsTheLast() {
    var schedule = RetrySchedule(RetryPolicy(initial: 500, max: 500, giveUpAfter: 0))
    var generator = Longest()
    #expect(schedule.failed(batch: 1, now: 5, using: &generator) == .expired)
  }

  @Test func nothingOverflows() {
    var schedule = RetrySchedule(RetryPolicy(initial: .max / 2, max: 1 << 60, giveUpAfter: .max))
    var generator = Longest()
    for _ in 0..<200 { _ = schedule.failed(batch: 1, now: 1 << 60, using: &generator) }
    #expect(schedule.failures == 200)
  }
}
