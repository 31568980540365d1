import Foundation
import Testing

@testable import IO
@testable import Sinks

/// accepted = delivered + dropped + in flight at every moment, whatever happens: batches offered, writes that end well, in part or
/// badly, memory that others take, limits that change, queues that move to other sinks.
@Suite struct ConservationTests {
  static let rowBytes = 4_000

  /// Two sinks of one encoding, each of which may be replaced by another of its name.
  final class Model {
    let port = ScriptedPort()
    let pool: BatchPool
    let budget = MemoryBudget(limit: 24 * BatchCopy.unit)
    let others: MemoryBudget.Account
    var generator: SplitMix64
    var sinks: [any Sink] = []
    /// The rows of every output, and whether it may end in half a row: it has been left.
    var outputs: [(descriptor: Int32, wasLeft: Bool)] = []
    var descriptors: [Int32] = [0, 1]
    /// What this model has counted for each name.
    var offered: UInt64 = 0
    var nextRow = 0
    var mayBlock = false
    var largest = 0

    init(seed: UInt64) throws {
      generator = SplitMix64(seed: seed)
      pool = try BatchPool(count: 3, byteCount: 256 << 10)
      others = budget.openAccount(reserve: 0, sheds: false)
      for index in 0..<2 { sinks.append(makeSink(index, awaitsEstate: false)) }
      outputs = [(0, false), (1, false)]
    }

    func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }

    func policy() -> QueuePolicy {
      let whenFull: [QueuePolicy.WhenFull] = [.dropOldest, .dropNewest, .dropOldest, .block]
      let chosen = whenFull[pick(mayBlock ? 4 : 3)]
      return QueuePolicy(
        limit: (1 + pick(12)) * BatchCopy.unit, reserve: pick(4) * BatchCopy.unit, whenFull: chosen)
    }

    func retry() -> RetryPolicy {
      RetryPolicy(initial: Int64(pick(2)), max: 1, giveUpAfter: [0, 1, 100_000, .max][pick(4)])
    }

    func makeSink(_ index: Int, awaitsEstate: Bool) -> any Sink {
      StandardStreamSink(
        name: "s\(index)", descriptor: descriptors[index],
        SinkOutput(
          port: port, owner: UInt32(index), header: [], queue: policy(), retry: retry(), budget: budget,
          patience: mayBlock ? [0, 1_000, 1_000_000_000][pick(3)] : 0, awaitsEstate: awaitsEstate))
    }

    func offer() {
      guard var lease = pool.lease() else {
        #expect(mayBlock, "a sink that does not block has run the pool dry")
        return
      }
      let rows = 1 + pick(50)
      let text = (nextRow..<(nextRow + rows)).map { line($0, bytes: ConservationTests.rowBytes) }.joined()
      func fill(_ batch: inout Batch) {
        batch.reset(headroom: 16)
        batch.memory[16...].copyBytes(from: Array(text.utf8))
        batch.end = 16 + text.utf8.count
        batch.rows = rows
        batch.facts.sealedAt = 1
      }
      fill(&lease.value)
      nextRow += rows
      offered += UInt64(rows)
      largest = max(largest, BatchCopy.charge(for: text.utf8.count))
      let shared = lease.shared()
      let canSpare = shared.freeBeside >= 1
      var offer = BatchOffer(shared, canSpare: canSpare)
      for sink in sinks { sink.accept(&offer) }
    }

    func complete(_ index: Int) {
      let results: [Int32] = [.max, .max, 1_500, 70_000, -ENOSPC, -EAGAIN, -EIO]
      let isCancelled = port.writes.first { $0.owner == UInt32(index) }?.isCancelled == true
      let result = isCancelled && pick(2) == 0 ? -ECANCELED : results[pick(results.count)]
      port.complete(UInt32(index), result, to: sinks[index])
    }

    /// Replaces a sink, by one for the same output or for another, or calls it off.
    func handOver(_ index: Int) {
      let old = sinks[index]
      old.beginRelease()
      for _ in 0..<pick(3) { offer() }
      if pick(4) == 0 { return old.inherit(nil) }
      while !old.isReleased { complete(index) }
      if pick(3) == 0 {
        outputs = outputs.map { $0.descriptor == descriptors[index] ? ($0.descriptor, true) : $0 }
        descriptors[index] = Int32(outputs.count)
        outputs.append((descriptors[index], false))
      }
      let new = makeSink(index, awaitsEstate: true)
      sinks[index] = new
      // What is offered before the queue comes is written after it.
      let before = offered
      for _ in 0..<pick(3) { offer() }
      #expect(port.writes.allSatisfy { $0.owner != UInt32(index) }, "nothing is written before the estate is there")
      #expect(new.tally.accepted == offered - before)
      let estate = old.takeEstate()
      #expect(estate?.rows == estate?.tally.inFlight)
      new.inherit(estate)
      #expect(old.tally.accepted == 0 && old.queueGauges.bytes == 0)
    }

    func press() {
      if pick(2) == 0, others.held < 20 * BatchCopy.unit {
        others.force(pick(6) * BatchCopy.unit)
      } else {
        others.give(min(others.held, pick(6) * BatchCopy.unit))
      }
    }

    func step() {
      switch pick(20) {
      case 0..<7: offer()
      case 7..<14: complete(pick(2))
      case 14..<16: for sink in sinks { sink.resume() }
      case 16: sinks[pick(2)].apply(queue: policy(), retry: retry())
      case 17: press()
      case 18: handOver(pick(2))
      default: port.isExhausted.toggle()
      }
    }

    func check() {
      var bytes = others.held
      for sink in sinks {
        let gauges = sink.queueGauges
        bytes += gauges.bytes
        #expect(sink.tally.inFlight == gauges.queuedRows + gauges.sendingRows)
        #expect(sink.tally.accepted == offered)
        #expect(mayBlock || gauges.bytes <= max(gauges.limit + largest, largest), "\(gauges)")
      }
      #expect(budget.gauges.held == bytes)
      #expect(mayBlock || pool.hasFree)
    }

    func finish() throws {
      port.isExhausted = false
      others.give(others.held)
      let end = MonotonicTime.now().advanced(by: .seconds(5))
      while !sinks.allSatisfy({ $0.isIdle }), MonotonicTime.now() < end {
        for index in 0..<2 { port.complete(UInt32(index), .max, to: sinks[index]) }
        for sink in sinks { sink.resume() }
      }
      for sink in sinks { #expect(sink.tally.accepted == sink.tally.delivered + sink.tally.dropped.total) }
      var delivered: UInt64 = 0
      for (descriptor, wasLeft) in outputs {
        let bytes = port.outputs[descriptor] ?? []
        let whole = bytes.count / ConservationTests.rowBytes
        #expect(wasLeft || bytes.count == whole * ConservationTests.rowBytes)
        let text = String(decoding: bytes[..<(whole * ConservationTests.rowBytes)], as: UTF8.self)
        let rows = rowNumbers(text, bytes: ConservationTests.rowBytes)
        #expect(zip(rows, rows.dropFirst()).allSatisfy { $0 < $1 }, "rows are in order, none comes twice")
        delivered += UInt64(rows.count)
      }
      let counted = sinks.reduce(0) { $0 + $1.tally.delivered }
      // A batch of which a part is out in an output that was left is written whole in the next one: those rows are in both.
      #expect(outputs.contains { $0.wasLeft } ? delivered >= counted : delivered == counted)
    }
  }

  @Test(arguments: [false, true]) func whateverHappensEveryRowIsCountedOnce(mayBlock: Bool) throws {
    for seed in 0..<60 as Range<UInt64> {
      let model = try Model(seed: seed)
      model.mayBlock = mayBlock
      for _ in 0..<150 {
        model.step()
        model.check()
      }
      try model.finish()
      #expect(model.pool.gauges.inUse == 0, "seed \(seed)")
      #expect(model.budget.gauges.held == 0)
    }
  }
}
