internal import CRdkafka
import IO

/// What a sink sends to Kafka, and where to; the connection is the client's.
public struct KafkaTarget: Sendable {
  /// What messages with equal keys have in common is the partition.
  public enum Key: Sendable {
    case none
    /// The hostname.
    case host
    /// The socket's cookie in decimal digits: one row a message.
    case cookie
  }

  public var topic: FilledTemplate
  public var key: Key
  /// Bytes of one message's rows at most.
  public var messageBytes: Int

  public init(topic: FilledTemplate, key: Key, messageBytes: Int) {
    self.topic = topic
    self.key = key
    self.messageBytes = messageBytes
  }
}

/// Produces the batches of one sink through a client that it shares.
final class KafkaOutlet: Outlet {
  private let registry: ClientRegistry
  private let settings: KafkaSettings
  private let target: KafkaTarget
  private let origin: SinkOrigin
  private let framing: RowFraming
  private let member: ClientMember
  private var client: KafkaClient
  private var isMember = true
  private var sending: Sending?
  private var outcome: Outcome?
  /// Monotonic nanoseconds at which more can be produced.
  private var resumeAt: Int64?
  private var servesAt: Int64?

  /// An attempt to send a shipment.
  private struct Sending {
    let messages: KafkaMessages
    var cutter: BatchMessages
    var topic: String
    var headers: KafkaHeaders
    /// Cut and not handed over yet.
    var next: BatchMessages.Message?
    var index = 0
    var isCut = false
    /// All has been handed over, or no more can be.
    var isClosed = false
  }

  /// Messages handed over in one turn of the loop, which other pipelines wait for.
  private static let messagesPerTurn = 1_000
  /// How long the producer's own queue is left alone when it is full.
  private static let pause: Int64 = 10_000_000

  /// - Throws: the library is not there or refuses the settings.
  init(
    sink: String, _ settings: KafkaSettings, _ target: KafkaTarget, _ output: SinkOutput, _ registry: ClientRegistry
  ) throws(ClientError) {
    self.registry = registry
    self.settings = settings
    self.target = target
    origin = output.origin
    framing = output.framing
    member = ClientMember(sink: sink, wake: output.wake)
    client = try registry.join(settings.key, member) { () throws(ClientError) in
      try KafkaClient(settings, registry.threads)
    }
  }

  deinit { leave() }

  private func leave() {
    if isMember { registry.leave(settings.key, client, member) }
    isMember = false
  }

  // MARK: State

  /// The library's threads read the rows.
  var isReady: Bool { false }

  var reachability: Reachability {
    if let trouble = client.trouble { return .unreachable(trouble) }
    return client.isReachable ? .reachable : .unknown
  }

  var nextDeadline: Int64? { [resumeAt, servesAt].compactMap(\.self).min() }

  // The producer looks for its brokers from the start.
  func probe(now: Int64) {}

  func handle(_ completion: consuming Completion) {}

  // MARK: Sending

  func send(_ shipment: Shipment, now: Int64) {
    do throws(ClientError) {
      try renewClient()
    } catch {
      outcome = .failed(Failure(message: error.description, delivered: sending?.messages.arrived ?? 0))
      return
    }
    guard let messages = messages(for: shipment) else {
      outcome = .failed(Failure(message: "kafka: no memory for a batch", reason: .memory))
      return
    }
    let cutter = BatchMessages(
      messages.batch.facts, byteCount: messages.batch.bytes.count, marks: messages.batch.rowMarks, framing: framing,
      limit: target.messageBytes, eachRow: target.key == .cookie)
    messages.open(cutter.messageLimit)
    isReported = false
    sending = Sending(
      messages: messages, cutter: cutter, topic: target.topic.text(at: messages.batch.facts.sealedAt),
      headers: KafkaHeaders(client.library, origin, messages.batch.facts.id))
    produce(now: now)
    finish()
  }

  /// Those of an attempt before know what has arrived of this shipment.
  private func messages(for shipment: Shipment) -> KafkaMessages? {
    if shipment.attempt > 0, let present = sending?.messages, present.isDone, present.batch.facts.id == shipment.id {
      return present
    }
    return shipment.copy(of: 0).map { KafkaMessages(of: $0, for: member) }
  }

  /// Goes over to another client if this one is of no use any more.
  private func renewClient() throws(ClientError) {
    guard client.condition != .working || !isMember else { return }
    let registry = registry
    let settings = settings
    let successor = try registry.join(settings.key, member) { () throws(ClientError) in
      try KafkaClient(settings, registry.threads)
    }
    if successor !== client { leave() }
    client = successor
    isMember = true
  }

  /// Hands messages over until all are, the producer has no room, or the loop has waited long enough.
  private func produce(now: Int64) {
    resumeAt = nil
    guard var sending, !sending.isClosed else { return }
    defer { self.sending = sending }
    for _ in 0..<Self.messagesPerTurn {
      guard let message = sending.next ?? sending.cutter.next() else { return Self.close(&sending) }
      sending.next = message
      if message.rows.count < sending.messages.batch.rows { sending.isCut = true }
      if let slot = sending.messages.slot(sending.index, message) {
        switch handOver(message, slot, &sending) {
        case RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: break
        case RD_KAFKA_RESP_ERR__QUEUE_FULL:
          resumeAt = now + Self.pause
          return
        // What one message meets the others would meet too.
        default: return Self.close(&sending)
        }
      }
      sending.next = nil
      sending.index += 1
    }
    resumeAt = now
  }

  private static func close(_ sending: inout Sending) {
    sending.isClosed = true
    sending.messages.close()
  }

  private func handOver(
    _ message: BatchMessages.Message, _ slot: UnsafeMutableRawPointer, _ sending: inout Sending
  ) -> rd_kafka_resp_err_t {
    let bytes = sending.messages.bytes(of: message, sending.index)
    let headers = sending.headers.copy(part: sending.isCut ? sending.index : nil)
    sending.messages.handOver()
    let error =
      client.use { handle in
        sending.topic.withCString { topic in
          withKey(message, sending.messages.batch) { key in
            var parts = crdkafka_message(
              topic: topic, value: bytes.baseAddress, value_size: bytes.count, key: key.baseAddress,
              key_size: key.count, headers: headers, opaque: slot)
            return crdkafka_produce(client.library.functions, handle, &parts)
          }
        }
      } ?? RD_KAFKA_RESP_ERR__DESTROY
    guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return error }
    sending.headers.discard(headers)
    sending.messages.takeBack(error == RD_KAFKA_RESP_ERR__QUEUE_FULL ? nil : error)
    return error
  }

  private func withKey<Result>(
    _ message: BatchMessages.Message, _ batch: BatchCopy, _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    switch target.key {
    case .none: return body(UnsafeRawBufferPointer(start: nil, count: 0))
    case .host:
      var name = origin.hostname
      return name.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    case .cookie:
      guard batch.rowMarks.indices.contains(message.rows.lowerBound) else {
        return body(UnsafeRawBufferPointer(start: nil, count: 0))
      }
      var digits = String(batch.rowMarks[message.rows.lowerBound].key)
      return digits.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
  }

  func resume(now: Int64) {
    servesAt = isMember ? client.serve(member, now: now) : nil
    if sending != nil, let resumeAt, resumeAt <= now { produce(now: now) }
    finish()
  }

  // MARK: Outcome

  func takeOutcome() -> Outcome? {
    defer { outcome = nil }
    return outcome
  }

  /// Says what became of the shipment once every message has been reported.
  private func finish() {
    guard let sending, sending.isClosed, outcome == nil, sending.messages.isDone, !isReported else { return }
    isReported = true
    let messages = sending.messages
    let refusal = messages.refused > 0 ? Outcome.Refusal(rows: messages.refused, reason: .tooLarge) : nil
    if let error = messages.error, messages.arrived + messages.refused < messages.batch.rows {
      outcome = .failed(failure(error, messages))
    } else if messages.refused == messages.batch.rows {
      outcome = .failed(
        Failure(
          message: "kafka \(settings.servers): a message of topic \(sending.topic) is larger than the limit of "
            + "\(target.messageBytes) bytes or the broker's own", reason: .tooLarge, isFinal: true))
    } else {
      client.succeeded()
      outcome = .delivered(bytes: messages.byteCount, refused: refusal)
    }
    if case .delivered = outcome { self.sending = nil }
  }

  private func failure(_ error: rd_kafka_resp_err_t, _ messages: KafkaMessages) -> Failure {
    var text = "kafka \(settings.servers): topic \(sending?.topic ?? ""): \(client.library.text(error))"
    if let trouble = client.trouble {
      text = trouble
    } else if let last = client.lastError {
      text += " (\(last))"
    }
    return Failure(message: text, delivered: messages.arrived)
  }

  /// The outcome of `sending` has been told.
  private var isReported = false

  func cancel() {
    guard let sending, !isReported else { return }
    // What the library has may still arrive; it is sent once more by whoever takes over.
    if !sending.isClosed { sending.messages.close() }
    outcome = .failed(
      Failure(message: "kafka \(settings.servers): called off", delivered: sending.messages.arrived))
    self.sending = nil
    resumeAt = nil
  }

  func close(isStuck: Bool) {
    cancel()
    leave()
  }
}

/// The headers that all messages of a batch have.
final class KafkaHeaders {
  private let library: KafkaLibrary
  private let list: OpaquePointer?

  init(_ library: KafkaLibrary, _ origin: SinkOrigin, _ id: BatchID) {
    self.library = library
    list = library.functions.pointee.rd_kafka_headers_new(6)
    add(list, "schema", origin.schema)
    add(list, "hostname", origin.hostname)
    add(list, "pipeline", origin.pipeline)
    add(list, "format", origin.format)
    add(list, "batch_id", id.description)
  }

  deinit { discard(list) }

  private func add(_ list: OpaquePointer?, _ name: String, _ value: String) {
    guard let list else { return }
    var value = value
    _ = value.withUTF8 { bytes in
      library.functions.pointee.rd_kafka_header_add(list, name, -1, bytes.baseAddress, bytes.count)
    }
  }

  /// For one message.
  ///
  /// - Parameter part: which one of its batch, from 0; nil: the only one.
  func copy(part: Int?) -> OpaquePointer? {
    guard let list else { return nil }
    let copy = library.functions.pointee.rd_kafka_headers_copy(list)
    if let part { add(copy, "part", String(part)) }
    return copy
  }

  /// Gives back what no message has taken.
  func discard(_ headers: OpaquePointer?) {
    if let headers { library.functions.pointee.rd_kafka_headers_destroy(headers) }
  }
}
