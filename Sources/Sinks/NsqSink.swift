import IO

/// What an nsq sink publishes, and where.
public struct NsqTarget: Sendable {
  public var topic: FilledTemplate
  /// Bytes of one message's rows at most.
  public var messageBytes: Int
  /// A message of every row.
  public var eachRow = false
  /// What AUTH says; empty: nothing.
  public var secret = ""

  public init(topic: FilledTemplate, messageBytes: Int) {
    self.topic = topic
    self.messageBytes = messageBytes
  }
}

/// The protocol of nsqd, version 2 (https://nsq.io/clients/tcp_protocol_spec.html): publishing, and nothing else of it.
final class NsqDialect: Dialect {
  private let target: NsqTarget
  private let framing: RowFraming
  private let secrets: PeerSecrets
  private var received: [UInt8] = []
  /// Of `received`, what has been read.
  private var position = 0
  /// An answer is a word, or a line of error.
  private static let frameLimit = 64 << 10
  /// Bytes of messages that are published together, unless one alone is longer; nsqd takes 5 MiB (`--max-body-size`).
  private static let groupBytes = 1 << 20

  let serverName = "nsq"
  let greeting: (bytes: [UInt8], answers: Int)
  let heartbeatReply = Array("NOP\n".utf8)

  init(_ target: NsqTarget, _ output: SinkOutput) {
    self.target = target
    framing = output.framing
    secrets = PeerSecrets([target.secret])
    // Nothing of this is negotiated, so that the answer is OK: heartbeats come as the server is used to.
    let identity = #"{"client_id":"xtcpd","user_agent":"xtcpd/\#(output.origin.version)","feature_negotiation":false}"#
    var bytes = Array("  V2IDENTIFY\n".utf8) + Self.sized(Array(identity.utf8))
    if !target.secret.isEmpty { bytes += Array("AUTH\n".utf8) + Self.sized(Array(target.secret.utf8)) }
    greeting = (bytes, target.secret.isEmpty ? 1 : 2)
  }

  private static func sized(_ body: [UInt8]) -> [UInt8] { bigEndian(body.count) + body }

  private static func bigEndian(_ number: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt32(clamping: number).bigEndian) { Array($0) }
  }

  // MARK: Requests

  func layOut(_ shipment: Shipment, into requests: RequestList) {
    for index in 0..<shipment.count {
      let facts = shipment.facts(of: index)
      let bytes = shipment.bytes(of: index)
      let topic = target.topic.text(at: facts.sealedAt)
      var messages = BatchMessages(
        facts, byteCount: bytes.count, marks: shipment.marks(of: index), framing: framing, limit: target.messageBytes,
        eachRow: target.eachRow)
      var group: [BatchMessages.Message] = []
      var groupBytes = 0
      while let message = messages.next() {
        guard !message.isTooLarge, message.bytes.upperBound <= bytes.count else {
          requests.leaveOut(rows: message.rows.count)
          continue
        }
        if !group.isEmpty, groupBytes + 4 + message.byteCount > Self.groupBytes {
          append(group, of: bytes, topic, to: requests)
          group.removeAll(keepingCapacity: true)
          groupBytes = 0
        }
        group.append(message)
        groupBytes += 4 + message.byteCount
      }
      append(group, of: bytes, topic, to: requests)
    }
  }

  private func append(
    _ messages: [BatchMessages.Message], of batch: UnsafeRawBufferPointer, _ topic: String, to requests: RequestList
  ) {
    guard let first = messages.first else { return }
    requests.begin(rows: messages.reduce(0) { $0 + $1.rows.count })
    if messages.count == 1 {
      requests.append(copying: Array("PUB \(topic)\n".utf8))
      append(first, of: batch, to: requests)
    } else {
      requests.append(copying: Array("MPUB \(topic)\n".utf8))
      let size = messages.reduce(4) { $0 + 4 + $1.byteCount }
      requests.append(copying: Self.bigEndian(size) + Self.bigEndian(messages.count))
      for message in messages { append(message, of: batch, to: requests) }
    }
  }

  private func append(
    _ message: BatchMessages.Message, of batch: UnsafeRawBufferPointer, to requests: RequestList
  ) {
    requests.append(copying: Self.bigEndian(message.byteCount))
    if let length = message.lengthPrefix {
      withUnsafeTemporaryAllocation(byteCount: Uvarint.size(length), alignment: 1) { prefix in
        if let base = prefix.baseAddress { Uvarint.put(length, at: base) }
        requests.append(copying: prefix)
      }
    }
    requests.append(UnsafeRawBufferPointer(rebasing: batch[message.bytes]))
  }

  // MARK: Answers

  func restart() {
    received.removeAll(keepingCapacity: true)
    position = 0
  }

  func feed(_ bytes: UnsafeRawBufferPointer) throws(ConversationEnd) {
    received.removeFirst(position)
    position = 0
    received.append(contentsOf: bytes)
  }

  func nextAnswer() throws(ConversationEnd) -> Answer? {
    // Size of what follows it, kind, data.
    guard received.count - position >= 8 else { return nil }
    let (size, kind) = (number(at: position), number(at: position + 4))
    guard (4...Self.frameLimit).contains(size) else {
      throw ConversationEnd(message: "it does not speak NSQ's protocol; is it the TCP port of an nsqd?")
    }
    let end = position + 4 + size
    guard received.count >= end else { return nil }
    let text = String(decoding: received[(position + 8)..<end], as: UTF8.self)
    position = end
    switch kind {
    case 0: return text == "_heartbeat_" ? .heartbeat : .accepted
    case 1: return try complaint(PeerText.line(text, hiding: secrets))
    default: throw ConversationEnd(message: "an answer of kind \(kind)")
    }
  }

  private func number(at index: Int) -> Int {
    received[index..<(index + 4)].reduce(0) { $0 << 8 | Int($1) }
  }

  /// nsqd ends the connection after an error, so that nothing more is answered.
  private func complaint(_ text: String) throws(ConversationEnd) -> Answer {
    switch text.prefix(while: { $0 != " " }) {
    case "E_BAD_MESSAGE": return .refused(.tooLarge, text)
    case "E_BAD_BODY", "E_BAD_TOPIC": return .refused(.rejected, text)
    default: throw ConversationEnd(message: text)
    }
  }
}

extension DeliverySink {
  /// A sink that publishes to an nsqd.
  public static func nsq(
    name: String, to endpoint: Endpoint, _ target: NsqTarget, _ patience: ConversationPatience, _ output: SinkOutput
  ) -> DeliverySink {
    let outlet = ConversationOutlet(to: endpoint, tls: nil, patience, NsqDialect(target, output), output)
    return DeliverySink(name: name, output, outlet: outlet)
  }
}
