internal import CRdkafka
import IO
import Synchronization

/// The messages of one shipment: what became of each, told by delivery reports on whichever thread takes them.
///
/// It keeps the shipment's memory until the library has let go of all of it, whatever becomes of the sink. Its loop owns it before
/// the first message is sent and after `isDone`; in between only reports write to it.
final class KafkaMessages: @unchecked Sendable {
  enum State: UInt8 {
    case waiting, arrived
    /// The destination can never take it.
    case refused
  }

  /// What a message's opaque points to.
  private struct Slot {
    let messages: Unmanaged<KafkaMessages>
    let rows: Int
    let bytes: Int
    var state = State.waiting
  }

  private let member: ClientMember
  let batch: BatchCopy
  private var slots: UnsafeMutablePointer<Slot>
  private var capacity: Int
  private(set) var count = 0
  /// Messages whose length stands before their bytes, put together.
  private var assembled: UnsafeMutableRawBufferPointer?
  /// Messages that the library has, and one for whoever sends.
  private let outstanding = Atomic<Int>(0)
  private let arrivedRows = Atomic<Int>(0)
  private let refusedRows = Atomic<Int>(0)
  private let arrivedBytes = Atomic<Int>(0)
  private let firstError = Atomic<Int32>(0)

  init(of batch: BatchCopy, for member: ClientMember) {
    self.batch = batch
    self.member = member
    capacity = 1
    slots = .allocate(capacity: 1)
  }

  deinit {
    slots.deallocate()
    assembled?.deallocate()
  }

  // MARK: Sending

  /// Begins to send all that has not arrived.
  ///
  /// - Parameter messages: at most so many.
  func open(_ messages: Int) {
    if messages > capacity {
      slots.deallocate()
      slots = .allocate(capacity: messages)
      (capacity, count) = (messages, 0)
    }
    firstError.store(0, ordering: .relaxed)
    outstanding.store(1, ordering: .releasing)
    // Until the last report nobody else may hold it.
    _ = Unmanaged.passRetained(self)
  }

  /// The slot of the next message in order; nil if it needs to be sent no more. A message keeps its slot over all attempts.
  func slot(_ index: Int, _ message: BatchMessages.Message) -> UnsafeMutableRawPointer? {
    let slot = slots + index
    if index == count {
      slot.initialize(
        to: Slot(messages: .passUnretained(self), rows: message.rows.count, bytes: message.byteCount))
      count += 1
    }
    guard slot.pointee.state == .waiting else { return nil }
    guard !message.isTooLarge else {
      refuse(slot)
      return nil
    }
    return UnsafeMutableRawPointer(slot)
  }

  /// A message's bytes in one piece.
  func bytes(of message: BatchMessages.Message, _ index: Int) -> UnsafeRawBufferPointer {
    let bytes = UnsafeRawBufferPointer(rebasing: batch.bytes[message.bytes])
    guard let length = message.lengthPrefix else { return bytes }
    let memory = assembled ?? .allocate(byteCount: batch.bytes.count + Self.longestPrefix * capacity, alignment: 1)
    assembled = memory
    let start = message.bytes.lowerBound + Self.longestPrefix * index
    let prefix = Uvarint.size(length)
    if let base = memory.baseAddress { Uvarint.put(length, at: base + start) }
    let end = start + prefix + bytes.count
    UnsafeMutableRawBufferPointer(rebasing: memory[(start + prefix)..<end]).copyMemory(from: bytes)
    return UnsafeRawBufferPointer(rebasing: memory[start..<end])
  }

  /// A uvarint below 2^35: a batch is smaller.
  private static let longestPrefix = 5

  /// A message is about to be handed over.
  func handOver() { outstanding.add(1, ordering: .relaxed) }

  /// It was not taken; no report follows.
  func takeBack(_ error: rd_kafka_resp_err_t?) {
    if let error { note(error) }
    outstanding.subtract(1, ordering: .relaxed)
  }

  /// All messages of this attempt have been handed over, or can be no more.
  func close() { settleOne() }

  // MARK: Reports

  /// A delivery report.
  static func report(_ message: rd_kafka_message_t) {
    guard let slot = message._private?.assumingMemoryBound(to: Slot.self) else { return }
    slot.pointee.messages.takeUnretainedValue().report(slot, message.err)
  }

  private func report(_ slot: UnsafeMutablePointer<Slot>, _ error: rd_kafka_resp_err_t) {
    switch error {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      slot.pointee.state = .arrived
      arrivedRows.add(slot.pointee.rows, ordering: .relaxed)
      arrivedBytes.add(slot.pointee.bytes, ordering: .relaxed)
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: refuse(slot)
    default: note(error)
    }
    settleOne()
  }

  private func refuse(_ slot: UnsafeMutablePointer<Slot>) {
    slot.pointee.state = .refused
    refusedRows.add(slot.pointee.rows, ordering: .relaxed)
  }

  private func note(_ error: rd_kafka_resp_err_t) {
    _ = firstError.compareExchange(expected: 0, desired: error.rawValue, ordering: .relaxed)
  }

  private func settleOne() {
    guard outstanding.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    member.wake()
    Unmanaged.passUnretained(self).release()
  }

  // MARK: Outcome

  /// Nothing is under way any more.
  var isDone: Bool { outstanding.load(ordering: .acquiring) == 0 }
  /// Rows that have arrived, in all attempts.
  var arrived: Int { arrivedRows.load(ordering: .relaxed) }
  var refused: Int { refusedRows.load(ordering: .relaxed) }
  var byteCount: Int { arrivedBytes.load(ordering: .relaxed) }
  /// What went wrong first in this attempt.
  var error: rd_kafka_resp_err_t? {
    let code = firstError.load(ordering: .relaxed)
    return code == 0 ? nil : rd_kafka_resp_err_t(rawValue: code)
  }
}
