/// How the bytes of a field are read and what they mean. Together with an offset into the field's source this is all a
/// decoder needs to know.
enum Form: UInt8 {
  case u8, u16, u32, u64, i64
  /// A port: 16 bits in network byte order.
  case port
  /// The lower or upper four bits of a byte, or its lowest bit, or the two above it.
  case lowNibble, highNibble, bit0, bits1to2
  /// A TCP state, 8 bits; text formats print the kernel's name of it.
  case state
  /// 4 bytes for AF_INET and 16 for AF_INET6, network byte order.
  case address
  /// A short name from the kernel, ended by the end of its attribute or by a NUL.
  case name
  /// The same bytes as `name`, seen as a number of enum CongestionAlgorithm.
  case algorithm
  /// The last 32 bits of `struct tcp_info`, whose layout the kernel release decides (`AccurateECNLayout`).
  case ecnMode, ecnOptionSeen, ecnFailMode, ecnOptions2
  /// A string that xtcpd supplies: an address and a byte count, 16 bytes (`DumpBlock`).
  case text
  /// An address and its port as `ss` prints them, of the address's offset. Columns of the table only.
  case endpoint
  /// Columns that are never filled, by their type.
  case unfilledUInt32, unfilledUInt64, unfilledString

  /// How many bytes of the source must be there for the field to be present.
  var width: Int {
    switch self {
    case .u8, .lowNibble, .highNibble, .bit0, .bits1to2, .state: 1
    case .u16, .port: 2
    case .u32, .ecnMode, .ecnOptionSeen, .ecnFailMode, .ecnOptions2: 4
    case .u64, .i64: 8
    case .address, .text, .endpoint: 16
    case .name, .algorithm, .unfilledUInt32, .unfilledUInt64, .unfilledString: 0
    }
  }

  /// The type of the column.
  var type: ColumnType {
    switch self {
    case .u64, .unfilledUInt64: .uint64
    case .i64: .int64
    case .address: .bytes
    case .name, .text, .endpoint, .unfilledString: .string
    case .algorithm: .congestionAlgorithm
    default: .uint32
    }
  }

  /// Whether the value is a part of the last word of tcp_info and absent where the kernel's layout of it is not known.
  var isLayoutDependent: Bool {
    switch self {
    case .ecnMode, .ecnOptionSeen, .ecnFailMode, .ecnOptions2: true
    default: false
    }
  }
}

/// The type of a column: a protobuf type, and everything that follows from it.
enum ColumnType: UInt8 {
  case uint32, uint64, int64, string, bytes, congestionAlgorithm

  /// The name of the type in the .proto.
  var protobufName: String {
    switch self {
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .int64: "int64"
    case .string: "string"
    case .bytes: "bytes"
    case .congestionAlgorithm: "CongestionAlgorithm"
    }
  }
}

/// The unit of a field, for documents.
enum Unit: String {
  case none = ""
  case bytes = "bytes"
  case bytesPerSecond = "bytes/s"
  case packets = "packets"
  case segments = "segments"
  case count = "count"
  case nanoseconds = "ns"
  case microseconds = "µs"
  case milliseconds = "ms"
  case flags = "bit mask"
}

/// One who wants to know the fields: an encoder, a reader, a generator of documents. `describeRecord` calls it.
///
/// Implementations on the hot path are inlined into `describeRecord`, so that the constants of every field fold into the
/// code of its encoding and nothing is interpreted.
protocol RecordVisitor {
  /// Fields of `source` follow. False skips them.
  mutating func begin(_ source: Source) -> Bool

  /// A field of the source that was begun last.
  ///
  /// - Parameters:
  ///   - name: the column's name in every text format and in the .proto.
  ///   - number: the protobuf field number. Never reused, never changed.
  ///   - form: how to read it.
  ///   - offset: where it starts in its source, in bytes.
  ///   - unit: what it counts.
  ///   - kernel: the kernel's name of it, empty for what is not the kernel's.
  ///   - text: one sentence for documents.
  mutating func field(
    _ name: StaticString, _ number: UInt32, _ form: Form, at offset: Int, _ unit: Unit, kernel: StaticString,
    _ text: StaticString)
}

/// A field as a value, for everything that is not on the static path.
struct FieldDescription {
  var name: StaticString
  var number: UInt32
  var form: Form
  var source: Source
  var offset: Int
  var unit: Unit
  var kernel: StaticString
  var text: StaticString
}

/// Collects all fields in the order of the list.
private struct FieldCollector: RecordVisitor {
  var source = Source.unfilled
  var fields: [FieldDescription] = []

  mutating func begin(_ source: Source) -> Bool {
    self.source = source
    return true
  }

  mutating func field(
    _ name: StaticString, _ number: UInt32, _ form: Form, at offset: Int, _ unit: Unit, kernel: StaticString,
    _ text: StaticString
  ) {
    fields.append(
      FieldDescription(
        name: name, number: number, form: form, source: source, offset: offset, unit: unit, kernel: kernel, text: text))
  }
}

/// The list of fields as an array, and what follows from it.
public enum RecordSchema {
  static let fields: [FieldDescription] = {
    var collector = FieldCollector()
    describeRecord(&collector)
    return collector.fields
  }()

  /// The name of every column, in the order of the schema; what a `columns` setting may contain.
  public static let columnNames: [String] = fields.map { $0.name.description }

  /// The columns that csv, tsv and the ClickHouse text table have unless told otherwise: all that can hold a value.
  public static let defaultColumnNames: [String] =
    fields.filter { $0.source != .unfilled }.map { $0.name.description }

  /// The value of `schema_version` in every row.
  public static let version: UInt32 = 1

  /// Where each source's known fields end, in bytes, by raw value of `Source`.
  static let knownLengths: [Int] = {
    var lengths = [Int](repeating: 0, count: Source.slotCount)
    for field in fields {
      let slot = Int(field.source.rawValue)
      lengths[slot] = max(lengths[slot], field.offset + field.form.width)
    }
    return lengths
  }()

  /// For every length of tcp_info up to the known one: where the last field ends that lies wholly within.
  static let wholeInfoLengths: [Int] = {
    let ends = fields.filter { $0.source == .info }.map { $0.offset + $0.form.width }
    return (0...knownLengths[Int(Source.info.rawValue)]).map { length in ends.filter { $0 <= length }.max() ?? 0 }
  }()

  /// In the order of their protobuf numbers.
  static let fieldsByNumber: [FieldDescription] = fields.sorted { $0.number < $1.number }

  /// The sources that a row can have, as bits.
  static let fillableSources: UInt32 =
    fields.reduce(0) { $1.source == .unfilled ? $0 : $0 | $1.source.bit }
}

/// How the kernel lays out bytes 276...279 of `struct tcp_info`. Both layouts are 280 bytes long, so only the kernel release
/// tells them apart; where it is not known the four fields are absent.
enum AccurateECNLayout: UInt8 {
  /// No such bytes, or no way to tell what they mean.
  case unknown
  /// Linux 6.18 and 6.19: `__u16 tcpi_accecn_fail_mode; __u16 tcpi_accecn_opt_seen;`
  case halves
  /// Linux 7.0: `__u32 tcpi_ecn_mode:2, tcpi_accecn_opt_seen:2, tcpi_accecn_fail_mode:4, tcpi_options2:24;`
  case bitFields

  /// The layout of the kernel whose `uname -r` is `release`, for example "6.18.44-cloud".
  init(kernelRelease release: String) {
    let parts = release.utf8.split(maxSplits: 2, whereSeparator: { $0 == UInt8(ascii: ".") })
    guard parts.count >= 2, let major = Self.leadingNumber(parts[0]), let minor = Self.leadingNumber(parts[1]) else {
      self = .unknown
      return
    }
    switch (major, minor) {
    case (7..., _): self = .bitFields
    case (6, 18...): self = .halves
    default: self = .unknown
    }
  }

  private static func leadingNumber(_ text: Substring.UTF8View) -> Int? {
    let digits = text.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    guard 1...9 ~= digits.count else { return nil }
    return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
  }
}
