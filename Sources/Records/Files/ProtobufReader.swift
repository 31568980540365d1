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
  @inline(__always)
  mutating func next() throws(RecordFileError) -> (number: UInt32, value: WireValue)? {
    if let number = nextNumber() { return number }
    return try checkedNext()
  }

  /// A number of field and value that are not long, where no end is near: most fields of a row.
  @inline(__always)
  private mutating func nextNumber() -> (number: UInt32, value: WireValue)? {
    guard end &- position >= 16, let start = file.baseAddress else { return nil }
    let head = UInt32(littleEndian: start.loadUnaligned(fromByteOffset: position, as: UInt32.self))
    let tag: UInt32
    let size: Int
    if head & 0x80 == 0 {
      tag = head & 0x7f
      size = 1
    } else if head & 0x8000 == 0 {
      tag = head & 0x7f | head >> 1 & 0x3f80
      size = 2
    } else if head & 0x80_0000 == 0 {
      tag = head & 0x7f | head >> 1 & 0x3f80 | head >> 2 & 0x1f_c000
      size = 3
    } else {
      return nil
    }
    guard tag & 7 == 0, tag >= 8 else { return nil }
    var word = UInt64(littleEndian: start.loadUnaligned(fromByteOffset: position &+ size, as: UInt64.self))
    // The lowest byte without its upper bit is the last one; eight bytes hold numbers of 56 bits.
    let ends = ~word & 0x8080_8080_8080_8080
    guard ends != 0 else { return nil }
    word &= (ends ^ (ends &- 1)) & 0x7f7f_7f7f_7f7f_7f7f
    // Groups of seven bits move together: pairs, then fours, then all eight.
    word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1
    word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2
    word = word & 0x0000_0000_0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4
    position &+= size &+ (ends.trailingZeroBitCount &+ 1) / 8
    return (tag >> 3, .number(word))
  }

  private mutating func checkedNext() throws(RecordFileError) -> (number: UInt32, value: WireValue)? {
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

/// Where the rows of a file or batch are: `XtcpFlatRecord`s, each behind its length, or in Envelopes behind theirs.
struct ProtobufRows {
  private let file: UnsafeRawBufferPointer
  private let isEnvelope: Bool
  private var outer: ProtobufReader
  private var envelope: ProtobufReader

  init(_ file: UnsafeRawBufferPointer, isEnvelope: Bool) {
    self.file = file
    self.isEnvelope = isEnvelope
    outer = ProtobufReader(file, 0..<file.count)
    envelope = ProtobufReader(file, 0..<0)
  }

  /// The range of the next row, nil at the end.
  mutating func next() throws(RecordFileError) -> Range<Int>? {
    if !isEnvelope { return outer.isAtEnd ? nil : try outer.delimited() }
    while true {
      while let field = try envelope.next() {
        guard field.number == Self.rowNumber else { continue }
        guard case .bytes(let bytes) = field.value else {
          throw RecordFileError(offset: envelope.position, reason: "row of an Envelope is no message")
        }
        return (envelope.position - bytes.count)..<envelope.position
      }
      if outer.isAtEnd { return nil }
      envelope = ProtobufReader(file, try outer.delimited())
    }
  }

  private static let rowNumber: UInt32 = 10
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
      guard let field = place(entry.number) else { continue }
      let isTaken: Bool
      switch entry.value {
      case .number(let value): isTaken = set(field, value)
      case .bytes(let bytes): isTaken = field.form == .address ? set(field, address: bytes) : set(field, text: bytes)
      }
      guard isTaken else { throw RecordFileError(offset: start, reason: "\(field.name) holds no such value") }
    }
    if let reason = finish() { throw RecordFileError(offset: range.lowerBound, reason: reason) }
  }
}
