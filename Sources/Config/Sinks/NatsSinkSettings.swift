/// Where and how a nats sink publishes.
public struct NatsSinkSettings: Sendable, Equatable {
  public var servers: [ServerAddress] = []
  public var subject = Template("")
  /// A stream acknowledges every message.
  public var usesJetStream = false
  /// Bytes of the rows of one message at most; a server may take fewer.
  public var maxMessageBytes = 0
  /// How long a connection or an acknowledgement is waited for.
  public var timeout = Duration.zero
  public var user = ""
  public var password = ""
  public var token = ""
  /// Path of a file with a JWT and a seed.
  public var credentialsFile = ""

  public init() {}
}

extension NatsSinkSettings {
  var traits: SinkTraits {
    let names = servers.map(\.description)
    var traits = SinkTraits(destination: "nats \(names.joined(separator: ",")) \(subject.written)")
    traits.destinationKey = "subject"
    traits.marksRows = true
    traits.operations = 0
    // JetStream is part of the client's name because it takes one thread more.
    var library = LibraryDemand(
      client: "nats "
        + ClientIdentity.text(names + ["\(usesJetStream)", "\(timeout)", user, password, token, credentialsFile]),
      // The connection's reader and flusher and the thread that publishes; the library's timers, callbacks and garbage.
      library: "cnats", threads: usesJetStream ? 4 : 3, sharedThreads: 3)
    library.descriptors = 3
    traits.library = library
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var nats: NatsSinkSettings {
    get { if case .nats(let settings) = self { settings } else { NatsSinkSettings() } }
    set { self = .nats(newValue) }
  }
}

extension SinkType {
  static let nats = SinkType(
    "nats",
    "Subjects of a NATS server or cluster, core or JetStream. Sinks with equal settings of the connection share one.",
    .nats(NatsSinkSettings()),
    [
      Setting(
        "servers", \.kind.nats.servers, .list(of: .serverAddress, atLeast: 1), required: true, reload: .pipeline,
        "Servers of one cluster; whichever answers is used."),
      Setting(
        "subject", \.kind.nats.subject, .template(.natsSubject), required: true, reload: .pipeline,
        "The subject; dates and hours are those of the batch."),
      Setting(
        "jetstream", \.kind.nats.usesJetStream, .boolean, default: "false", reload: .pipeline,
        "`true`: rows count as delivered when a stream, which must exist, has acknowledged them. `false`: when the server has "
          + "read them."),
      Setting(
        "max_message_bytes", \.kind.nats.maxMessageBytes, .size(1 << 10...64 << 20), default: "960KiB",
        reload: .pipeline,
        "Bytes of rows in a message; a batch that is longer, or longer than the server's `max_payload` less 2KiB, is cut "
          + "between rows."),
      Setting(
        "timeout", \.kind.nats.timeout, .duration(.seconds(1) ... .seconds(60)), default: "5s", reload: .pipeline,
        "How long a connection or an acknowledgement is waited for."),
      Setting("user", \.kind.nats.user, .text(bytes: 1...256), otherwise: "none", reload: .pipeline, "Who it is."),
      Setting(
        "password", \.kind.nats.password, .secret, otherwise: "none", reload: .pipeline,
        "Its password; never shown."),
      Setting(
        "token", \.kind.nats.token, .secret, otherwise: "none", reload: .pipeline,
        "In place of user and password; never shown."),
      Setting(
        "credentials_file", \.kind.nats.credentialsFile, .path, otherwise: "none", reload: .pipeline,
        "A file of credentials (JWT and seed) as `nsc` writes it."),
    ] + tls,
    groups: [tlsGroup])
}

extension NatsSinkSettings {
  /// NATS takes it for a subject to publish to: tokens between dots, without wildcards.
  public static func isSubject(_ name: String) -> Bool {
    (1...255).contains(name.utf8.count)
      && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { token in
        !token.isEmpty
          && token.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "*") && $0 != UInt8(ascii: ">") }
      }
  }
}

extension ValueType where Value == String {
  fileprivate static var natsSubject: ValueType {
    ValueType(
      name: "subject", allowed: "tokens between dots, at most 255 bytes",
      schema: .pattern("^[^\\s.*>]+(\\.[^\\s.*>]+)*$")
    ) { node, path, reading in
      guard let text = ScalarForm.text(node, path, &reading) else { return nil }
      guard NatsSinkSettings.isSubject(text) else {
        reading.mismatch(path, "a subject such as xtcp.rows, without wildcards and spaces", node)
        return nil
      }
      return text
    }
  }
}
