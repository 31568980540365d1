/// Canonical JSON of proto3 (https://protobuf.dev/programming-guides/json/): lowerCamelCase names, 64-bit values as
/// strings, bytes in base64, enums by name, defaults left out. Rows are elements of the Envelope's array.
struct ProtoJSONFormat: RowFormat {
  var cursor: UnsafeMutableRawPointer
  private var rowStart: UnsafeMutableRawPointer

  static var hasImplicitPresence: Bool { true }
  static var rowOverhead: Int { 3 }
  /// What stands before the first row and instead of the comma after the last one.
  static let opening: StaticString = "{\"row\":["
  static let closing: StaticString = "]}\n"

  init(_ cursor: UnsafeMutableRawPointer) {
    self.cursor = cursor
    rowStart = cursor
  }

  mutating func openRow() { rowStart = cursor }

  /// As in `JSONFormat` the first member's comma becomes the brace; the comma after the row belongs to the array.
  mutating func closeRow() {
    if cursor == rowStart { cursor += 1 }
    rowStart.storeBytes(of: UInt8(ascii: "{"), as: UInt8.self)
    put("},")
  }

  private mutating func member(_ key: ColumnKey) {
    put(",\"")
    put(key.name, key.nameCount)
    put("\":")
  }

  mutating func unsigned(_ key: ColumnKey, _ value: UInt32) {
    if value == 0 { return }
    member(key)
    putDecimal(&cursor, UInt64(value))
  }

  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64) {
    if value == 0 { return }
    member(key)
    put(UInt8(ascii: "\""))
    putDecimal(&cursor, value)
    put(UInt8(ascii: "\""))
  }

  mutating func signed64(_ key: ColumnKey, _ value: Int64) {
    if value == 0 { return }
    member(key)
    put(UInt8(ascii: "\""))
    putDecimal(&cursor, signed: value)
    put(UInt8(ascii: "\""))
  }

  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    if count == 0 { return }
    member(key)
    putJSONString(&cursor, start, count)
  }

  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    member(key)
    put(UInt8(ascii: "\""))
    putBase64(&cursor, start, count)
    put(UInt8(ascii: "\""))
  }

  mutating func state(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  mutating func algorithm(_ key: ColumnKey, _ value: UInt32) {
    if value == 0 { return }
    member(key)
    put(UInt8(ascii: "\""))
    putAlgorithm(&cursor, value)
    put(UInt8(ascii: "\""))
  }

  static func bound(_ type: ColumnType, _ form: Form, nameCount: Int) -> Int {
    4 + nameCount + textBound(type, form, longestByte: 6)
  }

  /// The JSON name of a field: `inet_diag_msg_rqueue` becomes `inetDiagMsgRqueue` (protoc's rule).
  static func name(of column: String) -> String {
    var name = ""
    var raise = false
    for character in column {
      if character == "_" {
        raise = true
      } else {
        name += raise ? character.uppercased() : String(character)
        raise = false
      }
    }
    return name
  }
}

/// Appends standard base64 with padding (RFC 4648, section 4), four bytes for every three begun.
func putBase64(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int) {
  let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  var index = 0
  while index < count {
    let left = min(3, count - index)
    var bits: UInt32 = 0
    for position in 0..<3 {
      bits <<= 8
      if position < left { bits |= UInt32(start.load(fromByteOffset: index + position, as: UInt8.self)) }
    }
    for position in 0..<4 {
      let digit = Int(bits >> UInt32(18 - 6 * position) & 63)
      let byte = position <= left ? alphabet.utf8Start[digit] : UInt8(ascii: "=")
      cursor.storeBytes(of: byte, as: UInt8.self)
      cursor += 1
    }
    index += 3
  }
}
