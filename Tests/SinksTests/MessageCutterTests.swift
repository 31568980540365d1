import IO
import Testing

@testable import Sinks

/// Messages of whole rows.
@Suite struct MessageCutterTests {
  /// Cuts rows of the given lengths.
  private func cut(_ lengths: [Int], _ cutter: MessageCutter) -> [MessageCutter.Message] {
    var end: UInt32 = 0
    let marks = lengths.map { length in
      end += UInt32(length)
      return RowMark(end: end, key: 0)
    }
    var cutter = cutter
    return marks.withUnsafeBufferPointer { marks in
      var messages: [MessageCutter.Message] = []
      while let message = cutter.next(marks) { messages.append(message) }
      return messages
    }
  }

  @Test func asManyRowsAsFit() {
    let messages = cut([40, 60, 100, 1, 99, 1], MessageCutter(.plain, bytes: 100))
    #expect(messages.map(\.rows) == [0..<2, 2..<3, 3..<5, 5..<6])
    #expect(messages.map(\.bytes) == [0..<100, 100..<200, 200..<300, 300..<301])
    #expect(messages.allSatisfy { !$0.isTooLong && $0.prefixBytes == 0 })
  }

  @Test func aRowThatIsTooLongIsAloneAndSaysSo() {
    let messages = cut([10, 101, 10], MessageCutter(.plain, bytes: 100))
    #expect(messages.map(\.rows) == [0..<1, 1..<2, 2..<3])
    #expect(messages.map(\.isTooLong) == [false, true, false])
  }

  @Test func anEnvelopesLengthCounts() {
    // 127 bytes have a length of one byte, 128 one of two.
    #expect(cut([64, 63], MessageCutter(.envelope, bytes: 128)).map(\.prefixBytes) == [1])
    #expect(cut([64, 64], MessageCutter(.envelope, bytes: 129)).map(\.rows) == [0..<1, 1..<2])
    #expect(cut([64, 64], MessageCutter(.envelope, bytes: 130)).map(\.prefixBytes) == [2])
  }

  @Test func soManyRowsAMessage() {
    #expect(cut([1, 1, 1], MessageCutter(.plain, bytes: 100, rows: 1)).map(\.rows) == [0..<1, 1..<2, 2..<3])
  }

  @Test func marksThatLeadBackwardsEnd() {
    let marks = [RowMark(end: 10, key: 0), RowMark(end: 5, key: 0), RowMark(end: 20, key: 0)]
    var cutter = MessageCutter(.plain, bytes: 100)
    marks.withUnsafeBufferPointer { marks in
      #expect(cutter.next(marks)?.bytes == 0..<10)
      while let message = cutter.next(marks) { #expect(message.bytes.isEmpty) }
    }
  }

  @Test func everyRowIsInOneMessage() {
    var generator = SplitMix64(seed: 7)
    for _ in 0..<200 {
      let count = Int.random(in: 0...50, using: &generator)
      let lengths = (0..<count).map { _ in Int.random(in: 1...300, using: &generator) }
      let limit = Int.random(in: 50...400, using: &generator)
      for framing in [RowFraming.plain, .envelope] {
        let messages = cut(lengths, MessageCutter(framing, bytes: limit))
        #expect(messages.flatMap { Array($0.rows) } == Array(lengths.indices))
        #expect(messages.reduce(0) { $0 + $1.bytes.count } == lengths.reduce(0, +))
        #expect(messages.allSatisfy { $0.isTooLong ? $0.rows.count == 1 : $0.byteCount <= limit })
      }
    }
  }

  @Test(arguments: [0, 1, 127, 128, 16_383, 16_384, 1 << 40]) func uvarints(number: Int) {
    var bytes = [UInt8](repeating: 0xee, count: 10)
    bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { Uvarint.put(number, at: base) } }
    let size = Uvarint.size(number)
    var value = 0
    for (position, byte) in bytes.prefix(size).enumerated() { value |= Int(byte & 0x7f) << (7 * position) }
    #expect(value == number)
    #expect(bytes[size - 1] < 0x80 && (size == 10 || bytes[size] == 0xee))
  }
}
