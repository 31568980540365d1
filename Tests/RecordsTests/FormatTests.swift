import Foundation
import Testing

@testable import Records

/// What each format makes of the same rows.
@Suite struct FormatTests {
  /// Names that every format has to escape or bound.
  static let awkward = "a\"b\\c,d\te\nf\rg\u{1}h\u{7f}é€😀"

  static let messages: [Message] = [
    .socket(
      cookie: .max,
      attributes: [
        Message.attribute(2, [UInt8](repeating: 0xff, count: 280)), Message.attribute(4, Array("bbr\0".utf8)),
        Message.attribute(7, [UInt8](repeating: 0xff, count: 36)), Message.attribute(5, [0]),
      ]),
    .socket(
      family: 10, state: 10, source: [UInt8](repeating: 0, count: 16),
      destination: [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1], cookie: 2,
      attributes: [Message.attribute(2, [UInt8](repeating: 0, count: 232)), Message.attribute(4, Array("reno".utf8))]),
    .socket(state: 6, cookie: 3),
  ]

  static func harness(_ format: RecordFormat) -> Harness {
    var harness = Harness()
    harness.format = format
    harness.namespace.name = awkward
    harness.host.location = ""
    harness.timestamp = 1_700_000_000_123_456_789
    return harness
  }

  static var datagrams: [Harness.Datagram] { [.init(bytes: messages.flatMap { $0.bytes }, sequence: 7)] }

  private func header(_ format: RecordFormat, columns: [String]? = nil) throws -> String {
    let encoder = try RecordEncoder(
      format: format, columns: columns, attributes: .all, host: HostIdentity(), pipeline: PipelineIdentity())
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: encoder.maximumHeaderBytes, alignment: 1)
    defer { memory.deallocate() }
    let count = encoder.encodeHeader(into: memory)
    return String(decoding: memory[..<count], as: UTF8.self)
  }

  @Test func jsonlKeepsZeroAndLeavesAbsentOut() throws {
    let rows = try JSONRow.parse(Self.harness(.jsonl).run(Self.datagrams).bytes)
    #expect(rows.count == 3)
    #expect(rows[0].text("netns") == Self.awkward)
    #expect(rows[0].text("location") == "")
    #expect(rows[0].number("inet_diag_msg_socket_cookie") == .max)
    #expect(rows[0].number("tcp_info_pacing_rate") == .max)
    #expect(rows[0].number("type_of_service") == 0)
    #expect(rows[0].number("timestamp_ns") == 1_700_000_000_123_456_789)
    #expect(rows[1].number("tcp_info_rtt") == 0)
    #expect(rows[1].number("tcp_info_snd_wnd") == 0)
    #expect(!rows[1].has("tcp_info_rcv_wnd"))
    #expect(rows[1].text("tcp_info_state") == "0")
    #expect(rows[1].text("inet_diag_msg_socket_source") == "::")
    #expect(rows[1].text("inet_diag_msg_socket_destination") == "2001:db8::1")
    #expect(!rows[2].has("tcp_info_rtt"))
    #expect(rows[2].number("attributes") == 0)
  }

  @Test func csvIsRFC4180() throws {
    let text = try header(.csv) + Self.harness(.csv).run(Self.datagrams).text
    let lines = parseCSV(text)
    #expect(lines.count == 4)
    #expect(lines[0] == RecordSchema.defaultColumnNames)
    #expect(lines.allSatisfy { $0.count == lines[0].count })
    try compareWithJSON(header: lines[0], cells: Array(lines[1...]))
  }

  @Test func tsvEscapes() throws {
    let text = try header(.tsv) + Self.harness(.tsv).run(Self.datagrams).text
    let lines = text.split(separator: "\n").map { line in
      line.split(separator: "\t", omittingEmptySubsequences: false).map { cell in
        String(cell).replacingOccurrences(of: "\\\\", with: "\u{0}").replacingOccurrences(of: "\\t", with: "\t")
          .replacingOccurrences(of: "\\n", with: "\n").replacingOccurrences(of: "\\r", with: "\r")
          .replacingOccurrences(of: "\u{0}", with: "\\")
      }
    }
    #expect(lines.count == 4)
    try compareWithJSON(header: lines[0], cells: Array(lines[1...]))
  }

  /// Every cell has the value of jsonl; an empty one is absent there, or an empty text.
  private func compareWithJSON(header: [String], cells: [[String]]) throws {
    let rows = try JSONRow.parse(Self.harness(.jsonl).run(Self.datagrams).bytes)
    for (row, line) in zip(rows, cells) {
      for (name, cell) in zip(header, line) {
        let value = row.text(name) ?? (row.members[name] as? NSNumber)?.stringValue ?? ""
        #expect(cell == value, "\(name)")
      }
    }
  }

  /// A reader of RFC 4180 that knows nothing of the writer.
  private func parseCSV(_ text: String) -> [[String]] {
    var lines: [[String]] = []
    var line: [String] = []
    var cell = ""
    var isQuoted = false
    var scalars = Array(text.unicodeScalars)[...]
    while let scalar = scalars.popFirst() {
      if isQuoted {
        if scalar != "\"" { cell.unicodeScalars.append(scalar) }
        if scalar == "\"" {
          if scalars.first == "\"" { cell.unicodeScalars.append(scalars.removeFirst()) } else { isQuoted = false }
        }
      } else if scalar == "\"" {
        isQuoted = true
      } else if scalar == "," || scalar == "\r" {
        line.append(cell)
        cell = ""
        if scalar == "\r" {
          #expect(scalars.popFirst() == "\n")
          lines.append(line)
          line = []
        }
      } else {
        cell.unicodeScalars.append(scalar)
      }
    }
    #expect(cell.isEmpty && line.isEmpty)
    return lines
  }

  @Test(arguments: [RecordFormat.csv, .tsv, .jsonl, .msgpack, .protobufList, .protoJSON, .protoText, .table])
  func columnsSelectAndOrder(format: RecordFormat) throws {
    let columns = ["inet_diag_msg_socket_cookie", "netns", "tcp_info_rtt", "inet_diag_msg_state", "netns", "asn"]
    #expect(throws: UnknownColumn.self) { try header(format, columns: columns) }
    #expect(throws: UnknownColumn.self) { try header(format, columns: []) }
    var harness = Self.harness(format)
    harness.namespace.name = "blue"
    harness.columns = Array(columns.dropLast())
    let output = try harness.run(Self.datagrams)
    #expect(output.rows == 3)
    switch format {
    case .csv:
      #expect(
        try header(format, columns: harness.columns)
          == "inet_diag_msg_socket_cookie,netns,tcp_info_rtt,inet_diag_msg_state\r\n")
      #expect(output.text.hasSuffix("2,blue,0,LISTEN\r\n3,blue,,TIME_WAIT\r\n"))
    case .tsv: #expect(output.text.hasSuffix("2\tblue\t0\tLISTEN\n3\tblue\t\tTIME_WAIT\n"))
    case .jsonl:
      #expect(
        output.text.hasSuffix(
          #"{"inet_diag_msg_socket_cookie":3,"netns":"blue","inet_diag_msg_state":"TIME_WAIT"}"# + "\n"))
    case .protoJSON:
      #expect(
        output.text.hasSuffix(#"{"inetDiagMsgSocketCookie":"3","netns":"blue","inetDiagMsgState":6}]}"# + "\n"))
    case .protoText:
      #expect(
        output.text.hasSuffix(
          "row {\n  inet_diag_msg_socket_cookie: 3\n  netns: \"blue\"\n  inet_diag_msg_state: 6\n}\n"))
    case .table:
      let words = output.text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
      #expect(words.last == ["3", "blue", "-", "TIME_WAIT"])
    case .protobufList, .protobuf:
      let rows = try JSONRow.parse(decode(output.bytes, .protobufList, to: .jsonl))
      #expect(rows.map { $0.number("inet_diag_msg_socket_cookie") } == [.max, 2, 3])
      #expect(rows[2].text("netns") == "blue")
    case .msgpack:
      let rows = try JSONRow.parse(decode(output.bytes, .msgpack, to: .jsonl))
      #expect(rows.map { $0.text("inet_diag_msg_state") } == ["ESTABLISHED", "LISTEN", "TIME_WAIT"])
    }
  }

  @Test func nearestColumnIsSuggested() {
    let error = #expect(throws: UnknownColumn.self) { try header(.csv, columns: ["tcp_info_rrt"]) }
    #expect(error?.nearest == "tcp_info_rtt")
  }

  @Test func tableIsReadable() throws {
    var harness = Self.harness(.table)
    harness.namespace.name = "blue\u{1b}[31m"
    let lines = try (header(.table) + harness.run(Self.datagrams).text).split(separator: "\n").map(String.init)
    #expect(lines[0].hasPrefix("Netns         State        Recv-Q  Send-Q  Local Address:Port"))
    #expect(lines[2].contains("LISTEN"))
    #expect(lines[2].contains("[::]:443"))
    #expect(lines[2].contains("[2001:db8::1]:51234"))
    #expect(lines[1].contains("192.0.2.1:443"))
    #expect(!lines.joined().contains("\u{1b}"))
    #expect(lines.allSatisfy { !$0.hasSuffix(" ") })
    let offset = try #require(lines[0].range(of: "State")).lowerBound.utf16Offset(in: lines[0])
    #expect(lines[3].dropFirst(offset).hasPrefix("TIME_WAIT"))
  }

  @Test func formatsWithoutRowsAreEmpty() throws {
    for format in RecordFormat.allCases {
      var harness = Self.harness(format)
      harness.selection.states = []
      #expect(try harness.run(Self.datagrams).bytes.isEmpty, "\(format)")
    }
  }

  /// The straight code of the whole row and the table of columns are two ways to the same bytes.
  @Test(arguments: [RecordFormat.jsonl, .msgpack, .protobuf, .protobufList])
  func allColumnsBySelectionAreTheSameBytes(format: RecordFormat) throws {
    var harness = Self.harness(format)
    let straight = try harness.run(Self.datagrams)
    harness.columns = RecordSchema.defaultColumnNames
    #expect(try harness.run(Self.datagrams).bytes == straight.bytes)
  }

  @Test(arguments: RecordFormat.allCases)
  func rowsStayWithinTheirBound(format: RecordFormat) throws {
    var harness = Harness()
    harness.format = format
    let long = String(repeating: "\u{1}\"", count: 400)
    harness.host = HostIdentity(
      hostname: long, location: long, bootID: long, machineID: long, daemonVersion: long,
      kernelRelease: "7" + ".0" + long)
    harness.pipeline = PipelineIdentity(name: long, label: long, tag: long, sampleEvery: .max)
    harness.namespace = NamespaceIdentity(name: long, inode: .max, cookie: .max)
    harness.timestamp = .min
    harness.columns = RecordSchema.columnNames
    let encoder = try RecordEncoder(
      format: format, columns: harness.columns, attributes: .all, host: harness.host, pipeline: harness.pipeline)
    harness.batchBytes = encoder.maximumRowBytes + RecordEncoder.batchHeadroom + RecordEncoder.batchTailroom
    let every = (1...22).map { type in
      type == 19
        ? Message.attribute(19, Message.attribute(1, [UInt8](repeating: 0x22, count: 16)))
        : Message.attribute(UInt16(type), [UInt8](repeating: type == 4 ? 0x22 : 0xff, count: 400))
    }
    let output = try harness.run([
      .init(.socket(family: 10, source: longestAddress, destination: longestAddress, attributes: every))
    ])
    #expect(output.rows == 1)
    #expect(output.bytes.count <= encoder.maximumRowBytes + 2 * RecordEncoder.batchHeadroom)
    if format == .protobufList || format == .protobuf {
      #expect(encoder.maximumRowBytes <= ProtobufFormat.longestRow)
    }
  }

  private let longestAddress: [UInt8] = [0xff] + [UInt8](repeating: 0xee, count: 15)

  @Test func textsAreCutAtACharacter() throws {
    var harness = Harness()
    harness.namespace.name = String(repeating: "é", count: 200)
    harness.host.hostname = String(repeating: "x", count: 255) + "y"
    let rows = try harness.rows([.init(.socket())])
    let row = try #require(rows.first)
    #expect(row.text("netns") == String(repeating: "é", count: 127))
    #expect(row.text("hostname") == String(repeating: "x", count: 255))
  }

  @Test func theDumpFieldsAreCounted() {
    #expect(
      WholeRowWriter<JSONFormat>.dumpFieldCount == RecordSchema.fields.filter { $0.source == .dump }.count)
  }
}
