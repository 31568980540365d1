import Glibc

/// Memory that grows, by a quarter or by what is asked for, and is kept when it is emptied. Owns its memory.
struct ByteBuffer: ~Copyable {
  private(set) var base: UnsafeMutableRawPointer
  private(set) var capacity: Int
  /// Bytes in use, from the start.
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = max(64, capacity)
    base = .allocate(byteCount: self.capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
  var end: UnsafeMutableRawPointer { base + count }

  mutating func removeAll() { count = 0 }

  /// Empties the buffer and gives back what is beyond `limit` bytes.
  mutating func removeAll(keeping limit: Int) {
    count = 0
    if capacity > limit { resize(max(64, limit)) }
  }

  /// Drops the bytes from `newCount` on.
  mutating func truncate(to newCount: Int) { count = min(count, max(0, newCount)) }

  /// Drops the first `dropped` bytes.
  mutating func removeFirst(_ dropped: Int) {
    let kept = count - min(count, max(0, dropped))
    if kept > 0 { memmove(base, base + (count - kept), kept) }
    count = kept
  }

  /// Makes room for `free` bytes behind `end`, which may move.
  @inline(__always)
  mutating func reserve(_ free: Int) {
    if capacity &- count < free { resize(max(count + free, capacity + capacity / 4)) }
  }

  /// `realloc` moves pages of large blocks instead of copying them, so that old and new never stand side by side.
  @inline(never)
  private mutating func resize(_ wanted: Int) {
    if let moved = realloc(base, wanted) {
      base = moved
    } else {
      // Out of memory: ends the process as every failed allocation of Swift does.
      let copy = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
      copy.copyMemory(from: base, byteCount: count)
      base.deallocate()
      base = copy
    }
    capacity = wanted
  }

  /// `written` bytes were stored at `end`, in room that was reserved.
  @inline(__always)
  mutating func advance(_ written: Int) { count &+= written }

  mutating func append(_ byte: UInt8) {
    reserve(1)
    end.storeBytes(of: byte, as: UInt8.self)
    count += 1
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    reserve(bytes.count)
    end.copyMemory(from: start, byteCount: bytes.count)
    count += bytes.count
  }

  mutating func append(_ text: StaticString) {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// An unsigned number in groups of seven bits, the lowest first (ULEB128).
  mutating func appendVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  mutating func append(littleEndian value: UInt32) {
    withUnsafeBytes(of: value.littleEndian) { append($0) }
  }
}
