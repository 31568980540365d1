/// Protobuf rows (proto3, implicit presence: zero and empty values are left out), each behind its length; in
/// `protobuf_list` also behind the tag of `Envelope.row`.
struct ProtobufFormat: RowFormat {
  var cursor: UnsafeMutableRawPointer
  /// Whether rows are elements of an Envelope.
  let isEnvelope: Bool
  private var rowStart: UnsafeMutableRawPointer

  static var hasImplicitPresence: Bool { true }
  /// Tag and length of a row; a tag is stored as four bytes of which up to three stay.
  static var rowOverhead: Int { 3 + 4 }
  /// Field 10 of message Envelope, length-delimited.
  static let envelopeTag: UInt8 = 10 << 3 | 2
  /// Rows are framed with a length of two bytes, so this is the longest one.
  static let longestRow = 0x3fff

  init(_ cursor: UnsafeMutableRawPointer, isEnvelope: Bool) {
    self.cursor = cursor
    self.isEnvelope = isEnvelope
    rowStart = cursor
  }

  @inline(__always)
  mutating func openRow() {
    if isEnvelope { put(Self.envelopeTag) }
    cursor += 2
    rowStart = cursor
  }

  @inline(__always)
  mutating func closeRow() {
    let count = cursor - rowStart
    let length = rowStart - 2
    if count >= 0x80 {
      let bytes = UInt16(truncatingIfNeeded: count & 0x7f | 0x80 | (count >> 7) << 8)
      length.storeBytes(of: bytes, as: UInt16.self)
    } else {
      // A row of few columns: one byte is enough, and the shortest encoding is the one that everybody writes.
      length.storeBytes(of: UInt8(truncatingIfNeeded: count), as: UInt8.self)
      (length + 1).copyMemory(from: rowStart, byteCount: count)
      cursor -= 1
    }
  }

  @inline(__always)
  private mutating func tag(_ number: UInt32, _ wireType: UInt32) {
    let tag = number << 3 | wireType
    if tag < 0x80 {
      cursor.storeBytes(of: UInt8(truncatingIfNeeded: tag), as: UInt8.self)
      cursor += 1
    } else if tag < 0x4000 {
      cursor.storeBytes(of: UInt16(truncatingIfNeeded: tag & 0x7f | 0x80 | (tag >> 7) << 8), as: UInt16.self)
      cursor += 2
    } else {
      cursor.storeBytes(of: tag & 0x7f | 0x80 | (tag >> 7 & 0x7f | 0x80) << 8 | (tag >> 14) << 16, as: UInt32.self)
      cursor += 3
    }
  }

  @inline(__always)
  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      put(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    put(UInt8(truncatingIfNeeded: rest))
  }

  @inline(__always)
  mutating func unsigned(_ key: ColumnKey, _ value: UInt32) { unsigned64(key, UInt64(value)) }

  @inline(__always)
  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64) {
    if value == 0 { return }
    tag(key.number, 0)
    varint(value)
  }

  @inline(__always)
  mutating func signed64(_ key: ColumnKey, _ value: Int64) { unsigned64(key, UInt64(bitPattern: value)) }

  @inline(__always)
  mutating func state(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  @inline(__always)
  mutating func algorithm(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  @inline(__always)
  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    if count == 0 { return }
    tag(key.number, 2)
    varint(UInt64(count))
    put(start, count)
  }

  @inline(__always)
  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    tag(key.number, 2)
    put(UInt8(truncatingIfNeeded: count))
    // Always 16 bytes, of which `count` stay: both addresses lie well inside struct inet_diag_msg, and a copy of fixed
    // size is one instruction.
    cursor.copyMemory(from: start, byteCount: 16)
    cursor += count
  }

  static func bound(_ type: ColumnType, _ form: Form, nameCount: Int) -> Int {
    switch type {
    case .uint32, .congestionAlgorithm: 3 + 5
    case .uint64, .int64: 3 + 10
    case .string: 3 + 2 + maximumTextBytes
    case .bytes: 3 + 1 + 16
    }
  }
}
