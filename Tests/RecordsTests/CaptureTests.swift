import Foundation
import Testing

@testable import Records

/// Real dumps of five kernels against what ss printed of the same dumps.
@Suite(.enabled(if: Repository.captures != nil, "the shared captures are not checked out beside the repository"))
struct CaptureTests {
  struct Capture: Sendable, CustomStringConvertible {
    var path: String
    var kernel: String
    /// The dump that the ss text belongs to, where the capture holds several.
    var portID: UInt32?
    var hasText = true
    var sockets: Int
    var description: String { path }
  }

  static let captures = [
    Capture(path: "5.4.281/tcp-100", kernel: "5.4.281", sockets: 312),
    Capture(path: "5.15.164/tcp-1000", kernel: "5.15.164", sockets: 2173),
    Capture(path: "6.6.44/tcp-100-bbr", kernel: "6.6.44", portID: 2803, sockets: 303),
    Capture(path: "6.10.3/tcp-1000-churn", kernel: "6.10.3", sockets: 2286),
    Capture(path: "7.0.3/one-v4", kernel: "7.0.3", hasText: false, sockets: 9),
    Capture(path: "7.0.3/one-v6", kernel: "7.0.3", hasText: false, sockets: 2),
  ]

  /// The datagrams of the dump that belongs to the ss text.
  static func datagrams(_ capture: Capture) throws -> [Harness.Datagram] {
    let root = try #require(Repository.captures)
    let file = try Data(contentsOf: root.appendingPathComponent("\(capture.path).pcap"))
    return try file.withUnsafeBytes { bytes in
      var reader = try CaptureFile(bytes)
      var datagrams: [Harness.Datagram] = []
      while let datagram = try reader.next() {
        if let portID = capture.portID, datagram.portID != portID { continue }
        datagrams.append(Harness.Datagram(bytes: Array(datagram.bytes), sequence: datagram.sequence))
      }
      return datagrams
    }
  }

  static func harness(_ capture: Capture) -> Harness {
    var harness = Harness()
    harness.host.kernelRelease = capture.kernel
    return harness
  }

  @Test(arguments: captures)
  func everySocketBecomesARow(_ capture: Capture) throws {
    let output = try Self.harness(capture).run(Self.datagrams(capture))
    #expect(output.tally.reported == UInt64(capture.sockets))
    #expect(output.tally.encoded == UInt64(capture.sockets))
    #expect(output.tally.unknownAttributes == 0)
    #expect(output.tally.foreignMessages == 0)
    let known: Set<TranscodeStop> = [.datagramEnd, .batchFull, .dumpDone(errno: 0)]
    #expect(Set(output.stops).subtracting(known).isEmpty)
    let cookies = try JSONRow.parse(output.bytes).compactMap { $0.number("inet_diag_msg_socket_cookie") }
    #expect(Set(cookies).count == capture.sockets)
  }

  @Test(arguments: captures.filter(\.hasText), [false, true])
  func everyValueOfSSAgrees(_ capture: Capture, reusesBuffer: Bool) throws {
    let rows = try Self.harness(capture).rows(Self.datagrams(capture), reusesBuffer: reusesBuffer)
    let byCookie = Dictionary(grouping: rows) { $0.number("inet_diag_msg_socket_cookie") ?? 0 }
    let root = try #require(Repository.captures)
    let text = try String(contentsOf: root.appendingPathComponent("\(capture.path).ss"), encoding: .utf8)
    let sockets = SSSocket.parse(text)
    #expect(sockets.count == capture.sockets)
    var compared = 0
    for socket in sockets {
      let cookie = try #require(socket.cookie)
      let row = try #require(byCookie[cookie]?.first, "no row for \(socket.local)")
      var comparison = SSComparison(row: row)
      comparison.compare(socket)
      #expect(comparison.mismatches.isEmpty, "\(socket.local) \(socket.peer)")
      compared += comparison.compared
    }
    #expect(compared > sockets.count * 10)
  }

  @Test func timeWaitHasNoTCPInfo() throws {
    let rows = try Self.harness(Self.captures[3]).rows(Self.datagrams(Self.captures[3]))
    let waiting = rows.filter { $0.text("inet_diag_msg_state") == "TIME_WAIT" }
    #expect(waiting.count == 617)
    for row in waiting {
      #expect(!row.members.keys.contains { $0.hasPrefix("tcp_info_") || $0.hasPrefix("sk_mem_info_") })
    }
  }

  @Test(arguments: [("5.4.281/tcp-100", 232), ("6.6.44/tcp-100-bbr", 240), ("6.10.3/tcp-1000-churn", 248)])
  func lengthOfTCPInfoIsTheKernels(path: String, length: UInt64) throws {
    let capture = try #require(Self.captures.first { $0.path == path })
    let rows = try Self.harness(capture).rows(Self.datagrams(capture))
    #expect(Set(rows.compactMap { $0.number("tcp_info_length") }) == [length])
  }

  @Test func linux7HasTheBitFieldsOfAccECN() throws {
    let rows = try Self.harness(Self.captures[4]).rows(Self.datagrams(Self.captures[4]))
    let row = try #require(rows.first)
    #expect(row.number("tcp_info_length") == 280)
    #expect(row.has("tcp_info_received_ce_bytes"))
    #expect(row.has("tcp_info_ecn_mode"))
    #expect(row.has("tcp_info_options2"))
  }
}
