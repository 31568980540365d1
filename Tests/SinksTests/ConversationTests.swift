import Foundation
import IO
import Testing

@testable import Sinks

/// What servers of conversations say, cut anywhere, and what sinks that talk to them make of it.
@Suite(.serialized) struct ConversationTests {
  static let modes: [PortChoice] = [.ioUring, .syscall]
  static let patience = ConversationPatience(connecting: .seconds(2), answering: .milliseconds(500))

  /// A server on a Unix socket that keeps what it reads.
  private final class Peer: @unchecked Sendable {
    let path: String
    private let listener: Int32
    private let lock = NSLock()
    private var kept: [UInt8] = []
    private var accepted = 0

    /// - Parameter serve: what one connection is served with.
    init(_ folder: URL, _ serve: @escaping @Sendable (Int32, Peer) -> Void) throws {
      path = folder.appending(path: "peer").path
      let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      self.listener = listener
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
      let length = socklen_t(MemoryLayout<sockaddr_un>.size)
      let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, length) }
      }
      try #require(bound == 0 && listen(listener, 8) == 0)
      Thread.detachNewThread { [self] in
        while true {
          let connection = accept(listener, nil, nil)
          if connection < 0 { return }
          lock.withLock { accepted += 1 }
          serve(connection, self)
          close(connection)
        }
      }
    }

    deinit {
      shutdown(listener, Int32(SHUT_RDWR))
      close(listener)
    }

    var connections: Int { lock.withLock { accepted } }
    var received: String { lock.withLock { String(decoding: kept, as: UTF8.self) } }

    /// Bytes that have come; nil: the end.
    func read(_ connection: Int32) -> [UInt8]? {
      var buffer = [UInt8](repeating: 0, count: 65_536)
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return nil }
      lock.withLock { kept += buffer.prefix(count) }
      return Array(buffer.prefix(count))
    }

    func say(_ text: String, to connection: Int32) {
      let bytes = Array(text.utf8)
      _ = bytes.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }
  }

  private func valkey(_ bench: Bench, _ path: String, eachRow: Bool = true) throws -> DeliverySink {
    var target = ValkeyTarget(key: FilledTemplate("rows"), messageBytes: 4 << 10)
    target.eachRow = eachRow
    return try .valkey(name: "v", to: Endpoint(path: path), tls: nil, target, Self.patience, bench.output())
  }

  /// Commands in what was read, which is never cut within one here.
  private static func requests(_ bytes: [UInt8]) -> Int {
    let text = String(decoding: bytes, as: UTF8.self)
    return ["PING", "XADD"].reduce(0) { $0 + text.components(separatedBy: $1).count - 1 }
  }

  private func offer(_ bench: Bench, _ sink: DeliverySink, _ rows: Range<Int>) -> Bool {
    bench.offer(rows.map { line($0) }.joined(), rows: rows.count, marked: 100, to: sink)
  }

  // MARK: Dialects

  private func answers(_ dialect: any Dialect, _ bytes: [UInt8], step: Int) throws -> [Answer] {
    dialect.restart()
    var found: [Answer] = []
    for start in stride(from: 0, to: bytes.count, by: step) {
      try Array(bytes[start..<min(start + step, bytes.count)]).withUnsafeBytes { try dialect.feed($0) }
      while let answer = try dialect.nextAnswer() { found.append(answer) }
    }
    return found
  }

  @Test func answersOfValkeyAreReadHoweverTheyAreCut() throws {
    let bench = try Bench(.syscall)
    let dialect = try ValkeyDialect(
      ValkeyTarget(key: FilledTemplate("k"), messageBytes: 100), bench.output())
    let bytes = Array("+OK\r\n:12\r\n$5\r\n1-0\r\n\r\n$-1\r\n-OOM command\u{1B} not allowed\r\n+PONG\r\n".utf8)
    for step in 1...bytes.count {
      #expect(
        try answers(dialect, bytes, step: step) == [
          .accepted, .accepted, .accepted, .accepted, .failed("OOM command? not allowed"), .accepted,
        ])
    }
    for wrong in [
      "HTTP/1.1 200 OK\r\n", "*2\r\n+a\r\n+b\r\n", "*1000000000\r\n", "-READONLY x\r\n", "-LOADING x\r\n", "$x\r\n",
    ] {
      #expect(throws: ConversationEnd.self) { try answers(dialect, Array(wrong.utf8), step: 3) }
    }
    #expect(throws: ConversationEnd.self) {
      try answers(dialect, Array("+".utf8) + [UInt8](repeating: 120, count: 100_000), step: 1_000)
    }
  }

  @Test func answersOfNsqAreReadHoweverTheyAreCut() throws {
    let bench = try Bench(.syscall)
    let dialect = NsqDialect(NsqTarget(topic: FilledTemplate("t"), messageBytes: 100), bench.output())
    func frame(_ kind: UInt8, _ text: String) -> [UInt8] {
      [0, 0, 0, UInt8(text.utf8.count + 4), 0, 0, 0, kind] + Array(text.utf8)
    }
    let bytes = frame(0, "OK") + frame(0, "_heartbeat_") + frame(1, "E_BAD_MESSAGE too big") + frame(0, "")
    for step in 1...bytes.count {
      #expect(
        try answers(dialect, bytes, step: step) == [
          .accepted, .heartbeat, .refused(.tooLarge, "E_BAD_MESSAGE too big"), .accepted,
        ])
    }
    for wrong in [
      frame(1, "E_PUB_FAILED x"), frame(2, "message"), Array("HTTP/1.1 200 OK\r\n".utf8), [0xFF, 0, 0, 0, 0, 0, 0, 0],
    ] {
      #expect(throws: ConversationEnd.self) { try answers(dialect, wrong, step: 3) }
    }
  }

  // MARK: Sinks

  @Test(arguments: modes) func rowsThatWereAnsweredAreNotSentAgain(mode: PortChoice) throws {
    let bench = try Bench(mode)
    // Answers the greeting and two entries, and goes; then answers all.
    let peer = try Peer(bench.directory) { connection, peer in
      var left = peer.connections == 1 ? 3 : Int.max
      while left > 0, let bytes = peer.read(connection) {
        let requests = Self.requests(bytes)
        for _ in 0..<min(left, requests) { peer.say("+OK\r\n", to: connection) }
        left -= requests
      }
    }
    let sink = try valkey(bench, peer.path)
    #expect(offer(bench, sink, 0..<5))
    try bench.drain(sink)
    #expect(sink.tally.delivered == 5)
    #expect(peer.connections == 2)
    let counts = (0..<5).map { peer.received.components(separatedBy: "row \($0) ").count - 1 }
    #expect(counts == [1, 1, 2, 2, 2])
  }

  @Test(arguments: modes) func oneRefusalDoesNotHoldUpTheOthers(mode: PortChoice) throws {
    let bench = try Bench(mode)
    // The third entry fails once.
    let peer = try Peer(bench.directory) { connection, peer in
      var number = 0
      while let bytes = peer.read(connection) {
        for _ in 0..<Self.requests(bytes) {
          peer.say(number == 3 ? "-OOM full\r\n" : ":1\r\n", to: connection)
          number += 1
        }
      }
    }
    let sink = try valkey(bench, peer.path)
    #expect(offer(bench, sink, 0..<5))
    try bench.drain(sink)
    #expect(sink.tally.delivered == 5 && sink.tally.dropped.total == 0)
    let counts = (0..<5).map { peer.received.components(separatedBy: "row \($0) ").count - 1 }
    #expect(counts == [1, 1, 2, 1, 1])
    #expect(peer.connections == 1)
  }

  @Test(arguments: modes) func aServerThatSaysNothingIsLeftAndRowsStay(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let peer = try Peer(bench.directory) { connection, peer in
      if peer.connections == 1 {
        while peer.read(connection) != nil {}
      } else {
        while let bytes = peer.read(connection) {
          for _ in 0..<Self.requests(bytes) { peer.say("+OK\r\n", to: connection) }
        }
      }
    }
    // The greeting is given as long as connecting may take, two seconds.
    let sink = try valkey(bench, peer.path, eachRow: false)
    #expect(offer(bench, sink, 0..<5))
    try bench.turn(sink, seconds: 4) { sink.state != .up }
    guard case .failing(let why) = sink.state else {
      Issue.record("it does not fail")
      return
    }
    #expect(why.contains("no answer within"))
    try bench.drain(sink)
    #expect(sink.tally.delivered == 5 && sink.state == .up)
  }

  @Test(arguments: modes) func rowsThatComeWhileARefusedConnectionEndsAreDelivered(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let peer = try Peer(bench.directory) { connection, peer in
      let isFirst = peer.connections == 1
      while let bytes = peer.read(connection) {
        // Two answers at once: the first is the cause.
        if isFirst { peer.say("-WRONGPASS no\r\n-NOAUTH either\r\n", to: connection) }
        for _ in 0..<(isFirst ? 0 : Self.requests(bytes)) { peer.say("+OK\r\n", to: connection) }
      }
    }
    let sink = try valkey(bench, peer.path)
    var problem: String?
    try bench.turn(sink, seconds: 2) {
      if case .failing(let why) = sink.state, problem == nil {
        problem = why
        // In this very turn.
        #expect(offer(bench, sink, 0..<3))
      }
      return problem != nil
    }
    #expect(problem?.hasSuffix("WRONGPASS no") == true)
    try bench.drain(sink)
    #expect(sink.tally.delivered == 3 && sink.state == .up)
  }

  @Test(arguments: modes) func anEndBehindTheLastAnswerIsNoFailure(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let peer = try Peer(bench.directory) { connection, peer in
      var left = 4
      while left > 0, let bytes = peer.read(connection) {
        let requests = Self.requests(bytes)
        peer.say(String(repeating: "+OK\r\n", count: requests), to: connection)
        left -= requests
      }
    }
    let sink = try valkey(bench, peer.path)
    for batch in 0..<3 {
      #expect(offer(bench, sink, (3 * batch)..<(3 * batch + 3)))
      try bench.turn(sink) {
        #expect(sink.state == .up)
        return sink.isIdle
      }
      // Until the end is seen: what is sent into a connection that has ended fails, and rightly.
      try bench.turn(sink, seconds: 0.1) { false }
    }
    #expect(sink.tally.delivered == 9)
  }

  @Test(arguments: modes) func anEndInTheMiddleLeavesNothing(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let peer = try Peer(bench.directory) { connection, peer in while peer.read(connection) != nil {} }
    for rows in [0..<0, 0..<3] {
      let sink = try valkey(bench, peer.path)
      if !rows.isEmpty { #expect(offer(bench, sink, rows)) }
      try bench.turn(sink, seconds: 0.2) { false }
      sink.beginRelease()
      try bench.turn(sink, seconds: 2) { sink.isReleased }
      #expect(sink.isReleased && bench.freeBatches == 4)
      let estate = sink.takeEstate()
      #expect(estate != nil)
    }
  }
}
