/// One JSON object a line: numbers as numbers, addresses and states as text, absent columns left out.
struct JSONFormat: RowFormat {
  var cursor: UnsafeMutableRawPointer
  private var rowStart: UnsafeMutableRawPointer

  static var hasImplicitPresence: Bool { false }
  static var rowOverhead: Int { 3 }

  init(_ cursor: UnsafeMutableRawPointer) {
    self.cursor = cursor
    rowStart = cursor
  }

  @inline(__always)
  mutating func openRow() { rowStart = cursor }

  /// Every member starts with a comma; the first one's becomes the opening brace.
  @inline(__always)
  mutating func closeRow() {
    if cursor == rowStart { cursor += 1 }
    rowStart.storeBytes(of: UInt8(ascii: "{"), as: UInt8.self)
    cursor.storeBytes(of: 0x0a7d, as: UInt16.self)  // "}\n"
    cursor += 2
  }

  /// `,"name":`. Where the name is known when this is compiled, all of it is a few constants of 16 bytes, the last of
  /// which overlaps the one before, instead of up to ten pieces: the code of 125 columns is to stay near to the core.
  @inline(__always)
  private mutating func member(_ key: ColumnKey) {
    if key.isLiteral && key.nameCount >= 12 {
      let count = key.nameCount &+ 4
      var offset = 0
      while offset &+ 16 < count {
        putMemberBytes(key, at: offset)
        offset &+= 16
      }
      putMemberBytes(key, at: count &- 16)
      cursor += count
    } else {
      cursor.storeBytes(of: 0x222c, as: UInt16.self)  // ,"
      cursor += 2
      put(key.name, key.nameCount)
      cursor.storeBytes(of: 0x3a22, as: UInt16.self)  // ":
      cursor += 2
    }
  }

  @inline(__always)
  private func putMemberBytes(_ key: ColumnKey, at offset: Int) {
    let bytes = SIMD2(memberBytes(key, at: offset), memberBytes(key, at: offset &+ 8))
    cursor.storeBytes(of: bytes, toByteOffset: offset, as: SIMD2<UInt64>.self)
  }

  /// 8 bytes of `,"name":`, whose name has 8 bytes or more.
  @inline(__always)
  private func memberBytes(_ key: ColumnKey, at offset: Int) -> UInt64 {
    let name = UnsafeRawPointer(key.name)
    if offset < 2 {
      let bytes = name.loadUnaligned(as: UInt64.self) &<< UInt64(16 &- 8 &* offset)
      return offset == 0 ? bytes | 0x222c : bytes | 0x22
    }
    let beyond = offset &+ 6 &- key.nameCount
    if beyond <= 0 { return name.loadUnaligned(fromByteOffset: offset &- 2, as: UInt64.self) }
    let last = name.loadUnaligned(fromByteOffset: key.nameCount &- 8, as: UInt64.self)
    return last &>> UInt64(8 &* beyond) | 0x3a22 &<< UInt64(64 &- 8 &* beyond)
  }

  @inline(__always)
  mutating func unsigned(_ key: ColumnKey, _ value: UInt32) { unsigned64(key, UInt64(value)) }

  @inline(__always)
  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64) {
    member(key)
    putDecimal(&cursor, value)
  }

  @inline(__always)
  mutating func signed64(_ key: ColumnKey, _ value: Int64) {
    member(key)
    putDecimal(&cursor, signed: value)
  }

  @inline(__always)
  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    member(key)
    putJSONString(&cursor, start, count)
  }

  @inline(__always)
  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    member(key)
    put(UInt8(ascii: "\""))
    putAddress(&cursor, start, count)
    put(UInt8(ascii: "\""))
  }

  @inline(__always)
  mutating func state(_ key: ColumnKey, _ value: UInt32) {
    member(key)
    put(UInt8(ascii: "\""))
    putState(&cursor, value)
    put(UInt8(ascii: "\""))
  }

  @inline(__always)
  mutating func algorithm(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  static func bound(_ type: ColumnType, _ form: Form, nameCount: Int) -> Int {
    4 + nameCount + textBound(type, form, longestByte: 6)
  }
}

/// The most bytes that a value takes as text in quotes, where one byte of a string may become `longestByte` bytes.
func textBound(_ type: ColumnType, _ form: Form, longestByte: Int) -> Int {
  switch type {
  case .uint32: form == .state ? 16 : 12
  case .congestionAlgorithm: 36
  case .uint64, .int64: 22
  case .string: 2 + maximumTextBytes * longestByte
  case .bytes: 4 * 16 + 2
  }
}

/// Appends a JSON string (RFC 8259, section 7), at most `2 + 6 * count` bytes.
@inline(__always)
func putJSONString(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int) {
  cursor = jsonString(cursor, start, count)
}

@inline(never)
private func jsonString(
  _ cursor: UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int
) -> UnsafeMutableRawPointer {
  var cursor = cursor
  func put(_ byte: UInt8) {
    cursor.storeBytes(of: byte, as: UInt8.self)
    cursor += 1
  }
  put(UInt8(ascii: "\""))
  for index in 0..<count {
    let byte = start.load(fromByteOffset: index, as: UInt8.self)
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      put(UInt8(ascii: "\\"))
      put(byte)
    case 0x0a:
      put(UInt8(ascii: "\\"))
      put(UInt8(ascii: "n"))
    case 0..<0x20, 0x7f:
      for digit in "\\u00".utf8 { put(digit) }
      put(hexadecimalDigit(byte >> 4))
      put(hexadecimalDigit(byte))
    default: put(byte)
    }
  }
  put(UInt8(ascii: "\""))
  return cursor
}
