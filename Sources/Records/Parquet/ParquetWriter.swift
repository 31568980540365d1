/// What a `ParquetWriter` cannot do.
public enum ParquetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A batch does not hold together; nothing of it was added.
  case malformed(RecordFileError)
  /// A column that does not exist was selected.
  case unknownColumn(UnknownColumn)
  /// libzstd failed, for lack of memory. The file cannot be completed; every further call says so, until `begin`.
  case compression(String)

  public var description: String {
    switch self {
    case .malformed(let error): "batch: \(error)"
    case .unknownColumn(let error): "\(error)"
    case .compression(let reason): "compression failed: \(reason)"
    }
  }
}

/// Makes Parquet files of encoded batches: rows in, bytes of a file out (https://parquet.apache.org/docs/file-format/).
///
///     var writer = try ParquetWriter(version: "1.0.0")
///     writer.begin()
///     try writer.append(batch, .protobufList)          // any number of times
///     ... write writer.output somewhere, then writer.removeOutput(count) ...
///     try writer.finish()
///
/// Columns, their order and types come from the list of fields, and values are those of `jsonl`: what `jsonl` leaves
/// out is null. In front stands `event_date`, the day of `timestamp_ns` in UTC.
///
/// Rows gather in pages, compressed pages in a row group. A row group that is full (`rowGroupRows`, `rowGroupBytes`)
/// goes to `output` by itself, in the middle of a batch too. Nothing is allocated for a row; memory is kept from row
/// group to row group and from file to file, and bounded by `maximumMemory`. Not shared between threads.
public struct ParquetWriter: ~Copyable {
  /// How the rows of a batch are framed.
  public enum Input: Sendable {
    /// An `Envelope` behind its length, or several of them.
    case protobufList
    /// Each row behind its length.
    case protobuf

    /// Nil for formats that do not hold what a column needs.
    public init?(_ format: RecordFormat) {
      switch format {
      case .protobufList: self = .protobufList
      case .protobuf: self = .protobuf
      default: return nil
      }
    }
  }

  /// Rows of the file so far, those not yet in `output` included.
  public private(set) var rows = 0
  /// Bytes of the file so far that have gone to `output`.
  public private(set) var bytesWritten = 0

  let columns: [ParquetColumn]
  private let rowGroupRows: Int
  private let rowGroupBytes: Int
  private let createdBy: String
  private let builders: ParquetColumns
  private var row = RestoredRow()
  private var scratch: PageScratch
  private var compressor: PageCompressor

  private var pendingRows = 0
  /// At least what the texts and numbers of the page in hand take.
  private var pendingEstimate = 0
  private var group = RowGroup()
  /// `RowGroup` structures of the footer.
  private var groups = ByteBuffer(capacity: 4096)
  private var groupCount = 0
  private var outputBuffer = ByteBuffer(capacity: 4096)
  /// Why this file cannot be completed.
  private var failure: ParquetError?

  /// A page has at most so many rows; 15 of 8,192 are a row group of DuckDB.
  private let pageRows: Int
  /// A page has at most so many bytes in all columns together, before encoding.
  private let pageBytes: Int
  /// What a row takes beside the bytes of its batch.
  private let rowBytes: Int

  /// - Parameters:
  ///   - columns: selects and orders columns, nil for all that can hold a value. `event_date` is always there.
  ///   - rowGroupRows: a row group is complete with so many rows; readers that work in parallel do so by row groups.
  ///   - rowGroupBytes: or with so many bytes, compressed pages and dictionaries together.
  ///   - version: of xtcpd, for `created_by`.
  public init(
    columns: [String]? = nil, compression: ParquetCompression = .zstd(level: 3), rowGroupRows: Int = 122_880,
    rowGroupBytes: Int = 16 << 20, version: String
  ) throws(ParquetError) {
    try self.init(
      columns: columns, compression: compression, pageRows: 8192, rowGroupRows: rowGroupRows,
      rowGroupBytes: rowGroupBytes, version: version)
  }

  /// The same with pages of another size, so that tests need few rows.
  init(
    columns: [String]?, compression: ParquetCompression, pageRows: Int, rowGroupRows: Int, rowGroupBytes: Int,
    version: String
  ) throws(ParquetError) {
    let chosen = try ParquetColumn.columns(columns)
    let compressor = try PageCompressor(compression)
    self.columns = chosen
    self.compressor = compressor
    builders = ParquetColumns(chosen, pageRows: pageRows)
    scratch = PageScratch(pageRows: pageRows)
    self.pageRows = pageRows
    self.rowGroupRows = max(1, rowGroupRows)
    self.rowGroupBytes = max(1, rowGroupBytes)
    pageBytes = min(16 << 20, max(256 << 10, self.rowGroupBytes / 2))
    rowBytes = chosen.reduce(0) { $0 + $1.fixedBytes }
    createdBy = "xtcpd version \(version)"
  }

  // MARK: Output

  /// Bytes of the file that are complete and not yet removed. Valid until the next call of a mutating function;
  /// `append` changes them only if a row group gets full.
  public var output: UnsafeRawBufferPointer { outputBuffer.bytes }

  /// The first `count` bytes of `output` have been written.
  public mutating func removeOutput(_ count: Int) { outputBuffer.removeFirst(count) }

  /// Starts a file: forgets what is left of one before, output included, and puts the magic bytes into `output`.
  public mutating func begin() {
    builders.removeAll()
    group.removeAll()
    groups.removeAll()
    outputBuffer.removeAll()
    pendingRows = 0
    pendingEstimate = 0
    groupCount = 0
    rows = 0
    failure = nil
    outputBuffer.append(ParquetMetadata.magic)
    bytesWritten = outputBuffer.count
  }

  /// Puts the rest of the file into `output`: the row group in hand, the footer, the magic bytes.
  public mutating func finish() throws(ParquetError) {
    try finishRowGroup()
    let start = outputBuffer.count
    ParquetMetadata.putFooter(
      columns: columns, rows: rows, rowGroups: groups.bytes, count: groupCount, createdBy: createdBy, &outputBuffer)
    bytesWritten += outputBuffer.count - start
  }

  // MARK: Memory

  /// Bytes of rows that are not in `output` yet: the page in hand, compressed pages, dictionaries. Near to what they
  /// will take in the file, except for the page in hand, which is not compressed.
  public var bufferedBytes: Int { builders.pendingBytes + groupBytes }

  private var groupBytes: Int { group.pages.count + builders.dictionaryMemory }

  /// The most memory that the writer holds, in bytes, if `output` is removed after every `append` and no batch fills
  /// more than one row group. It holds for hostile rows too, whose texts are all long and different; real ones take
  /// about a tenth. The footer comes on top, about 20 KiB for each row group.
  public var maximumMemory: Int {
    let fixed = columns.reduce(0) { $0 + ColumnBuilder.fixedMemory($1.type, pageRows: pageRows) }
    // A byte that is no UTF-8 becomes three.
    let page = 3 * pageBytes
    // A page adds itself to a row group that is not quite full: encoded, as values of dictionaries, and as the slots to
    // find them, which double.
    let group = 2 * (rowGroupBytes + page + columns.count * pageRows * 8)
    // Output has no slots. Buffers grow by a quarter.
    return fixed + 5 * (page + group + rowGroupBytes + page) / 4 + compressor.maximumMemory
  }

  // MARK: Rows

  /// Adds the rows of a batch, in their order.
  ///
  /// - Returns: how many there were.
  /// - Throws: `.malformed` if the batch, which may come from a disk, does not hold together: no row of it was added.
  @discardableResult
  public mutating func append(_ batch: UnsafeRawBufferPointer, _ input: Input) throws(ParquetError) -> Int {
    if let failure { throw failure }
    let count: Int
    do throws(RecordFileError) {
      count = try Self.rows(in: batch, input)
    } catch {
      throw .malformed(error)
    }
    // Rows of the page in hand can be taken back. A batch that closes it must be known to be whole.
    if !fits(batch, count) && pendingRows > pageRows / 2 && count <= pageRows { try closePage() }
    if !fits(batch, count) { try check(batch, input) }
    try add(batch, input)
    return count
  }

  private static func rows(in batch: UnsafeRawBufferPointer, _ input: Input) throws(RecordFileError) -> Int {
    var ranges = ProtobufRows(batch, isEnvelope: input == .protobufList)
    var count = 0
    while try ranges.next() != nil { count += 1 }
    return count
  }

  private mutating func check(_ batch: UnsafeRawBufferPointer, _ input: Input) throws(ParquetError) {
    do throws(RecordFileError) {
      var ranges = ProtobufRows(batch, isEnvelope: input == .protobufList)
      while let range = try ranges.next() { try row.read(protobuf: batch, range) }
    } catch {
      throw .malformed(error)
    }
  }

  private mutating func add(_ batch: UnsafeRawBufferPointer, _ input: Input) throws(ParquetError) {
    var ranges = ProtobufRows(batch, isEnvelope: input == .protobufList)
    builders.mark()
    let start = pendingRows
    let estimate = pendingEstimate
    var failure: RecordFileError?
    while true {
      do throws(RecordFileError) {
        guard let range = try ranges.next() else { break }
        try row.read(protobuf: batch, range)
        pendingEstimate += range.count + rowBytes
      } catch {
        failure = error
        break
      }
      builders.append(row.sources, row: pendingRows)
      pendingRows += 1
      rows += 1
      if pageRoom == 0 || pendingEstimate >= pageBytes { try closePage() }
    }
    guard let failure else { return }
    builders.takeBack()
    rows -= pendingRows - start
    pendingRows = start
    pendingEstimate = estimate
    throw .malformed(failure)
  }

  /// How many rows still fit the page in hand.
  private var pageRoom: Int { min(pageRows, rowGroupRows - group.rows) - pendingRows }

  /// Whether a batch of `count` rows ends before the page in hand is full, or with its last row.
  private func fits(_ batch: UnsafeRawBufferPointer, _ count: Int) -> Bool {
    count <= pageRoom && pendingEstimate + batch.count + count * rowBytes <= pageBytes
  }

  // MARK: Pages and row groups

  /// Compresses the page in hand of every column; finishes the row group if it is full then.
  private mutating func closePage() throws(ParquetError) {
    if let failure { throw failure }
    if pendingRows == 0 { return }
    for index in 0..<builders.count {
      let encoding = builders.closePage(index, rows: pendingRows, &scratch)
      let packed = try compress(scratch.body.bytes)
      let start = group.pages.count
      let bodies = PageSize(uncompressed: scratch.body.count, compressed: packed.count)
      ParquetMetadata.putDataPageHeader(rows: pendingRows, encoding: encoding, size: bodies, &group.pages)
      let head = group.pages.count - start
      group.pages.append(packed)
      group.places.append(start)
      builders.count(index, page: bodies + head)
    }
    group.rows += pendingRows
    pendingRows = 0
    pendingEstimate = 0
    if group.rows >= rowGroupRows || groupBytes >= rowGroupBytes { try finishRowGroup() }
  }

  private mutating func compress(_ page: UnsafeRawBufferPointer) throws(ParquetError) -> UnsafeRawBufferPointer {
    do throws(ParquetError) {
      return try compressor.compress(page)
    } catch {
      failure = error
      throw error
    }
  }

  /// Moves the rows so far, if there are any, to `output` as a row group.
  public mutating func finishRowGroup() throws(ParquetError) {
    try closePage()
    if group.rows == 0 { return }
    let start = bytesWritten
    var structure = ThriftStruct()
    ParquetMetadata.putRowGroupHead(columns: columns.count, &structure, &groups)
    var total = PageSize()
    for index in 0..<builders.count {
      let place = try putChunk(index)
      ParquetMetadata.putChunk(
        columns[index], builders.builders[index], place, codec: compressor.compression.codec, &groups)
      total += builders.builders[index].chunk.size
    }
    ParquetMetadata.putRowGroupEnd(
      rows: group.rows, start: start, ordinal: groupCount, size: total, &structure, &groups)
    groupCount += 1
    group.removeAll()
    builders.removeAll()
  }

  /// The dictionary page and the data pages of a column.
  private mutating func putChunk(_ index: Int) throws(ParquetError) -> ParquetMetadata.ChunkPlace {
    let start = bytesWritten
    var before = outputBuffer.count
    if let dictionary = builders.builders[index].dictionaryPage {
      let packed = try compress(dictionary)
      let bodies = PageSize(uncompressed: dictionary.count, compressed: packed.count)
      ParquetMetadata.putDictionaryPageHeader(
        values: builders.builders[index].dictionaryCount, size: bodies, &outputBuffer)
      let head = outputBuffer.count - before
      outputBuffer.append(packed)
      builders.count(index, page: bodies + head)
      bytesWritten += outputBuffer.count - before
    }
    let firstDataPage = bytesWritten
    before = outputBuffer.count
    for page in stride(from: index, to: group.places.count, by: columns.count) {
      let end = page + 1 < group.places.count ? group.places[page + 1] : group.pages.count
      outputBuffer.append(UnsafeRawBufferPointer(rebasing: group.pages.bytes[group.places[page]..<end]))
    }
    bytesWritten += outputBuffer.count - before
    return ParquetMetadata.ChunkPlace(start: start, firstDataPage: firstDataPage)
  }
}

/// The closed pages of a row group.
private struct RowGroup: ~Copyable {
  var rows = 0
  /// Headers and compressed bodies: the first page of every column, then the second of every column ...
  var pages = ByteBuffer(capacity: 64 << 10)
  /// Where each page starts in `pages`.
  var places: [Int] = []

  mutating func removeAll() {
    rows = 0
    pages.removeAll()
    places.removeAll(keepingCapacity: true)
  }
}

extension PageSize {
  fileprivate static func + (bodies: PageSize, head: Int) -> PageSize {
    PageSize(uncompressed: bodies.uncompressed + head, compressed: bodies.compressed + head)
  }
}
