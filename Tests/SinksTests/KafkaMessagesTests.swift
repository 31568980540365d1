internal import CRdkafka
import IO
import Synchronization
import Testing

@testable import Sinks

/// What became of the messages of a shipment, told by delivery reports.
@Suite struct KafkaMessagesTests {
  private final class Wakes: Sendable {
    let count = Atomic<Int>(0)
  }

  private let wakes = Wakes()

  private func batch(rows: Int) throws -> BatchCopy {
    var facts = BatchFacts()
    facts.rows = rows
    return try #require(BatchCopy(facts: facts, byteCount: rows * 10, markCount: 0))
  }

  private func make(rows: Int) throws -> KafkaMessages {
    let wakes = wakes
    let member = ClientMember(sink: "s") { wakes.count.add(1, ordering: .relaxed) }
    return KafkaMessages(of: try batch(rows: rows), for: member)
  }

  private func part(_ index: Int, isTooLarge: Bool = false) -> BatchMessages.Message {
    BatchMessages.Message(bytes: index * 10..<index * 10 + 10, rows: index..<index + 1, isTooLarge: isTooLarge)
  }

  private func report(_ slot: UnsafeMutableRawPointer?, _ error: rd_kafka_resp_err_t) {
    var message = rd_kafka_message_t()
    message._private = slot
    message.err = error
    KafkaMessages.report(message)
  }

  @Test func aRetrySendsOnlyWhatHasNotArrived() throws {
    let messages = try make(rows: 3)
    messages.open(3)
    let slots = (0..<3).map { messages.slot($0, part($0)) }
    for _ in 0..<3 { messages.handOver() }
    messages.close()
    report(slots[0], RD_KAFKA_RESP_ERR_NO_ERROR)
    report(slots[2], RD_KAFKA_RESP_ERR_NO_ERROR)
    #expect(!messages.isDone && wakes.count.load(ordering: .relaxed) == 0)
    report(slots[1], RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
    #expect(messages.isDone && wakes.count.load(ordering: .relaxed) == 1)
    #expect(messages.arrived == 2 && messages.error == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)

    messages.open(3)
    #expect(messages.error == nil)
    #expect((0..<3).map { messages.slot($0, part($0)) == nil } == [true, false, true])
    messages.handOver()
    report(slots[1], RD_KAFKA_RESP_ERR_NO_ERROR)
    #expect(!messages.isDone, "whoever sends has not closed it")
    messages.close()
    #expect(messages.isDone && messages.arrived == 3 && messages.byteCount == 30)
  }

  @Test func whatIsTooLargeIsRefusedAndNotSent() throws {
    let messages = try make(rows: 3)
    messages.open(3)
    #expect(messages.slot(0, part(0, isTooLarge: true)) == nil)
    let slots = (1..<3).map { messages.slot($0, part($0)) }
    for _ in 0..<2 { messages.handOver() }
    messages.close()
    report(slots[0], RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
    report(slots[1], RD_KAFKA_RESP_ERR_NO_ERROR)
    #expect(messages.isDone && messages.refused == 2 && messages.arrived == 1 && messages.error == nil)
  }

  @Test func whatWasNotTakenIsAwaitedNoLonger() throws {
    let messages = try make(rows: 1)
    messages.open(1)
    _ = messages.slot(0, part(0))
    messages.handOver()
    messages.takeBack(nil)
    #expect(messages.error == nil)
    messages.handOver()
    messages.takeBack(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
    messages.close()
    #expect(messages.isDone && messages.error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
  }

  /// The library may let go of messages after everybody else has forgotten them.
  @Test func memoryStaysUntilTheLastReport() throws {
    weak var forgotten: KafkaMessages?
    var slot: UnsafeMutableRawPointer?
    do {
      let messages = try make(rows: 1)
      forgotten = messages
      messages.open(1)
      slot = messages.slot(0, part(0))
      messages.handOver()
      messages.close()
    }
    #expect(forgotten != nil)
    report(slot, RD_KAFKA_RESP_ERR__PURGE_QUEUE)
    #expect(forgotten == nil)
  }
}
