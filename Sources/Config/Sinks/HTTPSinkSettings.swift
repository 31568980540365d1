/// Where an http sink sends, and how.
public struct HTTPSinkSettings: Sendable, Equatable {
  public var url = ""
  public var method = HTTPMethod.post
  public var headers: [HTTPHeader] = []
  /// Who it is, by name; empty: nobody.
  public var username = ""
  public var password = ""
  /// Who it is, by a token in place of a name.
  public var bearerToken = ""
  /// The header that names a batch; nil: none.
  public var batchHeader: String?
  public var compression = BodyCompression.none

  public init() {}
}

/// How a batch is sent.
public enum HTTPMethod: String, CaseIterable, Sendable {
  case post = "POST"
  case put = "PUT"
}

/// How the body of a request is compressed.
public enum BodyCompression: String, CaseIterable, Sendable {
  case none, gzip, zstd
}

/// A header of each request. May hold a secret.
public struct HTTPHeader: Sendable, Equatable {
  public var name: String
  public var value: String
}

/// How long a server may take.
public struct HTTPTimeouts: Sendable, Equatable {
  /// For connecting, TLS included.
  public var connect = Duration.zero
  /// For a whole request.
  public var total = Duration.zero
  /// Without a byte in either direction.
  public var stall = Duration.zero

  public init() {}
}

extension HTTPSinkSettings {
  var traits: SinkTraits {
    var traits = SinkTraits.http
    traits.destination = "http \(url)"
    return traits
  }
}

extension SinkTraits {
  /// What all sinks that go through libcurl have in common.
  static var http: SinkTraits {
    var traits = SinkTraits()
    traits.destinationKey = "url"
    traits.sharesDestination = true
    // Two addresses that are tried at once and the name that is looked up, with the polls before theirs.
    traits.operations = 8
    // The socket, one that is being closed and one of another address, and their duplicates; the pipe of a name that is looked up.
    traits.descriptors = 8
    // Names are looked up on a thread that ends with the answer.
    traits.library = LibraryDemand(client: "libcurl", library: "libcurl", threads: 0, sharedThreads: 1)
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var http: HTTPSinkSettings {
    get { if case .http(let settings) = self { settings } else { HTTPSinkSettings() } }
    set { self = .http(newValue) }
  }
}

extension SinkType {
  static let http = SinkType(
    "http",
    "Requests to a server, through libcurl (Debian package libcurl4). A status of 2xx acknowledges the rows; 408, 425, 429, 5xx and "
      + "3xx are tried again, not before `Retry-After`; 413 and every other 4xx drop them. Redirections are not followed, proxies of "
      + "the environment not used.",
    .http(HTTPSinkSettings()),
    [
      Setting("url", \.kind.http.url, .url, required: true, reload: .pipeline, "The server."),
      Setting("method", \.kind.http.method, .choice, default: "POST", reload: .pipeline, "`POST` or `PUT`."),
      Setting(
        "headers", \.kind.http.headers, .headers, otherwise: "none", reload: .pipeline,
        "Headers of each request, by name. `Content-Type` is set from the format unless it is here."),
      Setting(
        "username", \.kind.http.username, .text(bytes: 1...1024), otherwise: "none", reload: .pipeline,
        "For HTTP's basic authentication."),
      Setting(
        "password", \.kind.http.password, .secret, otherwise: "none", reload: .pipeline,
        "For HTTP's basic authentication."),
      Setting(
        "bearer_token", \.kind.http.bearerToken, .secret, otherwise: "none", reload: .pipeline,
        "A token to show in place of a name and a password."),
      Setting(
        "batch_header", \.kind.http.batchHeader, .none(or: .headerName), default: "X-Xtcpd-Batch-Id", reload: .pipeline,
        "The header that names the batch, the same each time it is sent, so that a server can tell it comes again."),
      Setting(
        "compression", \.kind.http.compression, .choice, default: "none", reload: .pipeline,
        "How bodies are compressed: `none`, `gzip` or `zstd`, which `Content-Encoding` says."),
    ] + httpTimeouts(total: "60s", stall: "30s") + httpTLS
      + gather(bytes: "64KiB", maxAge: "0s"),
    groups: [httpTLSGroup, gatherGroup])

  /// The settings of how long a server may take.
  static func httpTimeouts(total: String, stall: String) -> [Setting<SinkSettings>] {
    [
      Setting(
        "connect_timeout", \.timeouts.connect, .duration(.milliseconds(100) ... .seconds(300)),
        default: "10s", reload: .pipeline, "How long connecting may take, TLS included."),
      Setting(
        "timeout", \.timeouts.total, .duration(.milliseconds(100) ... .seconds(86_400)),
        default: total, reload: .pipeline, "How long a whole request may take."),
      Setting(
        "stall_timeout", \.timeouts.stall, .duration(.seconds(1) ... .seconds(86_400)),
        default: stall, reload: .pipeline, "How long a request may take in which no byte moves; whole seconds."),
    ]
  }

  /// `tls`, less what a URL says.
  static let httpTLS = tls.filter { !["tls.enabled", "tls.server_name"].contains($0.description.path) }
  static let httpTLSGroup = (path: "tls", doc: "How a connection to an https URL is secured; at least TLS 1.2.")
}

extension ValueType where Value == String {
  /// `http://host:port/path` or https; no password in it, so that it can be shown.
  static var url: ValueType {
    ValueType(
      name: "URL", allowed: "http or https, without user and fragment",
      schema: .pattern("^https?://([A-Za-z0-9._-]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?([/?][!-~]*)?$")
    ) { node, path, reading in
      if let text = node.scalar?.text, HTTPURL.isSound(text) { return text }
      if node.scalar?.text.contains("@") == true {
        // There may be a password in it.
        reading.problems.hide(node.mark)
        reading.problems.error(
          node.mark, "`\(path)` must be a URL without a user, which has settings of its own, and without a fragment")
      } else {
        reading.mismatch(path, "a URL such as https://collector.example.com/rows, without user and fragment", node)
      }
      return nil
    }
  }

  /// The name of a header, RFC 9110 section 5.1.
  static var headerName: ValueType {
    ValueType(
      name: "header name", allowed: "RFC 9110", schema: .pattern("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")
    ) { node, path, reading in
      guard let text = node.scalar?.text, HTTPHeader.isName(text) else {
        reading.mismatch(path, "the name of a header such as X-Batch", node)
        return nil
      }
      guard !HTTPHeader.isReserved(text) else {
        reading.problems.error(node.mark, "`\(path)` cannot be \(text): it is set for each request as it must be")
        return nil
      }
      return text
    }
  }
}

extension ValueType where Value == [HTTPHeader] {
  /// Headers by name. Their values are never shown.
  static var headers: ValueType {
    let name = ValueType<String>.headerName
    return ValueType(
      name: "headers by name", allowed: "values of at most 8192 bytes",
      schema: .object(
        .init("type", .string("object")), .init("propertyNames", name.schema),
        .init("additionalProperties", .object(.init("type", .strings(["string", "null"]))))
      )
    ) { node, path, reading in
      guard let entries = node.entries else {
        reading.mismatch(path, "a mapping from names of headers", node)
        return nil
      }
      return entries.compactMap { header($0, path, &reading) }
    }
  }

  private static func header(_ entry: Node.Entry, _ path: String, _ reading: inout Reading) -> HTTPHeader? {
    if entry.value.isNull, reading.permitsRemoval || !entry.replaced.isEmpty { return nil }
    guard HTTPHeader.isName(entry.key) else {
      reading.problems.error(entry.keyMark, "\(entry.key.quotedForMessage) is no name of a header")
      return nil
    }
    guard !HTTPHeader.isReserved(entry.key) else {
      reading.problems.error(entry.keyMark, "`\(entry.key)` is set for each request as it must be; remove it")
      return nil
    }
    guard let text = ValueType<String>.secret.read(entry.value, "\(path).\(entry.key)", &reading) else { return nil }
    guard (1...8192).contains(text.utf8.count) else {
      reading.problems.error(entry.value.mark, "`\(path).\(entry.key)` must be 1 to 8192 bytes long")
      return nil
    }
    return HTTPHeader(name: entry.key, value: text)
  }
}

extension HTTPHeader {
  /// A token, RFC 9110 section 5.6.2.
  static func isName(_ text: String) -> Bool {
    (1...128).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "!#$%&'*+.^_`|~-".utf8.contains(byte)
        }
      }
  }

  /// What a request cannot do without or has its own setting.
  static func isReserved(_ name: String) -> Bool {
    [
      "authorization", "connection", "content-encoding", "content-length", "expect", "host", "te", "trailer",
      "transfer-encoding", "upgrade",
    ].contains(name.lowercased())
  }
}

enum HTTPURL {
  /// Whether libcurl and people read the same in it: a scheme, a host, a port, and printable ASCII.
  static func isSound(_ text: String) -> Bool {
    guard (1...4096).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x23 })
    else { return false }
    guard let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }) else { return false }
    let authority = text.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" }
    guard !authority.contains("@"), !authority.contains("\\") else { return false }
    let hasPort = authority.split(separator: "]", omittingEmptySubsequences: false).last?.contains(":") ?? false
    return ServerAddress(hasPort ? String(authority) : "\(authority):1") != nil
  }
}
