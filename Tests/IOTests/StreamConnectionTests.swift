import Foundation
import Glibc
import Testing

@testable import IO

/// Connections over both ports, with TLS and without, to real servers.
@Suite(.serialized)
struct StreamConnectionTests {
  static let choices = PortTests.choices

  private func trust(_ change: (inout TLSContext.Settings) -> Void = { _ in }) throws -> TLSContext.Settings {
    var settings = TLSContext.Settings(authorities: try TestCertificates.shared.get().file("ca.pem"))
    change(&settings)
    return settings
  }

  /// A server and a connection to it.
  private func bed(
    _ choice: PortChoice, _ mode: String, tls: Bool, limits: StreamConnection.Limits = StreamConnection.Limits()
  ) throws -> (ConnectionBed, PeerProcess) {
    let server = try PeerProcess(mode, certificate: tls ? "good" : nil)
    let endpoint = Endpoint(host: "127.0.0.1", port: server.port)
    return (try ConnectionBed(choice, endpoint, tls: tls ? try trust() : nil, limits: limits, peer: server), server)
  }

  private func pattern(_ count: Int) -> [UInt8] {
    let period = (0..<251).map { UInt8($0 * 31 % 251) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 251)
    while bytes.count < count { bytes += period }
    return Array(bytes.prefix(count))
  }

  /// The digest that the server reports.
  private func digest(_ bytes: [UInt8]) throws -> String {
    let process = Process()
    let (input, output) = (Pipe(), Pipe())
    process.executableURL = URL(filePath: "/usr/bin/sha256sum")
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: bytes)
    try input.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return String(text.prefix(64))
  }

  // MARK: Talking

  @Test(arguments: choices, [false, true])
  func messagesAndAnswers(_ choice: PortChoice, tls: Bool) throws {
    let (bed, server) = try bed(choice, "reply", tls: tls)
    try bed.open()
    #expect(bed.history.first == .opened)
    var sent = 0
    for size in [1, 2, 1_000, 70_000] {
      let message = [UInt8](repeating: UInt8(ascii: "x"), count: size - 1) + [UInt8(ascii: "\n")]
      try bed.send(message)
      sent += size
      try bed.run { bed.received.count == 3 }
      #expect(bed.received == Array("OK\n".utf8))
      bed.forgetReceived()
    }
    #expect(!bed.connection.isSending && bed.connection.isOpen)
    try bed.close()
    let report = try server.report()
    #expect(report.bytes == sent && report.error.isEmpty, "\(report)")
    #expect(!bed.saw(.ended) && bed.connection.error == nil)
  }

  @Test(arguments: choices, [false, true])
  func tenMegabytesBothWays(_ choice: PortChoice, tls: Bool) throws {
    let (bed, server) = try bed(choice, "echo", tls: tls)
    try bed.open()
    let bytes = pattern(10_000_000)
    try bed.send(bytes)
    #expect(bed.saw(.sent))
    try bed.run { bed.received.count >= bytes.count }
    #expect(bed.received == bytes)
    try bed.close()
    let report = try server.report()
    #expect(report.bytes == bytes.count && report.error.isEmpty)
    #expect(report.digest == (try digest(bytes)))
  }

  /// Many small pieces, empty ones among them, more than one call takes.
  @Test(arguments: choices, [false, true])
  func aMessageInPieces(_ choice: PortChoice, tls: Bool) throws {
    let (bed, server) = try bed(choice, "sink", tls: tls)
    try bed.open()
    let bytes = pattern(600_000)
    var pieces: [iovec] = []
    try bytes.withUnsafeBytes { all in
      var start = 0
      var number = 0
      while start < all.count {
        let size = min([0, 1, 7, 300, 0, 20_000, 90][number % 7], all.count - start)
        let address = all.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + start) }
        pieces.append(iovec(iov_base: address, iov_len: size))
        start += size
        number += 1
      }
      try pieces.withUnsafeBufferPointer { list in
        for _ in 0..<3 {
          let before = bed.count(.sent)
          let isTaken = bed.connection.send(list)
          let isTakenTwice = bed.connection.send(list)
          #expect(isTaken && (!isTakenTwice || bed.count(.sent) > before))
          try bed.run { bed.count(.sent) > before }
        }
      }
    }
    let nothing = bed.connection.send(UnsafeBufferPointer<iovec>(start: nil, count: 0))
    #expect(nothing)
    try bed.run { bed.count(.sent) == 4 }
    try bed.close()
    let report = try server.report()
    #expect(report.bytes == 3 * bytes.count, "\(report)")
    #expect(report.digest == (try digest(bytes + bytes + bytes)))
  }

  @Test(arguments: choices, [false, true])
  func aUnixSocket(_ choice: PortChoice, tls: Bool) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("s")
    let server = try PeerProcess("echo", certificate: tls ? "good" : nil, ["path": path])
    let settings = tls ? try trust { $0.serverName = "localhost" } : nil
    let bed = try ConnectionBed(choice, Endpoint(path: path), tls: settings)
    try bed.open()
    try bed.send([1, 2, 3])
    try bed.run { bed.received == [1, 2, 3] }
    try bed.close()
    #expect(try server.report().bytes == 3)
  }

  @Test(arguments: choices, [false, true])
  func aByteFromTimeToTime(_ choice: PortChoice, tls: Bool) throws {
    let (bed, _) = try bed(choice, "drip:0.05", tls: tls)
    try bed.open()
    try bed.run { bed.received.count == 10 }
    #expect(bed.received == Array("0123456789".utf8) && bed.count(.received) > 5)
    #expect(bed.turns < 60, "it sleeps in between")
  }

  /// It is opened again and again, with the same memory.
  @Test(arguments: choices, [false, true])
  func againAndAgain(_ choice: PortChoice, tls: Bool) throws {
    let (bed, server) = try bed(choice, "echo", tls: tls)
    let descriptors = openDescriptors().count
    for round in 0..<30 {
      try bed.open()
      try bed.send([UInt8(round)])
      try bed.run { bed.received == [UInt8(round)] }
      bed.forgetReceived()
      try bed.close()
      let report = try server.report()
      #expect(report.bytes == 1 && report.error.isEmpty)
    }
    #expect(openDescriptors().count <= descriptors + 1)
    #expect(bed.port.operationGauges.inUse == 0)
  }

  // MARK: Back-pressure

  @Test(arguments: choices, [false, true])
  func whatNobodyConsumesIsNotReceived(_ choice: PortChoice, tls: Bool) throws {
    let limits = StreamConnection.Limits(receiveBytes: 10_000)
    let (bed, _) = try bed(choice, "blast:3000000", tls: tls, limits: limits)
    bed.isReading = false
    try bed.open()
    try bed.run { bed.connection.isReceiveBufferFull }
    let turns = bed.turns
    try? bed.run(timeout: .milliseconds(200)) { false }
    #expect(bed.connection.received.count == 10_000 && bed.turns - turns < 10)
    bed.isReading = true
    // What came last may be found, with the end behind it, when what came before is consumed.
    try bed.run { bed.connection.isIdle && bed.connection.received.isEmpty }
    #expect(bed.received.count == 3_000_000 && bed.received == Array(pattern(3_000_000)))
    #expect(bed.connection.error == .closedByPeer)
  }

  @Test(arguments: choices, [false, true])
  func aPeerThatNeverReads(_ choice: PortChoice, tls: Bool) throws {
    let (bed, _) = try bed(choice, "mute", tls: tls)
    try bed.open()
    let start = MonotonicTime.now()
    try bed.send(pattern(20_000_000), timeout: .milliseconds(300))
    #expect(bed.connection.error == .timedOut(.sending) && !bed.saw(.sent) && bed.saw(.ended))
    #expect(MonotonicTime.now().since(start) < .seconds(3))
  }

  // MARK: Ending

  @Test(arguments: choices, [false, true])
  func aPeerThatGoesInTheMiddleOfAMessage(_ choice: PortChoice, tls: Bool) throws {
    for mode in ["cut:100000", "reset:100000"] {
      let (bed, server) = try bed(choice, mode, tls: tls)
      try bed.open()
      try bed.send(pattern(30_000_000))
      #expect(bed.saw(.ended) && !bed.saw(.sent) && bed.connection.isIdle)
      switch bed.connection.error {
      case .closedByPeer, .broken: break
      default: Issue.record("\(String(describing: bed.connection.error))")
      }
      #expect(try server.report().bytes >= 100_000)
      #expect(bed.port.operationGauges.inUse == 0)
    }
  }

  @Test(arguments: choices, [false, true])
  func aPeerThatGoesWhileNothingIsSentIsSeenAtOnce(_ choice: PortChoice, tls: Bool) throws {
    let (bed, _) = try bed(choice, "blast:5", tls: tls)
    // It may be over before it is seen to be open.
    try? bed.open()
    try bed.run { bed.connection.isIdle }
    #expect(bed.received == pattern(5) && bed.connection.error == .closedByPeer)
  }

  @Test(arguments: choices, [false, true])
  func closingInTheMiddleOfAMessage(_ choice: PortChoice, tls: Bool) throws {
    let (bed, _) = try bed(choice, "mute", tls: tls)
    try bed.open()
    let bytes = pattern(20_000_000)
    try bytes.withUnsafeBytes { bytes in
      #expect(bed.connection.send(bytes))
      try? bed.run(timeout: .milliseconds(50)) { false }
      try bed.close()
    }
    #expect(!bed.saw(.sent) && !bed.saw(.ended) && bed.port.operationGauges.inUse == 0)
  }

  @Test(arguments: choices, [false, true])
  func tearingDownThePortInAllPhases(_ choice: PortChoice, tls: Bool) throws {
    for milliseconds in [0, 1, 5, 30, 100] {
      let (bed, _) = try bed(choice, "mute", tls: tls)
      let bytes = pattern(5_000_000)
      try bytes.withUnsafeBytes { bytes in
        bed.connection.open(timeout: .seconds(10))
        try? bed.run(timeout: .milliseconds(milliseconds)) { bed.connection.isOpen }
        bed.connection.send(bytes)
        try bed.port.submit()
        bed.connection.abandon(isStuck: bed.port.tearDown() > 0)
        #expect(bed.connection.isIdle && bed.connection.nextDeadline == nil)
      }
    }
  }

  // MARK: Not opening

  @Test(arguments: choices)
  func nobodyListens(_ choice: PortChoice) throws {
    let other = try streamSocket()
    let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
    #expect(any.withPointer { bind(other.raw, $0, $1) } == 0)
    let port = UInt16(try boundPort(other.raw))
    let bed = try ConnectionBed(choice, Endpoint(host: "127.0.0.1", port: port))
    for _ in 0..<3 {
      let expected = ConnectionError.connect(SystemError("connect", errno: ECONNREFUSED, context: "127.0.0.1:\(port)"))
      #expect(try bed.refusal() == expected)
    }
    let missing = try ConnectionBed(choice, Endpoint(path: "/nonexistent/socket"))
    #expect(
      try missing.refusal() == .connect(SystemError("connect", errno: ENOENT, context: "/nonexistent/socket")))
  }

  @Test(arguments: choices)
  func theAddressesAreTriedInOrder(_ choice: PortChoice) throws {
    let silent = try SilentListener()
    let server = try PeerProcess("echo")
    let good = try #require(SocketAddress(host: "127.0.0.1", port: server.port))
    let refusing = try #require(SocketAddress(host: "127.0.0.1", port: 1))
    let resolver = Resolver { _, _ in .success([refusing, silent.address, refusing, good]) }
    let bed = try ConnectionBed(choice, Endpoint(host: "several", port: 1), resolver: resolver)
    let start = MonotonicTime.now()
    try bed.open(timeout: .seconds(3))
    // The silent one had a third of what was left.
    #expect(MonotonicTime.now().since(start) > .milliseconds(800) && MonotonicTime.now().since(start) < .seconds(2))
    try bed.send([9])
    try bed.run { bed.received == [9] }
  }

  @Test(arguments: choices)
  func whatTakesTooLong(_ choice: PortChoice) throws {
    let silent = try SilentListener()
    let start = MonotonicTime.now()
    let connecting = try ConnectionBed(
      choice, Endpoint(host: "x", port: 1), resolver: Resolver { _, _ in .success([silent.address]) })
    #expect(try connecting.refusal(timeout: .milliseconds(200)) == .timedOut(.connecting))
    let gate = Gate()
    let hanging = Resolver { _, _ in
      gate.wait()
      return .success([silent.address])
    }
    let resolving = try ConnectionBed(choice, Endpoint(host: "x", port: 1), resolver: hanging)
    #expect(try resolving.refusal(timeout: .milliseconds(200)) == .timedOut(.resolving))
    gate.open()
    let server = try PeerProcess("silent")
    let handshaking = try ConnectionBed(
      choice, Endpoint(host: "127.0.0.1", port: server.port), tls: try trust(), peer: server)
    #expect(try handshaking.refusal(timeout: .milliseconds(200)) == .timedOut(.handshaking))
    #expect(MonotonicTime.now().since(start) < .seconds(5))
  }

  @Test(arguments: choices)
  func aNameThatIsNotThere(_ choice: PortChoice) throws {
    let failure = ResolutionError.failed(host: "x", code: EAI_NONAME, errno: 0)
    let resolver = Resolver { _, _ in .failure(failure) }
    let bed = try ConnectionBed(choice, Endpoint(host: "x", port: 1), resolver: resolver)
    #expect(try bed.refusal() == .resolution(failure))
  }

  @Test(arguments: choices, ["expired", "self", "untrusted", "elsewhere"])
  func aPeerThatIsNotWhoItShouldBeGetsNothing(_ choice: PortChoice, certificate: String) throws {
    let server = try PeerProcess("sink", certificate: certificate)
    let localhost = try #require(SocketAddress(host: "127.0.0.1", port: server.port))
    let bed = try ConnectionBed(
      choice, Endpoint(host: "localhost", port: server.port), tls: try trust(),
      resolver: Resolver { _, _ in .success([localhost]) })
    // Whoever sends as soon as it can.
    let bytes = pattern(1_000)
    try bytes.withUnsafeBytes { bytes in
      bed.connection.open(timeout: .seconds(10))
      try bed.run {
        let isTaken = bed.connection.send(bytes)
        #expect(!isTaken)
        return bed.connection.isIdle
      }
    }
    guard case .tls(let error) = bed.connection.error else { throw Unexpected("accepted") }
    let isExpected =
      switch (certificate, error) {
      case ("expired", .expired), ("self", .selfSigned), ("untrusted", .unknownAuthority), ("elsewhere", .nameMismatch):
        true
      default: false
      }
    #expect(isExpected, "\(error)")
    let report = try server.report()
    // The server was told why (an alert) instead of just being left.
    #expect(report.bytes == 0 && report.error.lowercased().contains("alert"), "\(report)")
  }

  @Test(arguments: choices)
  func aPeerWithoutTLS(_ choice: PortChoice) throws {
    for (mode, expected) in [("plain", ConnectionError.tls(.notTLS)), ("cut:1", .closedInHandshake)] {
      let server = try PeerProcess(mode)
      let bed = try ConnectionBed(choice, Endpoint(host: "127.0.0.1", port: server.port), tls: try trust())
      #expect(try bed.refusal() == expected)
    }
  }

  @Test(arguments: choices)
  func aServerThatWantsACertificate(_ choice: PortChoice) throws {
    let files = try TestCertificates.shared.get()
    let server = try PeerProcess("echo", certificate: "good", ["ca": files.file("ca.pem")])
    let endpoint = Endpoint(host: "127.0.0.1", port: server.port)
    guard case .tls(.certificateWanted) = try ConnectionBed(choice, endpoint, tls: try trust()).refusal() else {
      throw Unexpected("accepted")
    }
    let bed = try ConnectionBed(choice, endpoint, tls: try trust { $0.certificate = files.file("both.pem") })
    try bed.open()
    try bed.send([5])
    try bed.run { bed.received == [5] }
  }

  /// The pool of operations is another's until it lets go.
  @Test(arguments: choices)
  func operationsThatAreLacking(_ choice: PortChoice) throws {
    let server = try PeerProcess("echo", certificate: "good")
    let bed = try ConnectionBed(choice, Endpoint(host: "127.0.0.1", port: server.port), tls: try trust(), operations: 2)
    let timers = (0..<2).compactMap { bed.port.timer(at: .now().advanced(by: .milliseconds(60 + 60 * $0)), owner: 1) }
    #expect(timers.count == 2)
    bed.connection.open(timeout: .seconds(10))
    try bed.run { bed.connection.isOpen }
    try bed.send(pattern(300_000))
    try bed.run { bed.received.count == 300_000 }
    #expect(bed.received == pattern(300_000))
  }

  @Test func reasonsInWords() {
    let reasons: [ConnectionError] = [
      .resolution(.busy(host: "h")), .connect(SystemError("connect", errno: ECONNREFUSED, context: "h:1")),
      .timedOut(.resolving), .timedOut(.connecting), .timedOut(.handshaking), .timedOut(.sending), .tls(.notTLS),
      .closedInHandshake, .closedByPeer, .broken(SystemError("recv", errno: ECONNRESET, context: "h:1")),
    ]
    #expect(Set(reasons.map(\.description)).count == reasons.count)
    #expect(reasons[1].description == "connect(h:1): Connection refused (ECONNREFUSED)")
  }
}
