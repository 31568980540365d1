/// What is asked of a server.
struct HTTPRequest {
  enum Kind: Equatable {
    /// A body goes out under this method.
    case upload(method: String)
    case get
    /// Nothing is asked: the connection is made, and secured, and that is all.
    case connect
  }

  var kind: Kind
  var url: String
  /// `Name: value`, without line breaks.
  var headers: [String] = []
  var login = HTTPLogin.none
}

/// How a request says who asks. Holds secrets.
enum HTTPLogin: Equatable, Sendable {
  case none
  case basic(user: String, password: String)
  case bearer(String)
  /// AWS Signature Version 4 for S3.
  case aws(AWSCredentials, region: String)
}

/// Keys of an account at S3. Holds secrets.
public struct AWSCredentials: Equatable, Sendable {
  public var accessKey: String
  public var secretKey: String
  /// Empty: there is none.
  public var sessionToken: String

  public init(accessKey: String, secretKey: String, sessionToken: String = "") {
    self.accessKey = accessKey
    self.secretKey = secretKey
    self.sessionToken = sessionToken
  }
}

/// What became of a request.
struct HTTPAnswer {
  /// The status, once one has come; 0: none.
  var status = 0
  /// Why there is no whole answer.
  var failure: String?
  /// The peer was not reached, or is not the one that it should be: nothing of a body went out.
  var isUnreached = false
  /// More came than is read of an answer. What was asked for is done all the same if the status says so.
  var isTooLong = false
  /// The beginning of the body.
  var body = HTTPAnswerBody()
  var retryAfter: String?
  /// `X-ClickHouse-Exception-Code`.
  var exceptionCode: Int?

  var isSuccess: Bool { (200..<300).contains(status) && (failure == nil || isTooLong) }
}

/// The beginning of an answer's body, in memory that is used again.
struct HTTPAnswerBody {
  /// Bytes that are kept, and that are read at most.
  static let kept = 64 << 10
  static let longest = 1 << 20

  private(set) var bytes: [UInt8] = []
  private(set) var byteCount = 0

  mutating func clear() {
    bytes.removeAll(keepingCapacity: true)
    byteCount = 0
  }

  /// False: no more is read.
  mutating func append(_ more: UnsafeRawBufferPointer) -> Bool {
    byteCount += more.count
    bytes.append(contentsOf: more.prefix(max(0, Self.kept - bytes.count)))
    return byteCount <= Self.longest
  }

  /// For a message.
  func text(limit: Int, hiding secrets: PeerSecrets) -> String {
    PeerText.line(String(decoding: bytes, as: UTF8.self), limit: limit, hiding: secrets)
  }
}

/// RFC 4648 section 4: how basic authentication carries a password.
enum Base64 {
  private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

  static func encode(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var result = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
      for place in 0..<4 { result.append(place > group.count ? "=" : digits[bits >> (18 - 6 * place) & 63]) }
    }
    return result
  }
}
