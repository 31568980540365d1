/// The values of a column in the page in hand, and what is known of the pages before it in the row group. Owns its
/// memory.
///
/// A page in hand holds its values in encoding PLAIN already; whether they become indexes into a dictionary is decided
/// when it is closed, for all of them at once.
struct ColumnBuilder: ~Copyable {
  let type: ParquetType
  let isOptional: Bool

  /// Where the next value goes.
  private var end: UnsafeMutableRawPointer
  private var start: UnsafeMutableRawPointer
  private var capacity: Int
  /// One byte for each row of the page: 1 if it has a value. These are its definition levels.
  private let levels: UnsafeMutablePointer<UInt8>

  private var dictionary: ParquetDictionary
  /// Whether pages still go through the dictionary.
  private var usesDictionary = true
  private(set) var chunk = ChunkTotals()
  private var numbers = NumberBounds()
  private var texts = TextBounds()

  /// A dictionary is full with the values of so many pages in which no value occurs twice.
  private static let dictionaryPages = 4
  /// The longest text with its length, and what reading and storing in whole words touches behind it.
  static let textRoom = 4 + maximumTextBytes + 16

  init(_ column: ParquetColumn, pageRows: Int) {
    type = column.type
    isOptional = column.isOptional
    capacity = max(Self.textRoom, column.type.width * pageRows)
    start = .allocate(byteCount: capacity, alignment: 16)
    end = start
    levels = .allocate(capacity: pageRows)
    dictionary = ParquetDictionary(mostValues: Self.dictionaryPages * pageRows)
  }

  deinit {
    start.deallocate()
    levels.deallocate()
  }

  /// What a text column keeps from page to page.
  private static let keptBytes = 512 << 10

  /// The memory that a column takes before the first row, and for texts between two pages.
  static func fixedMemory(_ type: ParquetType, pageRows: Int) -> Int {
    pageRows * (type.width + 1) + (type == .text ? keptBytes : 0) + 2 * maximumTextBytes + 512
  }

  /// Bytes of the values in hand.
  var pendingBytes: Int { end - start }
  var dictionaryMemory: Int { dictionary.memory }
  /// The body of the dictionary page; nil if no page refers to it.
  var dictionaryPage: UnsafeRawBufferPointer? { chunk.dictionaryPages > 0 ? dictionary.values.bytes : nil }
  var dictionaryCount: Int { dictionary.count }

  // MARK: Values

  @inline(__always)
  mutating func append(_ value: UInt32, row: Int) {
    end.storeBytes(of: value.littleEndian, as: UInt32.self)
    end += 4
    levels[row] = 1
  }

  @inline(__always)
  mutating func append(_ value: UInt64, row: Int) {
    end.storeBytes(of: value.littleEndian, as: UInt64.self)
    end += 8
    levels[row] = 1
  }

  @inline(__always)
  mutating func appendNothing(row: Int) { levels[row] = 0 }

  /// - Parameter count: at most `maximumTextBytes`.
  @inline(__always)
  mutating func append(text: UnsafeRawPointer, _ count: Int, row: Int) {
    appendText(row: row) { cursor in
      cursor.copyMemory(from: text, byteCount: count)
      cursor += count
    }
  }

  /// A text that `body` puts at the cursor, at most `maximumTextBytes` bytes.
  @inline(__always)
  mutating func appendText(row: Int, _ body: (inout UnsafeMutableRawPointer) -> Void) {
    if end - start > capacity &- Self.textRoom { grow() }
    var cursor = end + 4
    body(&cursor)
    let count = UInt32(truncatingIfNeeded: cursor - end - 4)
    end.storeBytes(of: count.littleEndian, as: UInt32.self)
    end = cursor
    levels[row] = 1
  }

  @inline(never)
  private mutating func grow() { resize(to: capacity * 5 / 4 + Self.textRoom) }

  private mutating func resize(to newCapacity: Int) {
    let used = pendingBytes
    let memory = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
    memory.copyMemory(from: start, byteCount: used)
    start.deallocate()
    start = memory
    end = memory + used
    capacity = newCapacity
  }

  /// Takes back the values behind the first `bytes`.
  mutating func takeBack(to bytes: Int) { end = start + min(pendingBytes, max(0, bytes)) }

  /// Forgets the page in hand and the whole row group.
  mutating func removeAll() {
    end = start
    dictionary.removeAll()
    usesDictionary = true
    chunk = ChunkTotals()
    numbers = NumberBounds()
    texts.removeAll()
  }

  // MARK: Pages

  /// Puts the body of the page in hand into `scratch.body` and begins the next page.
  ///
  /// - Parameter rows: how many rows the page has, of which this column may have fewer values.
  mutating func closePage(rows: Int, _ scratch: inout PageScratch) -> PageEncoding {
    scratch.body.removeAll()
    let values = isOptional ? putLevels(rows: rows, &scratch.body) : rows
    var encoding = PageEncoding.plain
    if values > 0 {
      noteNumbers(count: values)
      if usesDictionary && putIndexes(count: values, &scratch) {
        encoding = .dictionary
      } else {
        if type == .text { texts.note(texts: start, count: values) }
        scratch.body.append(UnsafeRawBufferPointer(start: start, count: pendingBytes))
      }
    }
    chunk.rows += rows
    chunk.nulls += rows - values
    if encoding == .dictionary { chunk.dictionaryPages += 1 } else { chunk.plainPages += 1 }
    end = start
    if type == .text && capacity > Self.keptBytes { resize(to: Self.keptBytes) }
    return encoding
  }

  /// The definition levels behind their length; returns how many rows have a value.
  private func putLevels(rows: Int, _ body: inout ByteBuffer) -> Int {
    var values = 0
    for row in 0..<rows { values &+= Int(levels[row]) }
    let length = body.count
    body.append(littleEndian: 0)
    HybridRuns.append(levels, count: rows, width: 1, to: &body)
    let size = UInt32(truncatingIfNeeded: body.count - length - 4)
    (body.base + length).storeBytes(of: size.littleEndian, as: UInt32.self)
    return values
  }

  private mutating func noteNumbers(count: Int) {
    switch type {
    case .unsigned32: numbers.note(start.assumingMemoryBound(to: UInt32.self), count: count)
    case .date: numbers.note(start.assumingMemoryBound(to: Int32.self), count: count)
    case .unsigned64: numbers.note(start.assumingMemoryBound(to: UInt64.self), count: count)
    case .signed64: numbers.note(start.assumingMemoryBound(to: Int64.self), count: count)
    case .text: break
    }
  }

  /// The page as indexes. False if it is larger so, with the values that are new: then it stays PLAIN, but later pages
  /// may refer to what it brought. False, and PLAIN from then on, if the dictionary is full.
  private mutating func putIndexes(count: Int, _ scratch: inout PageScratch) -> Bool {
    let known = dictionary.count
    let knownBytes = dictionary.values.count
    guard look(up: count, scratch.indexes) else {
      usesDictionary = false
      dictionary.truncate(to: known, bytes: knownBytes)
      return false
    }
    let width = HybridRuns.width(highest: dictionary.count - 1)
    let added = dictionary.values.count - knownBytes
    guard compressible(added) + count * width / 8 < compressible(pendingBytes) else { return false }
    scratch.body.append(UInt8(truncatingIfNeeded: width))
    HybridRuns.append(UnsafePointer(scratch.indexes), count: count, width: width, to: &scratch.body)
    return true
  }

  /// What `bytes` of values count for in a comparison with indexes: the upper bytes of numbers, which are zero in all
  /// of them, compress to nothing, and indexes do not have any.
  private func compressible(_ bytes: Int) -> Int {
    switch type {
    case .unsigned32, .unsigned64, .date:
      bytes / type.width * ((UInt64.bitWidth - (numbers.highest | 1).leadingZeroBitCount + 7) / 8)
    case .signed64, .text: bytes
    }
  }

  private mutating func look(up count: Int, _ indexes: UnsafeMutablePointer<UInt32>) -> Bool {
    switch type {
    case .unsigned32, .date:
      dictionary.look(up: start.assumingMemoryBound(to: UInt32.self), count: count, into: indexes)
    case .unsigned64, .signed64:
      dictionary.look(up: start.assumingMemoryBound(to: UInt64.self), count: count, into: indexes)
    case .text:
      dictionary.look(upTexts: start, count: count, into: indexes, bounds: &texts)
    }
  }

  // MARK: Statistics

  /// Calls `body` with the smallest and the largest value in encoding PLAIN (texts without their length), if there are
  /// any.
  func withBounds(_ body: (_ lowest: UnsafeRawBufferPointer, _ highest: UnsafeRawBufferPointer) -> Void) {
    if type == .text {
      if let lowest = texts.lowest, let highest = texts.highest { body(lowest, highest) }
    } else if !numbers.isEmpty {
      withUnsafeBytes(of: numbers.lowest.littleEndian) { lowest in
        withUnsafeBytes(of: numbers.highest.littleEndian) { highest in
          body(
            UnsafeRawBufferPointer(rebasing: lowest[..<type.width]),
            UnsafeRawBufferPointer(rebasing: highest[..<type.width]))
        }
      }
    }
  }

  mutating func count(page: PageSize) { chunk.size += page }
}

/// How the values of a data page are encoded.
enum PageEncoding {
  case plain, dictionary

  /// `Encoding` of parquet.thrift.
  var number: Int32 {
    switch self {
    case .plain: 0  // PLAIN
    case .dictionary: 8  // RLE_DICTIONARY
    }
  }
}

/// Bytes of pages, headers included.
struct PageSize {
  var uncompressed = 0
  var compressed = 0

  static func += (sum: inout PageSize, page: PageSize) {
    sum.uncompressed += page.uncompressed
    sum.compressed += page.compressed
  }
}

/// What the metadata says of a column chunk, summed up page by page.
struct ChunkTotals {
  var rows = 0
  var nulls = 0
  var plainPages = 0
  var dictionaryPages = 0
  var size = PageSize()
}

/// Memory that all columns use in turn to encode a page. Owned by the writer.
struct PageScratch: ~Copyable {
  var body = ByteBuffer(capacity: 64 << 10)
  let indexes: UnsafeMutablePointer<UInt32>

  init(pageRows: Int) { indexes = .allocate(capacity: pageRows) }
  deinit { indexes.deallocate() }
}
