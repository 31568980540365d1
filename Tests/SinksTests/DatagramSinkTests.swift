import Foundation
import IO
import Testing

@testable import Sinks

/// Datagrams of whole rows, through both ports, to real sockets.
@Suite(.serialized) struct DatagramSinkTests {
  static let modes: [PortChoice] = [.ioUring, .syscall]

  /// A socket that receives.
  private final class Receiver {
    let descriptor: Int32
    let port: UInt16

    init(port: UInt16 = 0, buffer: Int32 = 8 << 20) throws {
      let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
      self.descriptor = descriptor
      var size = buffer
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, 4)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      address.sin_port = port.bigEndian
      let length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
      }
      if bound != 0 { throw SystemError("bind", errno: errno) }
      var named = length
      _ = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &named) }
      }
      self.port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }

    func receiveAll() -> [[UInt8]] {
      var datagrams: [[UInt8]] = []
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0 { return datagrams }
        datagrams.append(Array(buffer.prefix(count)))
      }
    }
  }

  private func sink(
    _ bench: Bench, _ target: Endpoint, max: Int = 1_000, framing: RowFraming = .plain, retry: RetryPolicy = .quick
  ) -> DeliverySink {
    .datagrams(
      name: "u", to: target, maxDatagram: max, resolver: .shared, bench.output(framing: framing, retry: retry))
  }

  private func offer(_ bench: Bench, _ sink: DeliverySink, _ rows: Range<Int>, bytes: Int = 100) -> Bool {
    bench.offer(rows.map { line($0, bytes: bytes) }.joined(), rows: rows.count, marked: bytes, to: sink)
  }

  @Test(arguments: modes) func wholeRowsInDatagramsOfAtMostSoManyBytes(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let receiver = try Receiver()
    let sink = sink(bench, Endpoint(host: "127.0.0.1", port: receiver.port))
    for batch in 0..<10 {
      #expect(offer(bench, sink, batch * 1_000..<(batch + 1) * 1_000))
      try bench.drain(sink)
    }
    let datagrams = receiver.receiveAll()
    #expect(datagrams.count == 1_000 && datagrams.allSatisfy { $0.count == 1_000 })
    #expect(rowNumbers(String(decoding: datagrams.joined(), as: UTF8.self)) == Array(0..<10_000))
    #expect(sink.tally.delivered == 10_000 && sink.tally.bytes == 1_000_000)
    #expect(bench.freeBatches == 4)
  }

  @Test(arguments: modes) func everyEnvelopeHasItsLength(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let receiver = try Receiver()
    let sink = sink(bench, Endpoint(host: "127.0.0.1", port: receiver.port), framing: .envelope)
    #expect(offer(bench, sink, 0..<100))
    try bench.drain(sink)
    let datagrams = receiver.receiveAll()
    #expect(datagrams.count == 12, "nine rows and two bytes of length in each")
    for datagram in datagrams.dropLast() {
      #expect(Int(datagram[0] & 0x7f) | Int(datagram[1]) << 7 == datagram.count - 2)
    }
    #expect(datagrams.last?.first == 100, "one row: one byte of length")
    let rows = datagrams.dropLast().flatMap { $0.dropFirst(2) } + (datagrams.last?.dropFirst() ?? [])
    #expect(rowNumbers(String(decoding: rows, as: UTF8.self)) == Array(0..<100))
  }

  @Test(arguments: modes) func thatNobodyReceivesIsSaidAndOver(mode: PortChoice) throws {
    let bench = try Bench(mode)
    var receiver: Receiver? = try Receiver()
    let port = try #require(receiver?.port)
    receiver = nil
    let sink = sink(bench, Endpoint(host: "127.0.0.1", port: port))
    // The network tells of the first datagram when the second one is sent: sendmmsg(2) tells nobody of what happens behind its first.
    for row in 0..<2 {
      #expect(offer(bench, sink, row..<row + 1))
      try bench.turn(sink, seconds: 0.2) { sink.state != .up }
    }
    guard case .failing(let why) = sink.state else {
      Issue.record("the sink does not say that nobody receives")
      return
    }
    #expect(why.contains("127.0.0.1:\(port)") && why.contains("refused"))
    #expect(isBalanced(sink))
    let late = try Receiver(port: port)
    try bench.drain(sink)
    #expect(offer(bench, sink, 2..<1_000))
    try bench.drain(sink)
    #expect(sink.tally.delivered == 1_000 && sink.state == .up)
    let rows = rowNumbers(String(decoding: late.receiveAll().joined(), as: UTF8.self))
    #expect(rows.suffix(998) == Array(2..<1_000)[...])
  }

  @Test(arguments: modes) func rowsThatAreTooLongAreDroppedByName(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let receiver = try Receiver()
    let sink = sink(bench, Endpoint(host: "127.0.0.1", port: receiver.port), max: 150)
    #expect(offer(bench, sink, 0..<10, bytes: 200))
    #expect(offer(bench, sink, 10..<20))
    try bench.drain(sink)
    #expect(sink.tally.dropped[.tooLarge] == 10 && sink.tally.delivered == 10)
    #expect(receiver.receiveAll().count == 10)
    #expect(sink.state == .up)
  }

  @Test(arguments: modes) func aUnixReceiverThatIsSlowIsWaitedFor(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "socket").path
    let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    defer { close(receiver) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(receiver, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(bound == 0)
    let sink = sink(bench, Endpoint(path: path))
    #expect(offer(bench, sink, 0..<5_000))
    try bench.turn(sink, seconds: 0.3) { sink.isIdle }
    #expect(!sink.isIdle, "nobody has received, and the kernel holds few datagrams")
    var received: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    try bench.turn(sink, seconds: 10) {
      let count = recv(receiver, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { received += buffer.prefix(count) }
      return received.count == 500_000
    }
    #expect(rowNumbers(String(decoding: received, as: UTF8.self)) == Array(0..<5_000))
    try bench.drain(sink)
    #expect(sink.tally.delivered == 5_000)
  }

  @Test(arguments: modes) func aSinkCanGoWhileNobodyReceives(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let old = sink(bench, Endpoint(path: bench.directory.appending(path: "nobody").path))
    #expect(offer(bench, old, 0..<100))
    try bench.turn(old, seconds: 1) { old.state != .up }
    old.beginRelease()
    try bench.turn(old, seconds: 1) { old.isReleased }
    let estate = try #require(old.takeEstate())
    #expect(estate.rows == 100)
    let receiver = try Receiver()
    let new = DeliverySink.datagrams(
      name: "u", to: Endpoint(host: "127.0.0.1", port: receiver.port), maxDatagram: 1_000, resolver: .shared,
      bench.output(awaitsEstate: true))
    new.inherit(estate)
    try bench.drain(new)
    #expect(new.tally.delivered == 100)
    #expect(rowNumbers(String(decoding: receiver.receiveAll().joined(), as: UTF8.self)) == Array(0..<100))
  }
}
