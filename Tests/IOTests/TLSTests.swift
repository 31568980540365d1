import Foundation
import Glibc
import Testing

@testable import IO

/// TLS as a thing of memory, with a server of another make behind a plain blocking socket.
@Suite(.serialized)
struct TLSTests {
  private func files() throws -> TestCertificates { try TestCertificates.shared.get() }

  private func settings(_ change: (inout TLSContext.Settings) -> Void = { _ in }) throws -> TLSContext.Settings {
    var settings = TLSContext.Settings(authorities: try files().file("ca.pem"))
    change(&settings)
    return settings
  }

  /// A session that is carried by a blocking socket.
  private struct Carrier {
    let session: TLSSession
    let socket: Int32

    func flush() throws {
      var bytes = [UInt8](repeating: 0, count: 32 << 10)
      while case let count = bytes.withUnsafeMutableBytes({ session.takeOutput(into: $0) }), count > 0 {
        guard send(socket, bytes, count, KernelConstant.MSG_NOSIGNAL) == count else { throw SystemError.last("send") }
      }
    }

    /// Takes in what comes next; false at the end.
    func fill() throws -> Bool {
      var bytes = [UInt8](repeating: 0, count: 8 << 10)
      let count = recv(socket, &bytes, bytes.count, 0)
      guard count >= 0 else { throw SystemError.last("recv") }
      var fed = 0
      while fed < count {
        let taken = bytes[fed..<count].withUnsafeBytes { session.feed($0) }
        guard taken > 0 else { throw Unexpected("the session takes no more") }
        fed += taken
      }
      return count > 0
    }

    func handshake() throws {
      while try !session.handshake() {
        try flush()
        guard try fill() else { throw Unexpected("the server has gone") }
      }
      try flush()
    }

    func write(_ bytes: [UInt8]) throws {
      var written = 0
      while written < bytes.count {
        written += try bytes[written...].withUnsafeBytes { try session.write($0) }
        try flush()
      }
    }

    /// Everything that comes until `count` bytes are here or the peer has closed.
    func read(_ count: Int) throws -> [UInt8] {
      var received: [UInt8] = []
      var chunk = [UInt8](repeating: 0, count: 64 << 10)
      while received.count < count {
        switch try chunk.withUnsafeMutableBytes({ try session.read(into: $0) }) {
        case .bytes(let count): received += chunk.prefix(count)
        case .nothing: if try !fill() { return received }
        case .closed: return received
        }
      }
      return received
    }
  }

  private func connect(
    _ server: PeerProcess, _ settings: TLSContext.Settings, host: String = "localhost",
    _ body: (Carrier) throws -> Void
  ) throws {
    let socket = try Descriptor(Glibc.socket(AF_INET, sockStream | sockCloseOnExec, 0), "socket")
    let address = try #require(SocketAddress(host: "127.0.0.1", port: server.port))
    let raw = socket.raw
    guard address.withPointer({ Glibc.connect(raw, $0, $1) }) == 0 else { throw SystemError.last("connect") }
    let session = try TLSSession(try TLSContext(settings), host: host)
    try body(Carrier(session: session, socket: raw))
  }

  /// The error of a handshake that must fail.
  private func refusal(
    of certificate: String, _ settings: TLSContext.Settings, host: String = "localhost", mode: String = "echo",
    _ server: [String: String] = [:]
  ) throws -> TLSError {
    let peer = try PeerProcess(mode, certificate: mode == "plain" ? nil : certificate, server)
    var refusal: TLSError?
    try connect(peer, settings, host: host) { carrier in
      do {
        try carrier.handshake()
        _ = try carrier.read(1)
      } catch let error as TLSError {
        refusal = error
        let payload = Array("payload".utf8)
        let written = payload.withUnsafeBytes { try? carrier.session.write($0) }
        #expect(written ?? 0 == 0 || carrier.session.isEstablished)
        try? carrier.flush()
      }
    }
    if mode != "plain" {
      let report = try peer.report()
      #expect(report.bytes == 0)
    }
    return try #require(refusal)
  }

  // MARK: Talking

  @Test(arguments: ["1.2", "1.3"], ["localhost", "127.0.0.1", "::1", "localhost."])
  func whatIsSentComesBack(version: String, host: String) throws {
    let server = try PeerProcess("echo", certificate: "good", version == "1.2" ? ["version": version] : [:])
    try connect(server, try settings(), host: host) { carrier in
      try carrier.handshake()
      for size in [1, 100, 16_384, 16_385, 200_000] {
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try carrier.write(bytes)
        #expect(try carrier.read(size) == bytes)
      }
      carrier.session.close()
      try carrier.flush()
      #expect(try carrier.read(1).isEmpty)
    }
    let report = try server.report()
    #expect(report.bytes == 232_870 && report.error.isEmpty)
  }

  @Test func nothingIsTakenBeforeTheHandshakeOrBeyondTheBounds() throws {
    let session = try TLSSession(try TLSContext(try settings()), host: "localhost")
    let bytes = [UInt8](repeating: 0x16, count: 1 << 20)
    try bytes.withUnsafeBytes { bytes in
      let written = try session.write(bytes)
      #expect(written == 0 && session.outputCount == 0)
      #expect(session.feed(bytes) == 64 << 10 && session.feed(bytes) == 0)
    }
    let server = try PeerProcess("mute", certificate: "good")
    try connect(server, try settings()) { carrier in
      try carrier.handshake()
      try bytes.withUnsafeBytes { bytes in
        var taken = 0
        while case let count = try carrier.session.write(bytes), count > 0 { taken += count }
        #expect(taken >= 64 << 10 && carrier.session.outputCount < 100 << 10)
      }
    }
  }

  @Test func aClientCertificateIsShownWhereItIsWanted() throws {
    let authority = try files().file("ca.pem")
    for (certificate, key) in [("client.pem", "client.key"), ("both.pem", nil)] {
      let server = try PeerProcess("echo", certificate: "good", ["ca": authority])
      let own = try settings { settings in
        settings.certificate = try? files().file(certificate)
        settings.key = key.flatMap { try? files().file($0) }
      }
      try connect(server, own) { carrier in
        try carrier.handshake()
        try carrier.write([1, 2, 3])
        #expect(try carrier.read(3) == [1, 2, 3])
      }
    }
    for version in ["1.2", "1.3"] {
      let error = try refusal(
        of: "good", try settings(), version == "1.2" ? ["ca": authority, "version": version] : ["ca": authority])
      guard case .certificateWanted = error else {
        if version == "1.2", case .refused = error { continue }
        throw Unexpected("\(error)")
      }
    }
  }

  // MARK: Refusing

  @Test func whatIsWrongWithACertificateIsSaid() throws {
    let trusting = try settings()
    guard case .expired(let subject, let on) = try refusal(of: "expired", trusting) else { throw Unexpected("expired") }
    #expect(subject == "CN = localhost" && on.hasPrefix("20"))
    #expect(try refusal(of: "self", trusting) == .selfSigned(subject: "CN = localhost"))
    #expect(try refusal(of: "untrusted", trusting) == .unknownAuthority(issuer: "CN = Other Authority"))
    #expect(
      try refusal(of: "elsewhere", trusting)
        == .nameMismatch(wanted: "localhost", offered: "DNS:elsewhere.example, DNS:*.wild.example"))
    #expect(
      try refusal(of: "good", trusting, host: "127.0.0.2")
        == .nameMismatch(
          wanted: "127.0.0.2", offered: "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"))
    // Nobody of this test signed it.
    #expect(try refusal(of: "good", TLSContext.Settings()) == .unknownAuthority(issuer: "CN = Test Authority"))
  }

  @Test func theNameMayBeAnother() throws {
    for name in ["elsewhere.example", "a.wild.example"] {
      let server = try PeerProcess("echo", certificate: "elsewhere")
      try connect(server, try settings { $0.serverName = name }) { try $0.handshake() }
    }
    for name in ["a.b.wild.example", "wild.example", "elsewhere.example.org"] {
      let error = try refusal(of: "elsewhere", try settings { $0.serverName = name })
      guard case .nameMismatch(name, _) = error else { throw Unexpected("\(error)") }
    }
  }

  @Test func whatAHostileCertificateSaysIsHarmlessToShow() throws {
    let error = try refusal(of: "hostile", try settings())
    guard case .nameMismatch = error else { throw Unexpected("\(error)") }
    #expect(error.description.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
  }

  @Test(arguments: ["expired", "self", "untrusted", "elsewhere"])
  func verificationCanBeSwitchedOff(certificate: String) throws {
    let server = try PeerProcess("echo", certificate: certificate)
    let careless = TLSContext.Settings(verifiesPeer: false)
    try connect(server, careless) { carrier in
      try carrier.handshake()
      try carrier.write([7])
      #expect(try carrier.read(1) == [7])
    }
  }

  @Test func aServerThatSpeaksSomethingElse() throws {
    #expect(try refusal(of: "", try settings(), mode: "plain") == .notTLS)
    #expect(try refusal(of: "good", try settings(), ["version": "1.1"]) == .protocolTooOld)
  }

  // MARK: Files

  @Test func filesThatAreWrongAreNamed() throws {
    let files = try files()
    let missing = files.file("missing.pem")
    func error(_ change: (inout TLSContext.Settings) -> Void) throws -> TLSError? {
      do {
        _ = try TLSContext(try settings(change))
        return nil
      } catch let error as TLSError {
        #expect(error.description.contains(files.file("")))
        return error
      }
    }
    #expect(try error { $0.authorities = missing } == .unreadable(path: missing, errno: ENOENT))
    #expect(try error { $0.certificate = missing } == .unreadable(path: missing, errno: ENOENT))
    let folder = files.file("folder")
    #expect(try error { $0.authorities = folder } == .unreadable(path: folder, errno: EISDIR))
    for change: (inout TLSContext.Settings) -> Void in [
      { $0.authorities = files.file("nonsense.pem") },
      { $0.certificate = files.file("nonsense.pem") },
      {
        $0.certificate = files.file("client.pem")
        $0.key = files.file("nonsense.pem")
      },
    ] {
      guard case .malformed(files.file("nonsense.pem"), _, _) = try error(change) else { throw Unexpected("accepted") }
    }
    let (certificate, other) = (files.file("client.pem"), files.file("good.key"))
    let mismatch = try error {
      $0.certificate = certificate
      $0.key = other
    }
    #expect(mismatch == .keyMismatch(certificate: certificate, key: other))
    let locked = files.file("locked.key")
    let passphrase = try error {
      $0.certificate = files.file("good.pem")
      $0.key = locked
    }
    #expect(passphrase == .encryptedKey(path: locked))
  }

  @Test func aNameIsNeeded() throws {
    let context = try TLSContext(try settings())
    for host in [nil, "", "localhost\0.example"] {
      #expect(throws: TLSError.noServerName) { _ = try TLSSession(context, host: host) }
    }
    _ = try TLSSession(try TLSContext(try settings { $0.serverName = "localhost" }), host: nil)
    _ = try TLSSession(try TLSContext(TLSContext.Settings(verifiesPeer: false)), host: nil)
  }

  @Test func oneContextServesManyThreads() throws {
    let server = try PeerProcess("echo", certificate: "good")
    let context = try TLSContext(try settings())
    let port = server.port
    let threads = try (0..<4).map { number in
      let done = Gate()
      _ = try WorkerThread(name: "client") {
        for _ in 0..<20 { try? TLSTests.greet(context, port, UInt8(number)) }
        done.open()
      }
      return done
    }
    for thread in threads { thread.wait() }
    for _ in 0..<80 {
      let report = try server.report()
      #expect(report.bytes == 1 && report.error.isEmpty)
    }
  }

  private static func greet(_ context: TLSContext, _ port: UInt16, _ byte: UInt8) throws {
    let socket = try Descriptor(Glibc.socket(AF_INET, sockStream | sockCloseOnExec, 0), "socket")
    guard let address = SocketAddress(host: "127.0.0.1", port: port) else { return }
    let raw = socket.raw
    guard address.withPointer({ Glibc.connect(raw, $0, $1) }) == 0 else { return }
    let carrier = Carrier(session: try TLSSession(context, host: "localhost"), socket: raw)
    try carrier.handshake()
    try carrier.write([byte])
    guard try carrier.read(1) == [byte] else { return }
    carrier.session.close()
    try carrier.flush()
    _ = try carrier.read(1)
  }
}
