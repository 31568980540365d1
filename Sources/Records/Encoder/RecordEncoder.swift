/// Turns the datagrams of a dump into encoded rows: bytes in, bytes out, nothing in between.
///
/// One for each pipeline, format and selection of columns. Not shared between threads. Its tables and scratch memory are
/// made by `init`; afterwards nothing is allocated. A batch is memory of the caller:
///
///     [ batchHeadroom | rows ... | free | batchTailroom ]
///
/// Rows are appended at `end` (which starts at `batchHeadroom`) until the batch is full; `seal` then puts around them what
/// the format needs and tells which bytes to ship.
public struct RecordEncoder: ~Copyable {
  public let format: RecordFormat
  /// No row takes more bytes than this, whatever the kernel sends.
  public let maximumRowBytes: Int
  /// No prefix takes more bytes than this.
  public let maximumPrefixBytes: Int
  /// No header takes more bytes than this.
  public let maximumHeaderBytes: Int
  /// Bytes to keep free before the first row: `seal` writes an envelope's length or opening there.
  public static let batchHeadroom = 16
  /// Bytes that `seal` may append after the last row.
  public static let batchTailroom = 16

  /// Rows encoded so far; the next row's `record_counter` is one more.
  public private(set) var rowsEncoded: UInt64 = 0

  private let attributes: AttributeSelection
  private let hasAllColumns: Bool
  private let columns: ColumnTable
  private let dump: DumpBlock
  private let row: RowBlock
  private var index: AttributeIndex
  private var accurateECN: AccurateECNLayout

  /// Wide stores of numbers and tags touch up to this many bytes behind what they keep.
  private static let storeSlack = 32

  /// - Parameters:
  ///   - columns: selects and orders columns, in every format; nil for all. Names that occur twice count once.
  ///   - attributes: kernel attributes that may appear in rows.
  /// - Throws: `UnknownColumn` for a name that is not in `RecordSchema.columnNames`, or an empty list.
  public init(
    format: RecordFormat, columns: [String]?, attributes: AttributeSelection, host: HostIdentity,
    pipeline: PipelineIdentity
  ) throws(UnknownColumn) {
    let table = try ColumnTable(columns, format: format)
    self.format = format
    self.attributes = attributes
    hasAllColumns = columns == nil
    maximumRowBytes = Self.rowBound(table, format) + Self.storeSlack
    maximumPrefixBytes = Self.prefixBound(table, format) + Self.storeSlack
    maximumHeaderBytes = table.columns.reduce(2) { $0 + max($1.key.nameCount, $1.key.width) + TableFormat.gap + 1 }
    self.columns = table
    accurateECN = AccurateECNLayout(kernelRelease: host.kernelRelease)
    dump = DumpBlock()
    row = RowBlock()
    index = AttributeIndex()
    dump.set(.daemonVersion, host.daemonVersion)
    dump.set(.hostname, host.hostname)
    dump.set(.location, host.location)
    dump.set(.bootID, host.bootID)
    dump.set(.machineID, host.machineID)
    dump.set(.kernelRelease, host.kernelRelease)
    dump.set(.pipeline, pipeline.name)
    dump.set(.label, pipeline.label)
    dump.set(.tag, pipeline.tag)
    dump.set(sampleEvery: max(1, pipeline.sampleEvery))
    index.starts[Int(Source.dump.rawValue)] = UnsafeRawPointer(dump.memory)
    index.lengths[Int(Source.dump.rawValue)] = DumpBlock.byteCount
    index.starts[Int(Source.row.rawValue)] = UnsafeRawPointer(row.memory)
    index.lengths[Int(Source.row.rawValue)] = RowBlock.byteCount
    index.lengths[Int(Source.message.rawValue)] = NetlinkSize.socketMessage
  }

  // MARK: Once a file, once a dump

  /// Writes the line of column names with which a stream starts; 0 bytes for formats without one.
  ///
  /// - Parameter memory: at least `maximumHeaderBytes` bytes.
  /// - Returns: how many bytes were written.
  public func encodeHeader(into memory: UnsafeMutableRawBufferPointer) -> Int {
    guard format.hasHeader, let base = memory.baseAddress else { return 0 }
    precondition(memory.count >= maximumHeaderBytes, "the header needs maximumHeaderBytes")
    switch format {
    case .csv: return header(DelimitedFormat<CommaSeparated>(base), from: base)
    case .tsv: return header(DelimitedFormat<TabSeparated>(base), from: base)
    default: return header(TableFormat(base), from: base)
    }
  }

  private func header<Format: RowFormat>(_ format: Format, from base: UnsafeMutableRawPointer) -> Int {
    var format = format
    for column in columns.columns { format.text(column.key, column.key.name, column.key.nameCount) }
    format.closeRow()
    return format.cursor - base
  }

  /// Encodes what is the same for all rows of one dump. Does not allocate.
  ///
  /// - Parameters:
  ///   - pollStart: wall clock at the start of the poll, ns since 1970.
  ///   - memory: at least `maximumPrefixBytes` bytes.
  /// - Returns: how many bytes were written; `transcode` gets exactly these.
  public func encodePrefix(
    namespace: borrowing NamespaceIdentity, pollSequence: UInt64, pollStart: Int64,
    into memory: UnsafeMutableRawBufferPointer
  ) -> Int {
    dump.set(.namespace, namespace.name)
    dump.set(inode: namespace.inode)
    dump.set(cookie: namespace.cookie)
    dump.set(pollSequence: pollSequence)
    dump.set(pollStart: pollStart)
    return encodePrefix(into: memory)
  }

  /// Encodes the prefix of what `dump` holds.
  private func encodePrefix(into memory: UnsafeMutableRawBufferPointer) -> Int {
    precondition(memory.count >= maximumPrefixBytes, "the prefix needs maximumPrefixBytes")
    guard let base = memory.baseAddress else { return 0 }
    let sources = RowSources(
      starts: index.starts, lengths: index.lengths, present: Source.dump.bit, accurateECN: accurateECN)
    func write<Writer: RowWriter>(_ writer: Writer) -> Int {
      var writer = writer
      writer.writePrefix(sources)
      return writer.format.cursor - base
    }
    switch format {
    case .protobufList, .protobuf:
      let format = ProtobufFormat(base, isEnvelope: format == .protobufList)
      return hasAllColumns ? write(WholeRowWriter(format: format)) : write(selection(format))
    case .jsonl:
      return hasAllColumns ? write(WholeRowWriter(format: JSONFormat(base))) : write(selection(JSONFormat(base)))
    case .msgpack:
      let format = MessagePackFormat(base)
      return hasAllColumns ? write(WholeRowWriter(format: format)) : write(selection(format))
    case .protoJSON: return write(selection(ProtoJSONFormat(base)))
    case .protoText: return write(selection(ProtoTextFormat(base)))
    case .csv: return write(selection(DelimitedFormat<CommaSeparated>(base)))
    case .tsv: return write(selection(DelimitedFormat<TabSeparated>(base)))
    case .table: return write(selection(TableFormat(base)))
    }
  }

  private func selection<Format: RowFormat>(_ format: Format) -> ColumnRowWriter<Format> {
    ColumnRowWriter(format: format, columns: columns.columns, dumpCount: columns.dumpCount)
  }

  /// Appends one row that was read from a file at `cursor`, where `maximumRowBytes` must be free, and returns where it
  /// ends. Such a row brings its own identity, so its prefix is made in `scratch` (`maximumPrefixBytes`) first. Both go
  /// through the table of columns, which gives the same bytes as the straight code of fresh rows.
  func encodeRow(
    _ sources: RowSources, scratch: UnsafeMutableRawBufferPointer, at cursor: UnsafeMutableRawPointer
  ) -> UnsafeMutableRawPointer {
    precondition(scratch.count >= maximumPrefixBytes, "the prefix needs maximumPrefixBytes")
    guard let base = scratch.baseAddress else { return cursor }
    func write<Format: RowFormat>(_ format: Format) -> UnsafeMutableRawPointer {
      var writer = selection(format)
      writer.writePrefix(sources)
      let prefix = UnsafeRawBufferPointer(start: base, count: writer.format.cursor - base)
      writer.format.cursor = cursor
      writer.writeRow(sources, prefix: prefix)
      return writer.format.cursor
    }
    switch format {
    case .protobufList, .protobuf: return write(ProtobufFormat(base, isEnvelope: format == .protobufList))
    case .jsonl: return write(JSONFormat(base))
    case .msgpack: return write(MessagePackFormat(base))
    case .protoJSON: return write(ProtoJSONFormat(base))
    case .protoText: return write(ProtoTextFormat(base))
    case .csv: return write(DelimitedFormat<CommaSeparated>(base))
    case .tsv: return write(DelimitedFormat<TabSeparated>(base))
    case .table: return write(TableFormat(base))
    }
  }

  // MARK: Once a datagram

  /// Transcodes the messages of one datagram from `position` on, until the datagram or the dump ends or the batch is full.
  /// Resumable: after `.batchFull` call again with the same position and the next batch.
  ///
  /// Every message is checked against `sequence`; those of another dump are counted and skipped. What the kernel reports as
  /// an error comes back at once. No row is written from a message that does not hold together.
  ///
  /// - Parameters:
  ///   - datagram: one datagram, whole, as the kernel sent it. Not kept.
  ///   - position: where to go on, 0 at first; moved behind the last message that was dealt with.
  ///   - sequence: `nlmsg_seq` of the dump.
  ///   - timestamp: `timestamp_ns` of its rows, ns since 1970.
  ///   - prefix: what `encodePrefix` wrote for this dump.
  ///   - bindings: those of the selection's filter in the dump's namespace; nil if it has none.
  ///   - memory: the batch. `end` and `rows` grow with every row; `rows` never beyond `rowLimit`.
  ///   - marks: 16 bytes for each of `rowLimit` rows, 8-aligned, or nil: for each row its end (u32, bytes behind `batchHeadroom`),
  ///     four zero bytes, and the socket's cookie (u64) are written there.
  ///   - tally: grows by what became of each message.
  public mutating func transcode(
    _ datagram: UnsafeRawBufferPointer, position: inout Int, sequence: UInt32, selection: RowSelection,
    timestamp: Int64, prefix: UnsafeRawBufferPointer, bindings: UnsafePointer<UInt64>? = nil,
    into memory: UnsafeMutableRawBufferPointer, end: inout Int, rows: inout Int, rowLimit: Int,
    marks: UnsafeMutableRawPointer? = nil, tally: inout RowTally
  ) -> TranscodeStop {
    guard let base = memory.baseAddress else { return .batchFull }
    var walk = NetlinkWalk(
      datagram: datagram, position: position, sequence: sequence, selection: selection,
      bindings: bindings, attributes: selection.attributes.intersection(attributes).rawValue)
    var batch = BatchTail(
      cursor: base + end, limit: base + max(end, memory.count - Self.batchTailroom - maximumRowBytes + 1), rows: rows,
      rowLimit: rowLimit, body: base + Self.batchHeadroom, marks: marks)
    // The walk reads the filter through a pointer.
    let stop = withExtendedLifetime(selection.filter) {
      run(&walk, &batch, timestamp: timestamp, prefix: prefix, tally: &tally)
    }
    position = walk.position
    end = batch.cursor - base
    rows = batch.rows
    return stop
  }

  /// Chooses the code for this format, once a datagram.
  private mutating func run(
    _ walk: inout NetlinkWalk, _ batch: inout BatchTail, timestamp: Int64, prefix: UnsafeRawBufferPointer,
    tally: inout RowTally
  ) -> TranscodeStop {
    let cursor = batch.cursor
    func loop<Writer: RowWriter>(_ encoder: inout RecordEncoder, _ writer: Writer) -> TranscodeStop {
      encoder.transcodeRows(writer, &walk, &batch, timestamp: timestamp, prefix: prefix, tally: &tally)
    }
    switch format {
    case .protobufList, .protobuf:
      let format = ProtobufFormat(cursor, isEnvelope: format == .protobufList)
      return hasAllColumns ? loop(&self, WholeRowWriter(format: format)) : loop(&self, selection(format))
    case .jsonl:
      let format = JSONFormat(cursor)
      return hasAllColumns ? loop(&self, WholeRowWriter(format: format)) : loop(&self, selection(format))
    case .msgpack:
      let format = MessagePackFormat(cursor)
      return hasAllColumns ? loop(&self, WholeRowWriter(format: format)) : loop(&self, selection(format))
    case .protoJSON: return loop(&self, selection(ProtoJSONFormat(cursor)))
    case .protoText: return loop(&self, selection(ProtoTextFormat(cursor)))
    case .csv: return loop(&self, selection(DelimitedFormat<CommaSeparated>(cursor)))
    case .tsv: return loop(&self, selection(DelimitedFormat<TabSeparated>(cursor)))
    case .table: return loop(&self, selection(TableFormat(cursor)))
    }
  }

  /// The hot loop: message by message from the datagram into the batch.
  private mutating func transcodeRows<Writer: RowWriter>(
    _ writer: Writer, _ walk: inout NetlinkWalk, _ batch: inout BatchTail, timestamp: Int64,
    prefix: UnsafeRawBufferPointer, tally: inout RowTally
  ) -> TranscodeStop {
    var writer = writer
    var counter = rowsEncoded
    var counts = RowTally()
    defer {
      rowsEncoded = counter
      batch.cursor = writer.format.cursor
      tally += counts
    }
    while true {
      let socket: SocketMessage
      switch walk.next(&counts) {
      case .socket(let message): socket = message
      case .stop(let stop): return stop
      }
      if batch.rows >= batch.rowLimit || writer.format.cursor >= batch.limit { return .batchFull }
      guard
        index.read(
          socket.payload, length: socket.length, selected: walk.attributes, unknown: &counts.unknownAttributes)
      else { return .malformed(.attributeLength) }
      counter &+= 1
      finishRow(timestamp: timestamp, counter: counter)
      let sources = RowSources(
        starts: index.starts, lengths: index.lengths, present: index.present, accurateECN: accurateECN)
      writer.writeRow(sources, prefix: prefix)
      walk.advance()
      if let marks = batch.marks { batch.mark(marks, end: writer.format.cursor, of: socket) }
      batch.rows &+= 1
      counts.reported &+= 1
      counts.encoded &+= 1
      if socket.state == SocketStates.listenNumber { counts.listening &+= 1 }
    }
  }

  /// Fills in what xtcpd itself says about the row whose sources `index` holds.
  @inline(__always)
  private mutating func finishRow(timestamp: Int64, counter: UInt64) {
    let hasInfo = index.present & Source.info.bit != 0
    row.set(
      timestamp: timestamp, counter: counter, attributes: index.present & Source.attributeBits,
      infoLength: hasInfo ? UInt32(truncatingIfNeeded: index.lengths[Int(Source.info.rawValue)]) : 0)
    index.lengths[Int(Source.row.rawValue)] = hasInfo ? RowBlock.byteCount : RowBlock.byteCountWithoutInfo
    index.present |= Source.row.bit
  }

  // MARK: Once a batch

  /// Puts around the rows what the format needs: the envelope's length, brackets. Afterwards [start, end) are the bytes to
  /// ship; an empty batch stays empty. Call it once, with the `start` and `end` of the batch that was filled.
  public func seal(_ memory: UnsafeMutableRawBufferPointer, start: inout Int, end: inout Int) {
    guard end > start, let base = memory.baseAddress else { return }
    switch format {
    case .protobufList:
      start -= Self.putLength(end - start, before: base + start)
    case .protoJSON:
      let opening = ProtoJSONFormat.opening
      start -= opening.utf8CodeUnitCount
      (base + start).copyMemory(from: opening.utf8Start, byteCount: opening.utf8CodeUnitCount)
      let closing = ProtoJSONFormat.closing
      (base + (end - 1)).copyMemory(from: closing.utf8Start, byteCount: closing.utf8CodeUnitCount)
      end += closing.utf8CodeUnitCount - 1
    default:
      break
    }
  }

  /// Writes a varint so that it ends at `end`; its size is returned, at most 10 bytes.
  private static func putLength(_ length: Int, before end: UnsafeMutableRawPointer) -> Int {
    let bits = UInt64(length)
    let size = (63 - (bits | 1).leadingZeroBitCount) / 7 + 1
    for position in 0..<size {
      let more: UInt8 = position < size - 1 ? 0x80 : 0
      let byte = UInt8(truncatingIfNeeded: bits &>> UInt64(7 * position)) & 0x7f | more
      (end - size + position).storeBytes(of: byte, as: UInt8.self)
    }
    return size
  }
}
