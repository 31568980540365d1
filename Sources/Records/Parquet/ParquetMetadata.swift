/// The structures of parquet.thrift that this writer writes (https://github.com/apache/parquet-format).
enum ParquetMetadata {
  /// `PAR1`, at the start of a file and at its end.
  static let magic: StaticString = "PAR1"

  private enum PageType { static let data: Int32 = 0, dictionary: Int32 = 2 }
  private enum Encoding { static let plain: Int32 = 0, rle: Int32 = 3, dictionary: Int32 = 8 }

  /// Header of a data page (version 1: readers of any age know it).
  static func putDataPageHeader(rows: Int, encoding: PageEncoding, size: PageSize, _ out: inout ByteBuffer) {
    putPageHeader(PageType.data, size, &out) { header, out in
      header.structure(5, &out) { page, out in
        page.i32(1, Int32(clamping: rows), &out)
        page.i32(2, encoding.number, &out)
        page.i32(3, Encoding.rle, &out)
        page.i32(4, Encoding.rle, &out)
      }
    }
  }

  static func putDictionaryPageHeader(values: Int, size: PageSize, _ out: inout ByteBuffer) {
    putPageHeader(PageType.dictionary, size, &out) { header, out in
      header.structure(7, &out) { page, out in
        page.i32(1, Int32(clamping: values), &out)
        page.i32(2, Encoding.plain, &out)
      }
    }
  }

  private static func putPageHeader(
    _ type: Int32, _ size: PageSize, _ out: inout ByteBuffer, _ rest: (inout ThriftStruct, inout ByteBuffer) -> Void
  ) {
    ThriftStruct.element(&out) { header, out in
      header.i32(1, type, &out)
      header.i32(2, Int32(clamping: size.uncompressed), &out)
      header.i32(3, Int32(clamping: size.compressed), &out)
      rest(&header, &out)
    }
  }

  // MARK: A row group

  /// Where a column chunk lies in the file.
  struct ChunkPlace {
    /// Of the dictionary page, or the first data page if there is none.
    var start: Int
    var firstDataPage: Int
  }

  static func putRowGroupHead(columns: Int, _ group: inout ThriftStruct, _ out: inout ByteBuffer) {
    group.list(1, of: .structure, count: columns, &out)
  }

  static func putRowGroupEnd(
    rows: Int, start: Int, ordinal: Int, size: PageSize, _ group: inout ThriftStruct, _ out: inout ByteBuffer
  ) {
    group.i64(2, size.uncompressed, &out)
    group.i64(3, rows, &out)
    group.i64(5, start, &out)
    group.i64(6, size.compressed, &out)
    if let ordinal = Int16(exactly: ordinal) { group.i16(7, ordinal, &out) }
    group.end(&out)
  }

  /// `ColumnChunk`.
  static func putChunk(
    _ column: ParquetColumn, _ builder: borrowing ColumnBuilder, _ place: ChunkPlace, codec: Int32,
    _ out: inout ByteBuffer
  ) {
    let chunk = builder.chunk
    var outer = ThriftStruct()
    outer.i64(2, 0, &out)  // file_offset: of metadata beside the chunk, which nobody writes
    var inner = ThriftStruct()
    outer.structureHead(3, &out)
    inner.i32(1, column.type.physical, &out)
    putEncodings(chunk, &inner, &out)
    inner.list(3, of: .binary, count: 1, &out)
    out.appendBinary(column.name)
    inner.i32(4, codec, &out)
    inner.i64(5, chunk.rows, &out)
    inner.i64(6, chunk.size.uncompressed, &out)
    inner.i64(7, chunk.size.compressed, &out)
    inner.i64(9, place.firstDataPage, &out)
    if chunk.dictionaryPages > 0 { inner.i64(11, place.start, &out) }
    putStatistics(builder, &inner, &out)
    putEncodingCounts(chunk, &inner, &out)
    inner.end(&out)
    outer.end(&out)
  }

  private static func putEncodings(_ chunk: ChunkTotals, _ inner: inout ThriftStruct, _ out: inout ByteBuffer) {
    let encodings = [Encoding.plain, Encoding.rle] + (chunk.dictionaryPages > 0 ? [Encoding.dictionary] : [])
    inner.list(2, of: .i32, count: encodings.count, &out)
    for encoding in encodings { out.appendZigzag(Int64(encoding)) }
  }

  /// `min_value` and `max_value`, whose order `column_orders` of the file defines. The older `min` and `max` have none
  /// for unsigned numbers and texts, so they stay away.
  private static func putStatistics(
    _ builder: borrowing ColumnBuilder, _ inner: inout ThriftStruct, _ out: inout ByteBuffer
  ) {
    inner.structureHead(12, &out)
    var statistics = ThriftStruct()
    statistics.i64(3, builder.chunk.nulls, &out)
    builder.withBounds { lowest, highest in
      statistics.binary(5, highest, &out)
      statistics.binary(6, lowest, &out)
      statistics.bool(7, true, &out)
      statistics.bool(8, true, &out)
    }
    statistics.end(&out)
  }

  /// How many pages have which encoding: tells readers whether every value is in the dictionary.
  private static func putEncodingCounts(_ chunk: ChunkTotals, _ inner: inout ThriftStruct, _ out: inout ByteBuffer) {
    var counts = [(page: Int32, encoding: Int32, count: Int)]()
    if chunk.dictionaryPages > 0 {
      counts.append((PageType.dictionary, Encoding.plain, 1))
      counts.append((PageType.data, Encoding.dictionary, chunk.dictionaryPages))
    }
    if chunk.plainPages > 0 { counts.append((PageType.data, Encoding.plain, chunk.plainPages)) }
    inner.list(13, of: .structure, count: counts.count, &out)
    for entry in counts {
      ThriftStruct.element(&out) { element, out in
        element.i32(1, entry.page, &out)
        element.i32(2, entry.encoding, &out)
        element.i32(3, Int32(clamping: entry.count), &out)
      }
    }
  }

  // MARK: The file

  /// `FileMetaData`, its length and the magic bytes: the end of a file.
  ///
  /// - Parameter rowGroups: the row groups' structures, one after the other.
  static func putFooter(
    columns: [ParquetColumn], rows: Int, rowGroups: UnsafeRawBufferPointer, count: Int, createdBy: String,
    _ out: inout ByteBuffer
  ) {
    let start = out.count
    ThriftStruct.element(&out) { file, out in
      file.i32(1, 2, &out)
      putSchema(columns, &file, &out)
      file.i64(3, rows, &out)
      file.list(4, of: .structure, count: count, &out)
      out.append(rowGroups)
      file.list(5, of: .structure, count: 1, &out)
      ThriftStruct.element(&out) { pair, out in
        pair.text(1, "xtcpd.schema_version", &out)
        pair.text(2, "\(RecordSchema.version)", &out)
      }
      file.text(6, createdBy, &out)
      file.list(7, of: .structure, count: columns.count, &out)
      for _ in columns {
        // TYPE_ORDER: as the logical type compares.
        ThriftStruct.element(&out) { order, out in order.structure(1, &out) }
      }
    }
    out.append(littleEndian: UInt32(truncatingIfNeeded: out.count - start))
    out.append(magic)
  }

  /// The root, then one `SchemaElement` a column.
  private static func putSchema(_ columns: [ParquetColumn], _ file: inout ThriftStruct, _ out: inout ByteBuffer) {
    file.list(2, of: .structure, count: columns.count + 1, &out)
    ThriftStruct.element(&out) { root, out in
      root.text(4, "XtcpFlatRecord", &out)
      root.i32(5, Int32(clamping: columns.count), &out)
    }
    for column in columns {
      ThriftStruct.element(&out) { element, out in
        element.i32(1, column.type.physical, &out)
        element.i32(3, column.isOptional ? 1 : 0, &out)  // OPTIONAL or REQUIRED
        element.text(4, column.name, &out)
        element.i32(6, column.type.converted, &out)
        if let fieldID = column.fieldID { element.i32(9, fieldID, &out) }
        element.structure(10, &out) { union, out in column.type.writeLogical(&union, &out) }
      }
    }
  }
}
