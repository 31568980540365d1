extension RecordEncoder {
  /// The most bytes of a row: every column at its longest, and the row's frame.
  static func rowBound(_ table: borrowing ColumnTable, _ format: RecordFormat) -> Int {
    bound(table, format) { _ in true } + overhead(format)
  }

  /// The most bytes of a prefix: its columns at their longest, and where each ends.
  static func prefixBound(_ table: borrowing ColumnTable, _ format: RecordFormat) -> Int {
    bound(table, format) { $0.source == .dump } + table.dumpCount * 4
  }

  private static func bound(
    _ table: borrowing ColumnTable, _ format: RecordFormat, where isCounted: (Column) -> Bool
  ) -> Int {
    table.columns.reduce(0) { sum, column in isCounted(column) ? sum + bound(column, format) : sum }
  }

  private static func bound(_ column: Column, _ format: RecordFormat) -> Int {
    func of<Format: RowFormat>(_: Format.Type) -> Int {
      Format.bound(column.type, column.form, nameCount: column.key.nameCount)
    }
    switch format {
    case .protobufList, .protobuf: return of(ProtobufFormat.self)
    case .jsonl: return of(JSONFormat.self)
    case .protoJSON: return of(ProtoJSONFormat.self)
    case .protoText: return of(ProtoTextFormat.self)
    case .csv: return of(DelimitedFormat<CommaSeparated>.self)
    case .tsv: return of(DelimitedFormat<TabSeparated>.self)
    case .msgpack: return of(MessagePackFormat.self)
    case .table: return of(TableFormat.self)
    }
  }

  private static func overhead(_ format: RecordFormat) -> Int {
    switch format {
    case .protobufList, .protobuf: ProtobufFormat.rowOverhead
    case .jsonl: JSONFormat.rowOverhead
    case .protoJSON: ProtoJSONFormat.rowOverhead
    case .protoText: ProtoTextFormat.rowOverhead
    case .csv: DelimitedFormat<CommaSeparated>.rowOverhead
    case .tsv: DelimitedFormat<TabSeparated>.rowOverhead
    case .msgpack: MessagePackFormat.rowOverhead
    case .table: TableFormat.rowOverhead
    }
  }
}
