import Glibc

/// The memory in which rows are encoded until they are shipped. It belongs to a `BatchPool` and is lent out as a lease.
///
/// The pages are mapped once and touched as they are used: a batch that is never filled costs what was written.
public struct Batch: ~Copyable {
  /// All memory of the batch, page-aligned.
  public let memory: UnsafeMutableRawBufferPointer
  /// First byte to ship.
  public var start = 0
  /// One past the last byte written.
  public var end = 0
  /// Rows between `start` and `end`.
  public var rows = 0
  /// Wall clock, nanoseconds since 1970, at which it was sealed.
  public var sealedAt: Int64 = 0

  /// Maps `byteCount` bytes, rounded up to whole pages. Fails as mmap(2) does.
  public init(byteCount: Int) throws(SystemError) {
    memory = try mapMemory(byteCount: byteCount, context: "batch of \(byteCount) bytes")
  }

  deinit { unmapMemory(memory) }

  /// The bytes to ship.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[start..<end]) }

  /// Empties it for a new use; rows will begin after `headroom` free bytes.
  public mutating func reset(headroom: Int = 0) {
    start = headroom
    end = headroom
    rows = 0
    sealedAt = 0
  }
}

/// The batches of a pipeline.
public typealias BatchPool = Pool<Batch>

extension Pool where Element == Batch {
  /// `count` batches of `byteCount` bytes each; fails as mmap(2) does.
  public init(count: Int, byteCount: Int) throws(SystemError) {
    try self.init(count: count) { (_: Int) throws(SystemError) -> Batch in try Batch(byteCount: byteCount) }
  }
}

/// Private anonymous memory in whole pages, zeroed, not yet touched. Fails as mmap(2) does.
func mapMemory(byteCount: Int, context: String) throws(SystemError) -> UnsafeMutableRawBufferPointer {
  let page = Int(sysconf(Int32(_SC_PAGESIZE)))
  let (padded, overflow) = max(1, byteCount).addingReportingOverflow(page - 1)
  guard !overflow else { throw SystemError("mmap", errno: ENOMEM, context: context) }
  let length = padded / page * page
  let address = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
  guard let address, address != MAP_FAILED else { throw SystemError.last("mmap", context: context) }
  return UnsafeMutableRawBufferPointer(start: address, count: length)
}

/// Gives back what `mapMemory` returned.
func unmapMemory(_ memory: UnsafeMutableRawBufferPointer) { munmap(memory.baseAddress, memory.count) }
