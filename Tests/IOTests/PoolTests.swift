import Testing

@testable import IO

/// Pools of values that tell when they are made and destroyed.
@Suite struct PoolTests {
  /// Counts what lives; used from one thread.
  final class Ledger {
    var alive = 0
    var made = 0
  }

  struct Item: ~Copyable {
    let number: Int
    var uses = 0
    private let ledger: Ledger

    init(_ number: Int, _ ledger: Ledger) {
      self.number = number
      self.ledger = ledger
      ledger.alive += 1
      ledger.made += 1
    }

    deinit { ledger.alive -= 1 }
  }

  struct Refused: Error, Equatable { let number: Int }

  @Test func elementsAreMadeOnceAndLentInTurn() throws {
    let ledger = Ledger()
    do {
      let pool = Pool(count: 2) { Item($0, ledger) }
      for round in 0..<10 {
        guard var lease = pool.lease() else { throw Unexpected("exhausted") }
        #expect(lease.value.number == 0 && lease.value.uses == round)
        lease.value.uses += 1
      }
      #expect(ledger.made == 2 && ledger.alive == 2)
      #expect(pool.gauges == PoolGauges(size: 2, inUse: 0, highWater: 1, waits: 0))
    }
    #expect(ledger.alive == 0)
  }

  @Test func exhaustionIsAnAnswerAndIsCounted() throws {
    let ledger = Ledger()
    let pool = Pool(count: 2) { Item($0, ledger) }
    let first = pool.lease()
    let second = pool.lease()
    let hasSecond = second != nil
    let hasThird = pool.lease() != nil
    #expect(hasSecond && !hasThird && !pool.hasFree)
    #expect(pool.gauges == PoolGauges(size: 2, inUse: 2, highWater: 2, waits: 1))
    first?.giveBack()
    let isFree = pool.hasFree
    let hasAnother = pool.lease() != nil
    #expect(isFree && hasAnother)
    #expect(pool.gauges == PoolGauges(size: 2, inUse: 1, highWater: 2, waits: 1))
    _ = consume second
    #expect(pool.gauges.inUse == 0)
  }

  @Test func twoLeasesNeverNameTheSameElement() throws {
    let ledger = Ledger()
    let pool = Pool(count: 3) { Item($0, ledger) }
    var numbers: Set<Int> = []
    var leases = FixedQueue<Lease<Item>>(capacity: 3)
    while let lease = pool.lease() {
      numbers.insert(lease.value.number)
      let isRejected = leases.push(lease) != nil
      #expect(!isRejected)
    }
    #expect(numbers == [0, 1, 2])
    // In whatever order they come back, each is lent once again.
    for _ in 0..<3 { leases.pop()?.giveBack() }
    #expect(pool.gauges.inUse == 0)
  }

  @Test func theLastSharedRightReturnsTheElement() throws {
    let ledger = Ledger()
    let pool = Pool(count: 1) { Item($0, ledger) }
    guard let lease = pool.lease() else { throw Unexpected("exhausted") }
    let first = lease.shared()
    #expect(first.holderCount == 1)
    do {
      let second = first.share()
      let third = second.share()
      #expect(first.holderCount == 3 && third.value.number == 0)
    }
    #expect(first.holderCount == 1 && pool.gauges.inUse == 1)
    _ = consume first
    #expect(pool.gauges.inUse == 0)
    // Counting begins anew with the next use of the slot.
    guard let again = pool.lease()?.shared() else { throw Unexpected("exhausted") }
    #expect(again.holderCount == 1)
  }

  @Test func aLeaseMayOutliveItsPool() throws {
    let ledger = Ledger()
    var kept: Lease<Item>?
    var shared: SharedLease<Item>?
    do {
      let pool = Pool(count: 2) { Item($0, ledger) }
      kept = pool.lease()
      shared = pool.lease()?.shared()
    }
    #expect(ledger.alive == 2)
    if let lease = kept.take() { #expect(lease.value.number == 0) }
    #expect(ledger.alive == 2)
    if let lease = shared.take() { #expect(lease.value.number == 1) }
    #expect(ledger.alive == 0)
  }

  @Test func anElementThatCannotBeMadeUndoesThePool() throws {
    let ledger = Ledger()
    #expect(throws: Refused(number: 2)) {
      _ = try Pool(count: 4) { (number: Int) throws(Refused) -> Item in
        if number == 2 { throw Refused(number: number) }
        return Item(number, ledger)
      }
    }
    #expect(ledger.made == 2 && ledger.alive == 0)
  }

  @Test(arguments: [0, -1]) func aPoolOfNothingIsAlwaysExhausted(count: Int) throws {
    let pool = Pool(count: count) { $0 }
    let hasOne = pool.lease() != nil
    #expect(!hasOne && pool.gauges == PoolGauges(size: 0, inUse: 0, highWater: 0, waits: 1))
  }

  @Test func anEntrustedElementIsReclaimed() throws {
    let pool = Pool(count: 1) { _ in 5 }
    guard let index = pool.lease()?.entrust() else { throw Unexpected("exhausted") }
    #expect(pool.gauges.inUse == 1)
    pool.reclaim(index).giveBack()
    #expect(pool.gauges.inUse == 0)
  }

  // MARK: Batches

  @Test func batchesKeepTheirMemory() throws {
    let pool = try BatchPool(count: 2, byteCount: 10_000)
    var address: UnsafeMutableRawPointer?
    for _ in 0..<3 {
      guard var batch = pool.lease() else { throw Unexpected("exhausted") }
      batch.value.reset(headroom: 16)
      #expect(batch.value.memory.count == 12_288 && batch.value.bytes.isEmpty && batch.value.start == 16)
      #expect(address == nil || address == batch.value.memory.baseAddress)
      address = batch.value.memory.baseAddress
      batch.value.memory[batch.value.end] = 42
      batch.value.end += 1
      batch.value.rows += 1
      #expect(batch.value.bytes.elementsEqual([42]))
    }
    #expect(UInt(bitPattern: address) % 4_096 == 0)
  }

  // MARK: Queues

  @Test func aQueueKeepsOrderAroundItsEnd() throws {
    var queue = FixedQueue<Int>(capacity: 3)
    var next = 0
    var expected = 0
    for _ in 0..<10 {
      while queue.push(next) == nil { next += 1 }
      #expect(queue.isFull && queue.count == 3)
      #expect(queue.withFirst { $0 } == expected)
      for _ in 0..<2 {
        #expect(queue.pop() == expected)
        expected += 1
      }
    }
    #expect(queue.count == 1 && !queue.isEmpty)
    #expect(queue.pop() == expected && queue.pop() == nil && queue.isEmpty)
    #expect(queue.withFirst { $0 } == nil)
  }

  @Test func aFullQueueHandsBackWhatItCannotTake() throws {
    let ledger = Ledger()
    let pool = Pool(count: 2) { Item($0, ledger) }
    do {
      var queue = FixedQueue<Lease<Item>>(capacity: 1)
      for expected in [false, true] {
        guard let lease = pool.lease() else { throw Unexpected("exhausted") }
        if let rejected = queue.push(lease) {
          #expect(expected && rejected.value.number == 1)
        } else {
          #expect(!expected)
        }
      }
      #expect(pool.gauges.inUse == 1)
    }
    // What was still inside went back to its pool.
    #expect(pool.gauges.inUse == 0)
  }

  @Test(arguments: [0, -5]) func aQueueWithoutRoomIsFullAndEmpty(capacity: Int) throws {
    var queue = FixedQueue<Int>(capacity: capacity)
    #expect(queue.push(1) == 1 && queue.pop() == nil && queue.isFull && queue.isEmpty)
  }

  @Test func theFirstCanBeChangedWhereItIs() throws {
    var queue = FixedQueue<Int>(capacity: 2)
    _ = queue.push(1)
    queue.withFirst { $0 += 41 }
    #expect(queue.pop() == 42)
  }
}
