import Foundation
import Testing

@testable import Records

/// Files of rows and captures read back.
@Suite struct RecordFileDecoderTests {
  private static let kinds: [(RecordFormat, RecordFileKind)] = [
    (.protobufList, .protobufList), (.protobuf, .protobuf), (.msgpack, .msgpack),
  ]

  private func sources() throws -> [(harness: Harness, datagrams: [Harness.Datagram])] {
    var sources = [(FormatTests.harness(.jsonl), FormatTests.datagrams)]
    if Repository.captures != nil {
      for capture in CaptureTests.captures where capture.sockets < 400 {
        sources.append((CaptureTests.harness(capture), try CaptureTests.datagrams(capture)))
      }
    }
    return sources
  }

  /// From every binary format to every format: the bytes that the encoder would have written at first.
  @Test func everythingIsRestored() throws {
    for (source, datagrams) in try sources() {
      for (format, kind) in Self.kinds {
        var harness = source
        harness.batchBytes = 768 << 10  // as the decoder's, so that envelopes end at the same rows
        harness.format = format
        let file = try harness.run(datagrams).bytes
        #expect(file.withUnsafeBytes { RecordFileKind.detect($0) } == kind)
        for target in RecordFormat.allCases {
          harness.format = target
          #expect(try decode(file, kind, to: target) == harness.run(datagrams).bytes, "\(format) to \(target)")
        }
      }
    }
  }

  @Test func batchesOfTheOutputAreBounded() throws {
    var harness = FormatTests.harness(.protobufList)
    let file = try harness.run(FormatTests.datagrams).bytes
    harness.format = .protoJSON
    harness.rowLimit = 2
    #expect(
      try decode(file, .protobufList, to: .protoJSON, rowsPerBatch: 2) == harness.run(FormatTests.datagrams).bytes)
  }

  /// The predecessor's rows have neither `attributes` nor `tcp_info_length`, nor the algorithm's name.
  @Test func rowsOfThePredecessor() throws {
    func varint(_ value: UInt64) -> [UInt8] {
      value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7f | 0x80)] + varint(value >> 7)
    }
    func number(_ field: UInt64, _ value: UInt64) -> [UInt8] { varint(field << 3) + varint(value) }
    func bytes(_ field: UInt64, _ value: [UInt8]) -> [UInt8] {
      varint(field << 3 | 2) + varint(UInt64(value.count)) + value
    }
    let row =
      bytes(20, Array("old".utf8)) + number(1001, 2) + number(1002, 1) + bytes(1007, [10, 0, 0, 1])
      + number(1230, 1500) + number(1301, 5) + number(61, 4) + bytes(40, Array("abc".utf8)) + number(4000, 1)
      + varint(4001 << 3 | 1) + [1, 2, 3, 4, 5, 6, 7, 8] + varint(4002 << 3 | 5) + [1, 2, 3, 4]
    let envelope = bytes(10, row)
    let file = Data(varint(UInt64(envelope.count)) + envelope)
    let rows = try JSONRow.parse(decode(file, .protobufList, to: .jsonl))
    let restored = try #require(rows.first)
    #expect(rows.count == 1)
    #expect(restored.text("hostname") == "old")
    #expect(restored.text("inet_diag_msg_socket_source") == "10.0.0.1")
    #expect(restored.number("tcp_info_rtt") == 1500)
    #expect(restored.text("congestion_algorithm_string") == "bbr")
    #expect(restored.number("attributes") == 1 << 2 | 1 << 4)
    #expect(restored.number("tcp_info_length") == 72)
    #expect(!restored.has("tcp_info_snd_cwnd"))
    #expect(!restored.has("sk_mem_info_drops"))
  }

  @Test func truncatedFilesAreErrorsWithAnOffset() throws {
    var encoder = try RecordEncoder(
      format: .protobuf, columns: nil, attributes: .all, host: HostIdentity(), pipeline: PipelineIdentity())
    for (format, kind) in Self.kinds {
      var harness = FormatTests.harness(format)
      harness.rowLimit = 1
      let file = try harness.run(FormatTests.datagrams).bytes
      let boundaries = try rowBoundaries(harness)
      for count in 0..<file.count {
        if boundaries.contains(count) {
          _ = try decode(file[..<count], kind, through: &encoder)
        } else {
          let error = #expect(throws: RecordFileError.self) { try decode(file[..<count], kind, through: &encoder) }
          #expect(try #require(error).offset <= count)
        }
      }
    }
  }

  private func rowBoundaries(_ harness: Harness) throws -> Set<Int> {
    try harness.run(FormatTests.datagrams).batches.reduce(into: [0]) { ends, batch in
      ends.insert((ends.max() ?? 0) + batch.count)
    }
  }

  /// Any byte changed: rows or an error, never a crash (and under a sanitizer never a read outside).
  @Test func damagedFilesDoNotCrash() throws {
    var encoder = try RecordEncoder(
      format: .protobuf, columns: nil, attributes: .all, host: HostIdentity(), pipeline: PipelineIdentity())
    for (format, kind) in Self.kinds {
      let file = try FormatTests.harness(format).run(FormatTests.datagrams).bytes
      for index in file.indices {
        for value in [0x80, 0xff, file[index] ^ 0x10] as [UInt8] {
          var damaged = file
          damaged[index] = value
          do {
            _ = try decode(damaged, kind, through: &encoder)
          } catch let error as RecordFileError {
            #expect(error.offset <= damaged.count)
          }
        }
      }
    }
  }

  @Test(
    arguments: [
      ([0x05, 0x52], "length 5 is more than what is left (1)"),
      ([0x02, 0x53, 0x00], "wire type 3 is not supported"),
      ([0x02, 0x50, 0x01], "row of an Envelope is no message"),
      ([0x01, 0x00], "field number 0 is out of range"),
      ([0xff, 0xff], "number is truncated"),
      ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "number is longer than 10 bytes"),
      ([0x05, 0x52, 0x03, 0x08, 0x80, 0x80], "number is truncated"),
      ([0x05, 0x52, 0x03, 0xa2, 0x01, 0x05], "length 5 is more than what is left (0)"),
      (
        [0x09, 0x52, 0x07, 0xc8, 0x3e, 0x02, 0xfa, 0x3e, 0x01, 0x01], "inet_diag_msg_socket_source holds no such value"
      ),
      ([0x06, 0x52, 0x04, 0xca, 0x3e, 0x01, 0x01], "inet_diag_msg_family holds no such value"),
    ] as [([UInt8], String)])
  func errorsSayWhatIsWrong(bytes: [UInt8], reason: String) {
    let error = #expect(throws: RecordFileError.self) { try decode(Data(bytes), .protobufList, to: .jsonl) }
    #expect(error?.reason == reason)
  }

  @Test func addressesMustFitTheFamily() throws {
    var harness = FormatTests.harness(.protobuf)
    harness.columns = ["inet_diag_msg_family", "inet_diag_msg_socket_source"]
    var file = try harness.run([.init(.socket())]).bytes
    file[3] = 10  // AF_INET with the value of AF_INET6: 1001 is two bytes of tag, then the value
    let error = #expect(throws: RecordFileError.self) { try decode(file, .protobuf, to: .jsonl) }
    #expect(error?.reason == "address of 4 bytes in a row of address family 10")
  }

  @Test func theSinkCanStop() throws {
    let file = try FormatTests.harness(.protobufList).run(FormatTests.datagrams).bytes
    var encoder = try RecordEncoder(
      format: .jsonl, columns: nil, attributes: .all, host: HostIdentity(), pipeline: PipelineIdentity())
    var decoder = RecordFileDecoder(kind: .protobufList, rowsPerBatch: 1)
    var calls = 0
    try file.withUnsafeBytes { bytes in
      _ = try decoder.decode(bytes, through: &encoder) { _ in
        calls += 1
        return false
      }
    }
    #expect(calls == 1)
  }

  @Test func kindsAreDetected() {
    func kind(_ bytes: [UInt8]) -> RecordFileKind? { bytes.withUnsafeBytes { RecordFileKind.detect($0) } }
    #expect(kind([]) == nil)
    #expect(kind([0xd4, 0xc3, 0xb2, 0xa1]) == .capture)
    #expect(kind([0xa1, 0xb2, 0x3c, 0x4d]) == .capture)
    #expect(kind([0xde, 0x00, 0x52, 0xae]) == .msgpack)
    #expect(kind([0x82, 0xa1]) == .msgpack)
    #expect(kind([0x81, 0x01, 0x52]) == .protobufList)
    #expect(kind([0x05, 0x08, 0x01]) == .protobuf)
    #expect(kind(Array("{\"a\":1}".utf8)) == nil)
  }
}
