import Testing

@testable import Pipelines

@Suite struct DumpClockTests {
  @Test func theKernelsTimeRunsOut() {
    let clock = DumpClock(now: 1000, held: 0)
    #expect(clock.verdict(now: 1500, held: 0, timeout: 500) == .inTime)
    #expect(clock.verdict(now: 1501, held: 0, timeout: 500) == .timedOut)
  }

  @Test func waitingForOurOwnResourcesStopsTheClock() {
    let clock = DumpClock(now: 1000, held: 200)
    #expect(clock.verdict(now: 1900, held: 200 + 400, timeout: 500) == .inTime)
    #expect(clock.verdict(now: 1901, held: 200 + 400, timeout: 500) == .timedOut)
  }

  @Test func beingHeldForLongerThanTheTimeoutIsGivenUpUnderItsOwnName() {
    let clock = DumpClock(now: 1000, held: 200)
    #expect(clock.verdict(now: 1500, held: 700, timeout: 500) == .inTime)
    #expect(clock.verdict(now: 1501, held: 701, timeout: 500) == .heldTooLong)
  }

  @Test func timeInLineForAReaderIsNobodys() {
    var clock = DumpClock(now: 1_000, held: 0)
    clock.leaveOut(from: DumpClock.Moment(now: 1_050, held: 0), to: DumpClock.Moment(now: 9_050, held: 700))
    #expect(clock.verdict(now: 9_100, held: 700, timeout: 100) == .inTime)
    #expect(clock.verdict(now: 9_101, held: 700, timeout: 100) == .timedOut)
    #expect(clock.verdict(now: 9_300, held: 801, timeout: 100) == .heldTooLong)
  }

  @Test func theMeterAddsUpOnlyHeldTime() {
    var meter = HoldMeter()
    #expect(meter.held(now: 100) == 0)
    meter.update(isHeld: true, now: 100)
    meter.update(isHeld: true, now: 120)
    #expect(meter.held(now: 150) == 50)
    meter.update(isHeld: false, now: 160)
    #expect(meter.held(now: 500) == 60)
    meter.update(isHeld: true, now: 500)
    #expect(meter.held(now: 510) == 70)
  }
}

@Suite struct FillClockTests {
  @Test func aDatagramIsAsOldAsTheReceiveBeforeIt() {
    var clock = FillClock(sentAt: 100)
    var filled = clock.datagramReceived(submitted: 0, completed: 400)
    #expect(filled == 100, "the first one: when the request was sent")
    filled = clock.datagramReceived(submitted: 0, completed: 3_000)
    #expect(filled == 400, "however long it waited to be received")
    filled = clock.datagramReceived(submitted: 0, completed: 3_100)
    #expect(filled == 3_000)
  }

  @Test func datagramsOfOneSubmissionWereFilledDuringIt() {
    var clock = FillClock(sentAt: 100)
    var times: [Int64] = []
    for _ in 0..<3 { times.append(clock.datagramReceived(submitted: 110, completed: 150)) }
    #expect(times == [100, 110, 110])
    times = []
    for _ in 0..<3 { times.append(clock.datagramReceived(submitted: 9_000, completed: 9_050)) }
    #expect(times == [150, 9_000, 9_000], "what the last receive of the first submission filled waited for the second")
  }

  @Test func answersAboutSingleSocketsAreAsOldAsTheRequest() {
    var clock = FillClock(sentAt: 100, isAnsweredAtOnce: true)
    var times: [Int64] = []
    for completed in [150, 3_000, 9_000] {
      times.append(clock.datagramReceived(submitted: 110, completed: Int64(completed)))
    }
    #expect(times == [100, 100, 100])
  }
}

@Suite struct StartQuantumTests {
  @Test func itDoublesWhileSubmissionsAreShortAndFallsToOneAfterALongOne() {
    var quantum = StartQuantum(limit: 6)
    #expect(quantum.size == 1)
    for expected in [2, 4, 6, 6] {
      quantum.observe(duration: 1000)
      #expect(quantum.size == expected)
    }
    quantum.observe(duration: (StartQuantum.short + StartQuantum.long) / 2)
    #expect(quantum.size == 6)
    quantum.observe(duration: StartQuantum.long + 1)
    #expect(quantum.size == 1)
  }
}

@Suite struct SlotTableTests {
  /// A value that tells when it goes.
  struct Tracked: ~Copyable {
    let number: Int
    let log: Log
    deinit { log.gone.append(number) }
  }

  final class Log { var gone: [Int] = [] }

  @Test func slotsAreReusedAndNeverExceeded() {
    let log = Log()
    var table = SlotTable<Tracked>(capacity: 2)
    let first = table.insert(Tracked(number: 1, log: log)) ?? -1
    let second = table.insert(Tracked(number: 2, log: log)) ?? -1
    let (isFull, third) = (table.isFull, table.insert(Tracked(number: 3, log: log)))
    #expect(isFull)
    #expect(Set([first, second]) == [0, 1])
    #expect(third == nil)
    #expect(log.gone == [3])
    _ = table.remove(first)
    #expect(log.gone == [3, 1])
    let again = table.insert(Tracked(number: 4, log: log))
    #expect(again == first)
    let number = table[first]?.pointee.number
    #expect(number == 4)
  }

  @Test(arguments: [-1, 0, 1, 2]) func onlySlotsInUseAnswer(index: Int) {
    var table = SlotTable<Tracked>(capacity: 2)
    let isEmpty = table[index] == nil
    #expect(isEmpty)
    let wasThere = table.remove(index) != nil
    #expect(!wasThere)
    let count = table.count
    #expect(count == 0)
  }

  @Test func whatIsLeftGoesWithTheTable() {
    let log = Log()
    do {
      var table = SlotTable<Tracked>(capacity: 3)
      _ = table.insert(Tracked(number: 1, log: log))
      _ = table.insert(Tracked(number: 2, log: log))
    }
    #expect(log.gone.sorted() == [1, 2])
  }
}
