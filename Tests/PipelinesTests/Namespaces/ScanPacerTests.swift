import IO
import Testing

@testable import Pipelines

@Suite struct ScanPacerTests {
  private static let second: Int64 = 1_000_000_000
  private static let millisecond: Int64 = 1_000_000

  /// A pacer after a whole scan at `start`.
  private static func scanned(at start: Int64 = 0, cost: Int64 = 0, interval: Int64 = 10 * second) -> ScanPacer {
    var pacer = ScanPacer(interval: interval)
    #expect(pacer.begin(now: start) == .whole, "the first scan is due at once")
    pacer.end(cost: cost)
    return pacer
  }

  @Test func allProcessesOnceAnInterval() {
    var pacer = Self.scanned(at: 5)
    #expect(pacer.deadline == 10 * Self.second + 5)
    #expect(pacer.begin(now: 10 * Self.second + 4) == nil)
    #expect(pacer.begin(now: 10 * Self.second + 5) == .whole)
  }

  @Test func aShortIntervalIsWhatWasAskedFor() {
    var pacer = Self.scanned(cost: Self.second, interval: 100 * Self.millisecond)
    #expect(pacer.begin(now: 100 * Self.millisecond) == .whole)
  }

  @Test func mountsAtOnceAndThenFiveTimesASecond() {
    var pacer = Self.scanned()
    pacer.request(.mounts)
    #expect(pacer.deadline == ScanPacer.shortest)
    #expect(pacer.begin(now: Self.second) == .mounts)
    pacer.end(cost: 0)
    #expect(pacer.begin(now: Self.second) == nil, "nothing was reported since")
    pacer.request(.mounts)
    #expect(pacer.deadline == Self.second + ScanPacer.shortest)
  }

  @Test func whatIsReportedDuringAScanIsLookedAtAfterIt() {
    var pacer = Self.scanned()
    pacer.request(.mounts)
    #expect(pacer.begin(now: Self.second) == .mounts)
    pacer.request(.mounts)
    pacer.end(cost: 0)
    #expect(pacer.deadline == Self.second + ScanPacer.shortest)
  }

  @Test func aWholeScanSeesMountsToo() {
    var pacer = Self.scanned(at: 0, interval: Self.second)
    pacer.request(.mounts)
    pacer.request(.whole)
    #expect(pacer.begin(now: Self.second) == .whole)
    pacer.end(cost: 0)
    #expect(pacer.deadline == 2 * Self.second)
  }

  @Test func earlyScansTakeTwoPercentOfACore() {
    var pacer = Self.scanned(cost: 30 * Self.millisecond)
    pacer.request(.whole)
    #expect(pacer.begin(now: ScanPacer.longest) == .mounts, "what has gone is taken out meanwhile")
    pacer.end(cost: Self.millisecond)
    #expect(pacer.deadline == 1_500 * Self.millisecond)
    #expect(pacer.begin(now: 1_499 * Self.millisecond) == nil)
    #expect(pacer.begin(now: 1_500 * Self.millisecond) == .whole)
    pacer.end(cost: 30 * Self.millisecond)
    #expect(pacer.deadline == 11_500 * Self.millisecond)
  }

  @Test func mountsAreSeenWithinASecondWhateverItCosts() {
    var pacer = Self.scanned()
    pacer.request(.mounts)
    #expect(pacer.begin(now: Self.second) == .mounts)
    pacer.request(.mounts)
    pacer.end(cost: Self.second / 10)
    #expect(pacer.deadline == Self.second + ScanPacer.longest)
  }

  @Test func whatFailedIsTriedAgainASecondLater() {
    var pacer = ScanPacer(interval: 10 * Self.second)
    #expect(pacer.begin(now: 0) == .whole)
    pacer.end(cost: 0, failed: true)
    #expect(pacer.deadline == Self.second)
    #expect(pacer.begin(now: Self.second) == .whole)
    pacer.end(cost: 0)
    #expect(pacer.deadline == 11 * Self.second)
    pacer.request(.mounts)
    #expect(pacer.begin(now: 2 * Self.second) == .mounts)
    pacer.end(cost: 0, failed: true)
    #expect(pacer.deadline == 3 * Self.second)
  }

  /// Reports at every millisecond for a minute, scans that cost what a host with 5,000 processes makes them cost.
  @Test func theShareHoldsUnderAnyLoad() {
    var pacer = Self.scanned(cost: 30 * Self.millisecond)
    var spent: Int64 = 0
    var scans = 0
    for now in stride(from: 0 as Int64, to: 60 * Self.second, by: Int(Self.millisecond)) {
      pacer.request(now / Self.millisecond % 3 == 0 ? .whole : .mounts)
      guard let scope = pacer.begin(now: now) else { continue }
      let cost = scope == .whole ? 30 * Self.millisecond : Self.millisecond
      pacer.end(cost: cost)
      spent += cost
      scans += 1
    }
    #expect(spent <= 60 * Self.second * 5 / 2 / 100, "2% for all processes, 0.5% for mounts five times a second")
    #expect(scans > 250)
  }
}
