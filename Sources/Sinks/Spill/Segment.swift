import Glibc
import IO

/// A file that holds one batch of a queue, by its name: `00000000100000012-10000-655360.batch` is number, rows and bytes. So the rows are
/// known though the content may be broken.
struct Segment: Equatable {
  let number: UInt64
  let rows: Int
  /// Of the whole file.
  let bytes: Int

  var name: String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 20 - digits.count)) + digits + "-\(rows)-\(bytes).batch"
  }

  init(number: UInt64, rows: Int, bytes: Int) {
    self.number = number
    self.rows = rows
    self.bytes = bytes
  }

  /// Nil for any other name.
  init?(name: String) {
    let ending = ".batch"
    guard name.hasSuffix(ending), name.utf8.count < 80 else { return nil }
    let parts = name.dropLast(ending.count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, let number = UInt64(parts[0]), let rows = Int(parts[1]), let bytes = Int(parts[2]),
      number > 0, (1...10_000_000).contains(rows), (SegmentHeader.byteCount...1 << 31).contains(bytes)
    else { return nil }
    self.init(number: number, rows: rows, bytes: bytes)
    guard self.name == name else { return nil }
  }
}

/// What a segment begins with; all numbers little-endian. The content follows: `BatchCopy.content`.
struct SegmentHeader {
  static let byteCount = 80
  /// `xtcpdsp1`.
  static let magic: UInt64 = 0x3170_7364_7063_7478

  var facts: BatchFacts
  var byteCount: Int
  var markCount: Int

  /// Of the bytes of a segment; nil unless everything about it holds together.
  ///
  /// - Parameter content: what follows the header, whole.
  init?(_ header: UnsafeRawBufferPointer, content: UnsafeRawBufferPointer, segment: Segment) {
    guard header.count == Self.byteCount, Self.word(header, 0) == Self.magic,
      let byteCount = Int(exactly: Self.word(header, 8)), let markCount = Int(exactly: Self.word(header, 16)),
      let rows = Int(exactly: Self.word(header, 24)), let bodyOffset = Int(exactly: Self.word(header, 32)),
      (0...content.count).contains(byteCount), (0...content.count).contains(markCount),
      BatchCopy.contentBytes(byteCount: byteCount, markCount: markCount) == content.count,
      rows == segment.rows, markCount == 0 || markCount == rows, bodyOffset <= byteCount,
      Self.word(header, 72) == UInt64(Self.checksum(header, content))
    else { return nil }
    facts = BatchFacts()
    facts.rows = rows
    facts.bodyOffset = bodyOffset
    facts.sealedAt = Int64(bitPattern: Self.word(header, 40))
    facts.id = BatchID(series: Self.word(header, 48), number: Self.word(header, 56))
    self.byteCount = byteCount
    self.markCount = markCount
  }

  /// The rows of a segment whose header fits a file of so many bytes; nil if it does not.
  static func rows(_ header: UnsafeRawBufferPointer, ofFile bytes: Int) -> Int? {
    guard header.count == byteCount, word(header, 0) == magic,
      let content = Int(exactly: word(header, 8)), let marks = Int(exactly: word(header, 16)),
      let rows = Int(exactly: word(header, 24)), (0...1 << 31).contains(content), (0...10_000_000).contains(marks),
      (1...10_000_000).contains(rows), (byteCount...1 << 31).contains(bytes),
      byteCount + BatchCopy.contentBytes(byteCount: content, markCount: marks) == bytes
    else { return nil }
    return rows
  }

  /// Writes the header of a batch.
  static func put(
    _ facts: BatchFacts, byteCount: Int, markCount: Int, content: UnsafeRawBufferPointer,
    into header: UnsafeMutableRawBufferPointer
  ) {
    let words: [UInt64] = [
      magic, UInt64(byteCount), UInt64(markCount), UInt64(facts.rows), UInt64(facts.bodyOffset),
      UInt64(bitPattern: facts.sealedAt), facts.id.series, facts.id.number, 0,
    ]
    for (index, word) in words.enumerated() {
      header.storeBytes(of: word.littleEndian, toByteOffset: 8 * index, as: UInt64.self)
    }
    let sum = checksum(UnsafeRawBufferPointer(header), content)
    header.storeBytes(of: UInt64(sum).littleEndian, toByteOffset: 72, as: UInt64.self)
  }

  private static func checksum(_ header: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) -> UInt32 {
    Checksum.crc32c(content, after: Checksum.crc32c(UnsafeRawBufferPointer(rebasing: header[..<72])))
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

/// A batch in the form of a segment, in memory of its own. What is written to a file.
final class SegmentImage {
  let memory: UnsafeMutableRawBufferPointer
  let rows: Int

  /// Nil if there is no memory for it.
  init?(_ batch: borrowing HeldBatch) {
    let (bytes, marks) = (batch.bytes, UnsafeRawBufferPointer(batch.marks))
    let size = SegmentHeader.byteCount + BatchCopy.contentBytes(byteCount: bytes.count, markCount: batch.marks.count)
    guard let base = calloc(1, size) else { return nil }
    memory = UnsafeMutableRawBufferPointer(start: base, count: size)
    rows = batch.rows
    let content = UnsafeMutableRawBufferPointer(rebasing: memory[SegmentHeader.byteCount...])
    content.copyMemory(from: bytes)
    if !marks.isEmpty {
      UnsafeMutableRawBufferPointer(rebasing: content[(content.count - marks.count)...]).copyMemory(from: marks)
    }
    SegmentHeader.put(
      batch.facts, byteCount: bytes.count, markCount: batch.marks.count,
      content: UnsafeRawBufferPointer(content),
      into: UnsafeMutableRawBufferPointer(rebasing: memory[..<SegmentHeader.byteCount]))
  }

  deinit { free(memory.baseAddress) }

  func segment(_ number: UInt64) -> Segment { Segment(number: number, rows: rows, bytes: memory.count) }
}
