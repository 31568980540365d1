import Foundation
import Testing

@testable import Records

/// Parquet files of encoded batches, read back by a reader of our own. `Tests/EndToEnd/test_parquet.py` reads them with
/// others.
@Suite struct ParquetWriterTests {
  /// The file of `batches`.
  static func file(
    _ batches: [Data], _ input: ParquetWriter.Input, columns: [String]? = nil, pageRows: Int = 8192,
    rowGroupRows: Int = 122_880
  ) throws -> Data {
    var writer = try ParquetWriter(
      columns: columns, compression: .none, pageRows: pageRows, rowGroupRows: rowGroupRows, rowGroupBytes: 16 << 20,
      version: "1.2.3")
    writer.begin()
    for batch in batches { try append(batch, input, to: &writer) }
    try writer.finish()
    #expect(writer.bytesWritten == writer.output.count)
    return Data(writer.output)
  }

  /// Appends from a buffer of exactly the batch's size, so that a sanitizer sees every read behind it.
  @discardableResult
  static func append(
    _ batch: Data, _ input: ParquetWriter.Input, to writer: inout ParquetWriter
  ) throws(ParquetError) -> Int {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, batch.count), alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: batch)
    return try writer.append(UnsafeRawBufferPointer(rebasing: copy[..<batch.count]), input)
  }

  /// Rows of `jsonl` as cells, with the day that belongs to their time.
  static func cells(_ rows: [JSONRow]) -> [[String: ParquetReader.Cell]] {
    rows.map { row in
      var cells = row.members.mapValues { value -> ParquetReader.Cell in
        if let text = value as? String { return .text(text) }
        let number = value as? NSNumber
        return .number(number?.uint64Value ?? 0)
      }
      let time = Int64(bitPattern: row.number("timestamp_ns") ?? 0)
      cells["event_date"] = .number(UInt64(UInt32(truncatingIfNeeded: Int64((Double(time) / 86.4e12).rounded(.down)))))
      return cells
    }
  }

  /// `count` sockets; every third one has no tcp_info, round trips repeat, cookies do not.
  static func datagrams(_ count: Int) -> [Harness.Datagram] {
    (0..<count).map { number in
      var info = [UInt8](repeating: 0, count: 248)
      info.replaceSubrange(68..<72, with: Message.little(UInt32(100 + number % 5)))
      let attributes = number % 3 == 2 ? [] : [Message.attribute(2, info), Message.attribute(4, Array("cubic".utf8))]
      return .init(.socket(destinationPort: UInt16(number % 60_000), cookie: UInt64(number), attributes: attributes))
    }
  }

  private static let inputs: [(RecordFormat, ParquetWriter.Input)] = [
    (.protobufList, .protobufList), (.protobuf, .protobuf),
  ]

  // MARK: Values

  @Test func valuesAreThoseOfJSONL() throws {
    var sources = [(FormatTests.harness(.jsonl), FormatTests.datagrams)]
    if Repository.captures != nil {
      for capture in CaptureTests.captures where capture.sockets < 400 {
        sources.append((CaptureTests.harness(capture), try CaptureTests.datagrams(capture)))
      }
    }
    for (source, datagrams) in sources {
      var harness = source
      let expected = Self.cells(try harness.rows(datagrams))
      for (format, input) in Self.inputs {
        harness.format = format
        harness.rowLimit = 100
        let reader = try ParquetReader(Self.file(harness.run(datagrams).batches, input))
        #expect(reader.names == ["event_date"] + RecordSchema.defaultColumnNames)
        #expect(try reader.members() == expected)
      }
    }
  }

  @Test func columnsAreSelectedAndOrdered() throws {
    var harness = Harness()
    harness.format = .protobuf
    let batches = try harness.run(Self.datagrams(5)).batches
    let columns = ["tcp_info_rtt", "hostname", "inet_diag_msg_state", "tcp_info_rtt"]
    let reader = try ParquetReader(Self.file(batches, .protobuf, columns: columns))
    #expect(reader.names == ["event_date"] + columns.dropLast())
    let expected = Self.cells(try harness.rows(Self.datagrams(5))).map { row in
      row.filter { $0.key == "event_date" || columns.contains($0.key) }
    }
    #expect(try reader.members() == expected)
    #expect(throws: ParquetError.unknownColumn(UnknownColumn("hostnam"))) {
      _ = try ParquetWriter(columns: ["hostnam"], version: "")
    }
    #expect(throws: ParquetError.self) { _ = try ParquetWriter(columns: [], version: "") }
  }

  /// Columns that are never filled can be selected, and are null.
  @Test func unfilledColumns() throws {
    let unfilled = try #require(RecordSchema.fields.first { $0.source == .unfilled }).name.description
    var harness = Harness()
    harness.format = .protobuf
    let reader = try ParquetReader(Self.file(harness.run(Self.datagrams(3)).batches, .protobuf, columns: [unfilled]))
    let chunk = try reader.chunks(of: reader.rowGroups[0])[1]
    #expect(chunk.values == [nil, nil, nil])
    #expect(chunk.metadata[12]?[3]?.number == 3)
    #expect(chunk.metadata[12]?[5] == nil)
  }

  @Test(
    arguments: [
      (0, 0), (86_399_999_999_999, 0), (86_400_000_000_000, 1), (-1, -1), (-86_400_000_000_000, -1),
      (-86_400_000_000_001, -2), (Int64.max, 106_751), (Int64.min, -106_752), (1_700_000_000_123_456_789, 19_675),
    ] as [(Int64, Int64)])
  func eventDateIsTheDay(timestamp: Int64, day: Int64) throws {
    var harness = Harness()
    harness.format = .protobuf
    harness.timestamp = timestamp
    let reader = try ParquetReader(Self.file(harness.run(Self.datagrams(1)).batches, .protobuf))
    let date = try reader.members()[0]["event_date"]
    #expect(date == .number(UInt64(UInt32(truncatingIfNeeded: day))))
  }

  /// Bytes that are no UTF-8 come out as `jsonl` shows them, cut like any text.
  @Test func damagedTexts() throws {
    let row: [UInt8] = [0xa2, 0x01, 0xff, 0x01] + [UInt8](repeating: 0xff, count: 255)
    let batch = Data([0x83, 0x02] + row)
    let expected = Self.cells(try JSONRow.parse(decode(batch, .protobuf, to: .jsonl)))
    #expect(try ParquetReader(Self.file([batch], .protobuf)).members() == expected)
  }

  // MARK: Pages and row groups

  @Test(arguments: [(100, 250), (700, 200), (700, 1), (30, 122_880), (3, 700), (1, 64)])
  func rowGroupsEndInTheMiddleOfBatches(rowLimit: Int, group: Int) throws {
    var harness = Harness()
    harness.format = .protobufList
    harness.rowLimit = rowLimit
    let datagrams = Self.datagrams(700)
    let columns = ["inet_diag_msg_socket_cookie", "tcp_info_rtt", "congestion_algorithm_string"]
    let expected = Self.cells(try harness.rows(datagrams)).map { row in
      row.filter { $0.key == "event_date" || columns.contains($0.key) }
    }
    let file = try Self.file(
      harness.run(datagrams).batches, .protobufList, columns: columns, pageRows: 64, rowGroupRows: group)
    let reader = try ParquetReader(file)
    let whole = [Int64](repeating: Int64(group), count: 700 / group)
    #expect(
      reader.rowGroups.compactMap { $0[3]?.number } == whole + (700 % group > 0 ? [Int64(700 % group)] : []))
    #expect(reader.rows == 700)
    #expect(try reader.members() == expected)
  }

  /// More rows than a page holds, in one batch and in batches that do not fill it evenly.
  @Test(arguments: [(2000, 32), (30, 34), (7, 32), (50, 40)])
  func pagesOfARowGroup(rowLimit: Int, pages: Int) throws {
    var harness = Harness()
    harness.format = .protobuf
    harness.rowLimit = rowLimit
    let columns = ["inet_diag_msg_socket_cookie", "inet_diag_msg_socket_destination_port", "tcp_info_rtt"]
    let numbers = (0..<2000).map { ParquetReader.Cell.number($0) }
    let roundTrips = (0..<2000 as Range<UInt64>).map { number -> ParquetReader.Cell? in
      number % 3 == 2 ? nil : .number(100 + number % 5)
    }
    let batches = try harness.run(Self.datagrams(2000)).batches
    let reader = try ParquetReader(Self.file(batches, .protobuf, columns: columns, pageRows: 64))
    let chunks = try reader.chunks(of: reader.rowGroups[0])
    #expect(chunks[1].values == numbers)
    #expect(chunks[2].values == numbers)
    #expect(chunks[3].values == roundTrips)
    #expect(chunks[1].encodings.allSatisfy { $0 == 0 }, "cookies that differ all gain nothing from a dictionary")
    #expect(chunks[3].encodings == [Int64](repeating: 8, count: pages))
  }

  /// Pages that gain nothing stay PLAIN, but later ones may refer to their values; a dictionary that is full is left as
  /// it is.
  @Test func dictionariesEnd() throws {
    var harness = Harness()
    harness.format = .protobuf
    let pages: [[UInt64]] = [
      Array(1000..<1064), Array(1000..<1064), Array(0..<64), Array(100..<164), Array(0..<64), Array(200..<264),
      Array(1000..<1064),
    ]
    let datagrams = pages.joined().map { Harness.Datagram(.socket(cookie: $0)) }
    let reader = try ParquetReader(
      Self.file(harness.run(datagrams).batches, .protobuf, columns: ["inet_diag_msg_socket_cookie"], pageRows: 64))
    let chunk = try reader.chunks(of: reader.rowGroups[0])[1]
    let cookies = pages.joined().map { ParquetReader.Cell.number($0) }
    #expect(chunk.values == cookies)
    #expect(chunk.encodings == [0, 8, 0, 0, 8, 0, 8])
    #expect(chunk.metadata[2]?.list.compactMap(\.number) == [0, 3, 8])
    let counts = chunk.metadata[13]?.list.map { [$0[1]?.number, $0[2]?.number, $0[3]?.number] }
    #expect(counts == [[2, 0, 1], [0, 8, 3], [0, 0, 4]])
  }

  @Test func rowGroupsAreBoundedByBytes() throws {
    var harness = Harness()
    harness.format = .protobuf
    harness.rowLimit = 100
    let batches = try harness.run(Self.datagrams(3000)).batches
    var writer = try ParquetWriter(compression: .none, rowGroupBytes: 1, version: "")
    writer.begin()
    var file = Data()
    for batch in batches {
      try Self.append(batch, .protobuf, to: &writer)
      #expect(writer.bufferedBytes < 4 << 20)
      file.append(contentsOf: writer.output.prefix(100_000))
      writer.removeOutput(100_000)
    }
    try writer.finish()
    file.append(contentsOf: writer.output)
    #expect(writer.bytesWritten == file.count)
    let reader = try ParquetReader(file)
    #expect(reader.rowGroups.count > 3)
    #expect(try reader.rowGroups.flatMap { try reader.chunks(of: $0)[0].values }.count == 3000)
    #expect(file.count < writer.maximumMemory)
  }

  @Test func filesFollowOneAnother() throws {
    var harness = Harness()
    harness.format = .protobuf
    let batch = try harness.run(Self.datagrams(100)).bytes
    var writer = try ParquetWriter(version: "1.2.3")
    var files: [Data] = []
    for isWhole in [true, false, true] {
      writer.begin()
      #expect(writer.rows == 0 && writer.bytesWritten == 4)
      try Self.append(batch, .protobuf, to: &writer)
      if isWhole {
        try writer.finish()
        files.append(Data(writer.output))
      } else {
        try writer.finishRowGroup()
        try Self.append(batch, .protobuf, to: &writer)
      }
    }
    #expect(files[0] == files[1] && files.count == 2)
  }

  @Test func aFileWithoutRows() throws {
    let reader = try ParquetReader(Self.file([], .protobuf))
    #expect(reader.rows == 0 && reader.rowGroups.isEmpty)
    #expect(reader.names.count == RecordSchema.defaultColumnNames.count + 1)
    #expect(try Self.file([Data(), Data()], .protobufList) == Self.file([], .protobuf))
  }
}
