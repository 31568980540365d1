/// What tells csv from tsv.
protocol Delimiters {
  static var separator: UInt8 { get }
  static var lineEnd: StaticString { get }
  /// Appends a text so that a reader finds its end, at most `2 + 2 * count` bytes.
  static func putText(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int)
}

/// RFC 4180: lines end in CR LF; a cell with a comma, a quote, a CR or an LF stands in quotes, in which quotes are doubled.
enum CommaSeparated: Delimiters {
  static var separator: UInt8 { UInt8(ascii: ",") }
  static var lineEnd: StaticString { "\r\n" }

  static func putText(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int) {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    let needsQuotes = bytes.contains { byte in
      byte == separator || byte == UInt8(ascii: "\"") || byte == 0x0a || byte == 0x0d
    }
    guard needsQuotes else {
      cursor.copyMemory(from: start, byteCount: count)
      cursor += count
      return
    }
    func put(_ byte: UInt8) {
      cursor.storeBytes(of: byte, as: UInt8.self)
      cursor += 1
    }
    put(UInt8(ascii: "\""))
    for byte in bytes {
      if byte == UInt8(ascii: "\"") { put(byte) }
      put(byte)
    }
    put(UInt8(ascii: "\""))
  }
}

/// Tab-separated: lines end in LF; a tab, LF, CR or backslash within a cell is written as `\t`, `\n`, `\r`, `\\`, as
/// ClickHouse's TabSeparated and PostgreSQL's COPY read it.
enum TabSeparated: Delimiters {
  static var separator: UInt8 { UInt8(ascii: "\t") }
  static var lineEnd: StaticString { "\n" }

  static func putText(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int) {
    func put(_ byte: UInt8) {
      cursor.storeBytes(of: byte, as: UInt8.self)
      cursor += 1
    }
    for byte in UnsafeRawBufferPointer(start: start, count: count) {
      switch byte {
      case 0x09: put(UInt8(ascii: "\\")); put(UInt8(ascii: "t"))
      case 0x0a: put(UInt8(ascii: "\\")); put(UInt8(ascii: "n"))
      case 0x0d: put(UInt8(ascii: "\\")); put(UInt8(ascii: "r"))
      case UInt8(ascii: "\\"): put(byte); put(byte)
      default: put(byte)
      }
    }
  }
}

/// A line of cells; a column without a value is an empty cell.
struct DelimitedFormat<Style: Delimiters>: RowFormat {
  var cursor: UnsafeMutableRawPointer

  static var hasImplicitPresence: Bool { false }
  static var rowOverhead: Int { 3 }

  init(_ cursor: UnsafeMutableRawPointer) { self.cursor = cursor }

  mutating func openRow() {}

  /// Every cell ends in a separator; the last one's gives way to the line's end.
  mutating func closeRow() {
    cursor -= 1
    put(Style.lineEnd)
  }

  mutating func absent(_ key: ColumnKey) { put(Style.separator) }

  mutating func unsigned(_ key: ColumnKey, _ value: UInt32) { unsigned64(key, UInt64(value)) }

  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64) {
    putDecimal(&cursor, value)
    put(Style.separator)
  }

  mutating func signed64(_ key: ColumnKey, _ value: Int64) {
    putDecimal(&cursor, signed: value)
    put(Style.separator)
  }

  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    Style.putText(&cursor, start, count)
    put(Style.separator)
  }

  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    putAddress(&cursor, start, count)
    put(Style.separator)
  }

  mutating func state(_ key: ColumnKey, _ value: UInt32) {
    putState(&cursor, value)
    put(Style.separator)
  }

  mutating func algorithm(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  static func bound(_ type: ColumnType, _ form: Form, nameCount: Int) -> Int {
    1 + textBound(type, form, longestByte: 2)
  }
}
