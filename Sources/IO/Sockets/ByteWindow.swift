/// Bytes on their way through memory of a fixed size: put in at the end, taken out at the front.
///
/// While an operation is in flight on the free part or on the bytes, neither moves: `compact` is for the time between.
struct ByteWindow: ~Copyable {
  private let memory: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var isLeaked = false

  init(capacity: Int) { memory = .allocate(byteCount: max(1, capacity), alignment: 16) }

  deinit { if !isLeaked { memory.deallocate() } }

  var count: Int { end - start }
  var isEmpty: Bool { start == end }
  var isFull: Bool { count == memory.count }

  /// What is inside.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[start..<end]) }
  /// Where more goes, as it lies.
  var free: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: memory[end...]) }

  /// So many bytes were put into `free`.
  mutating func append(_ count: Int) { end += min(count, memory.count - end) }

  /// So many bytes at the front are done with.
  mutating func consume(_ count: Int) { start += min(max(0, count), self.count) }

  /// All that is free lies behind what is inside.
  mutating func compact() {
    guard start > 0 else { return }
    memory.copyMemory(from: bytes)
    end -= start
    start = 0
  }

  mutating func clear() { (start, end) = (0, 0) }

  /// The memory is never given back: the kernel may still use it.
  mutating func leak() { isLeaked = true }
}
