/// A line for people: cells at least as wide as their column's usual content, two spaces between them, `-` where there is
/// no value. Written row by row: nothing waits for the last row to know a width.
struct TableFormat: RowFormat {
  var cursor: UnsafeMutableRawPointer

  static var hasImplicitPresence: Bool { false }
  static var rowOverhead: Int { 2 }
  static let gap = 2
  static let widestColumn = 64

  init(_ cursor: UnsafeMutableRawPointer) { self.cursor = cursor }

  mutating func openRow() {}

  /// Blanks at the end of a line help nobody.
  mutating func closeRow() {
    while (cursor - 1).load(as: UInt8.self) == UInt8(ascii: " ") { cursor -= 1 }
    put(UInt8(ascii: "\n"))
  }

  private mutating func cell(_ key: ColumnKey, _ body: (inout UnsafeMutableRawPointer) -> Void) {
    let start = cursor
    body(&cursor)
    var count = cursor - start
    repeat {
      put(UInt8(ascii: " "))
      count += 1
    } while count < key.width + Self.gap
  }

  mutating func absent(_ key: ColumnKey) { text(key, "-") }

  /// A heading or another fixed word.
  mutating func text(_ key: ColumnKey, _ word: StaticString) { text(key, word.utf8Start, word.utf8CodeUnitCount) }

  mutating func unsigned(_ key: ColumnKey, _ value: UInt32) { unsigned64(key, UInt64(value)) }
  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64) { cell(key) { putDecimal(&$0, value) } }
  mutating func signed64(_ key: ColumnKey, _ value: Int64) { cell(key) { putDecimal(&$0, signed: value) } }

  /// Control characters could move a terminal's cursor: they become `?`. An empty text is shown like no value.
  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    if count == 0 { return absent(key) }
    cell(key) { cursor in
      for byte in UnsafeRawBufferPointer(start: start, count: count) {
        cursor.storeBytes(of: byte < 0x20 || byte == 0x7f ? UInt8(ascii: "?") : byte, as: UInt8.self)
        cursor += 1
      }
    }
  }

  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    cell(key) { putAddress(&$0, start, count) }
  }

  mutating func state(_ key: ColumnKey, _ value: UInt32) { cell(key) { putState(&$0, value) } }
  mutating func algorithm(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  static func bound(_ type: ColumnType, _ form: Form, nameCount: Int) -> Int {
    gap + max(widestColumn, textBound(type, form, longestByte: 1))
  }
}
