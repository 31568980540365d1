import IO
import Synchronization

/// A shipment on its way to a NATS server: what a client's thread publishes, and what became of it.
///
/// The loop of its sink owns it before it is submitted and after `isDone`, the client's thread in between.
final class NatsJob: @unchecked Sendable {
  enum Outcome {
    case arrived
    /// Why not: a sentence for people.
    case failed(String)
  }

  let subject: String
  let headers: [(name: String, value: String)]
  let batch: BatchCopy
  let framing: RowFraming
  /// Every message is acknowledged by a stream.
  let isAcknowledged: Bool
  private let member: ClientMember
  private let done = Atomic<Bool>(false)
  private let cancelled = Atomic<Bool>(false)

  /// Bytes of a message's rows at most, once a server has said what it takes. The same for all attempts.
  var limit: Int
  var isLimitKnown = false
  /// Messages that need not be sent again.
  var settled = 0
  /// Rows of those that a stream has acknowledged, and of those that no server takes.
  var arrivedRows = 0
  var refusedRows = 0
  var bytes = 0
  private(set) var outcome = Outcome.arrived

  init(
    subject: String, headers: [(name: String, value: String)], batch: BatchCopy, framing: RowFraming, limit: Int,
    isAcknowledged: Bool, for member: ClientMember
  ) {
    self.subject = subject
    self.headers = headers
    self.batch = batch
    self.framing = framing
    self.limit = limit
    self.isAcknowledged = isAcknowledged
    self.member = member
  }

  var isDone: Bool { done.load(ordering: .acquiring) }
  /// Nobody waits for it any more.
  var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

  func cancel() { cancelled.store(true, ordering: .relaxed) }

  /// Before it is submitted, once more or for the first time.
  func prepare() { done.store(false, ordering: .relaxed) }

  func finish(_ outcome: Outcome) {
    self.outcome = outcome
    done.store(true, ordering: .releasing)
    member.wake()
  }

  /// The messages of the batch, in order.
  func cutter() -> BatchMessages {
    BatchMessages(
      batch.facts, byteCount: batch.bytes.count, marks: batch.rowMarks, framing: framing, limit: limit)
  }
}
