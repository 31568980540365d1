import Foundation
import IO
import Testing

@testable import Sinks

/// A server of one answer at a time, on a thread of its own: what a client sees of it is a script.
private final class ScriptedServer: @unchecked Sendable {
  private let listener: Int32
  let port: UInt16
  private let lock = NSLock()
  private var received: [String] = []

  /// - Parameter answers: for each connection, what each request on it is answered with; then it is closed.
  init(_ answers: [[String]]) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    self.listener = listener
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(listener, address, length) == 0 && getsockname(listener, address, &length) == 0
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    try #require(bound && listen(listener, 16) == 0)
    Thread.detachNewThread { [self] in
      for connection in answers {
        let peer = accept(listener, nil, nil)
        guard peer >= 0 else { return }
        for answer in connection {
          guard let request = read(from: peer) else { break }
          lock.withLock { received.append(request) }
          _ = answer.withCString { write(peer, $0, strlen($0)) }
        }
        close(peer)
      }
    }
  }

  deinit { close(listener) }

  /// The requests so far, headers and body.
  var requests: [String] { lock.withLock { received } }

  private func read(from peer: Int32) -> String? {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let text = String(decoding: bytes, as: UTF8.self)
      if let end = text.range(of: "\r\n\r\n") {
        let length = text.range(of: "Content-Length: ").flatMap { Int(text[$0.upperBound...].prefix { $0.isNumber }) }
        if text[end.upperBound...].utf8.count >= length ?? 0 { return text }
      }
      let count = recv(peer, &chunk, chunk.count, 0)
      guard count > 0 else { return nil }
      bytes += chunk[..<count]
    }
  }
}

@Suite struct HTTPOutletTests {
  private static let fine = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

  private func sink(
    _ bench: Bench, _ server: ScriptedServer, timeout: Int64 = 5_000_000_000, gather: GatherPolicy? = nil
  ) throws -> DeliverySink {
    var options = HTTPSinkOptions(url: "http://127.0.0.1:\(server.port)/rows")
    options.client.timeout = timeout
    options.batchHeader = "X-Batch"
    return try DeliverySink.http(name: "out", options, gather: gather, bench.output(header: "head\n"))
  }

  @Test(arguments: [PortChoice.ioUring, .syscall])
  func batchesGoOneByOneOverOneConnection(_ choice: PortChoice) throws {
    // The first connection is the health check's.
    let server = try ScriptedServer([[Self.fine], Array(repeating: Self.fine, count: 100)])
    let bench = try Bench(choice)
    let sink = try sink(bench, server)
    try bench.turn(sink) { sink.health == .good }
    for row in 0..<20 {
      #expect(bench.offer(line(row), rows: 1, to: sink))
      try bench.drain(sink)
    }
    #expect(sink.tally.delivered == 20 && isBalanced(sink) && sink.health == .good)
    let bodies = server.requests.compactMap { $0.components(separatedBy: "\r\n\r\n").last }
    #expect(bodies == (0..<20).map { "head\n" + line($0) })
    sink.abandon(isStuck: false)
  }

  @Test(arguments: [PortChoice.ioUring, .syscall])
  func whatIsRefusedForATimeIsTriedAgain(_ choice: PortChoice) throws {
    let busy = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
    let server = try ScriptedServer([[], [busy], ["HTTP/1.1 2"], [Self.fine, Self.fine]])
    let bench = try Bench(choice)
    let sink = try sink(bench, server)
    try bench.turn(sink) { sink.health != .unknown }
    #expect(bench.offer(line(1), rows: 1, to: sink))
    try bench.drain(sink)
    #expect(sink.tally.delivered == 1 && sink.tally.dropped.total == 0)
    #expect(Set(server.requests).count == 1 && server.requests.count == 3)
    sink.abandon(isStuck: false)
  }

  @Test(arguments: [PortChoice.ioUring, .syscall])
  func whatNeverIsAnsweredEnds(_ choice: PortChoice) throws {
    // Accepted by the kernel, and by nobody else.
    let server = try ScriptedServer([])
    let bench = try Bench(choice)
    let sink = try sink(bench, server, timeout: 100_000_000)
    #expect(bench.offer(line(1), rows: 1, to: sink))
    try bench.turn(sink) { if case .failing = sink.state { true } else { false } }
    guard case .failing(let why) = sink.state else { return }
    #expect(why.contains("timed out"))
    // With a request under way it can be let go of.
    sink.beginRelease()
    try bench.turn(sink) { sink.isReleased }
    #expect(sink.isReleased && sink.queueGauges.queuedRows == 1)
    sink.abandon(isStuck: false)
  }
}
