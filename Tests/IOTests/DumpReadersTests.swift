import Glibc
import Testing

@testable import IO

/// Dumps that other threads perform.
@Suite struct DumpReadersTests {
  /// What has come of one dump.
  private struct Outcome {
    var reader = DumpReader()
    var ended: Int32?
    var filled: [Int64] = []
    var hasBegun = false
  }

  /// Collects until every dump has ended.
  private func collect(
    _ readers: DumpReaders, _ outcomes: inout [Outcome], timeout: Duration = .seconds(5),
    keeping hold: ((consuming ReceiveBuffer) -> Void)? = nil
  ) throws {
    let poller = try Poller()
    try poller.add(readers.pollable, token: 1)
    let deadline = MonotonicTime.now().advanced(by: timeout)
    while outcomes.contains(where: { $0.ended == nil }) {
      guard MonotonicTime.now() < deadline else { throw Unexpected("the readers said nothing for \(timeout)") }
      try poller.wait(until: deadline) { _, _ in }
      take(readers, &outcomes, hold)
    }
  }

  private func take(
    _ readers: DumpReaders, _ outcomes: inout [Outcome], _ hold: ((consuming ReceiveBuffer) -> Void)? = nil
  ) {
    readers.collect { event in
      switch consume event {
      case .begun(let owner): outcomes[Int(owner)].hasBegun = true
      case .received(let owner, let buffer, let filledAt):
        outcomes[Int(owner)].reader.read(buffer.bytes, sequence: 7)
        outcomes[Int(owner)].filled.append(filledAt)
        if let hold { hold(buffer) }
      case .ended(let owner, let errno):
        #expect(outcomes[Int(owner)].ended == nil && outcomes[Int(owner)].hasBegun)
        outcomes[Int(owner)].ended = errno
      }
    }
  }

  @Test(arguments: [1, 3]) func dumpsArriveWhole(count: Int) throws {
    let directory = try TemporaryDirectory()
    let namespaces = try (0..<6).map { try TestNamespace(at: directory.file("\($0)"), listeners: 100 + 100 * $0) }
    defer { for namespace in namespaces { namespace.delete() } }
    let readers = try DumpReaders(count: count, owners: 6, name: "test")
    let before = wallClockNanoseconds()
    var outcomes = [Outcome](repeating: Outcome(), count: 6)
    let door = try NamespaceDoor()
    var sockets: [OpenSocket] = []
    for namespace in namespaces { sockets.append(OpenSocket(try door.openDiagSocket(namespace.entry))) }
    dumpRequest(sequence: 7).withUnsafeBytes { request in
      var next = 0
      let deadline = MonotonicTime.now().advanced(by: .seconds(10))
      while outcomes.contains(where: { $0.ended == nil }), MonotonicTime.now() < deadline {
        while next < 6, readers.hasRoom {
          readers.perform(sockets[next].descriptor, request, owner: UInt32(next))
          next += 1
        }
        take(readers, &outcomes)
      }
    }
    for (number, outcome) in outcomes.enumerated() {
      #expect(outcome.ended == 0 && outcome.reader.isDone && outcome.reader.cookies.count == 100 + 100 * number)
      #expect(outcome.filled == outcome.filled.sorted() && outcome.filled.allSatisfy { $0 >= before })
    }
    #expect(readers.handedOver == 0 && readers.isIdle && readers.gauges.inUse == 0)
    #expect(readers.gauges.size == count * DumpReaders.buffersPerReader)
  }

  private final class OpenSocket {
    let descriptor: Descriptor
    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
  }

  /// Holds buffers until it is told to let go.
  private final class Holder {
    private var held: FixedQueue<ReceiveBuffer> = FixedQueue(capacity: 200)
    func hold(_ buffer: consuming ReceiveBuffer) { _ = held.push(buffer) }
    func letGo() { while held.pop() != nil {} }
    var count: Int { held.count }
  }

  /// Buffers that nobody gives back hold the dump up in the kernel; nothing is lost by that, and it can be cancelled.
  @Test(arguments: [false, true]) func heldBuffersStopADump(isCancelled: Bool) throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"), listeners: 3000)
    defer { namespace.delete() }
    let readers = try DumpReaders(count: 1, owners: 1, name: "test")
    let socket = try NamespaceDoor().openDiagSocket(namespace.entry)
    var outcomes = [Outcome()]
    let holder = Holder()
    try dumpRequest(sequence: 7).withUnsafeBytes { request in
      readers.perform(socket, request, owner: 0)
      let deadline = MonotonicTime.now().advanced(by: .seconds(5))
      while holder.count < DumpReaders.buffersPerReader, MonotonicTime.now() < deadline {
        take(readers, &outcomes) { holder.hold($0) }
      }
      #expect(holder.count == DumpReaders.buffersPerReader && outcomes[0].ended == nil)
      if isCancelled {
        readers.cancel(owner: 0)
        try collect(readers, &outcomes)
        #expect(outcomes[0].ended == ECANCELED)
      } else {
        holder.letGo()
        try collect(readers, &outcomes)
        #expect(outcomes[0].ended == 0 && outcomes[0].reader.isDone && outcomes[0].reader.cookies.count == 3000)
        #expect(readers.gauges.waits > 0)
      }
      holder.letGo()
    }
    #expect(readers.gauges.inUse == 0)
  }

  @Test func whatTheKernelRefusesIsTold() throws {
    let readers = try DumpReaders(count: 1, owners: 2, name: "test")
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let socket = try NamespaceDoor().openDiagSocket(namespace.entry)
    let file = try Descriptor(open("/dev/null", O_RDWR), "open")
    var request = dumpRequest(sequence: 7, type: 20)
    request[16] = 99
    var outcomes = [Outcome](repeating: Outcome(), count: 2)
    try request.withUnsafeBytes { bytes in
      readers.perform(file, bytes, owner: 0)
      readers.perform(socket, bytes, owner: 1)
      try collect(readers, &outcomes)
    }
    #expect(outcomes[0].ended == ENOTSOCK && outcomes[1].ended == 0 && outcomes[1].reader.error == -EINVAL)
  }

  /// With dumps in hand, in line, and buffers lent out.
  @Test func theyStopAtAnyMoment() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"), listeners: 1000)
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    for round in 0..<40 {
      let sockets = try (0..<4).map { _ in OpenSocket(try door.openDiagSocket(namespace.entry)) }
      let holder = Holder()
      var outcomes = [Outcome](repeating: Outcome(), count: 4)
      try dumpRequest(sequence: 7).withUnsafeBytes { request in
        let readers = try DumpReaders(count: 2, owners: 4, name: "test")
        for (owner, socket) in sockets.enumerated() {
          readers.perform(socket.descriptor, request, owner: UInt32(owner))
        }
        for _ in 0..<round * 100 { take(readers, &outcomes) { holder.hold($0) } }
        readers.stop()
        let left = holder.count
        holder.letGo()
        // What was received and not collected is theirs.
        #expect(readers.gauges.inUse + left <= readers.gauges.size)
        take(readers, &outcomes) { _ = $0 }
        #expect(readers.gauges.inUse == 0)
      }
    }
  }
}
