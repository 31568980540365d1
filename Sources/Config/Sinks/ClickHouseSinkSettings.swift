/// Where a clickhouse sink inserts, and how.
public struct ClickHouseSinkSettings: Sendable, Equatable {
  public var url = ""
  public var database = ""
  /// Empty: the table of the schema that the format is for.
  public var table = ""
  /// Empty: the server's default user.
  public var username = ""
  public var password = ""
  public var formatSchema = ""
  public var settings: [ClickHouseSetting] = []
  public var compression = BodyCompression.none

  public init() {}
}

/// A setting of an insert.
public struct ClickHouseSetting: Sendable, Equatable {
  public var name: String
  public var value: String
}

extension ClickHouseSinkSettings {
  var traits: SinkTraits {
    var traits = SinkTraits.http
    traits.destination = "clickhouse \(url) \(database).\(table)"
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var clickHouse: ClickHouseSinkSettings {
    get { if case .clickHouse(let settings) = self { settings } else { ClickHouseSinkSettings() } }
    set { self = .clickHouse(newValue) }
  }
}

extension SinkType {
  static let clickHouse = SinkType(
    "clickhouse",
    "Inserts into a table of ClickHouse over its HTTP interface, through libcurl (Debian package libcurl4). Writes `format: "
      + "protobuf_list` into `xtcp_raw` unless told otherwise, or `jsonl` into `xtcp_text`; `xtcpd schema clickhouse` prints both. "
      + "Inserts are asynchronous ones that are waited for, named by `insert_deduplication_token`. Errors that pass (too many parts, "
      + "memory, time-outs, network) are tried again; others drop the rows as `rejected`. Its `queue.bytes` is 64MiB unless it has "
      + "its own.",
    .clickHouse(ClickHouseSinkSettings()),
    [
      Setting("url", \.kind.clickHouse.url, .url, required: true, reload: .pipeline, "The server: `http://host:8123`."),
      Setting(
        "database", \.kind.clickHouse.database, .text(bytes: 1...256), default: "default", reload: .pipeline,
        "The table's database."),
      Setting(
        "table", \.kind.clickHouse.table, .text(bytes: 1...256), otherwise: "`xtcp_raw`, for `jsonl` `xtcp_text`",
        reload: .pipeline, "The table."),
      Setting(
        "username", \.kind.clickHouse.username, .text(bytes: 1...1024), otherwise: "the server's default",
        reload: .pipeline, "Who inserts."),
      Setting(
        "password", \.kind.clickHouse.password, .secret, otherwise: "none", reload: .pipeline, "The user's password."),
      Setting(
        "format_schema", \.kind.clickHouse.formatSchema, .text(bytes: 1...1024),
        default: "xtcp_flat_record:XtcpFlatRecord", reload: .pipeline,
        "For `protobuf_list`: the file of `xtcpd schema proto` in the server's `format_schema_path`, without its ending, and the "
          + "message."),
      Setting(
        "settings", \.kind.clickHouse.settings, .clickHouseSettings, otherwise: "none", reload: .pipeline,
        "Settings of ClickHouse for each insert, by name; `async_insert: \"0\"` makes them synchronous."),
      Setting(
        "compression", \.kind.clickHouse.compression, .choice, default: "none", reload: .pipeline,
        "How bodies are compressed: `none`, `gzip` or `zstd`."),
    ] + httpTimeouts(total: "120s", stall: "60s") + httpTLS + gather(bytes: "8MiB", maxAge: "30s"),
    groups: [httpTLSGroup, gatherGroup], defaults: "{ format: protobuf_list, queue: { bytes: 64MiB } }",
    formats: [.protobufList, .jsonl])
}

extension ValueType where Value == [ClickHouseSetting] {
  /// Settings by name, as text.
  static var clickHouseSettings: ValueType {
    ValueType(
      name: "settings by name", allowed: "values of at most 1024 bytes",
      schema: .object(
        .init("type", .string("object")),
        .init("propertyNames", .object(.init("pattern", .string("^[a-z][a-z0-9_]*$")))),
        .init("additionalProperties", .object(.init("type", .strings(["string", "null"]))))
      )
    ) { node, path, reading in
      guard let entries = node.entries else {
        reading.mismatch(path, "a mapping from names of settings", node)
        return nil
      }
      return entries.compactMap { setting($0, path, &reading) }
    }
  }

  /// What a sink says itself, or what would make an acknowledgement mean nothing.
  private static let reserved: Set = [
    "query", "database", "user", "password", "format_schema", "insert_deduplication_token", "wait_for_async_insert",
    "default_format", "compress", "decompress", "query_id", "session_id",
  ]

  private static func setting(_ entry: Node.Entry, _ path: String, _ reading: inout Reading) -> ClickHouseSetting? {
    if entry.value.isNull, reading.permitsRemoval || !entry.replaced.isEmpty { return nil }
    let isName = entry.key.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
      default: false
      }
    }
    guard isName, (1...128).contains(entry.key.utf8.count) else {
      reading.problems.error(entry.keyMark, "\(entry.key.quotedForMessage) is no name of a setting of ClickHouse")
      return nil
    }
    guard !reserved.contains(entry.key) else {
      reading.problems.error(entry.keyMark, "`\(entry.key)` is said by the sink itself; remove it")
      return nil
    }
    guard let text = ValueType<String>.text(bytes: 0...1024).read(entry.value, "\(path).\(entry.key)", &reading) else {
      return nil
    }
    return ClickHouseSetting(name: entry.key, value: text)
  }
}
