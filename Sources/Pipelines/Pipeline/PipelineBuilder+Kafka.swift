import Config
import IO
import Sinks

/// Kafka sinks: from settings to librdkafka's.
extension PipelineBuilder {
  func makeKafkaSink(
    _ part: PipelinePlan.SinkPlan, _ kafka: KafkaSinkSettings, _ output: SinkOutput
  ) throws(StartError) -> any Sink {
    let topic = FilledTemplate(kafka.topic, output.origin)
    let name = topic.text(at: wallClockNanoseconds())
    guard KafkaSinkSettings.isTopic(name) else {
      throw .configuration(
        "sink \(part.name): `\(name)` cannot be a topic: 1 to 249 of A-Z a-z 0-9 . _ - (topic: \(kafka.topic.written))")
    }
    let target = KafkaTarget(topic: topic, key: KafkaTarget.Key(kafka.key), messageBytes: kafka.maxMessageBytes)
    do throws(ClientError) {
      return try KafkaSink.make(
        name: part.name, KafkaSettings(kafka, part.tls, key: part.client), target, output, clients)
    } catch {
      throw .system("sink \(part.name): \(error)")
    }
  }
}

extension KafkaTarget.Key {
  init(_ key: KafkaSinkSettings.Key) {
    self =
      switch key {
      case .none: .none
      case .host: .host
      case .cookie: .cookie
      }
  }
}

extension KafkaSettings {
  /// Room in a message for its key and headers, beside the rows.
  private static let messageOverhead = 4 << 10

  init(_ kafka: KafkaSinkSettings, _ tls: TLSSettings, key: String) {
    let servers = kafka.brokers.map(\.description).joined(separator: ",")
    let milliseconds = { (duration: Duration) in String(duration.nanoseconds / 1_000_000) }
    let messageBytes = kafka.maxMessageBytes + Self.messageOverhead
    var properties = [
      ("bootstrap.servers", servers), ("client.id", "xtcpd"), ("enable.idempotence", "true"), ("acks", "all"),
      ("compression.codec", kafka.compression.rawValue), ("message.max.bytes", String(messageBytes)),
      ("message.timeout.ms", milliseconds(kafka.timeout)), ("linger.ms", milliseconds(kafka.linger)),
      // What sinks have under way is bounded by their batches; this bounds what the library adds for each message.
      ("queue.buffering.max.messages", "20000"),
      ("queue.buffering.max.kbytes", String(max(256 << 10, 2 * messageBytes >> 10))),
      ("reconnect.backoff.max.ms", "5000"), ("log_level", "0"), ("socket.keepalive.enable", "true"),
    ]
    var secrets: [(name: String, value: String)] = []
    let isSASL = kafka.mechanism != .none
    properties.append(
      (
        "security.protocol",
        isSASL ? (tls.isEnabled ? "sasl_ssl" : "sasl_plaintext") : tls.isEnabled ? "ssl" : "plaintext"
      ))
    if isSASL {
      properties += [("sasl.mechanism", kafka.mechanism.libraryName), ("sasl.username", kafka.username)]
      secrets.append(("sasl.password", kafka.password))
    }
    if tls.isEnabled {
      if !tls.caFile.isEmpty { properties.append(("ssl.ca.location", tls.caFile)) }
      if !tls.certificateFile.isEmpty { properties.append(("ssl.certificate.location", tls.certificateFile)) }
      if !tls.keyFile.isEmpty { properties.append(("ssl.key.location", tls.keyFile)) }
      properties += [
        ("enable.ssl.certificate.verification", tls.verifies ? "true" : "false"),
        ("ssl.endpoint.identification.algorithm", tls.verifies ? "https" : "none"),
      ]
    }
    self.init(
      key: key, servers: servers, properties: properties.map { (name: $0.0, value: $0.1) }, secrets: secrets)
  }
}

extension KafkaSinkSettings.Mechanism {
  fileprivate var libraryName: String {
    switch self {
    case .none, .plain: "PLAIN"
    case .scramSHA256: "SCRAM-SHA-256"
    case .scramSHA512: "SCRAM-SHA-512"
    }
  }
}
