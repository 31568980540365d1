/// The output formats, by the names that configurations use.
public enum RecordFormat: String, CaseIterable, Sendable {
  /// A batch is one `Envelope` behind its length (uvarint): what ClickHouse calls ProtobufList.
  case protobufList = "protobuf_list"
  /// Each row is an `XtcpFlatRecord` behind its length (uvarint).
  case protobuf
  /// One JSON object a line, with the schema's names, addresses and states as text.
  case jsonl
  /// Canonical proto3 JSON, one `Envelope` a line.
  case protoJSON = "proto_json"
  /// Protobuf's text format; any number of batches after one another are one `Envelope`.
  case protoText = "proto_text"
  /// RFC 4180, lines end in CR LF.
  case csv
  /// Tab-separated; `\t`, `\n`, `\r` and `\\` within cells are escaped with a backslash.
  case tsv
  /// One MessagePack map a row, with the keys and values of `jsonl`.
  case msgpack
  /// Aligned columns for people.
  case table

  /// Whether the bytes are UTF-8 text that may go to a terminal.
  public var isText: Bool {
    switch self {
    case .protobufList, .protobuf, .msgpack: false
    case .jsonl, .protoJSON, .protoText, .csv, .tsv, .table: true
    }
  }

  /// Whether a stream starts with a line of column names (`RecordEncoder.encodeHeader`).
  public var hasHeader: Bool {
    switch self {
    case .csv, .tsv, .table: true
    default: false
    }
  }
}
