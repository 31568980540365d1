/// One MessagePack map a row (https://github.com/msgpack/msgpack/blob/master/spec.md), with the keys and values of `jsonl`.
struct MessagePackFormat: RowFormat {
  var cursor: UnsafeMutableRawPointer
  private var rowStart: UnsafeMutableRawPointer
  private var members: UInt16 = 0

  static var hasImplicitPresence: Bool { false }
  static var rowOverhead: Int { 3 }

  init(_ cursor: UnsafeMutableRawPointer) {
    self.cursor = cursor
    rowStart = cursor
  }

  @inline(__always)
  mutating func openRow() {
    rowStart = cursor
    members = 0
    cursor += 3
  }

  @inline(__always)
  mutating func closeRow() {
    rowStart.storeBytes(of: 0xde, as: UInt8.self)  // map 16
    (rowStart + 1).storeBytes(of: members.bigEndian, as: UInt16.self)
  }

  @inline(__always)
  mutating func copied(fields: Int) { members &+= UInt16(truncatingIfNeeded: fields) }

  @inline(__always)
  private mutating func member(_ key: ColumnKey) {
    members &+= 1
    string(key.name, key.nameCount)
  }

  @inline(__always)
  private mutating func string(_ start: UnsafeRawPointer, _ count: Int) {
    if count < 32 {
      put(0xa0 | UInt8(truncatingIfNeeded: count))  // fixstr
    } else {
      put(0xd9)  // str 8: no text is longer than maximumTextBytes
      put(UInt8(truncatingIfNeeded: count))
    }
    put(start, count)
  }

  @inline(__always)
  mutating func unsigned(_ key: ColumnKey, _ value: UInt32) { unsigned64(key, UInt64(value)) }

  @inline(__always)
  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64) {
    member(key)
    if value < 0x80 {
      put(UInt8(truncatingIfNeeded: value))  // positive fixint
    } else if value <= 0xff {
      put(0xcc)
      put(UInt8(truncatingIfNeeded: value))
    } else if value <= 0xffff {
      put(0xcd)
      cursor.storeBytes(of: UInt16(truncatingIfNeeded: value).bigEndian, as: UInt16.self)
      cursor += 2
    } else if value <= 0xffff_ffff {
      put(0xce)
      cursor.storeBytes(of: UInt32(truncatingIfNeeded: value).bigEndian, as: UInt32.self)
      cursor += 4
    } else {
      put(0xcf)
      cursor.storeBytes(of: value.bigEndian, as: UInt64.self)
      cursor += 8
    }
  }

  @inline(__always)
  mutating func signed64(_ key: ColumnKey, _ value: Int64) {
    if value >= 0 { return unsigned64(key, UInt64(value)) }
    member(key)
    put(0xd3)
    cursor.storeBytes(of: value.bigEndian, as: Int64.self)
    cursor += 8
  }

  @inline(__always)
  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    member(key)
    string(start, count)
  }

  @inline(__always)
  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    member(key)
    backPatchedString { putAddress(&$0, start, count) }
  }

  @inline(__always)
  mutating func state(_ key: ColumnKey, _ value: UInt32) {
    member(key)
    backPatchedString { putState(&$0, value) }
  }

  /// A string of fewer than 256 bytes whose length is known only once it is written.
  @inline(__always)
  private mutating func backPatchedString(_ body: (inout UnsafeMutableRawPointer) -> Void) {
    let head = cursor
    cursor += 1
    body(&cursor)
    let count = cursor - head - 1
    if count < 32 {
      head.storeBytes(of: 0xa0 | UInt8(truncatingIfNeeded: count), as: UInt8.self)
    } else {
      (head + 2).copyMemory(from: head + 1, byteCount: count)
      head.storeBytes(of: 0xd9, as: UInt8.self)
      (head + 1).storeBytes(of: UInt8(truncatingIfNeeded: count), as: UInt8.self)
      cursor += 1
    }
  }

  @inline(__always)
  mutating func algorithm(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  static func bound(_ type: ColumnType, _ form: Form, nameCount: Int) -> Int {
    2 + nameCount + 2 + textBound(type, form, longestByte: 1)
  }
}
