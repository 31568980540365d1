/// A value of MessagePack, as far as rows need it.
enum PackedValue {
  case number(UInt64)
  case text(UnsafeRawBufferPointer)
  /// nil, booleans, floating point numbers: nothing a row could hold.
  case other
}

/// Reads MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) from a file: maps of flat values. Never reads
/// outside the file; errors carry their offset.
struct MessagePackReader {
  private let file: UnsafeRawBufferPointer
  private(set) var position: Int

  init(_ file: UnsafeRawBufferPointer, at position: Int) {
    self.file = file
    self.position = position
  }

  var isAtEnd: Bool { position >= file.count }

  /// The head of a map: how many pairs follow.
  mutating func map() throws(RecordFileError) -> Int {
    let start = position
    let head = UInt8(truncatingIfNeeded: try number(1))
    switch head {
    case 0x80...0x8f: return Int(head & 15)
    case 0xde: return Int(try number(2))
    case 0xdf: return Int(try number(4))
    default: throw RecordFileError(offset: start, reason: "expected a map")
    }
  }

  /// A number, a text, or something else of a known size.
  mutating func value() throws(RecordFileError) -> PackedValue {
    let start = position
    let head = UInt8(truncatingIfNeeded: try number(1))
    switch head {
    case 0x00...0x7f: return .number(UInt64(head))
    case 0xe0...0xff: return .number(UInt64(bitPattern: Int64(Int8(bitPattern: head))))
    case 0xa0...0xbf: return .text(try bytes(Int(head & 31)))
    case 0xd9: return .text(try bytes(Int(try number(1))))
    case 0xda: return .text(try bytes(Int(try number(2))))
    case 0xdb: return .text(try bytes(Int(try number(4))))
    case 0xcc: return .number(try number(1))
    case 0xcd: return .number(try number(2))
    case 0xce: return .number(try number(4))
    case 0xcf, 0xd3: return .number(try number(8))
    case 0xd0: return .number(UInt64(bitPattern: Int64(Int8(truncatingIfNeeded: try number(1)))))
    case 0xd1: return .number(UInt64(bitPattern: Int64(Int16(truncatingIfNeeded: try number(2)))))
    case 0xd2: return .number(UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: try number(4)))))
    case 0xc0, 0xc2, 0xc3: return .other
    case 0xca: _ = try number(4)
    case 0xcb: _ = try number(8)
    default: throw RecordFileError(offset: start, reason: "a row holds numbers and text only")
    }
    return .other
  }

  private mutating func bytes(_ count: Int) throws(RecordFileError) -> UnsafeRawBufferPointer {
    guard count <= file.count - position else {
      throw RecordFileError(offset: position, reason: "text of \(count) bytes is truncated")
    }
    let range = position..<(position + count)
    position = range.upperBound
    return UnsafeRawBufferPointer(rebasing: file[range])
  }

  /// A big-endian number of `size` bytes.
  private mutating func number(_ size: Int) throws(RecordFileError) -> UInt64 {
    guard file.count - position >= size else {
      throw RecordFileError(offset: position, reason: "number is truncated")
    }
    var value: UInt64 = 0
    for index in 0..<size { value = value << 8 | UInt64(file[position + index]) }
    position += size
    return value
  }
}

extension RestoredRow {
  /// Reads one map of column names and values; names this program does not know are passed over.
  ///
  /// - Returns: where the next row starts.
  mutating func read(messagePack file: UnsafeRawBufferPointer, at offset: Int) throws(RecordFileError) -> Int {
    clear()
    var reader = MessagePackReader(file, at: offset)
    for _ in 0..<(try reader.map()) {
      let start = reader.position
      guard case .text(let name) = try reader.value() else {
        throw RecordFileError(offset: start, reason: "a key must be text")
      }
      let value = try reader.value()
      guard let field = Self.fieldsByName[String(decoding: name, as: UTF8.self)] else { continue }
      let isTaken =
        switch value {
        case .number(let number): set(field, number)
        case .text(let text): set(field, text: text)
        case .other: false
        }
      guard isTaken else { throw RecordFileError(offset: start, reason: "\(field.name) holds no such value") }
    }
    if let reason = finish() { throw RecordFileError(offset: offset, reason: reason) }
    return reader.position
  }

  private static let fieldsByName: [String: FieldPlace] = Dictionary(
    RecordSchema.fields.enumerated().map { ($1.name.description, FieldPlace($1, at: $0)) },
    uniquingKeysWith: { first, _ in first })
}
