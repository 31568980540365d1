import Glibc
import Testing

@testable import IO

/// What both ports promise, on real descriptors.
@Suite(.serialized)
struct PortTests {
  static let choices: [PortChoice] = [.ioUring, .syscall]

  private func open(_ choice: PortChoice, receiveBuffers: Int = 8, operations: Int = 16) throws -> any Port {
    try openPort(choice, PortOptions(receiveBuffers: receiveBuffers, operations: operations)).port
  }

  // MARK: Dumps

  @Test(arguments: choices, [1, 2, 8, 64])
  func aRealDumpArrivesWhole(_ choice: PortChoice, receiveBuffers: Int) throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"), listeners: 700)
    defer { namespace.delete() }
    let socket = try NamespaceDoor().openDiagSocket(namespace.entry)
    let port = try open(choice, receiveBuffers: receiveBuffers)
    var reader = DumpReader()
    var arming = 0
    var receive: OperationToken?
    try withRequest(sequence: 7) { request in
      #expect(port.send(socket.raw, request, owner: 1) != nil)
      receive = port.receive(socket.raw, owner: 2)
      try drive(port, limit: 3, until: { reader.isDone && receive == nil }) { completion in
        var completion = completion
        if completion.kind == .send {
          #expect(completion.result == Int32(request.count) && completion.owner == 1 && completion.isFinal)
          return
        }
        #expect(completion.owner == 2)
        if let buffer = completion.takeBuffer() {
          #expect(!buffer.isTruncated && Int(completion.result) == buffer.bytes.count)
          reader.read(buffer.bytes, sequence: 7)
        }
        if completion.isFinal { receive = nil }
        if reader.isDone {
          if let receive { port.cancel(receive) }
        } else if receive == nil {
          receive = port.receive(socket.raw, owner: 2)
          arming += 1
        }
      }
    }
    #expect(reader.cookies.count == 700 && reader.messages == 700 && reader.error == 0)
    #expect(port.receiveBufferGauges.inUse == 0 && port.operationGauges.inUse == 0)
    #expect(port.receiveBufferGauges.highWater == 1)
    if choice == .ioUring, receiveBuffers == 1 { #expect(arming > 3) }
  }

  @Test(arguments: choices)
  func aHeldBufferStopsTheDumpAndLosesNothing(_ choice: PortChoice) throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"), listeners: 500)
    defer { namespace.delete() }
    let socket = try NamespaceDoor().openDiagSocket(namespace.entry)
    let port = try open(choice, receiveBuffers: 1)
    var reader = DumpReader()
    var held: ReceiveBuffer?
    var refusals = 0
    try withRequest(sequence: 9) { request in
      _ = port.send(socket.raw, request, owner: 0)
      while !reader.isDone {
        // Arm while the only buffer is (after the first round) still held: refused, final, counted.
        var isArmed = port.receive(socket.raw, owner: 0) != nil
        #expect(isArmed)
        let holds = held != nil
        try drive(port, until: { !isArmed }) { completion in
          var completion = completion
          guard completion.kind == .receive else { return }
          if let buffer = completion.takeBuffer() {
            #expect(!holds)
            reader.read(buffer.bytes, sequence: 9)
            held = consume buffer
          }
          if completion.isFinal {
            if holds { #expect(completion.result == -ENOBUFS) }
            refusals += completion.result == -ENOBUFS ? 1 : 0
            isArmed = false
          }
        }
        if holds { held = nil }
      }
    }
    held = nil
    #expect(reader.cookies.count == 500 && reader.messages == 500)
    #expect(refusals > 3 && port.receiveBufferGauges.waits == UInt64(refusals))
    #expect(port.receiveBufferGauges == PoolGauges(size: 1, inUse: 0, highWater: 1, waits: UInt64(refusals)))
  }

  @Test(arguments: choices)
  func aRefusedRequestAnswersInBand(_ choice: PortChoice) throws {
    let socket = try openOwnDiagSocket()
    let port = try open(choice)
    var reader = DumpReader()
    var request = dumpRequest(sequence: 5, type: 20)
    request[16] = 99
    try request.withUnsafeBytes { bytes in
      _ = port.send(socket.raw, bytes, owner: 0)
      _ = port.receive(socket.raw, owner: 0)
      try drive(port, until: { reader.error != 0 }) { completion in
        var completion = completion
        if let buffer = completion.takeBuffer() { reader.read(buffer.bytes, sequence: 5) }
      }
    }
    #expect(reader.error == -EINVAL || reader.error == -ENOENT)
  }

  @Test(arguments: choices)
  func dumpsOfManyNamespacesShareOnePort(_ choice: PortChoice) throws {
    let directory = try TemporaryDirectory()
    let door = try NamespaceDoor()
    let namespaces = try (0..<6).map { try TestNamespace(at: directory.file("n\($0)"), listeners: 70 + $0) }
    defer { for namespace in namespaces { namespace.delete() } }
    let sockets = try namespaces.map { try door.openDiagSocket($0.entry).release() }
    defer { for socket in sockets { close(socket) } }
    let port = try open(choice, receiveBuffers: 2, operations: 12)
    var readers = [DumpReader](repeating: DumpReader(), count: 6)
    let requests = (0..<6).map { dumpRequest(sequence: UInt32(100 + $0)) }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 6 * 76, alignment: 4)
    defer { memory.deallocate() }
    memory.copyBytes(from: requests.joined())
    for owner in 0..<6 {
      let bytes = UnsafeRawBufferPointer(rebasing: memory[(owner * 76)..<(owner * 76 + 76)])
      #expect(port.send(sockets[owner], bytes, owner: UInt32(owner)) != nil)
      #expect(port.receive(sockets[owner], owner: UInt32(owner)) != nil)
    }
    try drive(port, limit: 5, until: { readers.allSatisfy { $0.isDone } }) { completion in
      var completion = completion
      guard completion.kind == .receive else { return }
      let owner = completion.owner
      if let buffer = completion.takeBuffer() { readers[Int(owner)].read(buffer.bytes, sequence: 100 + owner) }
      if completion.isFinal, !readers[Int(owner)].isDone {
        #expect(port.receive(sockets[Int(owner)], owner: owner) != nil)
      }
    }
    #expect(readers.map(\.cookies.count) == [70, 71, 72, 73, 74, 75])
    port.tearDown()
  }

  // MARK: Receiving

  @Test(arguments: choices)
  func aDatagramLongerThanABufferIsSeenAsTruncated(_ choice: PortChoice) throws {
    let pair = try socketPair(SOCK_DGRAM)
    let port = try open(choice)
    let sizes = [40_000, ReceiveBuffer.capacity, ReceiveBuffer.capacity + 1, 10]
    for size in sizes {
      let datagram = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
      #expect(write(pair.far.raw, datagram, size) == size)
    }
    var seen: [(length: Int32, kept: Int, isTruncated: Bool)] = []
    _ = port.receive(pair.near.raw, owner: 0)
    try drive(port, until: { seen.count == 4 }) { completion in
      var completion = completion
      guard let buffer = completion.takeBuffer() else { return }
      #expect(buffer.bytes.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: $0) })
      seen.append((completion.result, buffer.bytes.count, buffer.isTruncated))
    }
    #expect(seen.map(\.length) == sizes.map { Int32($0) })
    #expect(seen.map(\.kept) == sizes.map { min($0, ReceiveBuffer.capacity) })
    #expect(seen.map(\.isTruncated) == [true, false, true, false])
    port.tearDown()
  }

  @Test(arguments: choices)
  func aReceiveGoesOnUntilCancelled(_ choice: PortChoice) throws {
    let pair = try socketPair(SOCK_DGRAM)
    let port = try open(choice, receiveBuffers: 2)
    let token = try #require(port.receive(pair.near.raw, owner: 77))
    for round in 0..<50 {
      var received = 0
      let payload = [UInt8](repeating: UInt8(round), count: round + 1)
      try port.submit()
      _ = try port.reap(limit: 10) { _ in Issue.record("nothing was sent yet") }
      #expect(write(pair.far.raw, payload, payload.count) == payload.count)
      try drive(port, until: { received > 0 }) { completion in
        var completion = completion
        #expect(completion.token == token && completion.owner == 77 && !completion.isFinal)
        var isEqual = false
        if let buffer = completion.takeBuffer() { isEqual = buffer.bytes.elementsEqual(payload) }
        var isTakenTwice = false
        if completion.takeBuffer() != nil { isTakenTwice = true }
        #expect(isEqual && !isTakenTwice)
        received += 1
      }
    }
    port.cancel(token)
    port.cancel(token)
    var final: Int32?
    try drive(port, until: { final != nil }) { final = $0.result }
    #expect(final == -ECANCELED && port.operationGauges.inUse == 0)
  }

  @Test(arguments: choices)
  func theOtherSideClosingEndsAReceive(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try socketPair(SOCK_SEQPACKET)
    let (near, far) = (pair.near.release(), pair.far.release())
    defer { close(near) }
    var outcome: (result: Int32, isFinal: Bool)?
    _ = port.receive(near, owner: 0)
    try port.submit()
    close(far)
    try drive(port, until: { outcome != nil }) { outcome = ($0.result, $0.isFinal) }
    #expect(outcome?.result == 0 && outcome?.isFinal == true)
    #expect(port.operationGauges.inUse == 0 && port.receiveBufferGauges.inUse == 0)
  }

  @Test(arguments: choices)
  func whatIsNoSocketFailsAsACompletion(_ choice: PortChoice) throws {
    let port = try open(choice)
    let pair = try pipePair()
    var results: [OperationKind: Int32] = [:]
    _ = port.receive(pair.near.raw, owner: 0)
    _ = withUnsafeBytes(of: 1) { port.send(pair.far.raw, $0, owner: 0) }
    _ = withUnsafeBytes(of: 1) { port.write(pair.near.raw, $0, owner: 0) }
    try drive(port, until: { results.count == 3 }) { results[$0.kind] = $0.result }
    #expect(results[.receive] == -ENOTSOCK && results[.send] == -ENOTSOCK && results[.write] == -EBADF)
    _ = port.receive(1 << 20, owner: 0)
    var result: Int32?
    try drive(port, until: { result != nil }) { result = $0.result }
    #expect(result == -EBADF)
  }

  @Test(arguments: choices)
  func noDescriptorStarvesAnother(_ choice: PortChoice) throws {
    let port = try open(choice, receiveBuffers: 4)
    let first = try socketPair(SOCK_DGRAM)
    let second = try socketPair(SOCK_DGRAM)
    let pairs = [(near: first.near.raw, far: first.far.raw), (near: second.near.raw, far: second.far.raw)]
    var order: [UInt32] = []
    for (owner, pair) in pairs.enumerated() {
      for _ in 0..<8 { _ = write(pair.far, "x", 1) }
      _ = port.receive(pair.near, owner: UInt32(owner))
    }
    try drive(port, limit: 1, until: { order.count == 16 }) { completion in
      var completion = completion
      if let buffer = completion.takeBuffer() {
        #expect(buffer.bytes.count == 1)
        order.append(completion.owner)
      } else if completion.result == -ENOBUFS {
        _ = port.receive(pairs[Int(completion.owner)].near, owner: completion.owner)
      }
    }
    #expect(Set(order.prefix(9)) == [0, 1], "both are served before one is empty: \(order)")
    port.tearDown()
  }

  // MARK: Cancelling, names, pools

  @Test(arguments: choices)
  func aStaleTokenHitsNobody(_ choice: PortChoice) throws {
    let port = try open(choice, operations: 1)
    let pair = try socketPair(SOCK_DGRAM)
    let first = try #require(port.timer(at: .now(), owner: 1))
    var result: Int32?
    try drive(port, until: { result != nil }) { result = $0.result }
    #expect(result == 0)
    let second = try #require(port.receive(pair.near.raw, owner: 2))
    #expect(second != first)
    port.cancel(first)
    #expect(write(pair.far.raw, "x", 1) == 1)
    var received: Int32?
    try drive(port, until: { received != nil }) { received = $0.result }
    #expect(received == 1)
    port.tearDown()
  }

  @Test(arguments: choices)
  func anExhaustedOperationsPoolIsAnAnswer(_ choice: PortChoice) throws {
    let port = try open(choice, operations: 2)
    let later = MonotonicTime.now().advanced(by: .seconds(60))
    let tokens = [port.timer(at: later, owner: 0), port.timer(at: later, owner: 1)].compactMap { $0 }
    #expect(tokens.count == 2)
    #expect(port.timer(at: later, owner: 2) == nil && port.receive(0, owner: 2) == nil)
    #expect(port.operationGauges == PoolGauges(size: 2, inUse: 2, highWater: 2, waits: 2))
    port.cancel(tokens[0])
    var freed: UInt32?
    try drive(port, until: { freed != nil }) { completion in
      freed = completion.owner
      #expect(completion.result == -ECANCELED)
      // The slot is free already while its completion is being handled.
      #expect(port.timer(at: later, owner: 3) != nil)
    }
    #expect(freed == 0 && port.operationGauges.inUse == 2)
    port.tearDown()
    #expect(port.operationGauges.inUse == 0)
  }

  @Test(arguments: choices)
  func whatIsNotReapedStays(_ choice: PortChoice) throws {
    let port = try open(choice, operations: 10)
    for owner in 0..<10 { _ = port.timer(at: .now(), owner: UInt32(owner)) }
    try port.submit()
    usleep(5_000)
    var owners: Set<UInt32> = []
    for expected in [3, 3, 3, 1, 0] {
      #expect(try port.reap(limit: 3) { owners.insert($0.owner) } == expected)
    }
    #expect(owners == Set(0..<10) && !port.hasPending)
  }

  // MARK: Timers

  @Test(arguments: choices)
  func timersFireInTheirOrderAndNotEarly(_ choice: PortChoice) throws {
    let port = try open(choice)
    let start = MonotonicTime.now()
    let delays: [UInt32: Int64] = [0: 60, 1: 20, 2: 40, 3: -5, 4: 0]
    for (owner, delay) in delays { _ = port.timer(at: start.advanced(by: .milliseconds(delay)), owner: owner) }
    var fired: [(owner: UInt32, after: Duration)] = []
    try drive(port, until: { fired.count == 5 }) { completion in
      #expect(completion.result == 0 && completion.isFinal && completion.kind == .timer)
      fired.append((completion.owner, MonotonicTime.now().since(start)))
    }
    #expect(fired.map(\.owner).suffix(3) == [1, 2, 0])
    for (owner, after) in fired {
      let due = Duration.milliseconds(max(0, delays[owner] ?? 0))
      #expect(after >= due && after < due + .milliseconds(200))
    }
  }

  @Test(arguments: choices)
  func aTimerBeforeTheBeginningOfTimeFiresAtOnce(_ choice: PortChoice) throws {
    let port = try open(choice)
    _ = port.timer(at: MonotonicTime(nanoseconds: .min), owner: 0)
    var isFired = false
    try drive(port, until: { isFired }) { isFired = $0.result == 0 }
    #expect(isFired)
  }

  @Test(arguments: choices)
  func aCancelledTimerDoesNotFireAndOthersDo(_ choice: PortChoice) throws {
    let port = try open(choice)
    let start = MonotonicTime.now()
    let early = try #require(port.timer(at: start.advanced(by: .milliseconds(20)), owner: 1))
    _ = port.timer(at: start.advanced(by: .milliseconds(50)), owner: 2)
    try port.submit()
    port.cancel(early)
    var results: [UInt32: Int32] = [:]
    try drive(port, until: { results.count == 2 }) { results[$0.owner] = $0.result }
    #expect(results == [1: -ECANCELED, 2: 0])
  }

  // MARK: Dates

  @Test(arguments: choices)
  func aCompletionIsDatedByItsCallNotByItsReaping(_ choice: PortChoice) throws {
    let pair = try socketPair(SOCK_DGRAM)
    let port = try open(choice)
    var dates: [Int64] = []
    _ = port.receive(pair.near.raw, owner: 0)
    _ = write(pair.far.raw, "x", 1)
    let before = wallClockNanoseconds()
    try port.submit()
    usleep(150_000)
    if choice == .ioUring {
      // A second call into the kernel must not make the first one's completion younger.
      _ = port.timer(at: .now().advanced(by: .seconds(60)), owner: 1)
      try port.submit()
    }
    let after = wallClockNanoseconds()
    #expect(try port.reap(limit: 10) { dates.append($0.completedAt) } == 1)
    let expected = choice == .ioUring ? before : after
    #expect(abs((dates.first ?? 0) - expected) < 20_000_000)
    port.tearDown()
  }

  // MARK: Support

  private func withRequest(sequence: UInt32, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    try dumpRequest(sequence: sequence).withUnsafeBytes(body)
  }

  private func openOwnDiagSocket() throws -> Descriptor {
    let door = try NamespaceDoor()
    let own = Namespace(
      name: "own", key: NamespaceKey(node: door.homeNode, cookie: 0), isHost: false, paths: ["/proc/self/ns/net"],
      mounts: [])
    return try door.openDiagSocket(own)
  }
}
