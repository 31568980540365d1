import Foundation
import Testing

@testable import IO
@testable import Sinks

/// What a queue keeps, copies and drops, with a port that does nothing by itself.
@Suite struct QueuePolicyTests {
  final class Scene {
    let port = ScriptedPort()
    let pool: BatchPool
    let budget: MemoryBudget

    init(batches: Int = 4, budget: Int = 1 << 30) throws {
      pool = try BatchPool(count: batches, byteCount: 128 << 10)
      self.budget = MemoryBudget(limit: budget)
    }

    func sink(
      _ queue: QueuePolicy, descriptor: Int32 = 1, patience: Int64 = 0, wake: @escaping @Sendable () -> Void = {}
    ) -> any Sink {
      StandardStreamSink(
        name: "s", descriptor: descriptor,
        SinkOutput(
          port: port, owner: UInt32(descriptor), header: [], queue: queue, retry: .quick, budget: budget,
          patience: patience, wake: wake))
    }

    /// A batch of one row that is `name`. False if the pool is dry.
    func offer(_ name: String, to sinks: any Sink...) -> Bool {
      guard var lease = pool.lease() else { return false }
      func fill(_ batch: inout Batch) {
        batch.reset()
        batch.memory.copyBytes(from: Array(name.utf8))
        batch.end = name.utf8.count
        batch.rows = 1
        batch.facts.sealedAt = 42
      }
      fill(&lease.value)
      let shared = lease.shared()
      let canSpare = shared.freeBeside >= 1
      var offer = BatchOffer(shared, canSpare: canSpare)
      for sink in sinks { sink.accept(&offer) }
      return true
    }

    /// Ends every write well and returns what came out.
    func output(_ sink: any Sink, descriptor: Int32 = 1) -> String {
      while !sink.isIdle {
        port.complete(UInt32(descriptor), .max, to: sink)
        sink.resume()
      }
      return String(decoding: port.outputs[descriptor] ?? [], as: UTF8.self)
    }
  }

  @Test func anIdleSinkWritesFromThePoolAndABusyOneCopies() throws {
    let scene = try Scene()
    let sink = scene.sink(.roomy)
    #expect(scene.offer("a", to: sink))
    #expect(scene.pool.gauges.inUse == 1)
    #expect(sink.queueGauges.bytes == 0)
    #expect(sink.queueGauges.sendingRows == 1)
    #expect(scene.offer("b", to: sink))
    #expect(scene.pool.gauges.inUse == 1)
    #expect(sink.queueGauges.bytes == BatchCopy.unit)
    #expect(sink.queueGauges.queuedRows == 1)
    #expect(sink.queueGauges.oldestBatch == 42)
    #expect(scene.output(sink) == "ab")
    #expect(scene.budget.gauges.held == 0)
  }

  @Test func whenEncodingNeedsTheBatchAnIdleSinkCopiesToo() throws {
    let scene = try Scene(batches: 1)
    let sink = scene.sink(.roomy)
    #expect(scene.offer("a", to: sink))
    #expect(scene.pool.gauges.inUse == 0)
    #expect(scene.output(sink) == "a")
  }

  @Test func twoSinksShareACopyAndStayIndependent() throws {
    let scene = try Scene()
    let (slow, fast) = (scene.sink(.roomy, descriptor: 1), scene.sink(.roomy, descriptor: 2))
    for name in ["a", "b", "c"] {
      #expect(scene.offer(name, to: slow, fast))
      scene.port.complete(1, -ENOSPC, to: slow)
      scene.port.complete(2, .max, to: fast)
    }
    #expect(fast.isIdle)
    #expect(slow.queueGauges.queuedRows + slow.queueGauges.sendingRows == 3)
    #expect(scene.pool.gauges.inUse == 0, "one that fails copies what it has in hand as well")
    #expect(scene.output(slow, descriptor: 1) == "abc")
    #expect(scene.output(fast, descriptor: 2) == "abc")
  }

  @Test func dropOldestKeepsTheBatchInHandAndTheNewest() throws {
    let scene = try Scene()
    let sink = scene.sink(.limited(2, .dropOldest))
    for name in ["a", "b", "c", "d", "e"] { #expect(scene.offer(name, to: sink)) }
    #expect(sink.tally.dropped[.queueFull] == 2)
    #expect(scene.output(sink) == "ade")
  }

  @Test func dropNewestKeepsWhatCameFirst() throws {
    let scene = try Scene()
    let sink = scene.sink(.limited(2, .dropNewest))
    for name in ["a", "b", "c", "d", "e"] { #expect(scene.offer(name, to: sink)) }
    #expect(sink.tally.dropped[.queueFull] == 2)
    #expect(scene.output(sink) == "abc")
  }

  @Test func blockKeepsBatchesOutOfThePoolUntilItIsDry() throws {
    let scene = try Scene(batches: 3)
    let sink = scene.sink(.limited(1, .block))
    for name in ["a", "b", "c", "d"] { #expect(scene.offer(name, to: sink)) }
    #expect(!scene.offer("e", to: sink))
    #expect(sink.tally.dropped.total == 0)
    scene.port.complete(1, .max, to: sink)
    scene.port.complete(1, .max, to: sink)
    #expect(scene.offer("e", to: sink), "what waited in the pool takes the room that came free")
    #expect(scene.output(sink) == "abcde")
    #expect(scene.pool.gauges.inUse == 0)
  }

  @Test func aSmallerLimitDropsByThePolicyWhatIsTooMuch() throws {
    for (policy, rest) in [(QueuePolicy.WhenFull.dropOldest, "ade"), (.dropNewest, "abc"), (.block, "abcde")] {
      let scene = try Scene()
      let sink = scene.sink(.roomy)
      for name in ["a", "b", "c", "d", "e"] { #expect(scene.offer(name, to: sink)) }
      sink.apply(queue: .limited(2, policy), retry: .quick)
      #expect(sink.queueGauges.limit == 2 * BatchCopy.unit)
      #expect(isBalanced(sink))
      #expect(scene.output(sink) == rest)
    }
  }

  @Test func whoeverBlockedAndMayDropNowLetsThePoolGo() throws {
    let scene = try Scene(batches: 3)
    let sink = scene.sink(.limited(1, .block))
    for name in ["a", "b", "c", "d"] { #expect(scene.offer(name, to: sink)) }
    sink.apply(queue: .limited(1, .dropOldest), retry: .quick)
    #expect(scene.pool.gauges.inUse == 1, "the one that is being written")
    #expect(scene.output(sink) == "ad")
    #expect(sink.tally.dropped[.queueFull] == 2)
  }

  @Test func anOutputThatKeepsUpIsWaitedForInABurst() throws {
    let scene = try Scene(batches: 3)
    let sink = scene.sink(.limited(1, .dropOldest), patience: 10_000_000_000)
    for name in ["a", "b", "c", "d"] { #expect(scene.offer(name, to: sink)) }
    #expect(!scene.offer("e", to: sink), "encoding waits")
    #expect(sink.nextDeadline != nil)
    #expect(scene.output(sink) == "abcd")
    #expect(sink.tally.dropped.total == 0)
  }

  @Test func anOutputThatStallsHoldsEncodingUpNoLongerThanItsPatience() throws {
    let scene = try Scene(batches: 3)
    let sink = scene.sink(.limited(1, .dropOldest), patience: 20_000_000)
    for name in ["a", "b", "c", "d"] { #expect(scene.offer(name, to: sink)) }
    usleep(30_000)
    sink.resume()
    #expect(scene.pool.gauges.inUse == 1, "the one that is being written")
    for name in ["e", "f"] { #expect(scene.offer(name, to: sink)) }
    #expect(scene.pool.gauges.inUse == 1, "patience comes back when nothing waits")
    #expect(sink.tally.dropped[.queueFull] == 4)
    #expect(scene.output(sink) == "af")
  }

  @Test func theQueueFurthestOverItsReserveGivesWay() throws {
    let scene = try Scene(budget: 6 * BatchCopy.unit)
    let asked = Flag()
    let big = scene.sink(
      QueuePolicy(limit: 1 << 30, reserve: BatchCopy.unit, whenFull: .dropOldest), descriptor: 1,
      wake: { asked.raise() })
    let small = scene.sink(
      QueuePolicy(limit: 1 << 30, reserve: BatchCopy.unit, whenFull: .dropNewest), descriptor: 2)
    for name in ["a", "b", "c", "d", "e", "f"] { #expect(scene.offer(name, to: big)) }
    #expect(big.queueGauges.bytes == 5 * BatchCopy.unit)
    for name in ["A", "B", "C"] { #expect(scene.offer(name, to: small)) }
    #expect(asked.isRaised)
    #expect(small.tally.dropped.total == 0)
    big.resume()
    #expect(big.tally.dropped[.memory] == 1)
    small.resume()
    #expect(small.queueGauges.bytes == 2 * BatchCopy.unit)
    #expect(scene.pool.gauges.inUse == 2)
    #expect(scene.output(big, descriptor: 1) == "acdef")
    #expect(scene.output(small, descriptor: 2) == "ABC")
  }

  @Test func whoIsFurthestItselfDropsByItsOwnPolicy() throws {
    for (policy, rest) in [(QueuePolicy.WhenFull.dropOldest, "ade"), (.dropNewest, "abc")] {
      let scene = try Scene(budget: 2 * BatchCopy.unit)
      let sink = scene.sink(QueuePolicy(limit: 1 << 30, reserve: 0, whenFull: policy))
      for name in ["a", "b", "c", "d", "e"] { #expect(scene.offer(name, to: sink)) }
      #expect(sink.tally.dropped[.memory] == 2)
      #expect(scene.output(sink) == rest)
    }
  }
}

final class Flag: @unchecked Sendable {
  private(set) var isRaised = false
  func raise() { isRaised = true }
}
