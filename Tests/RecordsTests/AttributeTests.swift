import Foundation
import Testing

@testable import Records

/// Attributes one by one, from bytes laid out by hand after the kernel's structures.
@Suite struct AttributeTests {
  private func row(_ attributes: [UInt8]..., configure: (inout Harness) -> Void = { _ in }) throws -> JSONRow {
    var harness = Harness()
    configure(&harness)
    let rows = try harness.rows([.init(.socket(attributes: attributes))])
    return try #require(rows.first)
  }

  @Test func socketMessage() throws {
    let row = try row()
    #expect(row.number("inet_diag_msg_family") == 2)
    #expect(row.text("inet_diag_msg_state") == "ESTABLISHED")
    #expect(row.number("inet_diag_msg_timer") == 2)
    #expect(row.number("inet_diag_msg_retrans") == 3)
    #expect(row.number("inet_diag_msg_socket_source_port") == 443)
    #expect(row.number("inet_diag_msg_socket_destination_port") == 51_234)
    #expect(row.text("inet_diag_msg_socket_source") == "192.0.2.1")
    #expect(row.text("inet_diag_msg_socket_destination") == "198.51.100.7")
    #expect(row.number("inet_diag_msg_socket_interface") == 9)
    #expect(row.number("inet_diag_msg_socket_cookie") == 0x1234_5678_9abc_def0)
    #expect(row.number("inet_diag_msg_expires") == 1000)
    #expect(row.number("inet_diag_msg_rqueue") == 11)
    #expect(row.number("inet_diag_msg_wqueue") == 12)
    #expect(row.number("inet_diag_msg_uid") == 1001)
    #expect(row.number("inet_diag_msg_inode") == 54_321)
    #expect(row.number("attributes") == 0)
    #expect(!row.has("tcp_info_length"))
    #expect(!row.members.keys.contains { $0.hasPrefix("tcp_info_") })
  }

  /// A field is there if it lies wholly within what the kernel sent, and has the value of its own bytes.
  @Test(arguments: [RecordFormat.jsonl, .protobufList])
  func tcpInfoOfEveryLength(format: RecordFormat) throws {
    let fields = RecordSchema.fields.filter { $0.source == .info && !$0.form.isLayoutDependent }
    let whole = patternedInfo(length: 300)
    for length in 0...300 {
      let rows = try rows(of: Message.attribute(2, Array(whole[..<length])), format)
      let row = try #require(rows.first)
      #expect(row.number("tcp_info_length") == UInt64(length))
      for field in fields {
        let value = field.offset + field.form.width <= length ? try expected(field, whole) : nil
        let shown =
          field.form == .state
          ? row.text("\(field.name)").flatMap(SocketStates.number(of:)).map { UInt64($0) }
          : row.number("\(field.name)")
        #expect(shown == value, "\(field.name) at length \(length)")
      }
    }
  }

  /// Rows of one message; protobuf is decoded back to jsonl, which must restore presence exactly.
  private func rows(of attribute: [UInt8], _ format: RecordFormat) throws -> [JSONRow] {
    var harness = Harness()
    harness.format = format
    let bytes = try harness.run([.init(.socket(attributes: [attribute]))]).bytes
    return format == .jsonl ? try JSONRow.parse(bytes) : try JSONRow.parse(decode(bytes, .protobufList, to: .jsonl))
  }

  private func expected(_ field: FieldDescription, _ info: [UInt8]) throws -> UInt64 {
    let bytes = info[field.offset..<(field.offset + field.form.width)]
    let number = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    switch field.form {
    case .lowNibble: return number & 15
    case .highNibble: return number >> 4
    case .bit0: return number & 1
    case .bits1to2: return number >> 1 & 3
    default: return number
    }
  }

  @Test func lastWordOfTCPInfoDependsOnTheKernel() throws {
    // Linux 6.18: fail mode 5, option seen 2. The same bytes as bit fields: ecn_mode 1, opt_seen 1, options2 0x200.
    let info = [UInt8](repeating: 0, count: 276) + Message.little(UInt16(5)) + Message.little(UInt16(2))
    func row(_ release: String) throws -> JSONRow {
      try self.row(Message.attribute(2, info)) { $0.host.kernelRelease = release }
    }
    for release in ["6.18.0", "6.18.44-fc-v657", "6.19.3"] {
      let old = try row(release)
      #expect(old.number("tcp_info_accecn_fail_mode") == 5)
      #expect(old.number("tcp_info_accecn_opt_seen") == 2)
      #expect(!old.has("tcp_info_ecn_mode"))
      #expect(!old.has("tcp_info_options2"))
    }
    for release in ["7.0.3", "7.1", "12.0.0"] {
      let new = try row(release)
      #expect(new.number("tcp_info_ecn_mode") == 1)
      #expect(new.number("tcp_info_accecn_opt_seen") == 1)
      #expect(new.number("tcp_info_accecn_fail_mode") == 0)
      #expect(new.number("tcp_info_options2") == 0x200)
    }
    for release in ["", "unknown", "6", "6.12.0-55.el10", "99999999999999999999.1"] {
      let unknown = try row(release)
      #expect(!unknown.members.keys.contains { $0.contains("accecn_") || $0.contains("ecn_mode") }, "\(release)")
      #expect(unknown.has("tcp_info_received_ce_bytes"))
    }
  }

  @Test func vegas() throws {
    let row = try row(Message.attribute(3, [1, 7, 1500, 900].flatMap { Message.little(UInt32($0)) }))
    #expect(row.number("vegas_info_enabled") == 1)
    #expect(row.number("vegas_info_rtt_cnt") == 7)
    #expect(row.number("vegas_info_rtt") == 1500)
    #expect(row.number("vegas_info_min_rtt") == 900)
    #expect(row.number("attributes") == 1 << 3)
  }

  @Test func dctcp() throws {
    let payload =
      Message.little(UInt16(1)) + Message.little(UInt16(2))
      + [512, 3000, 90_000].flatMap { Message.little(UInt32($0)) }
    let row = try row(Message.attribute(9, payload))
    #expect(row.number("dctcp_info_enabled") == 1)
    #expect(row.number("dctcp_info_ce_state") == 2)
    #expect(row.number("dctcp_info_alpha") == 512)
    #expect(row.number("dctcp_info_ab_ecn") == 3000)
    #expect(row.number("dctcp_info_ab_tot") == 90_000)
  }

  @Test func bbr() throws {
    let row = try row(Message.attribute(16, [9, 1, 250, 739, 512].flatMap { Message.little(UInt32($0)) }))
    #expect(row.number("bbr_info_bw_lo") == 9)
    #expect(row.number("bbr_info_bw_hi") == 1)
    #expect(row.number("bbr_info_min_rtt") == 250)
    #expect(row.number("bbr_info_pacing_gain") == 739)
    #expect(row.number("bbr_info_cwnd_gain") == 512)
  }

  @Test func smallAttributes() throws {
    let memory = (1...9).flatMap { Message.little(UInt32($0 * 11)) }
    let row = try row(
      Message.attribute(1, [1, 2, 3, 4].flatMap { Message.little(UInt32($0)) }), Message.attribute(5, [0xb8]),
      Message.attribute(6, [0x2c]), Message.attribute(7, memory), Message.attribute(8, [3]),
      Message.attribute(11, [1]), Message.attribute(15, Message.little(UInt32(0xfeed))),
      Message.attribute(17, Message.little(UInt32(42))), Message.attribute(21, Message.little(UInt64(1) << 40)),
      Message.attribute(22, [0x81, 0x05]))
    #expect(row.number("mem_info_tmem") == 4)
    #expect(row.number("type_of_service") == 0xb8)
    #expect(row.number("traffic_class") == 0x2c)
    #expect(row.number("sk_mem_info_rmem_alloc") == 11)
    #expect(row.number("sk_mem_info_drops") == 99)
    #expect(row.number("shutdown_state") == 3)
    #expect(row.number("v6only") == 1)
    #expect(row.number("mark") == 0xfeed)
    #expect(row.number("class_id") == 42)
    #expect(row.number("c_group") == 1 << 40)
    #expect(row.number("sock_opt") == 0x581)
    #expect(row.number("attributes") == 0b0110_0010_1000_1001_1110_0010)
  }

  @Test(arguments: [
    ("cubic", 1), ("dctcp", 2), ("vegas", 3), ("prague", 4), ("bbr", 5), ("bbr1", 5), ("bbr2", 6), ("bbr3", 7),
    ("reno", 0), ("cubi", 0), ("cubic2", 0), ("westwood", 0), ("nv", 0), ("", 0), ("abcdefghijklmnop", 0),
  ])
  func congestionAlgorithm(name: String, number: UInt64) throws {
    for ending in [[], [0], [0, 120, 121]] as [[UInt8]] {
      let row = try row(Message.attribute(4, Array(name.utf8) + ending))
      #expect(row.text("congestion_algorithm_string") == (name.utf8.count == 16 ? name : name))
      #expect(row.number("congestion_algorithm_enum") == number)
    }
  }

  @Test func kernelNamesAreBoundedAndPrintable() throws {
    let row = try row(Message.attribute(4, [0x22, 0x5c, 0xff, 0x07] + [UInt8](repeating: 0x61, count: 60)))
    #expect(row.text("congestion_algorithm_string") == "\"\\??aaaaaaaaaaaa")
  }

  @Test func upperLayerProtocolIsNested() throws {
    let name = Message.attribute(1, Array("tls\0".utf8))
    let tls = Message.attribute(2 | 0x8000, Message.attribute(1, [4, 3]) + [0, 0])
    for nested in [name + tls, tls + name] {
      for type in [19, 19 | 0x8000] as [UInt16] {
        let row = try row(Message.attribute(type, nested))
        #expect(row.text("ulp") == "tls")
        #expect(row.number("attributes") == 1 << 19)
      }
    }
    for bad in [[], tls, [9, 0, 1, 0], [2, 0, 1, 0]] as [[UInt8]] {
      #expect(try !row(Message.attribute(19, bad)).has("ulp"))
    }
  }

  @Test func flagsOfTheAttributeTypeAreMasked() throws {
    #expect(try row(Message.attribute(5 | 0x4000, [7])).number("type_of_service") == 7)
    #expect(try row(Message.attribute(5 | 0x8000, [8])).number("type_of_service") == 8)
  }

  @Test func whatWasNotSelectedIsNotEmitted() throws {
    let attributes = [
      Message.attribute(2, patternedInfo(length: 280)), Message.attribute(8, [3]), Message.attribute(5, [1]),
      Message.attribute(22, [1, 1]),
    ]
    for format in RecordFormat.allCases {
      var harness = Harness()
      harness.format = format
      harness.attributes = [.tos]
      let selected = try harness.run([.init(.socket(attributes: attributes))])
      harness.attributes = .all
      harness.selection.attributes = [.tos]
      let atRuntime = try harness.run([.init(.socket(attributes: attributes))])
      let alone = try harness.run([.init(.socket(attributes: [attributes[2]]))])
      #expect(selected.bytes == alone.bytes, "\(format)")
      #expect(atRuntime.bytes == alone.bytes, "\(format)")
    }
  }

  @Test func unknownAndShortAttributesAreCountedAndLeftOut() throws {
    let output = try Harness().run([
      .init(
        .socket(attributes: [
          Message.attribute(23, [1, 2, 3, 4]), Message.attribute(300, []), Message.attribute(7, [1, 2, 3, 4]),
          Message.attribute(15, [1]), Message.attribute(14, []), Message.attribute(5, [9]),
        ]))
    ])
    #expect(output.tally.unknownAttributes == 4)
    let row = try #require(JSONRow.parse(output.bytes).first)
    #expect(row.number("attributes") == 1 << 5)
    #expect(!row.has("mark"))
    #expect(!row.has("sk_mem_info_rmem_alloc"))
  }

  @Test func nothingOfTheRowBeforeRemains() throws {
    let full = Message.socket(
      cookie: 1,
      attributes: [
        Message.attribute(2, patternedInfo(length: 280)), Message.attribute(4, Array("cubic".utf8)),
        Message.attribute(16, [UInt8](repeating: 1, count: 20)),
      ])
    let short = Message.socket(cookie: 2, attributes: [Message.attribute(2, patternedInfo(length: 10))])
    let bare = Message.socket(state: 6, cookie: 3)
    for format in RecordFormat.allCases {
      var harness = Harness()
      harness.format = format
      harness.columns = RecordSchema.columnNames.filter { $0 != "record_counter" }
      let together = try harness.run([.init(full, short, bare)]).batches[0]
      harness.rowLimit = 1
      let alone = try [full, short, bare].map { try harness.run([.init($0)]).batches[0] }
      guard format != .protobufList, format != .protoJSON else { continue }
      #expect(together == alone.reduce(Data(), +), "\(format)")
    }
  }
}
