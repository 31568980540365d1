import IO

/// Where an http sink sends, and how.
public struct HTTPSinkOptions: Sendable {
  public var url: String
  /// POST or PUT.
  public var method = "POST"
  /// Name and value.
  public var headers: [(name: String, value: String)] = []
  /// Both empty: none.
  public var username = ""
  public var password = ""
  /// Empty: none.
  public var bearerToken = ""
  /// The header that names a batch; empty: none.
  public var batchHeader = ""
  public var compression = HTTPCompression.none
  public var client = HTTPOptions()

  public init(url: String) { self.url = url }
}

/// A request a batch to any server: 2xx is an acknowledgement.
struct HTTPSinkDialect: HTTPDialect {
  private let options: HTTPSinkOptions
  private let place: String
  private let secrets: PeerSecrets
  private let login: HTTPLogin
  private let headers: [String]

  init(_ options: HTTPSinkOptions, format: String) {
    self.options = options
    place = "\(options.method) \(HTTPPlace.origin(of: options.url))"
    let basic = Base64.encode("\(options.username):\(options.password)")
    secrets = PeerSecrets([options.password, options.bearerToken, basic] + options.headers.map(\.value))
    login =
      !options.bearerToken.isEmpty
      ? .bearer(options.bearerToken)
      : options.username.isEmpty && options.password.isEmpty
        ? .none : .basic(user: options.username, password: options.password)
    var headers = options.headers.map { "\($0.name): \($0.value)" }
    // What is configured comes first.
    if !options.headers.contains(where: { $0.name.lowercased() == "content-type" }) {
      headers.append("Content-Type: \(HTTPContentType.of(format))")
    }
    if let encoding = options.compression.contentEncoding { headers.append("Content-Encoding: \(encoding)") }
    self.headers = headers
  }

  var probe: HTTPRequest { HTTPRequest(kind: .connect, url: options.url) }

  func request(for shipment: Shipment) -> HTTPRequest {
    var request = HTTPRequest(kind: .upload(method: options.method), url: options.url, headers: headers, login: login)
    if !options.batchHeader.isEmpty { request.headers.append("\(options.batchHeader): \(shipment.id)") }
    return request
  }

  func failure(_ answer: HTTPAnswer) -> Failure? {
    // A connection that was only made has no status.
    if answer.status == 0, answer.failure == nil { return nil }
    return answer.failure(place, hiding: secrets)
  }
}

extension HTTPCompression {
  /// `Content-Encoding`.
  var contentEncoding: String? {
    switch self {
    case .none: nil
    case .gzip: "gzip"
    case .zstd: "zstd"
    }
  }
}

enum HTTPPlace {
  /// `https://host:port` of a URL: paths and queries may hold what is not for logs.
  static func origin(of url: String) -> String {
    guard let scheme = url.firstRange(of: "://") else { return "the server" }
    let rest = url[scheme.upperBound...]
    return String(url[..<scheme.upperBound]) + rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
  }
}

extension DeliverySink {
  /// A sink that posts batches to a server.
  public static func http(
    name: String, _ options: HTTPSinkOptions, gather: GatherPolicy?, _ output: SinkOutput
  ) throws(HTTPSetupError) -> DeliverySink {
    let content = try HTTPContent(header: output.header, framing: output.framing, compression: options.compression)
    let dialect = HTTPSinkDialect(options, format: output.origin.format)
    let outlet = try HTTPOutlet(dialect, content, options.client, output)
    return DeliverySink(name: name, output, outlet: outlet, gather: gather)
  }
}
