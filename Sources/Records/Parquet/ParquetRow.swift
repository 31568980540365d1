/// Puts the values of one row into the columns of a Parquet file, as the text formats show them. The number of a key is
/// the position of its column.
struct ParquetRow: ValueFormat {
  let columns: UnsafeMutablePointer<ColumnBuilder>
  /// The row's position in the page.
  let row: Int

  static var hasImplicitPresence: Bool { false }

  @inline(__always)
  mutating func unsigned(_ key: ColumnKey, _ value: UInt32) { columns[Int(key.number)].append(value, row: row) }

  @inline(__always)
  mutating func unsigned64(_ key: ColumnKey, _ value: UInt64) { columns[Int(key.number)].append(value, row: row) }

  @inline(__always)
  mutating func signed64(_ key: ColumnKey, _ value: Int64) {
    columns[Int(key.number)].append(UInt64(bitPattern: value), row: row)
  }

  @inline(__always)
  mutating func text(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    columns[Int(key.number)].append(text: start, count, row: row)
  }

  @inline(__always)
  mutating func address(_ key: ColumnKey, _ start: UnsafeRawPointer, _ count: Int) {
    columns[Int(key.number)].appendText(row: row) { putAddress(&$0, start, count) }
  }

  @inline(__always)
  mutating func state(_ key: ColumnKey, _ value: UInt32) {
    columns[Int(key.number)].appendText(row: row) { putState(&$0, value) }
  }

  @inline(__always)
  mutating func algorithm(_ key: ColumnKey, _ value: UInt32) { unsigned(key, value) }

  @inline(__always)
  mutating func absent(_ key: ColumnKey) { columns[Int(key.number)].appendNothing(row: row) }
}

/// The columns that rows are put into, in the order of the file. Owns their memory.
struct ParquetColumns: ~Copyable {
  let builders: UnsafeMutablePointer<ColumnBuilder>
  let count: Int
  /// Where the values of all columns but the first come from; their keys hold their positions.
  private let places: UnsafeMutablePointer<Column>
  private let marks: UnsafeMutablePointer<Int>

  /// - Parameter columns: the first one is `event_date`.
  init(_ columns: [ParquetColumn], pageRows: Int) {
    count = columns.count
    builders = .allocate(capacity: count)
    places = .allocate(capacity: count)
    marks = .allocate(capacity: count)
    for (index, column) in columns.enumerated() {
      (builders + index).initialize(to: ColumnBuilder(column, pageRows: pageRows))
      let place = Column(
        key: ColumnKey("", UInt32(truncatingIfNeeded: index)), form: column.form, source: column.source ?? .row,
        offset: column.offset)
      (places + index).initialize(to: place)
      (marks + index).initialize(to: 0)
    }
  }

  deinit {
    builders.deinitialize(count: count)
    builders.deallocate()
    places.deallocate()
    marks.deallocate()
  }

  /// Appends a row at `row` of the page in hand.
  @inline(__always)
  func append(_ sources: RowSources, row: Int) {
    builders[0].append(Self.day(of: sources), row: row)
    var visitor = RowVisitor(
      ParquetRow(columns: builders, row: row), starts: sources.starts, lengths: sources.lengths,
      present: sources.present, accurateECN: sources.accurateECN)
    for index in 1..<count {
      let place = places + index
      if visitor.begin(place.pointee.source) {
        visitor.value(place.pointee.key, place.pointee.form, at: place.pointee.offset)
      } else {
        visitor.format.absent(place.pointee.key)
      }
    }
  }

  /// Days since 1970-01-01 of `timestamp_ns`; before that negative, so rounded down and not towards zero.
  @inline(__always)
  private static func day(of sources: RowSources) -> UInt32 {
    let timestamp = sources.starts[Int(Source.row.rawValue)].load(as: Int64.self)
    let day = 86_400_000_000_000 as Int64
    let days = timestamp / day &- (timestamp % day < 0 ? 1 : 0)
    return UInt32(truncatingIfNeeded: days)
  }

  /// Remembers where the rows in hand end.
  func mark() { for index in 0..<count { marks[index] = builders[index].pendingBytes } }

  /// Takes back what was appended since `mark`.
  func takeBack() { for index in 0..<count { builders[index].takeBack(to: marks[index]) } }

  /// Puts the body of column `index`'s page in hand into `scratch.body` and begins the next page. Here and
  /// not through `builders` in the writer: there the thread sanitizer's build takes it for an overlap with `scratch`.
  func closePage(_ index: Int, rows: Int, _ scratch: inout PageScratch) -> PageEncoding {
    builders[index].closePage(rows: rows, &scratch)
  }

  /// Adds a page to the sizes of column `index`'s chunk.
  func count(_ index: Int, page: PageSize) { builders[index].count(page: page) }

  func removeAll() { for index in 0..<count { builders[index].removeAll() } }

  var pendingBytes: Int { (0..<count).reduce(0) { $0 + builders[$1].pendingBytes } }
  var dictionaryMemory: Int { (0..<count).reduce(0) { $0 + builders[$1].dictionaryMemory } }
}
