/// The types of Parquet that columns have, as parquet.thrift spells them.
enum ParquetType: UInt8 {
  /// Days since 1970-01-01.
  case date
  case unsigned32, unsigned64, signed64
  /// UTF-8.
  case text

  /// Bytes of a number in encoding PLAIN, 0 for texts.
  var width: Int {
    switch self {
    case .date, .unsigned32: 4
    case .unsigned64, .signed64: 8
    case .text: 0
    }
  }

  /// `Type`.
  var physical: Int32 {
    switch self {
    case .date, .unsigned32: 1  // INT32
    case .unsigned64, .signed64: 2  // INT64
    case .text: 6  // BYTE_ARRAY
    }
  }

  /// `ConvertedType`, for readers that do not know `LogicalType` yet.
  var converted: Int32 {
    switch self {
    case .date: 6  // DATE
    case .unsigned32: 13  // UINT_32
    case .unsigned64: 14  // UINT_64
    case .signed64: 18  // INT_64
    case .text: 0  // UTF8
    }
  }

  /// Writes the member of union `LogicalType`.
  func writeLogical(_ union: inout ThriftStruct, _ out: inout ByteBuffer) {
    func integer(_ bits: Int8, isSigned: Bool) {
      union.structure(10, &out) { type, out in
        type.i8(1, bits, &out)
        type.bool(2, isSigned, &out)
      }
    }
    switch self {
    case .text: union.structure(1, &out)
    case .date: union.structure(6, &out)
    case .unsigned32: integer(32, isSigned: false)
    case .unsigned64: integer(64, isSigned: false)
    case .signed64: integer(64, isSigned: true)
    }
  }
}

/// A column of a Parquet file: what the schema says of it, and where in a row its values come from.
struct ParquetColumn {
  var name: String
  var type: ParquetType
  /// Whether rows may lack it. Columns that xtcpd itself fills are in every row.
  var isOptional: Bool
  /// The protobuf number, which is the field id here too; nil for `event_date`.
  var fieldID: Int32?
  /// Nil for `event_date`.
  var source: Source?
  var form = Form.u32
  var offset = 0

  /// The day of `timestamp_ns` in UTC: what files and queries are partitioned by.
  static let eventDate = ParquetColumn(name: "event_date", type: .date, isOptional: false)

  private init(name: String, type: ParquetType, isOptional: Bool) {
    self.name = name
    self.type = type
    self.isOptional = isOptional
  }

  /// The column in which `jsonl` would show this one: addresses and states are text.
  init(_ column: Column) {
    name = String(
      decoding: UnsafeBufferPointer(start: column.key.name, count: column.key.nameCount), as: UTF8.self)
    switch column.type {
    case .uint32, .congestionAlgorithm: type = column.form == .state ? .text : .unsigned32
    case .uint64: type = .unsigned64
    case .int64: type = .signed64
    case .string, .bytes: type = .text
    }
    isOptional =
      switch column.source {
      case .dump: false
      case .row: column.offset + column.form.width > RowBlock.byteCountWithoutInfo
      default: true
      }
    fieldID = Int32(bitPattern: column.key.number)
    source = column.source
    form = column.form
    offset = column.offset
  }
}

extension ParquetColumn {
  /// The most bytes that a value takes in encoding PLAIN, not counting text that is copied.
  var fixedBytes: Int {
    switch form {
    case _ where type != .text: type.width
    case .address: 4 + 45
    case .state: 4 + 14
    case .name: 4 + 6  // restored from a number where there is no name
    default: 4
    }
  }

  /// The columns of a file: `event_date`, then those that `jsonl` has, or the selected ones in their order.
  static func columns(_ selected: [String]?) throws(ParquetError) -> [ParquetColumn] {
    do throws(UnknownColumn) {
      let table = try ColumnTable(selected, format: .jsonl)
      return [eventDate] + table.columns.map { ParquetColumn($0) }
    } catch {
      throw .unknownColumn(error)
    }
  }
}
