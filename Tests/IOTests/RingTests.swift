import CTestSupport
import Glibc
import Testing

@testable import IO

/// What only a ring can get wrong: full queues, overflow, tear-down with operations in flight, leaks.
@Suite(.serialized)
struct RingTests {
  private func options(
    receiveBuffers: Int = 4, operations: Int = 16, completions: Int? = nil, submissions: Int? = nil
  ) -> PortOptions {
    var options = PortOptions(receiveBuffers: receiveBuffers, operations: operations)
    options.completions = completions
    options.submissions = submissions
    return options
  }

  @Test func overflownCompletionsAreNotLost() throws {
    let port = try RingPort(options(operations: 300, completions: 2, submissions: 2))
    for owner in 0..<300 { #expect(port.timer(at: .now(), owner: UInt32(owner)) != nil) }
    var owners: Set<UInt32> = []
    try drive(port, limit: 7, until: { owners.count == 300 }) { owners.insert($0.owner) }
    #expect(owners == Set(0..<300))
  }

  @Test func aFullSubmissionQueueIsSubmittedOnTheSpot() throws {
    let port = try RingPort(options(operations: 64, submissions: 1))
    let later = MonotonicTime.now().advanced(by: .seconds(60))
    let tokens = (0..<64).compactMap { port.timer(at: later, owner: UInt32($0)) }
    #expect(tokens.count == 64)
    for token in tokens { port.cancel(token) }
    var cancelled = 0
    try drive(port, until: { cancelled == 64 }) { cancelled += $0.result == -ECANCELED ? 1 : 0 }
    #expect(port.operationGauges.inUse == 0)
  }

  /// A completion queue that is too small ends a multishot receive with a datagram in hand: final, not an error, to be
  /// armed again.
  @Test func aReceiveThatOverflowsLosesNoDatagram() throws {
    let pair = try socketPair(SOCK_DGRAM)
    let port = try RingPort(options(receiveBuffers: 32, completions: 2, submissions: 2))
    var sent: [UInt8] = []
    var received: [UInt8] = []
    var rearmed = 0
    _ = port.receive(pair.near.raw, owner: 0)
    for round in 0..<20 {
      for step in 0..<8 {
        let byte = UInt8(round * 8 + step)
        sent.append(byte)
        #expect(write(pair.far.raw, [byte], 1) == 1)
      }
      try drive(port, limit: 2, until: { received.count == sent.count }) { completion in
        var completion = completion
        if let buffer = completion.takeBuffer() { received.append(contentsOf: buffer.bytes) }
        guard completion.isFinal else { return }
        #expect(completion.result == 1 || completion.result == -ENOBUFS)
        #expect(port.receive(pair.near.raw, owner: 0) != nil)
        rearmed += 1
      }
    }
    #expect(received == sent && rearmed > 0)
    port.tearDown()
  }

  @Test func tearingDownEndsWhatIsInFlight() throws {
    let pair = try socketPair(SOCK_DGRAM)
    let pipe = try pipePair()
    let port = try RingPort(options())
    let bytes = [UInt8](repeating: 7, count: 1_000_000)
    try bytes.withUnsafeBytes { bytes in
      _ = port.receive(pair.near.raw, owner: 0)
      _ = port.write(pipe.far.raw, bytes, owner: 1)
      _ = port.write(pipe.far.raw, bytes, owner: 2)
      _ = port.timer(at: .now().advanced(by: .seconds(60)), owner: 3)
      try port.submit()
      // Started, but never submitted.
      _ = port.timer(at: .now().advanced(by: .seconds(60)), owner: 4)
      let start = MonotonicTime.now()
      #expect(port.tearDown() == 0)
      #expect(MonotonicTime.now().since(start) < .milliseconds(500))
    }
    #expect(port.operationGauges.inUse == 0 && port.tearDown() == 0)
    // What arrives now finds nobody, and the memory that it would have gone to untouched.
    #expect(write(pair.far.raw, "late", 4) == 4)
  }

  @Test func aReceivedBufferMayOutliveItsPort() throws {
    let pair = try socketPair(SOCK_DGRAM)
    var port: RingPort? = try RingPort(options())
    var kept: ReceiveBuffer?
    _ = port?.receive(pair.near.raw, owner: 0)
    #expect(write(pair.far.raw, "still here", 10) == 10)
    try drive(try #require(port), until: { kept != nil }) { completion in
      var completion = completion
      kept = completion.takeBuffer()
    }
    port = nil
    var text = ""
    if let buffer = kept.take() { text = String(decoding: buffer.bytes, as: UTF8.self) }
    #expect(text == "still here")
  }

  /// A ring answers only to the thread that made it; elsewhere tear-down gives up at once and leaves the memory to the
  /// kernel.
  @Test func tearingDownOnAnotherThreadIsHarmless() throws {
    let pair = try socketPair(SOCK_DGRAM)
    let port = try RingPort(options())
    _ = port.receive(pair.near.raw, owner: 0)
    try port.submit()
    let left = try onThread { port.tearDown() }
    #expect(left == 1)
    #expect(throws: SystemError.self) { try onThread { try port.submit() } }
  }

  @Test func aThousandRingsLeaveNothingOpen() async {
    await #expect(processExitsWith: .success) {
      let namespace = Namespace(
        name: "own", key: NamespaceKey(node: try NamespaceDoor().homeNode, cookie: 0), isHost: false,
        paths: ["/proc/self/ns/net"], mounts: [])
      let before = openDescriptors()
      let threads = threadCount()
      for round in 0..<1_000 {
        let socket = try NamespaceDoor().openDiagSocket(namespace)
        let port = try RingPort(PortOptions(receiveBuffers: 2, operations: 8))
        _ = port.receive(socket.raw, owner: 0)
        _ = port.timer(at: .now().advanced(by: .seconds(60)), owner: 1)
        if round % 3 > 0 { try port.submit() }
        if round % 3 == 1 { #expect(port.tearDown() == 0) }
      }
      // The test library may open one meanwhile; a thousand would be ours.
      #expect(openDescriptors().count <= before.count + 2)
      #expect(openDescriptors().allSatisfy { !target(of: $0).contains("io_uring") })
      #expect(threadCount() <= threads + 1)
    }
  }

  @Test func everyDescriptorIsClosedOnExec() async {
    await #expect(processExitsWith: .success) {
      let before = openDescriptors()
      let ring = try RingPort(PortOptions(receiveBuffers: 2, operations: 8))
      let syscall = try SyscallPort(PortOptions(receiveBuffers: 2, operations: 8))
      let poller = try Poller()
      let wakeup = try Wakeup()
      let signals = try SignalReader()
      let door = try NamespaceDoor()
      let discoverer = try NamespaceDiscoverer()
      let file = try openAppend(path: "/dev/null")
      let found = try discoverer.discover(through: door)
      let socket = try door.openDiagSocket(try #require(found.namespaces.first))
      try poller.add(wakeup.pollable, token: 0)
      let kinds = [
        "io_uring", "eventpoll", "eventfd", "signalfd", "timerfd", "net:[", "mountinfo", "/proc", "/dev/null",
        "socket:",
      ]
      var seen: Set<String> = []
      // 0 to 2 and what the test library inherits are not ours; of our kinds it has none that are older.
      for descriptor in openDescriptors().subtracting(before).union([
        ring.pollable, syscall.pollable, file.raw, socket.raw,
      ]) {
        guard let kind = kinds.first(where: { target(of: descriptor).contains($0) }) else { continue }
        seen.insert(kind)
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0, "\(kind)")
      }
      #expect(seen.isSuperset(of: ["io_uring", "eventpoll", "/dev/null", "socket:"]))
      #expect(signals.pollable >= 0)
    }
  }

  @Test func workersAreBoundedForTheThread() throws {
    try onThread {
      let port = try RingPort(options())
      try port.limitWorkers(files: 1, others: 2)
      // Asking with zeros changes nothing and tells the limits as they were.
      let ring = try Ring(submissions: 1, completions: 1)
      #expect(try ring.limitWorkers(bounded: 0, unbounded: 0) == (1, 2))
    }
  }

  @Test func anIdlePortCostsNoCall() throws {
    let port = try RingPort(options())
    for _ in 0..<10 { try port.submit() }
    #expect(!port.hasPending)
    #expect(try port.reap(limit: 10) { _ in Issue.record("nothing was started") } == 0)
  }

  @Test(arguments: [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (4_096, 4_096), (4_097, 8_192)])
  func powersOfTwo(number: Int, power: Int) { #expect(number.roundedUpToPowerOfTwo == power) }
}

/// What a descriptor refers to, as /proc shows it.
func target(of descriptor: Int32) -> String {
  var bytes = [CChar](repeating: 0, count: 256)
  let count = readlink("/proc/self/fd/\(descriptor)", &bytes, bytes.count)
  return String(decoding: bytes.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
}

func threadCount() -> Int {
  guard let stream = opendir("/proc/self/task") else { return 0 }
  defer { closedir(stream) }
  var count = -2
  while readdir(stream) != nil { count += 1 }
  return count
}
