/// Where and how a kafka sink produces.
public struct KafkaSinkSettings: Sendable, Equatable {
  /// What becomes the key of a message.
  public enum Key: String, CaseIterable, Sendable {
    case none, host, cookie
  }

  /// How the producer compresses.
  public enum Compression: String, CaseIterable, Sendable {
    case none, gzip, snappy, lz4, zstd
  }

  /// How the client says who it is.
  public enum Mechanism: String, CaseIterable, Sendable {
    case none, plain
    case scramSHA256 = "scram_sha_256"
    case scramSHA512 = "scram_sha_512"
  }

  public var brokers: [ServerAddress] = []
  public var topic = Template("")
  public var key = Key.none
  public var compression = Compression.none
  /// Bytes of the rows of one message at most.
  public var maxMessageBytes = 0
  /// How long the producer tries to deliver a message before the sink's own retries begin.
  public var timeout = Duration.zero
  /// How long a message waits for others to go with.
  public var linger = Duration.zero
  public var mechanism = Mechanism.none
  public var username = ""
  public var password = ""

  public init() {}
}

extension KafkaSinkSettings {
  var traits: SinkTraits {
    let servers = brokers.map(\.description)
    var traits = SinkTraits(destination: "kafka \(servers.joined(separator: ",")) \(topic.written)")
    traits.destinationKey = "topic"
    traits.marksRows = true
    traits.operations = 0
    var library = LibraryDemand(
      client: "kafka "
        + ClientIdentity.text(
          servers + [
            compression.rawValue, "\(maxMessageBytes)", "\(timeout)", "\(linger)", mechanism.rawValue, username,
            password,
          ]),
      library: "librdkafka", threads: 2 + brokers.count)
    // A socket and a pipe for each broker, and two pipes of the client.
    library.descriptors = 3 * brokers.count + 4
    traits.library = library
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var kafka: KafkaSinkSettings {
    get { if case .kafka(let settings) = self { settings } else { KafkaSinkSettings() } }
    set { self = .kafka(newValue) }
  }
}

extension SinkType {
  static let kafka = SinkType(
    "kafka",
    "Topics of a Kafka cluster: an idempotent producer that waits for all in-sync replicas. Sinks with equal settings of the "
      + "connection share one.",
    .kafka(KafkaSinkSettings()),
    [
      Setting(
        "brokers", \.kind.kafka.brokers, .list(of: .serverAddress, atLeast: 1), required: true, reload: .pipeline,
        "Brokers to learn the cluster from."),
      Setting(
        "topic", \.kind.kafka.topic, .template(.kafkaTopic), required: true, reload: .pipeline,
        "The topic; dates and hours are those of the batch."),
      Setting(
        "key", \.kind.kafka.key, .choice, default: "none", reload: .pipeline,
        "The key of messages: `none` and `host` make a message of a batch, `cookie` one of every row, so that the rows of a "
          + "socket stay in one partition."),
      Setting(
        "compression", \.kind.kafka.compression, .choice, default: "none", reload: .pipeline,
        "How the producer compresses what it sends."),
      Setting(
        "max_message_bytes", \.kind.kafka.maxMessageBytes, .size(1 << 10...64 << 20), default: "960KiB",
        reload: .pipeline,
        "Bytes of rows in a message; a batch that is longer is cut between rows. The broker must take 4KiB more "
          + "(`message.max.bytes`)."),
      Setting(
        "timeout", \.kind.kafka.timeout, .duration(.seconds(1) ... .seconds(300)), default: "30s", reload: .pipeline,
        "Time after which the producer gives a message back and `retry` begins."),
      Setting(
        "linger", \.kind.kafka.linger, .duration(.zero ... .seconds(10)), default: "5ms", reload: .pipeline,
        "Time that a message waits for others to the same partition."),
      Setting(
        "sasl.mechanism", \.kind.kafka.mechanism, .choice, default: "none", reload: .pipeline,
        "How the client says who it is."),
      Setting(
        "sasl.username", \.kind.kafka.username, .text(bytes: 1...256), otherwise: "none", reload: .pipeline,
        "Who it is."),
      Setting(
        "sasl.password", \.kind.kafka.password, .secret, otherwise: "none", reload: .pipeline,
        "Its password; never shown."),
    ] + tls.filter { $0.description.path != "tls.server_name" },
    groups: [
      ("sasl", "Authentication."), tlsGroup,
    ])
}

extension KafkaSinkSettings {
  /// Kafka takes it for the name of a topic (org.apache.kafka.common.internals.Topic).
  public static func isTopic(_ name: String) -> Bool { hasTopicForm(name) && !name.utf8.contains(where: isBrace) }

  /// The same of a name with places to be filled in.
  fileprivate static func hasTopicForm(_ name: String) -> Bool {
    (1...249).contains(name.utf8.count) && name != "." && name != ".."
      && name.utf8.allSatisfy { $0.isNameByte || isBrace($0) }
  }

  private static func isBrace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "{") || byte == UInt8(ascii: "}") }
}

extension ValueType where Value == String {
  fileprivate static var kafkaTopic: ValueType {
    ValueType(
      name: "topic", allowed: "1 to 249 of A-Z a-z 0-9 . _ -", schema: .pattern("^[A-Za-z0-9._{}-]{1,249}$")
    ) { node, path, reading in
      guard let text = ScalarForm.text(node, path, &reading) else { return nil }
      guard KafkaSinkSettings.hasTopicForm(text) else {
        reading.mismatch(path, "the name of a topic, 1 to 249 of A-Z a-z 0-9 . _ -", node)
        return nil
      }
      return text
    }
  }
}
