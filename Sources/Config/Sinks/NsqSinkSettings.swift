/// Where and how an nsq sink publishes.
public struct NsqSinkSettings: Sendable, Equatable {
  public var address = ServerAddress(host: "", port: 0)
  public var topic = Template("")
  /// A message of every row.
  public var eachRow = false
  /// Bytes of the rows of one message at most.
  public var maxMessageBytes = 0
  public var secret = ""
  /// How long connecting may take.
  public var connectTimeout = Duration.zero
  /// How long an answer may take.
  public var timeout = Duration.zero

  public init() {}
}

extension NsqSinkSettings {
  var traits: SinkTraits {
    var traits = SinkTraits.connection("nsq \(address) \(topic.written)", key: "topic", to: address)
    traits.marksRows = true
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var nsq: NsqSinkSettings {
    get { if case .nsq(let settings) = self { settings } else { NsqSinkSettings() } }
    set { self = .nsq(newValue) }
  }
}

extension SinkType {
  static let nsq = SinkType(
    "nsq", "A topic of an nsqd. Rows count as delivered when it has answered.", .nsq(NsqSinkSettings()),
    [
      Setting(
        "address", \.kind.nsq.address, .serverAddress, required: true, reload: .pipeline,
        "The TCP address of the nsqd; usually the one on this host."),
      Setting(
        "topic", \.kind.nsq.topic, .template(.nsqTopic), required: true, reload: .pipeline,
        "The topic; dates and hours are those of the batch."),
      Setting(
        "each_row", \.kind.nsq.eachRow, .boolean, default: "false", reload: .pipeline,
        "`true`: a message of every row, published many at a time (`MPUB`); `false`: one of as many rows as fit."),
      Setting(
        "max_message_bytes", \.kind.nsq.maxMessageBytes, .size(1 << 10...64 << 20), default: "960KiB",
        reload: .pipeline,
        "Bytes of rows in a message; a batch that is longer is cut between rows. The nsqd must take as many "
          + "(`--max-msg-size`)."),
      Setting(
        "secret", \.kind.nsq.secret, .secret, otherwise: "none", reload: .pipeline,
        "What the nsqd's `--auth-http-address` shall know of (`AUTH`); never shown."),
      Setting(
        "connect_timeout", \.kind.nsq.connectTimeout, .duration(.milliseconds(100) ... .seconds(300)), default: "10s",
        reload: .pipeline, "How long connecting may take."),
      Setting(
        "timeout", \.kind.nsq.timeout, .duration(.milliseconds(100) ... .seconds(300)), default: "10s",
        reload: .pipeline, "How long an answer is waited for."),
    ])
}

extension NsqSinkSettings {
  /// nsqd takes it for a topic (its `protocol.IsValidTopicName`).
  public static func isTopic(_ name: String) -> Bool {
    let suffix = "#ephemeral"
    let plain = name.hasSuffix(suffix) ? name.dropLast(suffix.count) : name[...]
    return name.utf8.count <= 64 && !plain.isEmpty && plain.utf8.allSatisfy(\.isNameByte)
  }
}

extension ValueType where Value == String {
  /// Places to be filled in stand between braces.
  fileprivate static var nsqTopic: ValueType {
    ValueType(
      name: "topic", allowed: "1 to 64 of A-Z a-z 0-9 . _ -, `#ephemeral` at its end among them",
      schema: .pattern("^[A-Za-z0-9._{}-]{1,120}(#ephemeral)?$")
    ) { node, path, reading in
      guard let text = ScalarForm.text(node, path, &reading) else { return nil }
      guard NsqSinkSettings.isTopic(text.filter { $0 != "{" && $0 != "}" }) else {
        reading.mismatch(path, "a topic of 1 to 64 of A-Z a-z 0-9 . _ -", node)
        return nil
      }
      return text
    }
  }
}
