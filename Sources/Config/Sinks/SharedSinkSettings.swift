/// How a connection is secured.
public struct TLSSettings: Sendable, Equatable {
  public var isEnabled = false
  /// Path of the certificates that are trusted; empty: those of the system.
  public var caFile = ""
  /// Paths of the certificate and key that the peer asks for; empty: none.
  public var certificateFile = ""
  public var keyFile = ""
  /// Whom the peer's certificate must name; empty: the host that is connected to.
  public var serverName = ""
  public var verifies = true

  public init() {}

  /// Equal for settings that are equal, and only for those.
  var identity: String {
    guard isEnabled else { return "" }
    return ClientIdentity.text([caFile, certificateFile, keyFile, serverName, "\(verifies)"])
  }
}

/// Tells apart what clients are made with.
enum ClientIdentity {
  /// Lengths keep values apart, whatever is in them.
  static func text(_ values: [String]) -> String { values.map { "\($0.utf8.count):\($0)," }.joined() }
}

/// A server: a host, by name or in numbers, and a port.
public struct ServerAddress: Sendable, Hashable, CustomStringConvertible {
  /// Without brackets.
  public var host: String
  public var port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// The thread that looks names up, one for all sinks; nil: the host is no name.
  var resolver: LibraryDemand? {
    guard !host.isEmpty, IPAddress(host) == nil else { return nil }
    return LibraryDemand(client: "resolver", library: "resolver", threads: 0, sharedThreads: 1)
  }
}

extension ServerAddress {
  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    var host = text[..<colon]
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(digits), port > 0 else { return nil }
    if host.hasPrefix("[") && host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard IPAddress(String(host))?.isIPv6 == true else { return nil }
    } else {
      guard !host.isEmpty, host.utf8.count <= 253, host.utf8.allSatisfy(\.isNameByte) else { return nil }
    }
    self.init(host: String(host), port: Int(port))
  }
}

extension UInt8 {
  /// What names of hosts, topics and the like consist of: `A-Z a-z 0-9 . _ -`.
  var isNameByte: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}

extension ValueType where Value == ServerAddress {
  /// `HOST:PORT`, an IPv6 address in brackets.
  static var serverAddress: ValueType {
    ValueType(
      name: "server", allowed: "`HOST:PORT`",
      schema: .pattern("^([A-Za-z0-9._-]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$")
    ) { node, path, reading in
      guard let text = node.scalar?.text, let address = ServerAddress(text) else {
        reading.mismatch(path, "a host and port such as collector.example.com:9000 or [::1]:9000", node)
        return nil
      }
      return address
    }
  }
}

extension ValueType where Value == String {
  /// A text that is never shown: in the file best as `${env:X}`, `${file:/path}` or `${credential:name}`.
  static var secret: ValueType {
    ValueType(
      name: "secret", allowed: "1 to 16384 bytes",
      schema: .object(
        .init("type", .string("string")), .init("minLength", .integer(1)), .init("maxLength", .integer(16_384)))
    ) { node, path, reading in
      guard let text = ScalarForm.text(node, path, &reading) else { return nil }
      if node.scalar?.written == text { reading.problems.hide(node.mark) }
      guard (1...16_384).contains(text.utf8.count) else {
        let length = text.isEmpty ? "it is empty" : "not \(text.utf8.count)"
        reading.problems.error(node.mark, "`\(path)` must be 1 to 16384 bytes long, \(length)")
        return nil
      }
      return text
    }
  }
}

extension SinkType {
  /// The settings of a secured connection, under `tls`, for types whose connections can be.
  static let tls: [Setting<SinkSettings>] = [
    Setting(
      "tls.enabled", \.tls.isEnabled, .boolean, default: "false", reload: .pipeline,
      "Whether the connection is secured."),
    Setting(
      "tls.ca_file", \.tls.caFile, .path, otherwise: "those of the system", reload: .pipeline,
      "PEM file of the certificates that are trusted."),
    Setting(
      "tls.cert_file", \.tls.certificateFile, .path, otherwise: "none", reload: .pipeline,
      "PEM file of the certificate to show to a peer that asks for one."),
    Setting(
      "tls.key_file", \.tls.keyFile, .path, otherwise: "none", reload: .pipeline, "PEM file of its key."),
    Setting(
      "tls.server_name", \.tls.serverName, .text(bytes: 1...253), otherwise: "the host that is connected to",
      reload: .pipeline, "Whom the peer's certificate must name."),
    Setting(
      "tls.verify", \.tls.verifies, .boolean, default: "true", reload: .pipeline,
      "`false` trusts whoever answers: for tests only."),
  ]

  static let tlsGroup = (path: "tls", doc: "How the connection is secured; at least TLS 1.2.")

  /// The settings of a sink that gathers batches.
  static func gather(bytes: String, maxAge: String) -> [Setting<SinkSettings>] {
    [
      Setting(
        "batch.bytes", \.gather.bytes, .size(64 << 10...1 << 30), default: bytes, reload: .pipeline,
        "Bytes of rows that go together; the queue holds them until then."),
      Setting(
        "batch.rows", \.gather.rows, .integer(1...100_000_000), default: "100000000", reload: .pipeline,
        "Rows that go together."),
      Setting(
        "batch.max_age", \.gather.maxAge, .duration(.zero ... .seconds(86_400)), default: maxAge, reload: .pipeline,
        "Time after which what there is goes."),
    ]
  }

  static let gatherGroup = (
    path: "batch", doc: "How many rows go together: whichever limit is reached first, or the queue is full."
  )
}
