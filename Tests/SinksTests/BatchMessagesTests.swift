import IO
import Testing

@testable import Sinks

/// A batch as messages of a broker.
@Suite struct BatchMessagesTests {
  /// Messages of a batch with rows of the given lengths behind `bodyOffset` bytes.
  private func messages(
    _ lengths: [Int], bodyOffset: Int = 0, framing: RowFraming = .plain, limit: Int, eachRow: Bool = false,
    marked: Bool = true
  ) -> [BatchMessages.Message] {
    var facts = BatchFacts()
    facts.rows = lengths.count
    facts.bodyOffset = bodyOffset
    var end: UInt32 = 0
    let marks = lengths.map { length in
      end += UInt32(length)
      return RowMark(end: end, key: 0)
    }
    return (marked ? marks : []).withUnsafeBufferPointer { marks in
      var cut = BatchMessages(
        facts, byteCount: bodyOffset + Int(end), marks: marks, framing: framing, limit: limit, eachRow: eachRow)
      var messages: [BatchMessages.Message] = []
      while let message = cut.next() { messages.append(message) }
      #expect(messages.count <= cut.messageLimit)
      return messages
    }
  }

  @Test func whatFitsGoesAsItIs() {
    let whole = [BatchMessages.Message(bytes: 0..<102, rows: 0..<2)]
    #expect(messages([50, 50], bodyOffset: 2, framing: .envelope, limit: 102) == whole)
    #expect(messages([50, 52], limit: 102) == whole)
  }

  @Test func whatDoesNotIsCutBetweenRows() {
    let parts = messages([50, 50, 50], limit: 100)
    #expect(parts.map(\.bytes) == [0..<100, 100..<150])
    #expect(parts.map(\.rows) == [0..<2, 2..<3])
    #expect(parts.allSatisfy { $0.lengthPrefix == nil && !$0.isTooLarge })
  }

  @Test func anEnvelopeGetsALengthForEveryPart() {
    let parts = messages([50, 50, 50], bodyOffset: 2, framing: .envelope, limit: 101)
    #expect(parts.map(\.bytes) == [2..<102, 102..<152])
    #expect(parts.map(\.lengthPrefix) == [100, 50])
    #expect(parts.map(\.byteCount) == [101, 51])
  }

  @Test func everyRowOnItsOwn() {
    let parts = messages([10, 300, 10], limit: 100, eachRow: true)
    #expect(parts.map(\.rows) == [0..<1, 1..<2, 2..<3])
    #expect(parts.map(\.isTooLarge) == [false, true, false])
  }

  @Test(arguments: [RowFraming.whole, .plain])
  func whatCannotBeCutIsTooLargeAsAWhole(_ framing: RowFraming) {
    let parts = messages([50, 60], framing: framing, limit: 100, marked: framing == .whole)
    #expect(parts == [BatchMessages.Message(bytes: 0..<110, rows: 0..<2, isTooLarge: true)])
  }
}
