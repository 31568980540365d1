/// The text format of protobuf (https://protobuf.dev/reference/protobuf/textformat-spec/): every row is a `row { ... }` of
/// an Envelope, so any number of them after one another is one Envelope. Defaults are left out.
struct ProtoTextFormat: RowFormat {
  var cursor: UnsafeMutableRawPointer

  static var hasImplicitPresence: Bool { true }
  static var rowOverhead: Int { 16 }

  init(_ cursor: UnsafeMutableRawPointer) { self.cursor = cursor }

  mutating func openRow() { put("row {\n") }
  mutating func closeRow() { put("}\n") }

  private mutating func open(_ key: ColumnKey) {
    put("  ")
    put(key.name, key.nameCount)
    put(": ")
  }

  mutating func unsigned(_ key: ColumnKey, _ value: UInt32) { unsigned64(key, UInt64(value)) }

  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64) {
    if value == 0 { return }
    open(key)
    putDecimal(&cursor, value)
    put("\n")
  }

  mutating func signed64(_ key: ColumnKey, _ value: Int64) {
    if value == 0 { return }
    open(key)
    putDecimal(&cursor, signed: value)
    put("\n")
  }

  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    if count == 0 { return }
    open(key)
    quoted(start, count, escapesAll: false)
  }

  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    open(key)
    quoted(start, count, escapesAll: true)
  }

  /// A string literal; a byte that is not plain is written as three octal digits.
  private mutating func quoted(_ start: UnsafeRawPointer, _ count: Int, escapesAll: Bool) {
    put("\"")
    for index in 0..<count {
      let byte = start.load(fromByteOffset: index, as: UInt8.self)
      let isPlain = byte >= 0x20 && byte != 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
      if isPlain && !escapesAll {
        put(byte)
      } else {
        put(UInt8(ascii: "\\"))
        put(48 + (byte >> 6))
        put(48 + (byte >> 3 & 7))
        put(48 + (byte & 7))
      }
    }
    put("\"\n")
  }

  mutating func state(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  mutating func algorithm(_ key: ColumnKey, _ value: UInt32) {
    if value == 0 { return }
    open(key)
    putAlgorithm(&cursor, value)
    put("\n")
  }

  static func bound(_ type: ColumnType, _ form: Form, nameCount: Int) -> Int {
    6 + nameCount + textBound(type, form, longestByte: 4)
  }
}
