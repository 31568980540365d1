import Foundation
import Testing

@testable import Records

/// Batches that do not hold together, as a damaged disk may give them back.
@Suite struct ParquetHostileTests {
  private static let columns = ["inet_diag_msg_socket_cookie", "inet_diag_msg_socket_source", "tcp_info_rtt", "netns"]

  private func batch(_ format: RecordFormat, _ count: Int) throws -> Data {
    var harness = FormatTests.harness(format)
    harness.batchBytes = 16 << 20
    return try harness.run(ParquetWriterTests.datagrams(count)).bytes
  }

  /// Cut anywhere, a batch is refused as a whole, and the file is what it would be without it.
  @Test func aCutBatchLeavesNoTrace() throws {
    let formats: [(RecordFormat, ParquetWriter.Input, Int)] = [
      (.protobufList, .protobufList, 5), (.protobuf, .protobuf, 1),
    ]
    for (format, input, rows) in formats {
      let good = try batch(format, rows)
      let expected = try ParquetWriterTests.file([good, good], input)
      var writer = try ParquetWriter(compression: .none, version: "1.2.3")
      writer.begin()
      try ParquetWriterTests.append(good, input, to: &writer)
      for count in 1..<good.count {
        do throws(ParquetError) {
          try ParquetWriterTests.append(good[..<count], input, to: &writer)
          Issue.record("\(count) bytes were taken")
        } catch {
          guard case .malformed(let reason) = error else { throw error }
          #expect(reason.offset <= count)
        }
        #expect(writer.rows == rows)
      }
      try ParquetWriterTests.append(good, input, to: &writer)
      try writer.finish()
      #expect(Data(writer.output) == expected)
    }
  }

  /// The last row of a batch is damaged: those before it are taken back, also if they fill pages and row groups.
  @Test(arguments: [5, 300])
  func nothingOfADamagedBatchStays(rows: Int) throws {
    let good = try batch(.protobuf, 20)
    let damaged = try batch(.protobuf, rows) + Data([3, 0xc8, 0x3e, 0x80])
    let wide = try batch(.protobuf, rows) + Data([6, 0xc8, 0x3e, 0x80, 0x80, 0x80, 0x01])
    let address = try batch(.protobuf, rows) + Data([6, 0xfa, 0x3e, 0x03, 1, 2, 3])
    var writer = try ParquetWriter(
      columns: Self.columns, compression: .none, pageRows: 64, rowGroupRows: 100, rowGroupBytes: 1 << 20,
      version: "1.2.3")
    writer.begin()
    for batch in [good, damaged, good, wide, address, good] {
      if batch == good {
        #expect(try ParquetWriterTests.append(batch, .protobuf, to: &writer) == 20)
      } else {
        #expect(throws: ParquetError.self) { try ParquetWriterTests.append(batch, .protobuf, to: &writer) }
      }
    }
    try writer.finish()
    #expect(writer.rows == 60)
    let expected = try ParquetWriterTests.file(
      [good, good, good], .protobuf, columns: Self.columns, pageRows: 64, rowGroupRows: 100)
    #expect(Data(writer.output) == expected)
  }

  /// Any byte changed: rows or an error, never a crash (and under a sanitizer never a read outside), and a file that is
  /// whole.
  @Test func damagedBatchesDoNotCrash() throws {
    for (format, input) in [(RecordFormat.protobufList, ParquetWriter.Input.protobufList), (.protobuf, .protobuf)] {
      let good = try FormatTests.harness(format).run(FormatTests.datagrams).bytes
      var writer = try ParquetWriter(compression: .none, version: "")
      writer.begin()
      var taken = 0
      for index in good.indices {
        for value in [0x80, 0xff, good[index] ^ 0x10] as [UInt8] {
          var damaged = good
          damaged[index] = value
          taken += (try? ParquetWriterTests.append(damaged, input, to: &writer)) ?? 0
          #expect(writer.rows == taken)
        }
      }
      try writer.finish()
      let reader = try ParquetReader(Data(writer.output))
      #expect(taken > 100 && reader.rows == Int64(taken))
      #expect(try reader.members().count == taken)
    }
  }

  /// The smallest rows there are, and the longest texts: memory stays within its bound.
  @Test func memoryIsBounded() throws {
    let empty = Data(count: 2000)
    let row = [0x83, 0x02, 0xa2, 0x01, 0xff, 0x01] + [UInt8](repeating: 0xff, count: 255)
    let long = Data([[UInt8]](repeating: row, count: 300).joined())
    var writer = try ParquetWriter(
      columns: ["hostname", "tcp_info_rtt"], compression: .zstd(level: 1), pageRows: 256, rowGroupRows: 100_000,
      rowGroupBytes: 64 << 10, version: "")
    writer.begin()
    #expect(try ParquetWriterTests.append(empty, .protobuf, to: &writer) == 2000)
    for _ in 0..<5 {
      #expect(try ParquetWriterTests.append(long, .protobuf, to: &writer) == 300)
      #expect(writer.bufferedBytes < writer.maximumMemory)
      writer.removeOutput(writer.output.count)
    }
    try writer.finish()
    #expect(writer.rows == 3500)
    #expect(writer.maximumMemory < 16 << 20)
  }
}
