import Glibc
import Synchronization
import Testing

@testable import IO

/// What a final completion said.
struct Outcome: Equatable {
  var result: Int32
  var stoppedBy: Int32 = 0
}

/// Starts an operation and turns the port until its final completion.
func complete(
  _ port: any Port, timeout: Duration = .seconds(5), meanwhile: () -> Void = {}, _ start: () -> OperationToken?
) throws -> Outcome {
  guard let token = start() else { throw Unexpected("no operation was started") }
  var outcome: Outcome?
  try drive(
    port, timeout: timeout,
    until: {
      meanwhile()
      return outcome != nil
    }
  ) { completion in
    guard completion.token == token else { return }
    let isFinal = completion.isFinal
    #expect(isFinal)
    outcome = Outcome(result: completion.result, stoppedBy: completion.stoppedBy)
  }
  return try #require(outcome)
}

/// A socket that does not block, as connections are made of.
func streamSocket(_ family: Int32 = AF_INET) throws -> Descriptor {
  try Descriptor(socket(family, sockStream | sockCloseOnExec | sockNonBlocking, 0), "socket")
}

/// Connecting, receiving into memory, gathering and polling, through both ports.
@Suite(.serialized)
struct PortSocketTests {
  private func open(_ choice: PortChoice, operations: Int = 16) throws -> any Port {
    try openPort(choice, PortOptions(receiveBuffers: 1, operations: operations)).port
  }

  private func loopback(_ port: Int) throws -> SocketAddress {
    try #require(SocketAddress(host: "127.0.0.1", port: UInt16(port)))
  }

  // MARK: Connecting

  @Test(arguments: PortTests.choices)
  func aListenerIsReached(_ choice: PortChoice) throws {
    let port = try open(choice)
    for host in ["127.0.0.1", "::1"] {
      let listener = try TCPListener(host: host, port: 0)
      let address = try #require(SocketAddress(host: host, port: UInt16(listener.port)))
      let near = try streamSocket(address.family)
      #expect(try complete(port) { port.connect(near.raw, address, owner: 1) } == Outcome(result: 0))
      let accepting = listener.release()
      let far = Descriptor(owning: accept(accepting, nil, nil))
      #expect(write(far.raw, "hello", 5) == 5)
      var bytes = [UInt8](repeating: 0, count: 10)
      let received = try bytes.withUnsafeMutableBytes { memory in
        try complete(port) { port.receive(near.raw, into: memory, owner: 2) }
      }
      #expect(received.result == 5 && bytes.prefix(5).elementsEqual("hello".utf8))
      close(accepting)
    }
  }

  @Test(arguments: PortTests.choices)
  func aPortWithoutListenerRefuses(_ choice: PortChoice) throws {
    let port = try open(choice)
    // Bound and not listening: nobody else gets the number meanwhile.
    let other = try streamSocket()
    let zero = try loopback(0)
    #expect(zero.withPointer { bind(other.raw, $0, $1) } == 0)
    let near = try streamSocket()
    let address = try loopback(try boundPort(other.raw))
    #expect(try complete(port) { port.connect(near.raw, address, owner: 1) }.result == -ECONNREFUSED)
    #expect(try complete(port) { port.connect(1 << 20, address, owner: 1) }.result == -EBADF)
    let path = try SocketAddress(path: "/")
    #expect(try complete(port) { port.connect(near.raw, path, owner: 1) }.result < 0)
  }

  @Test(arguments: PortTests.choices)
  func aUnixListenerWithAFullQueueRefusesAtOnce(_ choice: PortChoice) throws {
    let port = try open(choice)
    let directory = try TemporaryDirectory()
    let address = try SocketAddress(path: directory.file("s"))
    let first = try streamSocket(AF_UNIX)
    #expect(try complete(port) { port.connect(first.raw, address, owner: 1) }.result == -ENOENT)
    let listener = try streamSocket(AF_UNIX)
    #expect(address.withPointer { bind(listener.raw, $0, $1) } == 0 && listen(listener.raw, 0) == 0)
    let threads = threadCount()
    #expect(try complete(port) { port.connect(first.raw, address, owner: 1) }.result == 0)
    let second = try streamSocket(AF_UNIX)
    #expect(try complete(port) { port.connect(second.raw, address, owner: 1) }.result == -EAGAIN)
    #expect(threadCount() <= threads)
  }

  @Test(arguments: PortTests.choices)
  func aConnectThatNobodyAnswersIsCancelled(_ choice: PortChoice) throws {
    let port = try open(choice)
    let silent = try SilentListener()
    let near = try streamSocket()
    let token = try #require(port.connect(near.raw, silent.address, owner: 1))
    _ = port.timer(at: .now().advanced(by: .milliseconds(30)), owner: 2)
    var results: [UInt32: Int32] = [:]
    try drive(port, until: { results.count == 2 }) { completion in
      results[completion.owner] = completion.result
      if completion.owner == 2 { port.cancel(token) }
    }
    #expect(results == [1: -ECANCELED, 2: 0])
    #expect(port.operationGauges.inUse == 0)
  }

  // MARK: Receiving

  @Test(arguments: PortTests.choices)
  func theEndOfAStreamIsZeroAndAResetAnError(_ choice: PortChoice) throws {
    let port = try open(choice)
    var bytes = [UInt8](repeating: 0, count: 10)
    try bytes.withUnsafeMutableBytes { memory in
      let (near, far) = try connectedPair(port)
      defer { close(near) }
      let token = try #require(port.receive(near, into: memory, owner: 1))
      try port.submit()
      #expect(try port.reap(limit: 10) { _ in Issue.record("nothing has come") } == 0)
      #expect(write(far, "abc", 3) == 3)
      close(far)
      var results: [Int32] = []
      try drive(port, until: { results.count == 2 }) { completion in
        results.append(completion.result)
        if results.count == 1 {
          let (named, kind) = (completion.token, completion.kind)
          #expect(named == token && kind == .receiveInto)
          _ = port.receive(near, into: memory, owner: 1)
        }
      }
      #expect(results == [3, 0])

      let (other, resetting) = try connectedPair(port)
      defer { close(other) }
      var linger = linger(l_onoff: 1, l_linger: 0)
      setsockopt(resetting, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
      let reset = try complete(port, meanwhile: { close(resetting) }) { port.receive(other, into: memory, owner: 1) }
      #expect(reset.result == -ECONNRESET)
    }
  }

  @Test(arguments: PortTests.choices)
  func aCancelledReceiveLeavesTheBytes(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_STREAM)
    var bytes = [UInt8](repeating: 0, count: 10)
    try bytes.withUnsafeMutableBytes { memory in
      let token = try #require(port.receive(pair.near.raw, into: memory, owner: 1))
      try port.submit()
      _ = try port.reap(limit: 10) { _ in }
      port.cancel(token)
      var result: Int32?
      try drive(port, until: { result != nil }) { result = $0.result }
      #expect(result == -ECANCELED)
      #expect(write(pair.far.raw, "abc", 3) == 3)
      #expect(try complete(port) { port.receive(pair.near.raw, into: memory, owner: 1) }.result == 3)
    }
  }

  // MARK: Gathering

  @Test(arguments: PortTests.choices, [1, 3, 700, 1_500])
  func piecesAreSentOneBehindTheOther(_ choice: PortChoice, count: Int) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_STREAM)
    let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    try bytes.withUnsafeBytes { all in
      let size = all.count / count
      let pieces = (0..<count).map { number -> iovec in
        let start = all.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + number * size) }
        return iovec(iov_base: start, iov_len: size)
      }
      let sent = try pieces.withUnsafeBufferPointer { list in
        try complete(port) { port.send(pair.near.raw, list, owner: 1) }
      }
      #expect(Int(sent.result) == min(count, 1_024) * size)
      var received = [UInt8](repeating: 0, count: 30_000)
      #expect(read(pair.far.raw, &received, received.count) == Int(sent.result))
      #expect(received.prefix(Int(sent.result)).elementsEqual(all.prefix(Int(sent.result))))
    }
  }

  /// A message that does not fit into the socket's buffer is one operation of a ring.
  @Test(arguments: PortTests.choices)
  func aLargeSendToASlowReader(_ choice: PortChoice) throws {
    let port = try open(choice)
    let (near, far) = try connectedPair(port)
    defer {
      close(near)
      close(far)
    }
    let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    var (sends, sent) = (0, 0)
    let received = Mutex<[UInt8]>([])
    let reader = try WorkerThread(name: "reader") {
      var chunk = [UInt8](repeating: 0, count: 100_000)
      while case let count = recv(far, &chunk, chunk.count, 0), count > 0 {
        received.withLock { $0 += chunk.prefix(count) }
      }
    }
    try bytes.withUnsafeBytes { all in
      while sent < all.count {
        let rest = UnsafeRawBufferPointer(rebasing: all[sent...])
        let outcome = try complete(port) { port.send(near, rest, owner: 1) }
        try #require(outcome.result > 0)
        sent += Int(outcome.result)
        sends += 1
      }
    }
    shutdown(near, Int32(SHUT_WR))
    reader.join()
    #expect(received.withLock { $0 } == bytes)
    if choice == .ioUring { #expect(sends == 1) }
  }

  @Test(arguments: PortTests.choices)
  func aSendToAReaderThatSleepsIsCancelled(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_STREAM)
    let bytes = [UInt8](repeating: 1, count: 4_000_000)
    try bytes.withUnsafeBytes { all in
      var token = port.send(pair.near.raw, all, owner: 1)
      var (taken, outcome) = (0, Int32(0))
      _ = port.timer(at: .now().advanced(by: .milliseconds(50)), owner: 2)
      try drive(port, until: { token == nil && outcome < 0 }) { completion in
        if completion.owner == 2 {
          if let token { port.cancel(token) }
          return
        }
        token = nil
        outcome = completion.result
        guard outcome > 0 else { return }
        taken += Int(outcome)
        // Plain calls complete with each part, a ring with what was taken until it was cancelled.
        if choice == .syscall {
          token = port.send(pair.near.raw, UnsafeRawBufferPointer(rebasing: all[taken...]), owner: 1)
        } else {
          outcome = -ECANCELED
        }
      }
      #expect(outcome == -ECANCELED && taken > 0 && taken < all.count)
    }
  }

  // MARK: Polling

  @Test(arguments: PortTests.choices)
  func aPollTellsWhatIsReady(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_STREAM)
    func poll(_ interest: Poller.Interest, _ descriptor: Int32, _ meanwhile: () -> Void = {}) throws -> Int32 {
      try complete(port, meanwhile: meanwhile) { port.poll(descriptor, interest, owner: 1) }.result
    }
    let (readable, writable) = (Int32(POLLIN), Int32(POLLOUT))
    let near = pair.near.raw
    #expect(try poll([.readable, .writable], near) == writable)
    #expect(try poll(.readable, near) { _ = write(pair.far.raw, "x", 1) } == readable)
    #expect(try poll([.readable, .writable], near) == readable | writable)
    shutdown(pair.far.raw, Int32(SHUT_RDWR))
    #expect(try poll(.writable, near) & Int32(POLLHUP) != 0)
    #expect(try poll(.readable, 1 << 20) == -EBADF)
    let directory = try TemporaryDirectory()
    let file = try openAppend(path: directory.file("f"))
    #expect(try poll([.readable, .writable], file.raw) == readable | writable)
  }

  @Test(arguments: PortTests.choices)
  func pollsOfManyDescriptorsBesideTheirReceives(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pairs = try (0..<3).map { _ in
      let pair = try socketPair(SOCK_STREAM)
      return (near: pair.near.release(), far: pair.far.release())
    }
    defer { for pair in pairs { for end in [pair.near, pair.far] { close(end) } } }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 30, alignment: 1)
    defer { memory.deallocate() }
    var results: [UInt32: Int32] = [:]
    for (number, pair) in pairs.enumerated() {
      let piece = UnsafeMutableRawBufferPointer(rebasing: memory[(10 * number)..<(10 * number + 10)])
      _ = port.poll(pair.near, .exceptional, owner: UInt32(10 + number))
      _ = port.receive(pair.near, into: piece, owner: UInt32(number))
    }
    try port.submit()
    _ = try port.reap(limit: 10) { _ in Issue.record("nothing is ready") }
    for pair in pairs { _ = write(pair.far, "ab", 2) }
    try drive(port, until: { results.count == 3 }) { results[$0.owner] = $0.result }
    #expect(results == [0: 2, 1: 2, 2: 2])
    shutdown(pairs[1].far, Int32(SHUT_RDWR))
    try drive(port, until: { results.count == 4 }) { results[$0.owner] = $0.result }
    #expect((results[11] ?? 0) & Int32(POLLHUP) != 0)
    #expect(port.operationGauges.inUse == 2)
    #expect(port.tearDown() == 0 && port.operationGauges.inUse == 0)
  }

  @Test(arguments: PortTests.choices)
  func aCancelledPoll(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_STREAM)
    for isSubmitted in [false, true] {
      let token = try #require(port.poll(pair.near.raw, .readable, owner: 1))
      if isSubmitted {
        try port.submit()
        _ = try port.reap(limit: 1) { _ in }
      }
      port.cancel(token)
      var result: Int32?
      try drive(port, until: { result != nil }) { result = $0.result }
      #expect(result == -ECANCELED)
    }
    #expect(write(pair.far.raw, "x", 1) == 1)
    #expect(try complete(port) { port.poll(pair.near.raw, .readable, owner: 1) }.result > 0)
  }

  // MARK: Support

  /// Two ends of a TCP connection.
  private func connectedPair(_ port: any Port) throws -> (near: Int32, far: Int32) {
    let listener = try TCPListener(host: "127.0.0.1", port: 0)
    let address = try loopback(listener.port)
    let near = try streamSocket()
    #expect(try complete(port) { port.connect(near.raw, address, owner: 9) }.result == 0)
    let accepting = Descriptor(owning: listener.release())
    let far = accept(accepting.raw, nil, nil)
    guard far >= 0 else { throw SystemError.last("accept") }
    return (near.release(), far)
  }
}

/// The port that a socket was bound to.
func boundPort(_ socket: Int32) throws -> Int {
  var address = sockaddr_in()
  var length = socklen_t(MemoryLayout<sockaddr_in>.size)
  let code = withUnsafeMutablePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
  }
  guard code == 0 else { throw SystemError.last("getsockname") }
  return Int(UInt16(bigEndian: address.sin_port))
}

/// A TCP listener whose queue is full, so that the kernel answers no further connection.
final class SilentListener: Sendable {
  let address: SocketAddress
  private let listener: Descriptor
  private let waiting: Descriptor

  init() throws {
    let listening = try TCPListener(host: "127.0.0.1", port: 0, backlog: 0)
    guard let address = SocketAddress(host: "127.0.0.1", port: UInt16(listening.port)) else {
      throw Unexpected("no address")
    }
    listener = Descriptor(owning: listening.release())
    let waiting = try Descriptor(socket(AF_INET, sockStream | sockCloseOnExec, 0), "socket")
    let raw = waiting.raw
    guard address.withPointer({ connect(raw, $0, $1) }) == 0 else { throw SystemError.last("connect") }
    self.waiting = waiting
    self.address = address
  }
}
