/// Where and how a valkey sink writes.
public struct ValkeySinkSettings: Sendable, Equatable {
  /// What brings rows.
  public enum Command: String, CaseIterable, Sendable {
    /// An entry of a stream, which is kept.
    case xadd
    /// A message of a channel, for whoever listens.
    case publish
  }

  public var address = ServerAddress(host: "", port: 0)
  public var command = Command.xadd
  public var key = Template("")
  /// Entries that the server keeps, about; 0: all.
  public var maxLength = 0
  /// An entry of every row.
  public var eachRow = false
  /// Bytes of the rows of one entry at most.
  public var maxMessageBytes = 0
  public var username = ""
  public var password = ""
  public var database = 0
  /// How long connecting, with all that secures the connection, may take.
  public var connectTimeout = Duration.zero
  /// How long an answer may take.
  public var timeout = Duration.zero

  public init() {}
}

extension ValkeySinkSettings {
  var traits: SinkTraits {
    var traits = SinkTraits.connection("valkey \(address)/\(database) \(key.written)", key: "key", to: address)
    traits.marksRows = true
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var valkey: ValkeySinkSettings {
    get { if case .valkey(let settings) = self { settings } else { ValkeySinkSettings() } }
    set { self = .valkey(newValue) }
  }
}

extension SinkType {
  static let valkey = SinkType(
    "valkey", aliases: ["redis"],
    "A stream or a channel of a Valkey or Redis server. Rows count as delivered when the server has answered.",
    .valkey(ValkeySinkSettings()),
    [
      Setting("address", \.kind.valkey.address, .serverAddress, required: true, reload: .pipeline, "The server."),
      Setting(
        "command", \.kind.valkey.command, .choice, default: "xadd", reload: .pipeline,
        "`xadd` adds entries to a stream, which keeps them; `publish` sends them to whoever listens to a channel."),
      Setting(
        "key", \.kind.valkey.key, .template(.text(bytes: 1...512)), required: true, reload: .pipeline,
        "The stream's key, or the channel; dates and hours are those of the batch."),
      Setting(
        "max_length", \.kind.valkey.maxLength, .integer(0...1_000_000_000), default: "10000", reload: .pipeline,
        "Entries of the stream, about, beyond which the server drops the oldest (`MAXLEN ~`); `0`: it keeps all."),
      Setting(
        "each_row", \.kind.valkey.eachRow, .boolean, default: "false", reload: .pipeline,
        "`true`: an entry of every row; `false`: one of as many rows as fit."),
      Setting(
        "max_message_bytes", \.kind.valkey.maxMessageBytes, .size(1 << 10...64 << 20), default: "64KiB",
        reload: .pipeline, "Bytes of rows in an entry; a batch that is longer is cut between rows."),
      Setting(
        "database", \.kind.valkey.database, .integer(0...65_535), default: "0", reload: .pipeline,
        "The number of the database (`SELECT`)."),
      Setting(
        "username", \.kind.valkey.username, .text(bytes: 1...256), otherwise: "that of the server's `requirepass`",
        reload: .pipeline, "Who it is (`AUTH`)."),
      Setting(
        "password", \.kind.valkey.password, .secret, otherwise: "none", reload: .pipeline,
        "Its password; never shown."),
      Setting(
        "connect_timeout", \.kind.valkey.connectTimeout, .duration(.milliseconds(100) ... .seconds(300)),
        default: "10s", reload: .pipeline, "How long connecting may take, TLS included."),
      Setting(
        "timeout", \.kind.valkey.timeout, .duration(.milliseconds(100) ... .seconds(300)), default: "10s",
        reload: .pipeline, "How long an answer is waited for."),
    ] + tls, groups: [tlsGroup])
}
