import IO

/// A batch as messages of a broker: as one, cut between rows where it is longer than a message may be, or row by row. A value: it
/// reads the marks of the batch and none of its bytes.
struct BatchMessages {
  /// A part of the batch's bytes that goes as one message.
  struct Message: Equatable {
    /// Goes before the bytes as a uvarint: the length of a run of rows that is framed.
    var lengthPrefix: Int?
    /// In the batch's bytes.
    var bytes: Range<Int>
    var rows: Range<Int>
    /// It exceeds the limit and cannot be cut any further.
    var isTooLarge = false

    var byteCount: Int { bytes.count + (lengthPrefix.map(Uvarint.size) ?? 0) }
  }

  private let byteCount: Int
  private let bodyOffset: Int
  /// Read for as long as messages are asked for.
  private let marks: UnsafeBufferPointer<RowMark>
  private let limit: Int
  private let rowCount: Int
  private var cutter: MessageCutter
  /// The batch goes as it is.
  private let isWhole: Bool
  private var isOver = false

  /// - Parameters:
  ///   - marks: one a row, or none: then the batch cannot be cut.
  ///   - limit: bytes of a message at most.
  ///   - eachRow: every row is a message of its own.
  init(
    _ facts: BatchFacts, byteCount: Int, marks: UnsafeBufferPointer<RowMark>, framing: RowFraming, limit: Int,
    eachRow: Bool = false
  ) {
    self.byteCount = byteCount
    self.marks = marks
    self.limit = limit
    bodyOffset = facts.bodyOffset
    rowCount = facts.rows
    cutter = MessageCutter(framing, bytes: limit, rows: eachRow ? 1 : .max)
    let canCut = framing != .whole && marks.count == facts.rows
    isWhole = !canCut || (!eachRow && byteCount <= limit)
  }

  /// There are never more messages than this.
  var messageLimit: Int { isWhole ? 1 : max(1, rowCount) }

  /// The next message, in the order of the rows; nil: there is none left.
  mutating func next() -> Message? {
    guard !isWhole else {
      defer { isOver = true }
      return isOver ? nil : Message(bytes: 0..<byteCount, rows: 0..<rowCount, isTooLarge: byteCount > limit)
    }
    return cutter.next(marks).map { part in
      Message(
        lengthPrefix: part.prefixBytes > 0 ? part.bytes.count : nil,
        bytes: (bodyOffset + part.bytes.lowerBound)..<(bodyOffset + part.bytes.upperBound), rows: part.rows,
        isTooLarge: part.isTooLong)
    }
  }
}
