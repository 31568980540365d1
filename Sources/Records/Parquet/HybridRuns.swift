/// Parquet's hybrid of run lengths and bit packing, for definition levels and for indexes into a dictionary
/// (https://parquet.apache.org/docs/file-format/data-pages/encodings/, "RLE = 3").
///
/// A run is a varint, then its values: `length << 1` and one value in whole bytes, or `groups << 1 | 1` and groups of
/// eight values, each value `width` bits, the first one in the lowest bits.
enum HybridRuns {
  /// The bits that numbers up to `highest` need, at least 1: readers differ in what they make of 0.
  static func width(highest: Int) -> Int { max(1, Int.bitWidth - highest.leadingZeroBitCount) }

  /// The most bytes that `append` writes, stores that reach beyond the end included.
  static func bound(count: Int, width: Int) -> Int {
    // Bit packed, with a head for each group in the worst case; a run of equal values is never longer than its groups.
    (count + 7) / 8 * (width + 6) + 32
  }

  /// Appends `count` values, none of them wider than `width` bits (1...32).
  static func append<Value: FixedWidthInteger & UnsignedInteger>(
    _ values: UnsafePointer<Value>, count: Int, width: Int, to out: inout ByteBuffer
  ) {
    out.reserve(bound(count: count, width: width))
    let start = out.end
    var cursor = start
    let shortestRun = width < 4 ? 32 : 8
    // Values before `position` and from `pending` on wait to be packed, in whole groups.
    var pending = 0
    var position = 0
    while position < count {
      let value = values[position]
      var runEnd = position &+ 1
      while runEnd < count && values[runEnd] == value { runEnd &+= 1 }
      if runEnd &- position >= shortestRun {
        pack(values + pending, count: position &- pending, width: width, &cursor)
        putRun(value, length: runEnd &- position, width: width, &cursor)
        position = runEnd
        pending = runEnd
      } else {
        position = min(count, position &+ 8)
      }
    }
    pack(values + pending, count: count - pending, width: width, &cursor)
    out.advance(cursor - start)
  }

  private static func putRun<Value: FixedWidthInteger & UnsignedInteger>(
    _ value: Value, length: Int, width: Int, _ cursor: inout UnsafeMutableRawPointer
  ) {
    putVarint(UInt64(length) << 1, &cursor)
    cursor.storeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian, as: UInt32.self)
    cursor += (width + 7) / 8
  }

  /// Groups of eight; what is missing from the last one becomes zero.
  @inline(__always)
  private static func pack<Value: FixedWidthInteger & UnsignedInteger>(
    _ values: UnsafePointer<Value>, count: Int, width: Int, _ cursor: inout UnsafeMutableRawPointer
  ) {
    if count == 0 { return }
    let groups = (count &+ 7) / 8
    putVarint(UInt64(groups) << 1 | 1, &cursor)
    let end = cursor + groups &* width
    var bits: UInt64 = 0
    var filled: UInt64 = 0
    for index in 0..<count {
      bits |= UInt64(truncatingIfNeeded: values[index]) &<< filled
      filled &+= UInt64(truncatingIfNeeded: width)
      if filled >= 32 {
        cursor.storeBytes(of: UInt32(truncatingIfNeeded: bits).littleEndian, as: UInt32.self)
        cursor += 4
        bits >>= 32
        filled &-= 32
      }
    }
    // At most seven values are missing: 28 bytes of zeros.
    while cursor < end {
      cursor.storeBytes(of: UInt32(truncatingIfNeeded: bits).littleEndian, as: UInt32.self)
      cursor += 4
      bits = 0
    }
    cursor = end
  }

  private static func putVarint(_ value: UInt64, _ cursor: inout UnsafeMutableRawPointer) {
    var rest = value
    while rest >= 0x80 {
      cursor.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
      cursor += 1
      rest >>= 7
    }
    cursor.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
    cursor += 1
  }
}
