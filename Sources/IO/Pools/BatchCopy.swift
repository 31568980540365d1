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
  public let rows: Int
  /// Wall clock, nanoseconds since 1970, at which the batch was sealed.
  public let sealedAt: Int64

  /// Nil if the kernel has no memory for it.
  public init?(of batch: borrowing Batch) {
    let bytes = batch.bytes
    do throws(SystemError) {
      memory = try mapMemory(byteCount: bytes.count, context: "copy of a batch")
    } catch {
      return nil
    }
    memory.copyMemory(from: bytes)
    byteCount = bytes.count
    rows = batch.rows
    sealedAt = batch.sealedAt
  }

  deinit { unmapMemory(memory) }

  /// The bytes to ship.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<byteCount]) }

  /// What it counts in a queue and in the budget: its bytes rounded up to whole units.
  public var charge: Int { BatchCopy.charge(for: byteCount) }

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
  public let byteCount: Int

  public init(_ lease: consuming SharedLease<Batch>, canSpare: Bool) {
    rows = lease.value.rows
    byteCount = lease.value.end - lease.value.start
    self.canSpare = canSpare
    self.lease = lease
  }

  /// What a copy of it would count.
  public var charge: Int { BatchCopy.charge(for: byteCount) }

  /// One more right to the batch itself, which stays out of its pool for as long.
  public borrowing func share() -> SharedLease<Batch> { lease.share() }

  /// The copy, made for the first sink that needs one and shared by all others; nil if there is no memory for it.
  public mutating func copy() -> BatchCopy? {
    if copied == nil { copied = BatchCopy(of: lease.value) }
    return copied
  }
}
