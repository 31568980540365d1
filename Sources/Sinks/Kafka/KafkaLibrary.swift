internal import CRdkafka

/// librdkafka, loaded on first use.
struct KafkaLibrary: Sendable {
  /// Constant once loaded, and for the life of the process.
  nonisolated(unsafe) let functions: UnsafePointer<crdkafka>

  /// - Throws: the library is not installed, or too old.
  static func load() throws(ClientError) -> KafkaLibrary {
    var text = [CChar](repeating: 0, count: 256)
    guard let functions = crdkafka_load(&text, text.count) else {
      let why = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      throw ClientError("librdkafka cannot be loaded (\(why)); install the Debian package librdkafka1")
    }
    return KafkaLibrary(functions: functions)
  }

  /// What an error means, in the library's words.
  func text(_ error: rd_kafka_resp_err_t) -> String {
    let words = functions.pointee.rd_kafka_err2str(error).map { String(cString: $0) } ?? "error \(error.rawValue)"
    // "Local: " and "Broker: " say who found out.
    return words.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? words
  }
}

/// How a producer is set up. Sinks with equal settings share it.
public struct KafkaSettings: Sendable {
  /// Names the client by all of its settings. Holds secrets: never shown.
  public var key: String
  /// For messages: the configured servers.
  public var servers: String
  /// librdkafka's own names and values, without secrets.
  public var properties: [(name: String, value: String)]
  public var secrets: [(name: String, value: String)]

  public init(
    key: String, servers: String, properties: [(name: String, value: String)],
    secrets: [(name: String, value: String)]
  ) {
    self.key = key
    self.servers = servers
    self.properties = properties
    self.secrets = secrets
  }
}
