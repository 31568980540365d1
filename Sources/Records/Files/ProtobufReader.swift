/// A field of a protobuf message, as the wire has it.
enum WireValue {
  /// Wire types 0, 1 and 5.
  case number(UInt64)
  /// Wire type 2.
  case bytes(UnsafeRawBufferPointer)
}

/// Reads protobuf's wire format (https://protobuf.dev/programming-guides/encoding/) from a range of a file. Never reads
/// outside the range; errors carry the offset in the file.
struct ProtobufReader {
  private let file: UnsafeRawBufferPointer
  private(set) var position: Int
  private let end: Int

  init(_ file: UnsafeRawBufferPointer, _ range: Range<Int>) {
    self.file = file
    position = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { position >= end }

  /// The next field and its number, nil at the end.
  mutating func next() throws(RecordFileError) -> (number: UInt32, value: WireValue)? {
    if isAtEnd { return nil }
    let start = position
    let tag = try varint()
    guard let number = UInt32(exactly: tag >> 3), number > 0 else {
      throw RecordFileError(offset: start, reason: "field number \(tag >> 3) is out of range")
    }
    switch tag & 7 {
    case 0: return (number, .number(try varint()))
    case 1: return (number, .number(try fixed(8)))
    case 2:
      let range = try delimited()
      return (number, .bytes(UnsafeRawBufferPointer(rebasing: file[range])))
    case 5: return (number, .number(try fixed(4)))
    default: throw RecordFileError(offset: start, reason: "wire type \(tag & 7) is not supported")
    }
  }

  /// A length and the range of as many bytes after it.
  mutating func delimited() throws(RecordFileError) -> Range<Int> {
    let start = position
    let length = try varint()
    guard length <= UInt64(end - position) else {
      throw RecordFileError(offset: start, reason: "length \(length) is more than what is left (\(end - position))")
    }
    let range = position..<(position + Int(length))
    position = range.upperBound
    return range
  }

  private mutating func varint() throws(RecordFileError) -> UInt64 {
    let start = position
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end && shift < 64 {
      let byte = file[position]
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw RecordFileError(offset: start, reason: shift < 64 ? "number is truncated" : "number is longer than 10 bytes")
  }

  private mutating func fixed(_ size: Int) throws(RecordFileError) -> UInt64 {
    guard end - position >= size else { throw RecordFileError(offset: position, reason: "number is truncated") }
    var value: UInt64 = 0
    for index in 0..<size { value |= UInt64(file[position + index]) << UInt64(8 * index) }
    position += size
    return value
  }
}

extension RestoredRow {
  /// Reads one `XtcpFlatRecord`; numbers this program does not know are passed over.
  mutating func read(
    protobuf file: UnsafeRawBufferPointer, _ range: Range<Int>
  ) throws(RecordFileError) {
    clear()
    var reader = ProtobufReader(file, range)
    while true {
      let start = reader.position
      guard let entry = try reader.next() else { break }
      guard let field = Self.field(entry.number) else { continue }
      let isTaken: Bool
      switch entry.value {
      case .number(let value): isTaken = set(field, value)
      case .bytes(let bytes): isTaken = field.form == .address ? set(field, address: bytes) : set(field, text: bytes)
      }
      guard isTaken else { throw RecordFileError(offset: start, reason: "\(field.name) holds no such value") }
    }
    if let reason = finish() { throw RecordFileError(offset: range.lowerBound, reason: reason) }
  }

  /// Fields by protobuf number; -1 where there is none.
  private static let positions: [Int16] = {
    let last = RecordSchema.fieldsByNumber.last.map { Int($0.number) } ?? 0
    var positions = [Int16](repeating: -1, count: last + 1)
    for (index, field) in RecordSchema.fields.enumerated() { positions[Int(field.number)] = Int16(clamping: index) }
    return positions
  }()

  private static func field(_ number: UInt32) -> FieldDescription? {
    guard number < UInt32(positions.count), positions[Int(number)] >= 0 else { return nil }
    return RecordSchema.fields[Int(positions[Int(number)])]
  }
}
