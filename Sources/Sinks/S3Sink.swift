import IO

/// Where an s3 sink puts objects, and how.
public struct S3SinkOptions: Sendable {
  /// A URL without a path.
  public var endpoint: String
  public var region: String
  public var bucket: String
  /// Goes before the batch's name in keys.
  public var prefix: FilledTemplate
  /// The bucket stands in the path and not in the host's name.
  public var pathStyle = false
  public var credentials: AWSCredentials
  public var compression = HTTPCompression.none
  public var client = HTTPOptions()

  public init(
    endpoint: String, region: String, bucket: String, prefix: FilledTemplate, credentials: AWSCredentials
  ) {
    self.endpoint = endpoint
    self.region = region
    self.bucket = bucket
    self.prefix = prefix
    self.credentials = credentials
  }
}

/// An object a shipment, put with AWS Signature Version 4 (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
/// The body is not part of the signature (`UNSIGNED-PAYLOAD`): that is what TLS is for.
///
/// A shipment that is tried again has the same key, so that it replaces what may have arrived.
struct S3Dialect: HTTPDialect {
  private let options: S3SinkOptions
  /// Where keys follow, with a slash.
  private let base: String
  private let ending: String
  private let headers: [String]
  private let place: String
  private let secrets: PeerSecrets

  /// - Parameter format: its name in configurations.
  init(_ options: S3SinkOptions, format: String) {
    self.options = options
    let endpoint = HTTPPlace.origin(of: options.endpoint)
    if options.pathStyle {
      base = "\(endpoint)/\(options.bucket)/"
    } else {
      base = "\(endpoint.replacing("://", with: "://\(options.bucket).", maxReplacements: 1))/"
    }
    place = "PUT into bucket \(options.bucket) at \(endpoint)"
    let keys = options.credentials
    secrets = PeerSecrets([keys.secretKey, keys.sessionToken, keys.accessKey])
    ending = Self.ending(format, options.compression)
    var headers = ["Content-Type: \(HTTPContentType.of(format))"]
    if let encoding = options.compression.contentEncoding { headers.append("Content-Encoding: \(encoding)") }
    // libcurl signs what stands here.
    headers.append("X-Amz-Content-Sha256: UNSIGNED-PAYLOAD")
    if !keys.sessionToken.isEmpty { headers.append("X-Amz-Security-Token: \(keys.sessionToken)") }
    self.headers = headers
  }

  private static func ending(_ format: String, _ compression: HTTPCompression) -> String {
    let name =
      switch format {
      case "jsonl", "proto_json": "jsonl"
      case "protobuf", "protobuf_list": "pb"
      case "proto_text": "txtpb"
      default: format
      }
    switch compression {
    case .none: return name
    case .gzip: return name + ".gz"
    case .zstd: return name + ".zst"
    }
  }

  /// Nothing is asked: who may only write can neither list nor read.
  var probe: HTTPRequest { HTTPRequest(kind: .connect, url: base) }

  func request(for shipment: Shipment) -> HTTPRequest {
    // By when the rows are from, and not by when they go: the key stays when they are tried again.
    let sealedAt = shipment.count > 0 ? shipment.facts(of: 0).sealedAt : 0
    let key = "\(options.prefix.text(at: sealedAt))\(shipment.id).\(ending)"
    return HTTPRequest(
      kind: .upload(method: "PUT"), url: base + PercentEncoding.encode(key, keeping: "/"), headers: headers,
      login: .aws(options.credentials, region: options.region))
  }

  /// Rows are never at fault: what is refused for a right, a clock or a missing bucket is tried again.
  func failure(_ answer: HTTPAnswer) -> Failure? {
    if answer.status == 0, answer.failure == nil { return nil }
    guard var failure = answer.failure(place, hiding: secrets) else { return nil }
    guard failure.isFinal else { return failure }
    failure.isFinal = failure.reason == .tooLarge || answer.body.contains("<Code>EntityTooLarge</Code>")
    failure.reason = failure.isFinal ? .tooLarge : .failed
    return failure
  }
}

extension HTTPAnswerBody {
  fileprivate func contains(_ text: String) -> Bool { bytes.firstRange(of: Array(text.utf8)) != nil }
}

extension DeliverySink {
  /// A sink that puts objects into a bucket.
  ///
  /// - Parameter encoder: makes the object of the batches; nil: they stand in it one behind the other.
  public static func s3(
    name: String, _ options: S3SinkOptions, encoder: (any ObjectEncoder)?, gather: GatherPolicy?, _ output: SinkOutput
  ) throws(HTTPSetupError) -> DeliverySink {
    let content = try HTTPContent(
      header: output.header, framing: output.framing, compression: options.compression, encoder: encoder)
    let dialect = S3Dialect(options, format: encoder == nil ? output.origin.format : "parquet")
    let outlet = try HTTPOutlet(dialect, content, options.client, output)
    return DeliverySink(name: name, output, outlet: outlet, gather: gather)
  }
}
