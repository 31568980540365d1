import Testing

@testable import Records

/// Requests, selections and the names that configurations use.
@Suite struct RequestTests {
  @Test func aRequestIsTheLegacyOne() {
    var bytes = [UInt8](repeating: 0xaa, count: 100)
    let length = bytes.withUnsafeMutableBytes { memory in
      DumpRequest(states: .all, extensions: 0xfe).encode(sequence: 0x0102_0304, into: memory)
    }
    #expect(length == 76 && bytes[76...].allSatisfy { $0 == 0xaa })
    let header = Message.little(UInt32(76)) + [18, 0, 1, 3] + [4, 3, 2, 1] + [0, 0, 0, 0]
    let request = [2, 0, 0, 0xfe] + [UInt8](repeating: 0, count: 48) + Message.little(UInt32(0xfff)) + [0, 0, 0, 0]
    #expect(bytes[..<76] == ArraySlice(header + request))
  }

  @Test func anExactRequestNamesOneSocket() {
    let socket = SocketID(
      family: 10, state: 1, sourcePort: 0x0102, destinationPort: 443, source: [1, 2], destination: [3, 4],
      interface: 5, cookie: 6)
    var bytes = [UInt8](repeating: 0xaa, count: 100)
    bytes.withUnsafeMutableBytes { memory in
      guard let base = memory.baseAddress else { return }
      ExactRequest.write(socket, extensions: 0xfe, sequence: 0x0102_0304, to: base)
      ExactRequest.writeEnd(sequence: 7, to: base + ExactRequest.byteCount)
    }
    // SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST; struct inet_diag_req_v2.
    let header = Message.little(UInt32(72)) + [20, 0, 1, 0] + [4, 3, 2, 1] + [0, 0, 0, 0]
    let request = [10, 6, 0xfe, 0] + Message.little(UInt32(0xfff))
    let addresses = [1, 2, 3, 4].flatMap { Message.little(UInt64($0)) }
    let id = [1, 2, 1, 187] + addresses + Message.little(UInt32(5)) + Message.little(UInt64(6))
    // NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK.
    let end = Message.little(UInt32(16)) + [1, 0, 5, 0] + [7, 0, 0, 0] + [0, 0, 0, 0]
    #expect(bytes[..<88] == ArraySlice(header + request + id + end) && bytes[88...].allSatisfy { $0 == 0xaa })
  }

  @Test func answersToExactRequestsAreToldApart() {
    func answer(_ message: Message) -> ExactAnswer { message.bytes.withUnsafeBytes { ExactAnswer($0, sequence: 7) } }
    guard case .socket(let socket) = answer(.socket(cookie: 77)) else {
      Issue.record("no socket")
      return
    }
    #expect(socket.cookie == 77)
    #expect(answer(.error(-2)) == .none && answer(.error(-116)) == .none && answer(.error(0)) == .end)
    #expect(answer(.error(0, sequence: 6)) == .other && answer(.socket(sequence: 6)) == .other)
    #expect(answer(.done()) == .other && answer(Message(type: 2, payload: [0, 0])) == .other)
    #expect([].withUnsafeBytes { ExactAnswer($0, sequence: 7) } == .other)
  }

  /// Cut at every byte, it never reads outside.
  @Test func socketsAreFoundInADatagramWithoutDecodingIt() {
    let bytes = Message.socket(cookie: 1).bytes + Message.socket(cookie: 2, sequence: 6).bytes + Message.done().bytes
    let first = Message.socket(cookie: 1).bytes.count
    for length in 0...bytes.count {
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, length), alignment: 1)
      defer { copy.deallocate() }
      copy.copyBytes(from: bytes[..<length])
      let cut = UnsafeMutableRawBufferPointer(rebasing: copy[..<length])
      let ours = ReportedSockets(in: UnsafeRawBufferPointer(cut), sequence: 7).map(\.cookie)
      #expect(ours == (length >= first ? [1] : []))
      var all = ReportedSockets(in: UnsafeRawBufferPointer(cut))
      var found: [Int] = []
      while all.next() != nil {
        found.append(all.position)
        cut.silenceMessage(at: all.position)
      }
      #expect(found == (length >= 2 * first ? [0, first] : length >= first ? [0] : []))
      #expect(Array(ReportedSockets(in: UnsafeRawBufferPointer(cut))).isEmpty)
    }
  }

  @Test func extensionsAskForWhatIsSelected() {
    #expect(AttributeSelection([]).requestExtensions == 0)
    #expect(AttributeSelection.info.requestExtensions == 1 << 1)
    #expect(AttributeSelection.bbr.requestExtensions == 1 << 2)
    #expect(AttributeSelection.dctcp.requestExtensions == 1 << 2)
    #expect(AttributeSelection.vegas.requestExtensions == 1 << 2)
    #expect(AttributeSelection.classID.requestExtensions == 1 << 5)
    #expect(AttributeSelection.mark.requestExtensions == 0)
    #expect(AttributeSelection.default.requestExtensions == 0xfe)
    #expect(AttributeSelection.all.requestExtensions == 0xff)
  }

  @Test func attributesHaveNames() {
    for name in AttributeSelection.allNames { #expect(AttributeSelection(name: name) != nil) }
    #expect(AttributeSelection(name: "class_id") == .classID)
    #expect(AttributeSelection(name: "default") == AttributeSelection.all.subtracting(.meminfo))
    #expect(AttributeSelection(name: "INFO") == nil)
    #expect(AttributeSelection.allNames.count == 16)
  }

  static let stateNames: [(String, UInt32)] = [
    ("established", 0x002), ("ESTABLISHED", 0x002), ("Time-Wait", 0x040), ("time_wait", 0x040), ("fin_wait1", 0x010),
    ("fin-wait-2", 0x020), ("listening", 0x400), ("closed", 0x080), ("all", 0xfff), ("bucket", 0x048),
    ("connected", 0xb7e), ("synchronized", 0xb7a), ("big", 0xfb6),
  ]

  @Test(arguments: stateNames)
  func statesHaveNames(name: String, bits: UInt32) {
    #expect(SocketStates(name: name)?.rawValue == bits)
  }

  @Test func everyListedStateIsAccepted() {
    #expect(SocketStates.allNames.count == 11)
    #expect(SocketStates(SocketStates.allNames.compactMap(SocketStates.init(name:))).rawValue == 0xffe)
    #expect(SocketStates(name: "unknown") == nil)
    #expect(SocketStates(name: "") == nil)
  }
}
