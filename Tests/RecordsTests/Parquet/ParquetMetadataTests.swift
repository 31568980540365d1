import Foundation
import Testing

@testable import Records

/// What a file says about itself.
@Suite struct ParquetMetadataTests {
  private func reader(_ count: Int) throws -> ParquetReader {
    var harness = Harness()
    harness.format = .protobuf
    return try ParquetReader(
      ParquetWriterTests.file(harness.run(ParquetWriterTests.datagrams(count)).batches, .protobuf))
  }

  @Test func theFile() throws {
    let reader = try reader(10)
    #expect(reader.footer[1]?.number == 2)
    #expect(reader.footer[3]?.number == 10)
    #expect(reader.footer[6]?.text == "xtcpd version 1.2.3")
    let pairs = reader.footer[5]?.list.map { [$0[1]?.text, $0[2]?.text] }
    #expect(pairs == [["xtcpd.schema_version", "\(RecordSchema.version)"]])
    // One order for each column: that of its type.
    let orders = reader.footer[7]?.list ?? []
    #expect(orders.count == reader.names.count)
    #expect(orders.allSatisfy { $0 == .structure([1: .structure([:])]) })
  }

  @Test func theSchema() throws {
    let reader = try reader(1)
    #expect(reader.schema[0][4]?.text == "XtcpFlatRecord")
    #expect(reader.schema[0][5]?.number == Int64(reader.names.count))
    func element(_ name: String) throws -> [Int64?] {
      let element = try #require(reader.schema.first { $0[4]?.text == name })
      return [element[1]?.number, element[3]?.number, element[6]?.number, element[9]?.number]
    }
    // Physical type, repetition (0 required, 1 optional), converted type, field id.
    #expect(try element("event_date") == [1, 0, 6, nil])
    #expect(try element("schema_version") == [1, 0, 13, 1])
    #expect(try element("hostname") == [6, 0, 0, 20])
    #expect(try element("timestamp_ns") == [2, 0, 18, 10])
    #expect(try element("record_counter") == [2, 0, 14, 60])
    #expect(try element("attributes") == [1, 0, 13, 3007])
    #expect(try element("tcp_info_length") == [1, 1, 13, 3008])
    #expect(try element("inet_diag_msg_state") == [6, 1, 0, 1002])
    #expect(try element("inet_diag_msg_socket_source") == [6, 1, 0, 1007])
    #expect(try element("tcp_info_rtt") == [1, 1, 13, 1230])
    #expect(try element("tcp_info_pacing_rate") == [2, 1, 14, 1239])
    #expect(try element("congestion_algorithm_enum") == [1, 1, 13, 1301])
    let logical = reader.schema.compactMap { element in element[4]?.text.map { ($0, element[10]) } }
    let types = Dictionary(logical, uniquingKeysWith: { first, _ in first })
    #expect(types["hostname"] == .structure([1: .structure([:])]))
    #expect(types["event_date"] == .structure([6: .structure([:])]))
    #expect(types["tcp_info_rtt"] == .structure([10: .structure([1: .number(32), 2: .bool(false)])]))
    #expect(types["record_counter"] == .structure([10: .structure([1: .number(64), 2: .bool(false)])]))
    #expect(types["timestamp_ns"] == .structure([10: .structure([1: .number(64), 2: .bool(true)])]))
  }

  /// Every column is there because it is in the list of fields, and for no other reason.
  @Test func theSchemaIsTheListOfFields() throws {
    let fields = RecordSchema.fields.filter { $0.source != .unfilled }
    let elements = try reader(1).schema.dropFirst(2)
    #expect(elements.compactMap { $0[4]?.text } == fields.map { $0.name.description })
    #expect(elements.compactMap { $0[9]?.number } == fields.map { Int64($0.number) })
  }

  /// Smallest and largest value, in the order of the column's type, and how many are missing.
  @Test func statistics() throws {
    let reader = try reader(500)
    let chunks = try reader.chunks(of: reader.rowGroups[0])
    for (chunk, element) in zip(chunks, reader.schema.dropFirst()) {
      let found = try #require(chunk.metadata[12])
      #expect(found[3]?.number == Int64(chunk.values.count { $0 == nil }), "\(chunk.name)")
      let present = chunk.values.compactMap { $0 }
      guard !present.isEmpty else {
        #expect(found[5] == nil && found[6] == nil)
        continue
      }
      let isSigned = element[6]?.number == 18 || element[6]?.number == 6
      let sorted = present.sorted { Self.isOrdered($0, $1, isSigned: isSigned, type: element[1]?.number ?? 0) }
      #expect(found[6]?.bytes == Self.plain(sorted.first, element[1]?.number), "\(chunk.name)")
      #expect(found[5]?.bytes == Self.plain(sorted.last, element[1]?.number), "\(chunk.name)")
      #expect(found[7] == .bool(true) && found[8] == .bool(true))
      #expect(found[1] == nil && found[2] == nil)
    }
  }

  private static func isOrdered(
    _ left: ParquetReader.Cell, _ right: ParquetReader.Cell, isSigned: Bool, type: Int64
  ) -> Bool {
    switch (left, right) {
    case (.text(let left), .text(let right)): left.utf8.lexicographicallyPrecedes(right.utf8)
    case (.number(let left), .number(let right)) where isSigned && type == 2:
      Int64(bitPattern: left) < Int64(bitPattern: right)
    case (.number(let left), .number(let right)) where isSigned:
      Int32(truncatingIfNeeded: left) < Int32(truncatingIfNeeded: right)
    case (.number(let left), .number(let right)): left < right
    default: false
    }
  }

  private static func plain(_ cell: ParquetReader.Cell?, _ type: Int64?) -> [UInt8]? {
    switch cell {
    case .text(let text): Array(text.utf8)
    case .number(let number): Array(Message.little(number).prefix(type == 1 ? 4 : 8))
    case nil: nil
    }
  }

  @Test func formatsThatCanBeTaken() {
    #expect(ParquetWriter.Input(.protobuf) == .protobuf)
    #expect(ParquetWriter.Input(.protobufList) == .protobufList)
    #expect(RecordFormat.allCases.count { ParquetWriter.Input($0) != nil } == 2)
  }
}
