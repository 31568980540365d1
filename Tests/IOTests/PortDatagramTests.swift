import Glibc
import Testing

@testable import IO

/// Many datagrams at once, through both ports: all of them, a part, none; in order.
@Suite(.serialized)
struct PortDatagramTests {
  private func open(_ choice: PortChoice, datagrams: Int = 512) throws -> any Port {
    var options = PortOptions(receiveBuffers: 1, operations: 8)
    options.datagrams = datagrams
    return try openPort(choice, options).port
  }

  /// Numbered datagrams of a size, at least 4 bytes.
  private func withDatagrams<Result>(
    _ count: Int, size: Int = 100, from first: Int = 0, _ body: (UnsafeBufferPointer<iovec>) throws -> Result
  ) throws -> Result {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count * size), alignment: 4)
    defer { memory.deallocate() }
    var list: [iovec] = []
    for number in 0..<count {
      let place = memory.baseAddress.map { $0 + number * size }
      place?.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: number), count: size)
      place?.storeBytes(of: UInt32(first + number), as: UInt32.self)
      list.append(iovec(iov_base: place, iov_len: size))
    }
    return try list.withUnsafeBufferPointer(body)
  }

  /// The numbers of the datagrams that wait at a socket.
  private func drain(_ descriptor: Int32, size: Int = 100) -> [UInt32] {
    var numbers: [UInt32] = []
    var bytes = [UInt8](repeating: 0, count: 70_000)
    while case let count = recv(descriptor, &bytes, bytes.count, KernelConstant.MSG_DONTWAIT), count >= 0 {
      #expect(count == size)
      numbers.append(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) })
    }
    return numbers
  }

  /// A connected pair of UDP sockets with room for some hundred datagrams.
  private func udpPair() throws -> DescriptorPair {
    let far = try Descriptor(socket(AF_INET, sockDatagram | sockCloseOnExec, 0), "socket")
    let near = try Descriptor(socket(AF_INET, sockDatagram | sockCloseOnExec, 0), "socket")
    var room: Int32 = 8 << 20
    setsockopt(far.raw, SOL_SOCKET, SO_RCVBUFFORCE, &room, socklen_t(MemoryLayout<Int32>.size))
    let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
    #expect(any.withPointer { bind(far.raw, $0, $1) } == 0)
    let address = try #require(SocketAddress(host: "127.0.0.1", port: UInt16(try boundPort(far.raw))))
    #expect(address.withPointer { connect(near.raw, $0, $1) } == 0)
    return DescriptorPair(near: near, far: far)
  }

  @Test(arguments: PortTests.choices, [0, 1, 2, 64, 65, 400, 1_500])
  func allArriveInOrder(_ choice: PortChoice, count: Int) throws {
    let port = try open(choice)
    let pair = try udpPair()
    try withDatagrams(count) { list in
      let outcome = try complete(port) { port.sendDatagrams(pair.near.raw, list, owner: 1) }
      #expect(outcome == Outcome(result: Int32(count)))
    }
    #expect(drain(pair.far.raw) == Array(0..<UInt32(count)))
    #expect(port.operationGauges.inUse == 0)
  }

  /// A queue that is smaller than the message: several chains.
  @Test func aSmallSubmissionQueueSendsInPieces() throws {
    let port = try open(.ioUring, datagrams: 0)
    let pair = try udpPair()
    _ = port.timer(at: .now().advanced(by: .seconds(60)), owner: 2)
    try withDatagrams(100) { list in
      let outcome = try complete(port) { port.sendDatagrams(pair.near.raw, list, owner: 1) }.result
      #expect(outcome == 100)
    }
    #expect(drain(pair.far.raw) == Array(0..<100))
    port.tearDown()
  }

  @Test(arguments: PortTests.choices)
  func aFullReceiverIsWaitedFor(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_DGRAM)
    var received: [UInt32] = []
    var turns = 0
    try withDatagrams(2_000) { list in
      let outcome = try complete(
        port, timeout: .seconds(20),
        meanwhile: {
          turns += 1
          received += drain(pair.far.raw)
        }
      ) { port.sendDatagrams(pair.near.raw, list, owner: 1) }
      #expect(outcome == Outcome(result: 2_000))
    }
    #expect(received + drain(pair.far.raw) == Array(0..<2_000) && turns > 2)
  }

  @Test(arguments: PortTests.choices)
  func whatWaitsIsCancelledAndToldInPart(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_DGRAM)
    try withDatagrams(2_000) { list in
      let token = try #require(port.sendDatagrams(pair.near.raw, list, owner: 1))
      _ = port.timer(at: .now().advanced(by: .milliseconds(50)), owner: 2)
      var outcome: Outcome?
      try drive(port, until: { outcome != nil }) { completion in
        if completion.owner == 2 { return port.cancel(token) }
        outcome = Outcome(result: completion.result, stoppedBy: completion.stoppedBy)
      }
      let taken = outcome?.result ?? 0
      #expect(taken > 0 && taken < 2_000 && outcome?.stoppedBy == ECANCELED)
      #expect(drain(pair.far.raw) == Array(0..<UInt32(max(0, taken))))
      // The receiver is full again, and nothing is taken.
      while send(pair.near.raw, "0123", 4, KernelConstant.MSG_DONTWAIT) == 4 {}
      let second = try #require(port.sendDatagrams(pair.near.raw, list, owner: 1))
      try port.submit()
      _ = try port.reap(limit: 8) { _ in Issue.record("the receiver is full") }
      port.cancel(second)
      outcome = nil
      try drive(port, until: { outcome != nil }) { outcome = Outcome(result: $0.result, stoppedBy: $0.stoppedBy) }
      #expect(outcome == Outcome(result: -ECANCELED))
    }
  }

  @Test(arguments: PortTests.choices)
  func theFirstErrorStopsWhatComesAfter(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try udpPair()
    try withDatagrams(20) { list in
      var list = Array(list)
      // More than a datagram can be.
      let large = UnsafeMutableRawBufferPointer.allocate(byteCount: 70_000, alignment: 1)
      defer { large.deallocate() }
      large.initializeMemory(as: UInt8.self, repeating: 0)
      list[7] = iovec(iov_base: large.baseAddress, iov_len: large.count)
      try list.withUnsafeBufferPointer { list in
        let outcome = try complete(port) { port.sendDatagrams(pair.near.raw, list, owner: 1) }
        #expect(outcome == Outcome(result: 7, stoppedBy: EMSGSIZE))
        let rest = UnsafeBufferPointer(rebasing: list[7...])
        let second = try complete(port) { port.sendDatagrams(pair.near.raw, rest, owner: 1) }
        #expect(second.result == -EMSGSIZE)
      }
    }
    #expect(drain(pair.far.raw) == Array(0..<7))
  }

  @Test(arguments: PortTests.choices)
  func aReceiverThatIsGone(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try udpPair()
    let (near, far) = (pair.near.release(), pair.far.release())
    defer { close(near) }
    close(far)
    try withDatagrams(10) { list in
      // The answer to the first ones (ICMP) stops a later one, which may be the first of the next call.
      var outcomes: [Outcome] = []
      while !outcomes.contains(where: { $0.stoppedBy == ECONNREFUSED || $0.result == -ECONNREFUSED }) {
        try #require(outcomes.count < 100)
        outcomes.append(try complete(port) { port.sendDatagrams(near, list, owner: 1) })
      }
      #expect(outcomes.first.map { $0.result > 0 } == true)
      let pipe = try pipePair()
      let refused = try complete(port) { port.sendDatagrams(pipe.far.raw, list, owner: 1) }
      #expect(refused.result == -ENOTSOCK)
    }
  }

  @Test(arguments: PortTests.choices)
  func tearingDownWithDatagramsInFlight(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_DGRAM)
    try withDatagrams(2_000) { list in
      for isSubmitted in [true, false] {
        let other = isSubmitted ? port : try open(choice)
        _ = other.sendDatagrams(pair.near.raw, list, owner: 1)
        if isSubmitted {
          try other.submit()
          _ = try other.reap(limit: 8) { _ in Issue.record("not all of it fits") }
        }
        #expect(other.tearDown() == 0 && other.operationGauges.inUse == 0)
      }
    }
  }
}
