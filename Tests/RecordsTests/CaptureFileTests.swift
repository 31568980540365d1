import Foundation
import Testing

@testable import Records

/// pcap files built by hand: what is taken, what is passed over, what is an error.
@Suite struct CaptureFileTests {
  func file(magic: UInt32 = 0xa1b2_c3d4, linkType: UInt32 = 253, _ packets: [UInt8]...) -> Data {
    let header = Message.little(magic) + Message.little(UInt32(0x0004_0002)) + [UInt8](repeating: 0, count: 8)
    return Data(header + Message.little(UInt32(65_535)) + Message.little(linkType) + packets.flatMap { $0 })
  }

  func packet(_ messages: [UInt8], netlinkProtocol: UInt16 = 4, cut: Int = 0, seconds: UInt32 = 1) -> [UInt8] {
    let cooked = [UInt8](repeating: 0, count: 14) + Message.big(netlinkProtocol)
    let captured = UInt32(16 + messages.count)
    return Message.little(seconds) + Message.little(UInt32(5)) + Message.little(captured)
      + Message.little(captured + UInt32(cut)) + cooked + messages
  }

  private func rows(_ file: Data) throws -> [JSONRow] { try JSONRow.parse(decode(file, .capture, to: .jsonl)) }

  @Test func onlyWhatTheKernelSaidOnSockDiag() throws {
    var request = Message.socket(cookie: 9).bytes
    request[6] = 1  // NLM_F_REQUEST
    let rows = try rows(
      file(
        packet(request), packet(Message.socket(cookie: 1).bytes),
        packet(Message.socket(cookie: 2).bytes, netlinkProtocol: 0),
        packet([1, 2, 3]), packet(Message.socket(cookie: 3, sequence: 8).bytes + Message.done(0, sequence: 8).bytes)))
    #expect(rows.map { $0.number("inet_diag_msg_socket_cookie") } == [1, 3])
    #expect(rows.map { $0.number("poll_sequence") } == [1, 2])
    #expect(rows.map { $0.number("timestamp_ns") } == [1_000_005_000, 1_000_005_000])
  }

  @Test func nanosecondFiles() throws {
    let rows = try rows(file(magic: 0xa1b2_3c4d, packet(Message.socket().bytes)))
    #expect(rows.map { $0.number("timestamp_ns") } == [1_000_000_005])
  }

  @Test func errorsHaveAnOffset() {
    func error(_ file: Data) -> RecordFileError? { #expect(throws: RecordFileError.self) { try rows(file) } }
    #expect(error(Data()) == RecordFileError(offset: 0, reason: "not a pcap file"))
    #expect(error(Data(repeating: 1, count: 100))?.offset == 0)
    #expect(error(file(linkType: 1)) == RecordFileError(offset: 20, reason: "link type 1 is not netlink (253)"))
    #expect(error(file([1, 2, 3])) == RecordFileError(offset: 24, reason: "packet header is truncated"))
    #expect(error(file(Array(packet(Message.socket().bytes).dropLast())))?.offset == 32)
    #expect(error(file(packet(Message.socket().bytes, cut: 1)))?.reason.contains("was cut") == true)
    let malformed = error(file(packet(Message.socket(family: 3).bytes)))
    #expect(malformed == RecordFileError(offset: 56, reason: MalformedReason.addressFamily.rawValue))
  }
}
