import IO

/// Where a clickhouse sink inserts, and how.
public struct ClickHouseSinkOptions: Sendable {
  public var url: String
  public var database = "default"
  public var table: String
  public var username = ""
  public var password = ""
  /// `schema:message` in the server's format_schema_path, for protobuf.
  public var formatSchema = ""
  /// Settings of each insert, by name.
  public var settings: [(name: String, value: String)] = []
  public var compression = HTTPCompression.none
  public var client = HTTPOptions()

  public init(url: String, table: String) {
    self.url = url
    self.table = table
  }
}

/// An INSERT a shipment over ClickHouse's HTTP interface (https://clickhouse.com/docs/interfaces/http): 200 is an acknowledgement, since
/// asynchronous inserts are waited for.
struct ClickHouseDialect: HTTPDialect {
  private let base: String
  private let insert: String
  private let headers: [String]
  private let contentEncoding: [String]
  private let place: String
  private let secrets: PeerSecrets

  /// - Parameter format: its name in configurations.
  init(_ options: ClickHouseSinkOptions, format: String) {
    base = Self.withQuery(options.url)
    place = "INSERT at \(HTTPPlace.origin(of: options.url))"
    secrets = PeerSecrets([options.password])
    let layout = format == "jsonl" ? "JSONEachRow" : "ProtobufList"
    var parameters = [
      ("database", options.database), ("query", "INSERT INTO \(Self.quoted(options.table)) FORMAT \(layout)"),
      ("async_insert", "1"), ("wait_for_async_insert", "1"),
      // Servers before 26 do not look at the token of an asynchronous insert without it.
      ("async_insert_deduplicate", "1"),
    ].filter { parameter in !options.settings.contains { $0.name == parameter.0 } }
    if format != "jsonl" { parameters.append(("format_schema", options.formatSchema)) }
    parameters += options.settings.map { ($0.name, $0.value) }
    insert = parameters.map { "\($0.0)=\(PercentEncoding.encode($0.1))" }.joined(separator: "&")
    var headers: [String] = []
    if !options.username.isEmpty { headers.append("X-ClickHouse-User: \(options.username)") }
    if !options.password.isEmpty { headers.append("X-ClickHouse-Key: \(options.password)") }
    self.headers = headers
    contentEncoding = options.compression.contentEncoding.map { ["Content-Encoding: \($0)"] } ?? []
  }

  private static func withQuery(_ url: String) -> String {
    if url.contains("?") { return url + "&" }
    return HTTPPlace.origin(of: url) == url ? url + "/?" : url + "?"
  }

  /// An identifier, in back quotes.
  private static func quoted(_ name: String) -> String {
    "`\(name.replacing("\\", with: "\\\\").replacing("`", with: "\\`"))`"
  }

  /// Who asks is checked, too.
  var probe: HTTPRequest { HTTPRequest(kind: .get, url: base + "query=SELECT%201", headers: headers) }

  func request(for shipment: Shipment) -> HTTPRequest {
    // The same rows have the same token, other rows another: a retry may bring more of them.
    let token = "insert_deduplication_token=\(shipment.id)-\(shipment.count)"
    return HTTPRequest(
      kind: .upload(method: "POST"), url: "\(base)\(insert)&\(token)",
      headers: headers + contentEncoding + ["Content-Type: application/octet-stream"])
  }

  func failure(_ answer: HTTPAnswer) -> Failure? {
    let code = answer.exceptionCode ?? 0
    if answer.isSuccess, !answer.isTooLong, code == 0 { return nil }
    var failure =
      answer.failure(place, hiding: secrets) ?? Failure(message: answer.message(place, hiding: secrets))
    guard code != 0 else { return failure }
    failure.isFinal = !ClickHouseErrors.pass(code)
    failure.reason = failure.isFinal ? .rejected : .failed
    return failure
  }
}

/// Codes of exceptions: src/Common/ErrorCodes.cpp of ClickHouse.
enum ClickHouseErrors {
  /// Whether the same insert may well succeed later. What is wrong with the rows, the table, the statement or the login does not pass.
  static func pass(_ code: Int) -> Bool { transient.contains(code) }

  private static let transient: Set<Int> = [
    74, 75, 76,  // CANNOT_READ_FROM_FILE_DESCRIPTOR, CANNOT_WRITE_TO_FILE_DESCRIPTOR, CANNOT_OPEN_FILE
    159, 160,  // TIMEOUT_EXCEEDED, TOO_SLOW
    164,  // READONLY
    173,  // CANNOT_ALLOCATE_MEMORY
    198,  // DNS_ERROR
    201,  // QUOTA_EXCEEDED
    202, 203,  // TOO_MANY_SIMULTANEOUS_QUERIES, NO_FREE_CONNECTION
    209, 210,  // SOCKET_TIMEOUT, NETWORK_ERROR
    225,  // NO_ZOOKEEPER
    236,  // ABORTED
    241, 242, 243,  // MEMORY_LIMIT_EXCEEDED, TABLE_IS_READ_ONLY, NOT_ENOUGH_SPACE
    252,  // TOO_MANY_PARTS
    279,  // ALL_CONNECTION_TRIES_FAILED
    285, 286, 289,  // TOO_FEW_LIVE_REPLICAS, UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE, REPLICA_IS_NOT_IN_QUORUM
    290,  // LIMIT_EXCEEDED
    319,  // UNKNOWN_STATUS_OF_INSERT
    394,  // QUERY_WAS_CANCELLED
    425,  // SYSTEM_ERROR
    439,  // CANNOT_SCHEDULE_TASK
    473,  // DEADLOCK_AVOIDED
    499,  // S3_ERROR
    745,  // SERVER_OVERLOADED
    999,  // KEEPER_EXCEPTION
  ]
}

/// RFC 3986 section 2: what is not unreserved is encoded.
enum PercentEncoding {
  private static let digits = Array("0123456789ABCDEF".utf8)

  /// - Parameter keeping: bytes that stay as they are besides.
  static func encode(_ text: String, keeping kept: String = "") -> String {
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        bytes.append(byte)
      case _ where kept.utf8.contains(byte): bytes.append(byte)
      default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension DeliverySink {
  /// A sink that inserts into a table of ClickHouse.
  public static func clickHouse(
    name: String, _ options: ClickHouseSinkOptions, gather: GatherPolicy?, _ output: SinkOutput
  ) throws(HTTPSetupError) -> DeliverySink {
    let content = try HTTPContent(header: output.header, framing: output.framing, compression: options.compression)
    let dialect = ClickHouseDialect(options, format: output.origin.format)
    let outlet = try HTTPOutlet(dialect, content, options.client, output)
    return DeliverySink(name: name, output, outlet: outlet, gather: gather)
  }
}
