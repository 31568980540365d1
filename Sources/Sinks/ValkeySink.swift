internal import CHiredis
import IO

/// What a valkey sink says, and where.
public struct ValkeyTarget: Sendable {
  /// Of the stream, or the channel.
  public var key: FilledTemplate
  /// PUBLISH in place of XADD.
  public var publishes = false
  /// Entries after which the server drops the oldest, about; 0: never.
  public var maxLength = 0
  /// Bytes of one entry's rows at most.
  public var messageBytes: Int
  /// An entry of every row.
  public var eachRow = false
  public var user = ""
  public var password = ""
  public var database = 0

  public init(key: FilledTemplate, messageBytes: Int) {
    self.key = key
    self.messageBytes = messageBytes
  }
}

/// RESP, the language of Redis and Valkey (https://valkey.io/topics/protocol/), which hiredis formats and reads.
final class ValkeyDialect: Dialect {
  private let target: ValkeyTarget
  private let origin: SinkOrigin
  private let framing: RowFraming
  private let library: UnsafePointer<chiredis>
  /// Of this conversation: one that has seen an error stays in it.
  private var reader: UnsafeMutablePointer<redisReader>?
  private let reply: UnsafeMutablePointer<chiredis_reply>
  /// Bytes since the last whole answer.
  private var pending = 0
  /// An answer is a number, a name of an entry or a line of error.
  private static let answerLimit = 64 << 10

  private let secrets: PeerSecrets

  let serverName = "valkey"
  let greeting: (bytes: [UInt8], answers: Int)

  /// - Throws: hiredis is not installed.
  init(_ target: ValkeyTarget, _ output: SinkOutput) throws(ClientError) {
    self.target = target
    origin = output.origin
    framing = output.framing
    secrets = PeerSecrets([target.password])
    let library = try Self.load()
    self.library = library
    reply = .allocate(capacity: 1)
    reply.initialize(to: chiredis_reply())
    let commands = Self.greeting(target)
    greeting = (commands.flatMap { RESPCommand($0).bytes(library) }, commands.count)
  }

  deinit {
    if let reader { library.pointee.redisReaderFree(reader) }
    reply.deallocate()
  }

  private static func load() throws(ClientError) -> UnsafePointer<chiredis> {
    var text = [CChar](repeating: 0, count: 256)
    guard let library = chiredis_load(&text, text.count) else {
      let why = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      throw ClientError("libhiredis cannot be loaded (\(why)); install the Debian package libhiredis0.14")
    }
    return library
  }

  /// At least one command: a server that answers it is one, and takes commands.
  private static func greeting(_ target: ValkeyTarget) -> [[String]] {
    var commands: [[String]] = []
    if !target.password.isEmpty {
      commands.append(["AUTH"] + (target.user.isEmpty ? [] : [target.user]) + [target.password])
    }
    if target.database != 0 { commands.append(["SELECT", "\(target.database)"]) }
    return commands.isEmpty ? [["PING"]] : commands
  }

  // MARK: Requests

  func layOut(_ shipment: Shipment, into requests: RequestList) {
    for index in 0..<shipment.count {
      let facts = shipment.facts(of: index)
      let command = RESPCommand(target.publishes ? publish(facts) : add(facts))
      var messages = BatchMessages(
        facts, byteCount: shipment.bytes(of: index).count, marks: shipment.marks(of: index), framing: framing,
        limit: target.messageBytes, eachRow: target.eachRow)
      while let message = messages.next() {
        guard !message.isTooLarge, message.bytes.upperBound <= shipment.bytes(of: index).count else {
          requests.leaveOut(rows: message.rows.count)
          continue
        }
        let rows = UnsafeRawBufferPointer(rebasing: shipment.bytes(of: index)[message.bytes])
        command.append(rows, message, library, to: requests)
      }
    }
  }

  private func publish(_ facts: BatchFacts) -> [String] { ["PUBLISH", target.key.text(at: facts.sealedAt)] }

  private func add(_ facts: BatchFacts) -> [String] {
    ["XADD", target.key.text(at: facts.sealedAt)]
      + (target.maxLength > 0 ? ["MAXLEN", "~", "\(target.maxLength)"] : [])
      + [
        "*", "schema", origin.schema, "hostname", origin.hostname, "pipeline", origin.pipeline, "format", origin.format,
        "batch_id", facts.id.description, "rows",
      ]
  }

  // MARK: Answers

  func restart() {
    if let reader { library.pointee.redisReaderFree(reader) }
    reader = chiredis_reader(library, reply)
    pending = 0
  }

  func feed(_ bytes: UnsafeRawBufferPointer) throws(ConversationEnd) {
    pending += bytes.count
    let text = bytes.bindMemory(to: CChar.self).baseAddress
    guard let text, let reader, library.pointee.redisReaderFeed(reader, text, bytes.count) == REDIS_OK else {
      throw ConversationEnd(message: "no memory for an answer")
    }
  }

  func nextAnswer() throws(ConversationEnd) -> Answer? {
    guard let reader else { return nil }
    var object: UnsafeMutableRawPointer?
    guard library.pointee.redisReaderGetReply(reader, &object) == REDIS_OK else {
      throw ConversationEnd(message: "it does not speak RESP; is it a Redis or Valkey server?")
    }
    guard object != nil else {
      guard pending <= Self.answerLimit else { throw ConversationEnd(message: "an answer without an end") }
      return nil
    }
    pending = reader.pointee.len - reader.pointee.pos
    guard reply.pointee.type == REDIS_REPLY_ERROR else { return .accepted }
    let text = PeerText.line(
      withUnsafeBytes(of: &reply.pointee.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) },
      hiding: secrets)
    // Another server is the one to write to, or will be soon: the name may lead there.
    if text.hasPrefix("READONLY") || text.hasPrefix("LOADING") { throw ConversationEnd(message: text) }
    return .failed(text)
  }
}

/// A command and its arguments.
private struct RESPCommand {
  private let arguments: [[UInt8]]

  init(_ arguments: [String]) { self.arguments = arguments.map { Array($0.utf8) } }

  /// As it is sent.
  func bytes(_ library: UnsafePointer<chiredis>) -> [UInt8] {
    guard let text = format(nil, library) else { return [] }
    defer { library.pointee.redisFreeCommand(text.baseAddress) }
    return text.map(UInt8.init(bitPattern:))
  }

  /// The command with one more argument: rows, behind the length of a frame if they have one.
  func append(
    _ rows: UnsafeRawBufferPointer, _ message: BatchMessages.Message, _ library: UnsafePointer<chiredis>,
    to requests: RequestList
  ) {
    let text: UnsafeMutableBufferPointer<CChar>?
    if let lengthPrefix = message.lengthPrefix {
      let size = Uvarint.size(lengthPrefix)
      text = withUnsafeTemporaryAllocation(byteCount: size + rows.count, alignment: 1) { framed in
        guard let base = framed.baseAddress else { return nil }
        Uvarint.put(lengthPrefix, at: base)
        UnsafeMutableRawBufferPointer(rebasing: framed[size...]).copyMemory(from: rows)
        return format(UnsafeRawBufferPointer(framed), library)
      }
    } else {
      text = format(rows, library)
    }
    // No memory for so long a command.
    guard let text else { return requests.leaveOut(rows: message.rows.count) }
    requests.begin(rows: message.rows.count)
    requests.append(adopting: UnsafeMutableRawBufferPointer(text)) { memory in
      library.pointee.redisFreeCommand(memory.assumingMemoryBound(to: CChar.self))
    }
  }

  /// Nil: there is no memory for it.
  private func format(
    _ last: UnsafeRawBufferPointer?, _ library: UnsafePointer<chiredis>
  ) -> UnsafeMutableBufferPointer<CChar>? {
    // One run of memory for all arguments, so that a pointer to each stays valid during the call.
    let joined = arguments.flatMap(\.self)
    return joined.withUnsafeBytes { bytes in
      var pointers: [UnsafePointer<CChar>?] = []
      var lengths: [Int] = []
      var start = 0
      for argument in arguments {
        pointers.append((bytes.baseAddress.map { $0 + start })?.assumingMemoryBound(to: CChar.self))
        lengths.append(argument.count)
        start += argument.count
      }
      if let last {
        pointers.append(last.baseAddress?.assumingMemoryBound(to: CChar.self))
        lengths.append(last.count)
      }
      var text: UnsafeMutablePointer<CChar>?
      let count = library.pointee.redisFormatCommandArgv(&text, Int32(pointers.count), &pointers, lengths)
      guard count > 0, let text else { return nil }
      return UnsafeMutableBufferPointer(start: text, count: Int(count))
    }
  }
}

extension DeliverySink {
  /// A sink that writes to a Redis or Valkey server.
  ///
  /// - Parameter tls: nil: none.
  /// - Throws: hiredis is not installed.
  public static func valkey(
    name: String, to endpoint: Endpoint, tls: TLSContext?, _ target: ValkeyTarget, _ patience: ConversationPatience,
    _ output: SinkOutput
  ) throws(ClientError) -> DeliverySink {
    let dialect = try ValkeyDialect(target, output)
    return DeliverySink(
      name: name, output, outlet: ConversationOutlet(to: endpoint, tls: tls, patience, dialect, output))
  }
}
