/// Where an s3 sink puts objects, and how.
public struct S3SinkSettings: Sendable, Equatable {
  /// Empty: Amazon's in the region.
  public var endpoint = ""
  public var region = ""
  public var bucket = ""
  /// What goes before the batch's name in keys.
  public var prefix = Template("")
  public var pathStyle = false
  public var accessKey = ""
  public var secretKey = ""
  /// Empty: none.
  public var sessionToken = ""
  public var compression = BodyCompression.none

  public init() {}

  /// The URL that requests go to, but for the bucket.
  public var server: String { endpoint.isEmpty ? "https://s3.\(region).amazonaws.com" : endpoint }
}

extension S3SinkSettings {
  var traits: SinkTraits {
    var traits = SinkTraits.http
    traits.destination = "s3 \(server) \(bucket)/\(prefix.written)"
    traits.destinationKey = "prefix"
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var s3: S3SinkSettings {
    get { if case .s3(let settings) = self { settings } else { S3SinkSettings() } }
    set { self = .s3(newValue) }
  }
}

extension SinkType {
  static let s3 = SinkType(
    "s3",
    "Objects in a bucket of S3 or what speaks like it, through libcurl (Debian package libcurl4), named PREFIX and the first batch's "
      + "name. The right to put objects is enough. Rows are never given up for what S3 answers but for an object that is too large; a "
      + "retry replaces the same object. Its `queue.bytes` is 160MiB unless it has its own, since rows wait there for their object: "
      + "`resources.memory` has to have room.",
    .s3(S3SinkSettings()),
    [
      Setting(
        "endpoint", \.kind.s3.endpoint, .origin, otherwise: "`https://s3.REGION.amazonaws.com`", reload: .pipeline,
        "The server."),
      Setting(
        "region", \.kind.s3.region, .label, required: true, reload: .pipeline, "The region that signatures name."),
      Setting("bucket", \.kind.s3.bucket, .bucket, required: true, reload: .pipeline, "The bucket."),
      Setting(
        "prefix", \.kind.s3.prefix, .template(.text(bytes: 1...512)),
        default: "\"xtcpd/pipeline={pipeline}/host={hostname}/date={date}/hour={hour}/\"", reload: .pipeline,
        "What goes before the batch's name in keys. Day and hour (UTC) are those of the first batch."),
      Setting(
        "path_style", \.kind.s3.pathStyle, .boolean, default: "false", reload: .pipeline,
        "The bucket stands in the path, and not before the host: what most servers other than Amazon's need."),
      Setting("access_key", \.kind.s3.accessKey, .secret, required: true, reload: .pipeline, "The name of the key."),
      Setting("secret_key", \.kind.s3.secretKey, .secret, required: true, reload: .pipeline, "The key."),
      Setting(
        "session_token", \.kind.s3.sessionToken, .secret, otherwise: "none", reload: .pipeline,
        "The token of a key for a time."),
      Setting(
        "compression", \.kind.s3.compression, .choice, default: "none", reload: .pipeline,
        "How objects are compressed: `none`, `gzip` or `zstd`; keys end in `.gz` or `.zst`. Not for `parquet`, which is "
          + "compressed as it is."),
    ] + httpTimeouts(total: "10m", stall: "30s") + httpTLS + gather(bytes: "64MiB", maxAge: "5m"),
    groups: [httpTLSGroup, gatherGroup], defaults: "{ queue: { bytes: 160MiB } }", formats: FormatName.allCases)
}

extension ValueType where Value == String {
  /// A URL without a path.
  static var origin: ValueType {
    let url = ValueType<String>.url
    return ValueType(
      name: "URL", allowed: "http or https, without path",
      schema: .pattern("^https?://([A-Za-z0-9._-]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?/?$")
    ) { node, path, reading in
      guard let text = url.read(node, path, &reading) else { return nil }
      guard text.dropFirst(8).drop(while: { $0 != "/" && $0 != "?" }).allSatisfy({ $0 == "/" }) else {
        reading.mismatch(path, "a URL without a path such as https://minio.example.com:9000", node)
        return nil
      }
      return text
    }
  }

  /// What stands between two dots of a name.
  static var label: ValueType { word("name", "^[A-Za-z0-9_-]{1,63}$", 1...63, "a name such as eu-central-1", "_-") }

  /// What S3 and those who speak like it call buckets.
  static var bucket: ValueType {
    word("name", "^[A-Za-z0-9._-]{3,255}$", 3...255, "the name of a bucket: 3 to 255 of A-Z a-z 0-9 . _ -", "._-")
  }

  private static func word(
    _ name: String, _ pattern: String, _ length: ClosedRange<Int>, _ expected: String, _ signs: String
  ) -> ValueType {
    ValueType(name: name, allowed: "A-Z a-z 0-9 \(signs)", schema: .pattern(pattern)) { node, path, reading in
      guard let text = ScalarForm.text(node, path, &reading) else { return nil }
      let isSound = text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: signs.utf8.contains(byte)
        }
      }
      guard isSound, length.contains(text.utf8.count) else {
        reading.mismatch(path, expected, node)
        return nil
      }
      return text
    }
  }
}
