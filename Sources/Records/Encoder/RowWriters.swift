/// The sources of one row, all readable without further checks.
struct RowSources {
  var starts: UnsafePointer<UnsafeRawPointer>
  var lengths: UnsafePointer<Int>
  var present: UInt32
  var accurateECN: AccurateECNLayout
}

/// Writes whole rows and prefixes in one format: all columns in the schema's order, or a selection of them.
protocol RowWriter {
  associatedtype Format: RowFormat
  var format: Format { get set }

  /// Appends one row. `prefix` is what `writePrefix` made for this dump.
  mutating func writeRow(_ sources: RowSources, prefix: UnsafeRawBufferPointer)
  /// Appends the columns that are the same for all rows of a dump; `sources` has only these.
  mutating func writePrefix(_ sources: RowSources)
}

/// All columns: the prefix is a run of bytes, everything else is straight code made from the list of fields.
struct WholeRowWriter<Format: RowFormat>: RowWriter {
  var format: Format

  @inline(__always)
  mutating func writeRow(_ sources: RowSources, prefix: UnsafeRawBufferPointer) {
    var visitor = RowVisitor(
      format, starts: sources.starts, lengths: sources.lengths, present: sources.present,
      accurateECN: sources.accurateECN)
    visitor.format.openRow()
    if let start = prefix.baseAddress {
      visitor.format.put(start, prefix.count)
      visitor.format.copied(fields: Self.dumpFieldCount)
    }
    describeRecord(&visitor)
    visitor.format.closeRow()
    format = visitor.format
  }

  @inline(never)
  mutating func writePrefix(_ sources: RowSources) {
    for field in RecordSchema.fields where field.source == .dump {
      var visitor = RowVisitor(
        format, starts: sources.starts, lengths: sources.lengths, present: sources.present,
        accurateECN: sources.accurateECN)
      if visitor.begin(.dump) { visitor.value(ColumnKey(field.name, field.number), field.form, at: field.offset) }
      format = visitor.format
    }
  }

  /// Number of columns in a prefix. A constant of the schema that would cost a lazy global's check for each row.
  @inline(__always)
  static var dumpFieldCount: Int { 16 }
}

/// Some columns, or a format in which every column has a place. The prefix starts with one 32-bit number for each column
/// of it: where its bytes end, counted from the end of these numbers.
struct ColumnRowWriter<Format: RowFormat>: RowWriter {
  var format: Format
  let columns: UnsafeMutableBufferPointer<Column>
  let dumpCount: Int

  @inline(__always)
  mutating func writeRow(_ sources: RowSources, prefix: UnsafeRawBufferPointer) {
    var visitor = RowVisitor(
      format, starts: sources.starts, lengths: sources.lengths, present: sources.present,
      accurateECN: sources.accurateECN)
    visitor.format.openRow()
    var dumpIndex = 0
    var from = 0
    let bytes = dumpCount &* 4
    for column in columns {
      if column.source == .dump {
        guard let start = prefix.baseAddress else { continue }
        let to = Int(start.loadUnaligned(fromByteOffset: dumpIndex &* 4, as: UInt32.self))
        visitor.format.put(start + (bytes &+ from), to &- from)
        visitor.format.copied(fields: 1)
        from = to
        dumpIndex &+= 1
      } else if visitor.begin(column.source) {
        visitor.value(column.key, column.form, at: column.offset)
      } else {
        visitor.format.absent(column.key)
      }
    }
    visitor.format.closeRow()
    format = visitor.format
  }

  mutating func writePrefix(_ sources: RowSources) {
    var visitor = RowVisitor(
      format, starts: sources.starts, lengths: sources.lengths, present: sources.present,
      accurateECN: sources.accurateECN)
    let ends = format.cursor
    let start = ends + dumpCount * 4
    visitor.format.cursor = start
    var dumpIndex = 0
    for column in columns where column.source == .dump {
      if visitor.begin(.dump) { visitor.value(column.key, column.form, at: column.offset) }
      let end = UInt32(truncatingIfNeeded: visitor.format.cursor - start)
      ends.storeBytes(of: end, toByteOffset: dumpIndex * 4, as: UInt32.self)
      dumpIndex += 1
    }
    format = visitor.format
  }
}
