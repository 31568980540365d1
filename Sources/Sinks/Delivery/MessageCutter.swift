import IO

/// Cuts a batch into messages of whole rows, as many as fit. A value: it touches no bytes of the batch but its marks.
struct MessageCutter {
  struct Message: Equatable {
    /// Rows of the batch.
    var rows: Range<Int>
    /// Bytes of the batch's body.
    var bytes: Range<Int>
    /// Bytes that go before them: the length of an envelope.
    var prefixBytes: Int
    /// One row that is longer than a message may be.
    var isTooLong: Bool

    var byteCount: Int { prefixBytes + bytes.count }
  }

  private let framing: RowFraming
  /// The most bytes and rows of a message.
  private let byteLimit: Int
  private let rowLimit: Int
  private(set) var row = 0
  private var offset = 0

  init(_ framing: RowFraming, bytes: Int, rows: Int = .max) {
    self.framing = framing
    byteLimit = bytes
    rowLimit = max(1, rows)
  }

  /// The next message of a batch; nil behind the last one.
  mutating func next(_ marks: UnsafeBufferPointer<RowMark>) -> Message? {
    guard row < marks.count else { return nil }
    let (first, start) = (row, offset)
    while row < marks.count, row - first < rowLimit {
      let end = Int(marks[row].end)
      // Marks that came back from a disk have been checked as a whole; all the same none may lead backwards.
      guard end >= offset, row == first || size(end - start) <= byteLimit else { break }
      offset = end
      row += 1
    }
    if row == first { row = marks.count }
    let count = offset - start
    return Message(
      rows: first..<row, bytes: start..<offset, prefixBytes: size(count) - count, isTooLong: size(count) > byteLimit)
  }

  private func size(_ count: Int) -> Int { framing == .envelope ? Uvarint.size(count) + count : count }
}

/// Protobuf's variable-length integers.
enum Uvarint {
  /// The bytes that a number takes.
  static func size(_ number: Int) -> Int {
    number <= 0 ? 1 : (Int.bitWidth - number.leadingZeroBitCount + 6) / 7
  }

  /// Writes a number; the memory has room for `size(number)` bytes.
  static func put(_ number: Int, at memory: UnsafeMutableRawPointer) {
    var (rest, cursor) = (UInt64(max(0, number)), memory)
    while rest >= 0x80 {
      cursor.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
      cursor += 1
      rest >>= 7
    }
    cursor.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
  }
}
