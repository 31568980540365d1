import IO

/// Batches that go to a destination together, one unless the sink gathers. It holds their memory until the sink lets go of it, whatever
/// becomes of the queue meanwhile.
///
/// One object is used again and again, so that sending allocates nothing.
final class Shipment {
  private var batches = HeldBatches(capacity: 1)
  /// Names it for the destination: the first batch's.
  private(set) var id = BatchID.none
  private(set) var rows = 0
  /// Bytes to ship.
  private(set) var byteCount = 0
  /// How often it has been sent before.
  private(set) var attempt = 0
  private var number: UInt64 = 0
  /// Batches that it had when it was sent last.
  private var lastCount = 0

  var count: Int { batches.count }

  func bytes(of index: Int) -> UnsafeRawBufferPointer { batches[index].bytes }
  func facts(of index: Int) -> BatchFacts { batches[index].facts }
  /// A batch in memory of its own, which other threads may read for as long as they hold it; nil if there is no memory for it.
  func copy(of index: Int) -> BatchCopy? { batches[index].owned() }
  func marks(of index: Int) -> UnsafeBufferPointer<RowMark> { batches[index].marks }
  /// The rows of a batch without what frames them as a whole; for formats that have nothing behind the last row.
  func body(of index: Int) -> UnsafeRawBufferPointer {
    let bytes = bytes(of: index)
    return UnsafeRawBufferPointer(rebasing: bytes[min(facts(of: index).bodyOffset, bytes.count)...])
  }

  /// The batches of a queue that were sent together before and are tried again: as many as then, so that a destination that knows
  /// them by name meets the same rows. Nil: they were not.
  func again(from queue: borrowing DeliveryQueue) -> Int? {
    lastCount > 0 && number == queue.frontNumber ? min(lastCount, queue.count) : nil
  }

  /// Takes shares of the first batches of a queue.
  func load(_ count: Int, from queue: borrowing DeliveryQueue) {
    empty()
    attempt = number == queue.frontNumber ? attempt + 1 : 0
    number = queue.frontNumber
    lastCount = count
    for index in 0..<count {
      guard let batch = queue.share(index) else { break }
      if index == 0 { id = batch.facts.id }
      rows += batch.rows
      byteCount += batch.bytes.count
      batches.append(batch)
    }
  }

  /// Keeps the memory for the life of the process: the kernel may still read it.
  func leak() { for index in 0..<batches.count { batches[index].share().leak() } }

  /// Lets go of the memory.
  func empty() {
    while batches.count > 0 { _ = batches.remove(at: 0) }
    (rows, byteCount) = (0, 0)
  }
}
