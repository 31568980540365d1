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
