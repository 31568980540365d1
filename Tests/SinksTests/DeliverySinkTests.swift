import Foundation
import Testing

@testable import IO
@testable import Sinks

/// Does what the test says, and keeps what arrived.
final class ScriptedOutlet: Outlet {
  var isReady = false
  var reachability = Reachability.unknown
  var nextDeadline: Int64?
  private(set) var probes = 0
  private(set) var cancels = 0
  private(set) var flushes = 0
  private(set) var isClosed = false
  /// The shipment under way.
  private(set) var shipment: Shipment?
  private(set) var attempts: [Int] = []
  private(set) var counts: [Int] = []
  private(set) var text = ""
  private var outcomes: [Outcome] = []
  /// What a cancelled shipment comes to; nil: nothing for now.
  var cancelled: Outcome? = .failed(Failure(message: "cancelled"))

  func probe(now: Int64) { probes += 1 }
  func send(_ shipment: Shipment, now: Int64) {
    #expect(self.shipment == nil, "one at a time")
    self.shipment = shipment
    attempts.append(shipment.attempt)
    counts.append(shipment.count)
  }
  func handle(_ completion: consuming Completion) {}
  func resume(now: Int64) {}
  func takeOutcome() -> Outcome? { outcomes.isEmpty ? nil : outcomes.removeFirst() }
  func cancel() {
    cancels += 1
    if let cancelled { end(cancelled) }
  }
  func flush() { flushes += 1 }
  func close(isStuck: Bool) { isClosed = true }

  /// Says what became of the shipment.
  func end(_ outcome: Outcome) {
    if let shipment, outcome.hasArrived {
      for index in 0..<shipment.count { text += String(decoding: shipment.bytes(of: index), as: UTF8.self) }
    }
    if case .settled = outcome {} else { shipment = nil }
    outcomes.append(outcome)
  }

  static let delivered = Outcome.delivered(bytes: 100, refused: nil)
}

extension Outcome {
  fileprivate var hasArrived: Bool {
    switch self {
    case .delivered, .taken: true
    case .failed, .settled: false
    }
  }
}

/// All ways through the sink that ships whole batches: what an outlet may answer, when shipments begin, how a sink ends and hands over.
@Suite struct DeliverySinkTests {
  let bench: Bench
  let outlet = ScriptedOutlet()

  init() throws { bench = try Bench(.syscall) }

  private func sink(
    _ queue: QueuePolicy = .roomy, retry: RetryPolicy = .quick, gather: GatherPolicy? = nil, awaitsEstate: Bool = false,
    probes: Bool = true, outlet: ScriptedOutlet? = nil
  ) -> DeliverySink {
    DeliverySink(
      name: "s", bench.output(queue: queue, retry: retry, awaitsEstate: awaitsEstate, probes: probes),
      outlet: outlet ?? self.outlet, gather: gather)
  }

  /// A batch of ten rows.
  private func offer(_ number: Int, to sink: DeliverySink) throws {
    let text = (0..<10).map { line(number * 10 + $0) }.joined()
    try #require(bench.offer(text, rows: 10, to: sink))
    #expect(isBalanced(sink))
  }

  private func end(_ outcome: Outcome, _ sink: DeliverySink) {
    outlet.end(outcome)
    sink.resume()
    #expect(isBalanced(sink))
  }

  /// Until the next attempt is made.
  private func wait(for sink: DeliverySink) throws {
    try bench.turn(sink) { outlet.shipment != nil }
    #expect(outlet.shipment != nil && isBalanced(sink))
  }

  private func check(_ sink: DeliverySink, delivered: UInt64, dropped: [DropReason: UInt64] = [:]) {
    #expect(sink.tally.delivered == delivered)
    for reason in DropReason.allCases { #expect(sink.tally.dropped[reason] == dropped[reason] ?? 0, "\(reason)") }
    #expect(isBalanced(sink))
  }

  // MARK: Outcomes

  @Test func batchesAreSentOneByOneInOrder() throws {
    let sink = sink()
    for number in 0..<3 { try offer(number, to: sink) }
    for number in 1...3 {
      #expect(sink.queueGauges.sendingRows == 10 && !sink.isIdle)
      end(ScriptedOutlet.delivered, sink)
      check(sink, delivered: UInt64(10 * number))
    }
    #expect(sink.isIdle && sink.tally.bytes == 300)
    #expect(rowNumbers(outlet.text).elementsEqual(0..<30))
  }

  @Test func rowsThatAreRefusedAreCountedByName() throws {
    let sink = sink()
    try offer(0, to: sink)
    end(.delivered(bytes: 900, refused: Outcome.Refusal(rows: 3, reason: .rejected)), sink)
    check(sink, delivered: 7, dropped: [.rejected: 3])
    try offer(1, to: sink)
    end(.delivered(bytes: 0, refused: Outcome.Refusal(rows: 99, reason: .tooLarge)), sink)
    check(sink, delivered: 7, dropped: [.rejected: 3, .tooLarge: 10])
  }

  @Test func whatFailsIsTriedAgainAndKeepsItsPlace() throws {
    let sink = sink()
    try offer(0, to: sink)
    try offer(1, to: sink)
    end(.failed(Failure(message: "no route")), sink)
    #expect(sink.state == .failing("no route") && sink.health == .bad("no route"))
    #expect(outlet.shipment == nil && sink.nextDeadline != nil, "not at once")
    try wait(for: sink)
    #expect(outlet.attempts == [0, 1])
    end(ScriptedOutlet.delivered, sink)
    #expect(sink.state == .up && outlet.shipment != nil)
    end(ScriptedOutlet.delivered, sink)
    check(sink, delivered: 20)
    #expect(rowNumbers(outlet.text).elementsEqual(0..<20))
  }

  @Test func aDestinationIsLeftAloneForAsLongAsItSays() throws {
    let sink = sink()
    try offer(0, to: sink)
    let before = MonotonicTime.now().nanoseconds
    end(.failed(Failure(message: "busy", retryAfter: 300_000_000)), sink)
    try wait(for: sink)
    #expect(MonotonicTime.now().nanoseconds - before >= 300_000_000)
  }

  @Test func whatIsRefusedForGoodMakesWayAtOnce() throws {
    let sink = sink()
    try offer(0, to: sink)
    try offer(1, to: sink)
    end(.failed(Failure(message: "malformed", reason: .rejected, isFinal: true, delivered: 4)), sink)
    check(sink, delivered: 4, dropped: [.rejected: 6])
    #expect(outlet.shipment != nil, "the next one does not wait")
  }

  @Test func whatHasHadItsTimeIsDroppedAsExpired() throws {
    let sink = sink(retry: RetryPolicy(initial: 1_000_000, max: 1_000_000, giveUpAfter: 20_000_000))
    try offer(0, to: sink)
    let end = MonotonicTime.now().advanced(by: .seconds(5))
    while sink.tally.dropped.total == 0, MonotonicTime.now() < end {
      try wait(for: sink)
      self.end(.failed(Failure(message: "gone", delivered: 2)), sink)
    }
    check(sink, delivered: 2, dropped: [.expired: 8])
    #expect(outlet.attempts.count > 1 && outlet.attempts == Array(0..<outlet.attempts.count))
  }

  @Test func withoutTimeToTryAgainTheCauseIsTheName() throws {
    let sink = sink(retry: RetryPolicy(initial: 1, max: 1, giveUpAfter: 0))
    try offer(0, to: sink)
    end(.failed(Failure(message: "full", reason: .noSpace)), sink)
    check(sink, delivered: 0, dropped: [.noSpace: 10])
  }

  @Test func whatIsTakenIsInFlightUntilItIsSettled() throws {
    let sink = sink()
    try offer(0, to: sink)
    end(.taken(bytes: 1_000), sink)
    try offer(1, to: sink)
    end(.taken(bytes: 1_000), sink)
    check(sink, delivered: 0)
    #expect(sink.queueGauges.sendingRows == 20 && sink.queueGauges.queuedRows == 0 && !sink.isIdle)
    end(.settled(nil), sink)
    check(sink, delivered: 20)
    #expect(sink.isIdle)
    try offer(2, to: sink)
    end(.taken(bytes: 1_000), sink)
    sink.drain()
    #expect(outlet.flushes > 0)
    end(.settled(.tooLarge), sink)
    check(sink, delivered: 20, dropped: [.tooLarge: 10])
  }

  // MARK: Gathering

  private func gather(bytes: Int = 1 << 30, rows: Int = 1 << 30, maxAge: Int64 = 60_000_000_000) -> GatherPolicy {
    GatherPolicy(bytes: bytes, rows: rows, maxAge: maxAge)
  }

  @Test func enoughBytesMakeAShipment() throws {
    let sink = sink(gather: gather(bytes: 2_500))
    for number in 0..<2 { try offer(number, to: sink) }
    #expect(outlet.shipment == nil && sink.queueGauges.queuedRows == 20 && sink.nextDeadline != nil)
    try offer(2, to: sink)
    #expect(outlet.counts == [3])
    end(ScriptedOutlet.delivered, sink)
    check(sink, delivered: 30)
    #expect(rowNumbers(outlet.text).elementsEqual(0..<30))
  }

  @Test func enoughRowsMakeAShipment() throws {
    let sink = sink(gather: gather(rows: 20))
    for number in 0..<5 { try offer(number, to: sink) }
    #expect(outlet.counts == [2])
    end(ScriptedOutlet.delivered, sink)
    end(ScriptedOutlet.delivered, sink)
    check(sink, delivered: 40)
    #expect(outlet.shipment == nil && sink.queueGauges.queuedRows == 10, "the rest waits for more")
  }

  @Test func ageMakesAShipment() throws {
    let sink = sink(gather: gather(maxAge: 50_000_000))
    try offer(0, to: sink)
    #expect(outlet.shipment == nil)
    try wait(for: sink)
    #expect(outlet.counts == [1])
  }

  @Test func aFullQueueMakesAShipment() throws {
    let sink = sink(.limited(3, .dropOldest), gather: gather())
    for number in 0..<3 { try offer(number, to: sink) }
    #expect(outlet.counts == [3], "more cannot come")
    check(sink, delivered: 0)
  }

  @Test func drainingMakesAShipment() throws {
    let sink = sink(gather: gather())
    for number in 0..<3 { try offer(number, to: sink) }
    #expect(outlet.shipment == nil)
    sink.drain()
    #expect(outlet.counts == [3])
    end(ScriptedOutlet.delivered, sink)
    #expect(sink.isIdle)
    check(sink, delivered: 30)
  }

  @Test func aShipmentThatIsTriedAgainIsTheSame() throws {
    let sink = sink(gather: gather(rows: 20))
    for number in 0..<4 { try offer(number, to: sink) }
    end(.failed(Failure(message: "no")), sink)
    try offer(4, to: sink)
    try wait(for: sink)
    #expect(outlet.counts == [2, 2] && outlet.attempts == [0, 1])
  }

  // MARK: Queue

  @Test(arguments: [QueuePolicy.WhenFull.dropOldest, .dropNewest])
  func whatIsUnderWayStaysWhateverComes(whenFull: QueuePolicy.WhenFull) throws {
    let sink = sink(.limited(2, whenFull))
    for number in 0..<6 { try offer(number, to: sink) }
    check(sink, delivered: 0, dropped: [.queueFull: 40])
    end(ScriptedOutlet.delivered, sink)
    end(ScriptedOutlet.delivered, sink)
    check(sink, delivered: 20, dropped: [.queueFull: 40])
    let last = whenFull == .dropOldest ? 50..<60 : 10..<20
    #expect(rowNumbers(outlet.text).elementsEqual(Array(0..<10) + last))
  }

  // MARK: Health

  @Test func theOutletIsAskedOnceUnlessNobodyWantsToKnow() throws {
    let silent = ScriptedOutlet()
    let unasked = sink(probes: false, outlet: silent)
    let sink = sink()
    for _ in 0..<3 {
      sink.resume()
      unasked.resume()
    }
    #expect(outlet.probes == 1 && silent.probes == 0)
    #expect(sink.health == .unknown)
    outlet.reachability = .unreachable("refused")
    #expect(sink.health == .bad("refused") && sink.state == .failing("refused"))
    outlet.reachability = .reachable
    #expect(sink.health == .good && sink.state == .up)
  }

  // MARK: Hand-over

  @Test func anHeirGoesOnWithWhatWasCancelled() throws {
    let old = sink()
    for number in 0..<3 { try offer(number, to: old) }
    let heirs = ScriptedOutlet()
    let new = sink(awaitsEstate: true, outlet: heirs)
    try offer(3, to: new)
    #expect(heirs.shipment == nil, "nothing before the estate")
    old.beginRelease()
    #expect(outlet.cancels == 1 && old.isReleased && outlet.shipment == nil)
    check(old, delivered: 0)
    let estate = old.takeEstate()
    #expect(estate?.rows == 30 && old.takeEstate() == nil)
    new.inherit(estate)
    #expect(isBalanced(new) && new.tally.accepted == 40)
    for _ in 0..<4 {
      heirs.end(ScriptedOutlet.delivered)
      new.resume()
      #expect(isBalanced(new))
    }
    check(new, delivered: 40)
    #expect(rowNumbers(heirs.text).elementsEqual(0..<40))
  }

  @Test func whatArrivesDuringAReleaseIsNotSentAgain() throws {
    let old = sink()
    outlet.cancelled = nil
    try offer(0, to: old)
    try offer(1, to: old)
    old.beginRelease()
    #expect(!old.isReleased)
    end(ScriptedOutlet.delivered, old)
    #expect(old.isReleased)
    #expect(old.takeEstate()?.rows == 10)
  }

  @Test func whatIsStuckIsGivenAwayAndItsOutcomeIsNobodys() throws {
    let old = sink()
    outlet.cancelled = nil
    try offer(0, to: old)
    old.beginRelease()
    old.forceRelease()
    #expect(old.isReleased)
    let estate = try #require(old.takeEstate())
    #expect(estate.rows == 10)
    end(ScriptedOutlet.delivered, old)
    check(old, delivered: 0)
    let heirs = ScriptedOutlet()
    let new = sink(awaitsEstate: true, outlet: heirs)
    new.inherit(estate)
    heirs.end(ScriptedOutlet.delivered)
    new.resume()
    check(new, delivered: 10)
  }

  @Test func aReleaseMayBeCalledOff() throws {
    let sink = sink()
    try offer(0, to: sink)
    sink.beginRelease()
    try offer(1, to: sink)
    #expect(outlet.shipment == nil)
    sink.inherit(nil)
    try wait(for: sink)
    end(ScriptedOutlet.delivered, sink)
    end(ScriptedOutlet.delivered, sink)
    check(sink, delivered: 20)
  }

  // MARK: Ending

  @Test(arguments: [false, true]) func whatIsLeftAtTheEndIsCounted(isStuck: Bool) throws {
    let sink = sink()
    for number in 0..<3 { try offer(number, to: sink) }
    end(.taken(bytes: 1_000), sink)
    bench.port.tearDown()
    sink.abandon(isStuck: isStuck)
    check(sink, delivered: 0, dropped: [.shutdown: 30])
    #expect(outlet.isClosed && bench.budget.gauges.held == 0)
    try offer(3, to: sink)
    check(sink, delivered: 0, dropped: [.shutdown: 40])
  }
}
