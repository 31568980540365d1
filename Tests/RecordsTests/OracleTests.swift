import Foundation
import SwiftProtobuf
import Testing

@testable import Records

private typealias Envelope = XtcpFlatRecord_V1_Envelope

/// swift-protobuf, generated from `schema/xtcp_flat_record.proto`, reads what the encoders write, and writes the same.
@Suite struct OracleTests {
  private static func sources() throws -> [(harness: Harness, datagrams: [Harness.Datagram])] {
    var sources = [(FormatTests.harness(.protobufList), FormatTests.datagrams)]
    if Repository.captures != nil {
      for capture in CaptureTests.captures {
        sources.append((CaptureTests.harness(capture), try CaptureTests.datagrams(capture)))
      }
    }
    return sources
  }

  private func envelopes(_ data: Data) throws -> [Envelope] {
    let stream = InputStream(data: data)
    stream.open()
    defer { stream.close() }
    var envelopes: [Envelope] = []
    while stream.hasBytesAvailable {
      guard let envelope = try? BinaryDelimited.parse(messageType: Envelope.self, from: stream) else { break }
      envelopes.append(envelope)
    }
    return envelopes
  }

  /// Byte for byte: fields in another order, so compared after the oracle has written both.
  @Test func protobufListIsWhatTheOracleReads() throws {
    for (source, datagrams) in try Self.sources() {
      var harness = source
      harness.format = .protobufList
      harness.rowLimit = 500
      let output = try harness.run(datagrams)
      let envelopes = try envelopes(output.bytes)
      #expect(envelopes.count == output.batches.count)
      let rows = envelopes.flatMap(\.row)
      #expect(rows.count == output.rows)
      for row in rows { #expect(row.unknownFields.data.isEmpty) }
      // The same size: every length and number is written in the shortest way, and nothing twice.
      for (envelope, batch) in zip(envelopes, output.batches) {
        var written = Data()
        let stream = OutputStream(toMemory: ())
        stream.open()
        try BinaryDelimited.serialize(message: envelope, to: stream)
        written = stream.property(forKey: .dataWrittenToMemoryStreamKey) as? Data ?? Data()
        #expect(written.count == batch.count)
      }
    }
  }

  @Test func valuesAreThoseOfJSONLines() throws {
    for (source, datagrams) in try Self.sources() {
      var harness = source
      harness.format = .protobufList
      let rows = try envelopes(harness.run(datagrams).bytes).flatMap(\.row)
      let lines = try source.rows(datagrams)
      #expect(rows.count == lines.count)
      var differences: [String] = []
      for (row, line) in zip(rows, lines) { differences += try self.differences(row, line) }
      #expect(differences.isEmpty)
    }
  }

  /// Every field of the message against the line; a field that the line lacks has its default.
  private func differences(_ row: XtcpFlatRecord_V1_XtcpFlatRecord, _ line: JSONRow) throws -> [String] {
    var collector = FieldValues()
    try row.traverse(visitor: &collector)
    return RecordSchema.fields.compactMap { field in
      let name = field.name.description
      let value = collector.values[Int(field.number)]
      let isSame =
        switch field.form {
        case .address: Self.text(value as? Data ?? Data()) == line.text(name)
        case .state:
          line.text(name).flatMap(SocketStates.number(of:)).map { UInt64($0) } ?? 0 == value as? UInt64 ?? 0
        case .text, .name, .unfilledString: value as? String ?? "" == line.text(name) ?? ""
        default: value as? UInt64 ?? 0 == line.number(name) ?? 0
        }
      return isSame ? nil : "\(name): \(value ?? "default"), line \(line.members[name]?.description ?? "without")"
    }
  }

  private static func text(_ address: Data) -> String {
    var buffer = [CChar](repeating: 0, count: 64)
    inet_ntop(address.count == 4 ? AF_INET : AF_INET6, Array(address), &buffer, 64)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  @Test func protobufIsRowsBehindTheirLengths() throws {
    for (source, datagrams) in try Self.sources() {
      var harness = source
      harness.format = .protobufList
      let rows = try envelopes(harness.run(datagrams).bytes).flatMap(\.row)
      harness.format = .protobuf
      let stream = InputStream(data: try harness.run(datagrams).bytes)
      stream.open()
      defer { stream.close() }
      for row in rows {
        let read = try BinaryDelimited.parse(messageType: XtcpFlatRecord_V1_XtcpFlatRecord.self, from: stream)
        #expect(read == row)
      }
      #expect(!stream.hasBytesAvailable)
    }
  }

  @Test func protoJSONIsWhatTheOracleReadsAndWrites() throws {
    for (source, datagrams) in try Self.sources() {
      var harness = source
      harness.rowLimit = 100
      harness.format = .protobufList
      let expected = try envelopes(harness.run(datagrams).bytes)
      harness.format = .protoJSON
      let lines = try harness.run(datagrams).bytes.split(separator: 0x0a).map { Data($0) }
      #expect(lines.count == expected.count)
      for (line, envelope) in zip(lines, expected) {
        #expect(try Envelope(jsonUTF8Bytes: line) == envelope)
        let ours = try JSONSerialization.jsonObject(with: line) as? NSDictionary
        let theirs = try JSONSerialization.jsonObject(with: envelope.jsonUTF8Data()) as? NSDictionary
        #expect(ours == theirs)
      }
    }
  }

  @Test func protoTextIsWhatTheOracleReads() throws {
    for (source, datagrams) in try Self.sources() {
      var harness = source
      harness.format = .protobufList
      let expected = try envelopes(harness.run(datagrams).bytes).flatMap(\.row)
      harness.format = .protoText
      #expect(try Envelope(textFormatString: harness.run(datagrams).text).row == expected)
    }
  }
}

/// Collects what a message holds by field number.
private struct FieldValues: Visitor {
  var values: [Int: Any] = [:]

  mutating func visitSingularUInt32Field(value: UInt32, fieldNumber: Int) { values[fieldNumber] = UInt64(value) }
  mutating func visitSingularUInt64Field(value: UInt64, fieldNumber: Int) { values[fieldNumber] = value }
  mutating func visitSingularInt64Field(value: Int64, fieldNumber: Int) {
    values[fieldNumber] = UInt64(bitPattern: value)
  }
  mutating func visitSingularStringField(value: String, fieldNumber: Int) { values[fieldNumber] = value }
  mutating func visitSingularBytesField(value: Data, fieldNumber: Int) { values[fieldNumber] = value }
  mutating func visitSingularEnumField<E: Enum>(value: E, fieldNumber: Int) {
    values[fieldNumber] = UInt64(value.rawValue)
  }
  mutating func visitUnknown(bytes: Data) { values[-1] = bytes }

  // Kinds of fields that the schema does not have: an Issue if they appear.
  mutating func visitSingularFloatField(value: Float, fieldNumber: Int) { values[-1] = value }
  mutating func visitSingularDoubleField(value: Double, fieldNumber: Int) { values[-1] = value }
  mutating func visitSingularInt32Field(value: Int32, fieldNumber: Int) { values[-1] = value }
  mutating func visitSingularBoolField(value: Bool, fieldNumber: Int) { values[-1] = value }
  mutating func visitSingularMessageField<M: SwiftProtobuf.Message>(value: M, fieldNumber: Int) { values[-1] = value }
  mutating func visitMapField<K, V: MapValueType>(
    fieldType: _ProtobufMap<K, V>.Type, value: _ProtobufMap<K, V>.BaseType, fieldNumber: Int
  ) { values[-1] = fieldNumber }
  mutating func visitMapField<K, V>(
    fieldType: _ProtobufEnumMap<K, V>.Type, value: _ProtobufEnumMap<K, V>.BaseType, fieldNumber: Int
  ) where V.RawValue == Int { values[-1] = fieldNumber }
  mutating func visitMapField<K, V>(
    fieldType: _ProtobufMessageMap<K, V>.Type, value: _ProtobufMessageMap<K, V>.BaseType, fieldNumber: Int
  ) { values[-1] = fieldNumber }
}
