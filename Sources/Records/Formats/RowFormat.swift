/// Names a column while a value is written: what of a field an output format needs.
struct ColumnKey {
  var number: UInt32
  /// The name as this format spells it, UTF-8 without quotes.
  var name: UnsafePointer<UInt8>
  var nameCount: Int
  /// Cells of a table are at least this wide.
  var width: Int = 0
  /// The name is known where this is compiled: work on it is done there.
  var isLiteral: Bool

  @inline(__always)
  init(_ name: StaticString, _ number: UInt32) {
    self.number = number
    self.name = name.utf8Start
    nameCount = name.utf8CodeUnitCount
    isLiteral = true
  }

  init(name: UnsafePointer<UInt8>, count: Int, number: UInt32, width: Int) {
    self.number = number
    self.name = name
    nameCount = count
    self.width = width
    isLiteral = false
  }
}

/// One who takes the values of a row, column by column: a format of text or bytes, or the columns of a Parquet file.
protocol ValueFormat {
  /// True where zero and absent look the same (proto3 without `optional`), so that presence need not be checked.
  static var hasImplicitPresence: Bool { get }

  /// A value that is at most 32 bits wide.
  mutating func unsigned(_ key: ColumnKey, _ value: UInt32)
  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64)
  mutating func signed64(_ key: ColumnKey, _ value: Int64)
  /// UTF-8 text.
  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int)
  /// An IP address of 4 or 16 bytes.
  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int)
  mutating func state(_ key: ColumnKey, _ value: UInt32)
  mutating func algorithm(_ key: ColumnKey, _ value: UInt32)
  /// The column has no value in this row.
  mutating func absent(_ key: ColumnKey)
}

/// An output format: how a row opens and closes and how each kind of value looks. It appends at `cursor` without checking
/// for space, because the encoder starts a row only where the longest possible row fits (`bound`).
protocol RowFormat: ValueFormat {
  /// Where the next byte goes.
  var cursor: UnsafeMutableRawPointer { get set }

  mutating func openRow()
  mutating func closeRow()
  /// `fields` columns of the row were copied from the prefix.
  mutating func copied(fields: Int)

  /// The most bytes that a column can take, key and separators included.
  static func bound(_ type: ColumnType, _ form: Form, nameCount: Int) -> Int
  /// The most bytes that `openRow` and `closeRow` take together.
  static var rowOverhead: Int { get }
}

extension RowFormat {
  @inline(__always) mutating func absent(_ key: ColumnKey) {}
  @inline(__always) mutating func copied(fields: Int) {}

  @inline(__always)
  mutating func put(_ byte: UInt8) {
    cursor.storeBytes(of: byte, as: UInt8.self)
    cursor += 1
  }

  @inline(__always)
  mutating func put(_ start: UnsafeRawPointer, _ count: Int) {
    cursor.copyMemory(from: start, byteCount: count)
    cursor += count
  }

  @inline(__always)
  mutating func put(_ text: StaticString) { put(text.utf8Start, text.utf8CodeUnitCount) }
}

/// The longest text that xtcpd takes from outside: names, labels, identities. Longer ones are cut at a character.
let maximumTextBytes = 255
