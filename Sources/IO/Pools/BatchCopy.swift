import Glibc

/// What a sealed batch holds, in memory of its own: how rows wait for a sink without holding a batch of the pool.
///
/// It never changes, its holders are counted atomically, and it belongs to no pool: several sinks share one, and a queue may go on
/// to a sink on another thread, which leases could not.
public final class BatchCopy: Sendable {
  /// What copies are charged in.
  public static let unit = 64 << 10

  private nonisolated(unsafe) let memory: UnsafeMutableRawBufferPointer
  private let byteCount: Int
  private let markCount: Int
  public let facts: BatchFacts
  /// The number of the file that it came back from, which is to be removed once it is delivered; 0: none.
  public let origin: UInt64
  public var rows: Int { facts.rows }

  /// Nil if the kernel has no memory for it.
  public convenience init?(of batch: borrowing Batch) {
    self.init(facts: batch.facts, byteCount: batch.bytes.count, markCount: batch.rowMarks.count)
    memory.copyMemory(from: batch.bytes)
    UnsafeMutableRawBufferPointer(rebasing: memory[marksOffset...]).copyMemory(
      from: UnsafeRawBufferPointer(batch.rowMarks))
  }

  /// Memory for what is to be filled in with `fill`, as when a batch comes back from a disk. Nil if the kernel has none.
  ///
  /// - Parameters:
  ///   - byteCount: bytes to ship, not negative.
  ///   - markCount: 0, or the number of rows.
  public init?(facts: BatchFacts, byteCount: Int, markCount: Int, origin: UInt64 = 0) {
    let total = Self.contentBytes(byteCount: byteCount, markCount: markCount)
    do throws(SystemError) {
      memory = try mapMemory(byteCount: total, context: "copy of a batch")
    } catch {
      return nil
    }
    self.facts = facts
    self.origin = origin
    self.byteCount = byteCount
    self.markCount = markCount
  }

  deinit { unmapMemory(memory) }

  /// The bytes to ship, then, from the next multiple of 8 on, the marks of the rows: what a file of a batch holds.
  public var content: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: memory[..<Self.contentBytes(byteCount: byteCount, markCount: markCount)])
  }

  /// The same to be written to, by whoever made it and before anybody else has it.
  public var contentToFill: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(
      rebasing: memory[..<Self.contentBytes(byteCount: byteCount, markCount: markCount)])
  }

  /// Bytes of `content`.
  public static func contentBytes(byteCount: Int, markCount: Int) -> Int {
    markCount == 0 ? byteCount : (byteCount + 7) & ~7 + markCount * MemoryLayout<RowMark>.stride
  }

  private var marksOffset: Int { markCount == 0 ? byteCount : (byteCount + 7) & ~7 }

  /// The bytes to ship.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<byteCount]) }

  /// One mark a row, or none.
  public var rowMarks: UnsafeBufferPointer<RowMark> {
    let start = memory.baseAddress.map { UnsafeRawPointer($0 + marksOffset).assumingMemoryBound(to: RowMark.self) }
    return UnsafeBufferPointer(start: markCount == 0 ? nil : start, count: markCount)
  }

  /// What it counts in a queue and in the budget: its bytes rounded up to whole units.
  public var charge: Int { BatchCopy.charge(for: content.count) }

  /// What a copy of so many bytes counts.
  public static func charge(for byteCount: Int) -> Int { (max(1, byteCount) + unit - 1) / unit * unit }
}

/// A sealed batch on its way to the sinks of its encoding, one after the other.
public struct BatchOffer: ~Copyable {
  private let lease: SharedLease<Batch>
  private var copied: BatchCopy?
  /// Encoding goes on although this batch stays out of its pool: a sink that writes it at once may hold it.
  public let canSpare: Bool
  public let rows: Int
  /// Bytes to ship.
  public let byteCount: Int
  /// What a copy of it would count.
  public let charge: Int

  public init(_ lease: consuming SharedLease<Batch>, canSpare: Bool) {
    rows = lease.value.rows
    byteCount = lease.value.end - lease.value.start
    charge = BatchCopy.charge(
      for: BatchCopy.contentBytes(byteCount: byteCount, markCount: lease.value.rowMarks.count))
    self.canSpare = canSpare
    self.lease = lease
  }

  /// One more right to the batch itself, which stays out of its pool for as long.
  public borrowing func share() -> SharedLease<Batch> { lease.share() }

  /// The copy, made for the first sink that needs one and shared by all others; nil if there is no memory for it.
  public mutating func copy() -> BatchCopy? {
    if copied == nil { copied = BatchCopy(of: lease.value) }
    return copied
  }
}
