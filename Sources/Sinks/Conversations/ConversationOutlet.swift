import Glibc
import IO

/// How long a server that answers may take.
public struct ConversationPatience: Sendable {
  /// For the connection, with all that secures it.
  public var connecting: Duration
  /// From one answer to the next, and for a shipment to be sent.
  public var answering: Duration

  public init(connecting: Duration, answering: Duration) {
    self.connecting = connecting
    self.answering = answering
  }
}

/// Brings batches to a server that answers every request, over a connection that is made again when it breaks. All requests of a
/// shipment are sent at once and then their answers awaited; after a break only those without one are sent again.
final class ConversationOutlet: Outlet {
  private let connection: StreamConnection
  private let dialect: any Dialect
  private let patience: ConversationPatience
  private var requests = RequestList()

  /// Of the connection that is open or being opened.
  private enum Phase: Equatable {
    case closed
    /// The greeting has yet to be sent.
    case connected
    /// So many answers to the greeting are outstanding.
    case greeting(Int)
    case talking
  }
  private var phase = Phase.closed
  /// What is being sent that is not a shipment.
  private var notice: UnsafeMutableRawBufferPointer
  private var isHeartbeatDue = false

  private var shipment: Shipment?
  /// Which batch `settled` is about.
  private var settledID = BatchID.none
  /// Of each request: it is done with, and how. Kept over retries, so that what has arrived is not sent twice.
  private var settled: [Settlement] = []
  private enum Settlement: Equatable { case open, accepted, refused(DropReason) }
  /// Rows that the server has taken, this time and before.
  private var arrivedRows = 0
  /// Its requests have been given to the connection that is open.
  private var isUnderWay = false
  private var isCancelled = false
  /// Bytes that the shipment took on the way.
  private var bytes = 0
  private var answerDeadline: MonotonicTime?

  private var outcome: Outcome?
  private var trouble: String?
  /// Why the server refuses or fails requests, until the shipment is through.
  private var complaint: String?

  init(
    to endpoint: Endpoint, tls: TLSContext?, _ patience: ConversationPatience, _ dialect: any Dialect,
    _ output: SinkOutput
  ) {
    connection = StreamConnection(
      port: output.port, owner: output.owner, wake: output.wake, endpoint: endpoint, tls: tls,
      limits: StreamConnection.Limits(receiveBytes: 16 << 10, unacknowledged: patience.answering))
    self.patience = patience
    self.dialect = dialect
    let size = max(dialect.greeting.bytes.count, dialect.heartbeatReply.count)
    notice = .allocate(byteCount: max(1, size), alignment: 1)
  }

  deinit {
    // Nobody has closed it: what may be in flight is never given back.
    if connection.isIdle { notice.deallocate() } else { _ = Unmanaged.passRetained(requests) }
  }

  var isReady: Bool { phase == .talking }
  var nextDeadline: Int64? {
    [connection.nextDeadline, answerDeadline].compactMap { $0?.nanoseconds }.min()
  }
  var reachability: Reachability {
    if let trouble { return .unreachable(trouble) }
    return phase == .talking ? .reachable : .unknown
  }

  func probe(now: Int64) { connect() }

  private func connect() { connection.open(timeout: patience.connecting) }

  func takeOutcome() -> Outcome? { outcome.take() }

  // MARK: Sending

  func send(_ shipment: Shipment, now: Int64) {
    self.shipment = shipment
    complaint = nil
    if shipment.attempt == 0 || settledID != shipment.id {
      (settledID, settled) = (shipment.id, [])
      arrivedRows = 0
    }
    proceed()
  }

  /// Not before there is a connection, which may take its time. Anew each time: the batch may have been copied meanwhile.
  private func layOut(_ shipment: Shipment) {
    requests.empty()
    dialect.layOut(shipment, into: requests)
    if settled.count != requests.count { settled = Array(repeating: .open, count: requests.count) }
  }

  func handle(_ completion: consuming Completion) { take(connection.handle(completion)) }

  func resume(now: Int64) {
    take(connection.resume(now: MonotonicTime(nanoseconds: now)))
    if let answerDeadline, now >= answerDeadline.nanoseconds {
      breakOff("no answer within \(patience.answering)")
    }
  }

  private func take(_ events: StreamConnection.Events) {
    if events.contains(.opened) {
      phase = .connected
      dialect.restart()
      answerDeadline = MonotonicTime.now().advanced(by: patience.connecting)
    }
    // What comes behind the reason to break off does not matter.
    if phase != .closed, !connection.received.isEmpty { hear() }
    if events.contains(.ended) { broken() }
    if isCancelled, connection.isIdle { fail("cancelled") }
    proceed()
  }

  private func proceed() {
    // Also when a connection that was given up has only now let go.
    if shipment != nil, !isCancelled, connection.isIdle { connect() }
    guard connection.isOpen, !connection.isSending else { return }
    switch phase {
    case .closed, .greeting: break
    case .connected: greet()
    case .talking:
      if isUnderWay, requests.isAnswered { finish() }
      if isHeartbeatDue {
        isHeartbeatDue = false
        say(dialect.heartbeatReply)
      } else {
        sendShipment()
      }
    }
  }

  private func greet() {
    let greeting = dialect.greeting
    phase = .greeting(greeting.answers)
    say(greeting.bytes)
  }

  private func say(_ bytes: [UInt8]) {
    notice.copyBytes(from: bytes)
    connection.send(
      UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(notice)[..<bytes.count]), timeout: patience.answering)
  }

  private func sendShipment() {
    guard let shipment, !isUnderWay, !isCancelled else { return }
    layOut(shipment)
    let vectors = requests.bytesToSend { settled[$0] != .open }
    bytes = vectors.reduce(0) { $0 + $1.iov_len }
    if requests.isAnswered { return finish() }
    isUnderWay = connection.send(vectors, timeout: patience.answering)
    answerDeadline = MonotonicTime.now().advanced(by: patience.answering)
  }

  // MARK: Answers

  private func hear() {
    let received = connection.received
    do throws(ConversationEnd) {
      try dialect.feed(received)
      connection.consume(received.count)
      while phase != .closed, let answer = try dialect.nextAnswer() { take(answer) }
    } catch {
      breakOff(error.message)
    }
  }

  private func take(_ answer: Answer) {
    if answer == .heartbeat {
      isHeartbeatDue = true
      return
    }
    switch phase {
    case .greeting(let left):
      switch answer {
      case .accepted, .heartbeat: break
      case .refused(_, let why), .failed(let why):
        return breakOff(why)
      }
      if left > 1 {
        phase = .greeting(left - 1)
      } else {
        phase = .talking
        trouble = nil
        answerDeadline = nil
      }
    case .talking where isUnderWay: settle(answer)
    case .talking, .connected, .closed:
      breakOff("an answer that nothing was asked for")
    }
  }

  private func settle(_ answer: Answer) {
    guard let (index, rows) = requests.takeAnswered() else { return }
    answerDeadline = MonotonicTime.now().advanced(by: patience.answering)
    switch answer {
    case .accepted:
      settled[index] = .accepted
      arrivedRows += rows
    case .refused(let reason, let why):
      settled[index] = .refused(reason)
      complaint = why
    case .failed(let why): complaint = why
    case .heartbeat: break
    }
  }

  /// All requests are answered, and the memory of the shipment is not read any more.
  private func finish() {
    answerDeadline = nil
    var (refused, reason) = (requests.oversizedRows, DropReason.tooLarge)
    var isOpen = false
    for (index, settlement) in settled.enumerated() {
      switch settlement {
      case .open: isOpen = true
      case .accepted: break
      case .refused(let why):
        refused += requests.rows(of: index)
        reason = why
      }
    }
    let message = told(complaint ?? "it does not take the rows")
    if isOpen {
      end(.failed(Failure(message: message, delivered: arrivedRows)))
    } else if arrivedRows == 0, refused > 0 {
      end(.failed(Failure(message: message, reason: reason, isFinal: true)))
    } else {
      trouble = nil
      end(.delivered(bytes: bytes, refused: refused > 0 ? Outcome.Refusal(rows: refused, reason: reason) : nil))
    }
  }

  // MARK: Breaks

  private func broken() {
    forget()
    // All that was asked has been answered before the end: nsqd ends after an error.
    if isUnderWay, requests.isAnswered { return finish() }
    let message = told(connection.error?.description ?? "closed")
    if shipment != nil || connection.error != .closedByPeer { trouble = message }
    fail(message)
  }

  /// Ends the connection for a reason of our own.
  private func breakOff(_ why: String) {
    let message = told(why)
    trouble = message
    forget()
    connection.close(lingers: false)
    isCancelled = shipment != nil
    if connection.isIdle { fail(message) }
  }

  /// For people: which server, and what of it.
  private func told(_ what: String) -> String { "\(dialect.serverName) \(connection.endpoint): \(what)" }

  /// There is no conversation any more.
  private func forget() {
    phase = .closed
    answerDeadline = nil
    isHeartbeatDue = false
  }

  private func fail(_ message: String) {
    guard shipment != nil else { return }
    end(.failed(Failure(message: trouble ?? message, delivered: arrivedRows)))
  }

  private func end(_ outcome: Outcome) {
    self.outcome = outcome
    shipment = nil
    requests.empty()
    (isUnderWay, isCancelled) = (false, false)
  }

  func cancel() {
    guard shipment != nil else { return }
    isCancelled = true
    forget()
    // The kernel may still read the batch: its fate is told when nothing is in flight.
    connection.close(lingers: false)
    if connection.isIdle { fail("cancelled") }
  }

  func close(isStuck: Bool) {
    if isStuck, !connection.isIdle {
      // What is being said lies in these.
      _ = Unmanaged.passRetained(self)
      _ = Unmanaged.passRetained(requests)
      requests = RequestList()
    }
    connection.abandon(isStuck: isStuck)
    forget()
    if shipment != nil { end(.failed(Failure(message: "stopped", reason: .shutdown, delivered: arrivedRows))) }
  }
}
