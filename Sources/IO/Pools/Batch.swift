import Glibc

/// The memory in which rows are encoded until they are shipped. It belongs to a `BatchPool` and is lent out as a lease.
///
/// The pages are mapped once and touched as they are used: a batch that is never filled costs what was written.
public struct Batch: ~Copyable {
  private let mapping: UnsafeMutableRawBufferPointer
  /// All memory of the batch, page-aligned.
  public let memory: UnsafeMutableRawBufferPointer
  /// First byte to ship.
  public var start = 0
  /// One past the last byte written.
  public var end = 0
  /// Rows between `start` and `end`, and what else is known of them.
  public var facts = BatchFacts()
  /// One place a row that may be in it, if rows are to be told apart; else none.
  public let marks: UnsafeMutableBufferPointer<RowMark>

  public var rows: Int {
    get { facts.rows }
    set { facts.rows = newValue }
  }

  /// Maps `byteCount` bytes for rows and `marks` places for their ends, rounded up to whole pages. Fails as mmap(2) does.
  public init(byteCount: Int, marks: Int = 0) throws(SystemError) {
    // The marks are behind the rows, in pages of their own: one mapping for both.
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    guard byteCount < Int.max / 2, marks < Int.max / 64 else {
      throw SystemError("mmap", errno: ENOMEM, context: "batch of \(byteCount) bytes")
    }
    let rowBytes = (max(1, byteCount) + page - 1) / page * page
    let total = rowBytes + marks * MemoryLayout<RowMark>.stride
    mapping = try mapMemory(byteCount: total, context: "batch of \(byteCount) bytes")
    memory = UnsafeMutableRawBufferPointer(rebasing: mapping[..<rowBytes])
    let place = UnsafeMutableRawBufferPointer(rebasing: mapping[rowBytes..<total])
    self.marks = place.bindMemory(to: RowMark.self)
  }

  deinit { unmapMemory(mapping) }

  /// Marks of the rows that are in it; none if rows are not told apart.
  public var rowMarks: UnsafeBufferPointer<RowMark> {
    UnsafeBufferPointer(rebasing: UnsafeBufferPointer(marks).prefix(rows))
  }

  /// The bytes to ship.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[start..<end]) }

  /// Empties it for a new use; rows will begin after `headroom` free bytes.
  public mutating func reset(headroom: Int = 0) {
    start = headroom
    end = headroom
    facts = BatchFacts()
  }
}

/// The batches of a pipeline.
public typealias BatchPool = Pool<Batch>

extension Pool where Element == Batch {
  /// `count` batches of `byteCount` bytes each, with `marks` places for the ends of rows; fails as mmap(2) does.
  public init(count: Int, byteCount: Int, marks: Int = 0) throws(SystemError) {
    try self.init(count: count) { (_: Int) throws(SystemError) -> Batch in
      try Batch(byteCount: byteCount, marks: marks)
    }
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
