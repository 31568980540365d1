/// Where a sink that writes to a connection connects to.
public struct StreamSinkSettings: Sendable, Equatable {
  /// For `tcp`.
  public var address = ServerAddress(host: "", port: 0)
  /// For `unix`.
  public var path = ""
  /// How long connecting, with all that secures the connection, may take.
  public var connectTimeout = Duration.zero
  /// How long a batch may take that the peer does not read.
  public var sendTimeout = Duration.zero

  public init() {}
}

extension StreamSinkSettings {
  var traits: SinkTraits {
    path.isEmpty
      ? SinkTraits.connection("tcp \(address)", key: "address", to: address)
      : SinkTraits.connection(path, key: "path", to: address)
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var tcp: StreamSinkSettings {
    get { if case .tcp(let settings) = self { settings } else { StreamSinkSettings() } }
    set { self = .tcp(newValue) }
  }

  var unix: StreamSinkSettings {
    get { if case .unix(let settings) = self { settings } else { StreamSinkSettings() } }
    set { self = .unix(newValue) }
  }
}

extension SinkType {
  static let tcp = SinkType(
    "tcp",
    "A connection to a server, made again when it breaks. Nothing acknowledges rows: what the kernel has taken counts as "
      + "delivered. After a break the batch that was under way is sent from its beginning.",
    .tcp(StreamSinkSettings()),
    [
      Setting("address", \.kind.tcp.address, .serverAddress, required: true, reload: .pipeline, "The server."),
      Setting(
        "connect_timeout", \.kind.tcp.connectTimeout, .duration(.milliseconds(100) ... .seconds(300)), default: "10s",
        reload: .pipeline, "How long connecting may take, TLS included."),
      Setting(
        "send_timeout", \.kind.tcp.sendTimeout, .duration(.milliseconds(100) ... .seconds(3600)), default: "30s",
        reload: .pipeline, "A batch that the peer has not read by then breaks the connection."),
    ] + tls, groups: [tlsGroup])

  static let unix = SinkType(
    "unix", "A connection to a Unix socket, made again when it breaks.", .unix(StreamSinkSettings()),
    [
      Setting("path", \.kind.unix.path, .path, required: true, reload: .pipeline, "The server's socket."),
      Setting(
        "connect_timeout", \.kind.unix.connectTimeout, .duration(.milliseconds(100) ... .seconds(300)),
        default: "10s", reload: .pipeline, "How long connecting may take."),
      Setting(
        "send_timeout", \.kind.unix.sendTimeout, .duration(.milliseconds(100) ... .seconds(3600)), default: "30s",
        reload: .pipeline, "A batch that the peer has not read by then breaks the connection."),
    ])
}
