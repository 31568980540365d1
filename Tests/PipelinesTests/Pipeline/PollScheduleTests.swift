import Testing

@testable import Pipelines

@Suite struct PollScheduleTests {
  static let second: Int64 = 1_000_000_000

  @Test func unalignedPollsBeginAtOnceAndFollowAnIntervalApart() {
    var schedule = PollSchedule(interval: Self.second, alignment: .none, monotonic: 50, wall: 7)
    var polls = false
    #expect(schedule.nextTick == 50)
    polls = schedule.tick(monotonic: 60, wall: 17, busy: false)
    #expect(polls)
    #expect(schedule.nextTick == 50 + Self.second, "lateness does not accumulate")
    #expect(schedule.skipped == 0)
  }

  @Test func theSameSettingsMoveNothing() {
    var schedule = PollSchedule(interval: Self.second, alignment: .wall(offset: 5), monotonic: 100, wall: 7)
    _ = schedule.tick(monotonic: schedule.nextTick, wall: schedule.nextTick - 93, busy: true)
    let same = schedule.changed(interval: Self.second, alignment: .wall(offset: 5), monotonic: 900, wall: 0)
    #expect(same.nextTick == schedule.nextTick)
    #expect(same.skipped == 1)
  }

  @Test func aShorterIntervalHoldsAtOnceAndALongerOneToo() {
    let schedule = PollSchedule(interval: 10 * Self.second, alignment: .none, monotonic: 0, wall: 0)
    var started = schedule
    _ = started.tick(monotonic: 0, wall: 0, busy: false)
    let shorter = started.changed(interval: Self.second, alignment: .none, monotonic: Self.second, wall: 0)
    #expect(shorter.nextTick == 2 * Self.second, "one new interval from now, not the rest of the old one")
    let longer = started.changed(interval: 60 * Self.second, alignment: .none, monotonic: Self.second, wall: 0)
    #expect(longer.nextTick == 10 * Self.second, "never later than it would have come")
  }

  @Test func aTickDuringAPollIsSkippedAndCounted() {
    var schedule = PollSchedule(interval: Self.second, alignment: .none, monotonic: 0, wall: 0)
    var polls = false
    polls = schedule.tick(monotonic: 0, wall: 0, busy: false)
    #expect(polls)
    polls = schedule.tick(monotonic: Self.second, wall: Self.second, busy: true)
    #expect(!polls)
    #expect(schedule.skipped == 1)
    polls = schedule.tick(monotonic: 2 * Self.second, wall: 2 * Self.second, busy: false)
    #expect(polls)
  }

  @Test(arguments: [PollSchedule.Alignment.none, .wall(offset: 0), .wall(offset: 300_000_000)])
  func ticksThatPassedWhileTheProcessWasStoppedAreSkippedNotCaughtUp(alignment: PollSchedule.Alignment) {
    var schedule = PollSchedule(interval: Self.second, alignment: alignment, monotonic: 0, wall: 0)
    var polls = false
    let first = schedule.nextTick
    polls = schedule.tick(monotonic: first, wall: first, busy: false)
    #expect(polls)
    let due = schedule.nextTick
    let late = due + 5 * Self.second + 1
    polls = schedule.tick(monotonic: late, wall: late, busy: false)
    #expect(polls, "one poll, now")
    #expect(schedule.skipped == 5)
    #expect(schedule.nextTick > late)
    #expect(schedule.nextTick <= late + Self.second + Self.second / 2)
  }

  @Test(arguments: [0, 1, 999_999_999, 123_456_789])
  func wallTicksLieAtTheirOffset(offset: Int64) {
    let wall: Int64 = 1_790_000_000_250_000_000
    var schedule = PollSchedule(interval: Self.second, alignment: .wall(offset: offset), monotonic: 1000, wall: wall)
    var polls = false
    for _ in 0..<5 {
      let due = schedule.nextTick
      #expect((wall + due - 1000 - offset) % Self.second == 0)
      polls = schedule.tick(monotonic: due, wall: wall + due - 1000, busy: false)
      #expect(polls)
    }
    #expect(schedule.skipped == 0)
  }

  @Test func aWallClockThatReadsEarlyDoesNotTickTwice() {
    var schedule = PollSchedule(interval: Self.second, alignment: .wall(offset: 0), monotonic: 0, wall: 0)
    var polls = false
    let due = schedule.nextTick
    polls = schedule.tick(monotonic: due, wall: due - 20_000, busy: false)
    #expect(polls)
    #expect(schedule.nextTick - due > Self.second / 2)
  }

  @Test func aSteppedWallClockNeverStopsPolling() {
    var schedule = PollSchedule(interval: Self.second, alignment: .wall(offset: 0), monotonic: 0, wall: 0)
    var polls = false
    var monotonic = schedule.nextTick
    for step in [-3_600, 3_600, 0, -1] {
      polls = schedule.tick(monotonic: monotonic, wall: monotonic + Int64(step) * Self.second, busy: false)
      #expect(polls)
      #expect(schedule.nextTick > monotonic)
      #expect(schedule.nextTick <= monotonic + Self.second + Self.second / 2)
      monotonic = schedule.nextTick
    }
  }

  @Test func spreadIsStableAndDiffersBetweenHosts() {
    let one = PollSchedule.Alignment.spread(hostname: "a", pipeline: "web", interval: 10 * Self.second)
    #expect(one == .spread(hostname: "a", pipeline: "web", interval: 10 * Self.second))
    #expect(one != .spread(hostname: "b", pipeline: "web", interval: 10 * Self.second))
    #expect(one != .spread(hostname: "a", pipeline: "db", interval: 10 * Self.second))
    let offsets = (0..<1000).map { host in
      guard
        case .wall(let offset) = PollSchedule.Alignment.spread(hostname: "host\(host)", pipeline: "p", interval: 1000)
      else { return Int64(-1) }
      return offset
    }
    #expect(offsets.allSatisfy { (0..<1000).contains($0) })
    let quarters = Dictionary(grouping: offsets) { $0 / 250 }.mapValues(\.count)
    #expect((0..<4).allSatisfy { (150...350).contains(quarters[$0] ?? 0) }, "spread evenly: \(quarters)")
  }

  @Test func theStableHashIsFNV1a() {
    // Reference values of the FNV test suite: "" and "foobar".
    var hash = StableHash()
    #expect(hash.value == 0xcbf2_9ce4_8422_2325)
    hash.mix("foobar")
    #expect(hash.value == 0x8594_4171_f739_67e8)
  }
}
