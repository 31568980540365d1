import CTestSupport
import Glibc
import Testing

@testable import IO

/// Writing through both ports: whole, in part, not at all.
@Suite(.serialized)
struct PortWriteTests {
  private func open(_ choice: PortChoice) throws -> any Port {
    try openPort(choice, PortOptions(receiveBuffers: 1, operations: 4)).port
  }

  /// Writes until everything is taken or an error comes, as a sink does. Returns the error, or 0, and the number of
  /// writes.
  private func writeAll(
    _ port: any Port, _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, meanwhile: () -> Void = {}
  ) throws -> (error: Int32, calls: Int) {
    var written = 0
    var error: Int32 = 0
    var calls = 0
    while written < bytes.count, error == 0 {
      var isFinal = false
      _ = port.write(descriptor, UnsafeRawBufferPointer(rebasing: bytes[written...]), owner: 3)
      calls += 1
      try drive(
        port, timeout: .seconds(10),
        until: {
          meanwhile()
          return isFinal
        }
      ) { completion in
        #expect(completion.kind == .write && completion.owner == 3 && completion.isFinal)
        if completion.result > 0 { written += Int(completion.result) } else { error = completion.result }
        isFinal = true
      }
    }
    return (error, calls)
  }

  private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) } }

  @Test(arguments: PortTests.choices)
  func aFileGrowsAtItsEnd(_ choice: PortChoice) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("out")
    let port = try open(choice)
    let bytes = pattern(100_000)
    for _ in 0..<3 {
      let file = try openAppend(path: path)
      let outcome = try bytes.withUnsafeBytes { try writeAll(port, file.raw, $0) }
      #expect(outcome.error == 0)
    }
    #expect(contents(path) == bytes + bytes + bytes)
  }

  @Test(arguments: PortTests.choices)
  func aFullPipeTakesPartsAndNeverBlocksTheLoop(_ choice: PortChoice) throws {
    let pair = try pipePair()
    let port = try open(choice)
    let bytes = pattern(1_000_000)
    var received: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 50_000)
    _ = fcntl(pair.near.raw, F_SETFL, O_NONBLOCK)
    var rest = 0
    let outcome = try bytes.withUnsafeBytes { all in
      try writeAll(port, pair.far.raw, all) {
        // Nothing blocks: this runs between all turns of the loop, and is what makes room.
        rest = read(pair.near.raw, &chunk, chunk.count)
        if rest > 0 { received += chunk.prefix(rest) }
      }
    }
    while case let count = read(pair.near.raw, &chunk, chunk.count), count > 0 { received += chunk.prefix(count) }
    #expect(outcome.error == 0 && outcome.calls > 1)
    #expect(received == bytes)
    #expect(fcntl(pair.far.raw, F_GETFL) & O_NONBLOCK == 0, "the open file is shared with others and stays as it was")
  }

  @Test(arguments: PortTests.choices)
  func aPipeThatNobodyReadsWaitsWithoutHoldingTheLoop(_ choice: PortChoice) throws {
    let pair = try pipePair()
    let port = try open(choice)
    let bytes = pattern(1_000_000)
    let flags = fcntl(pair.far.raw, F_GETFL)
    _ = fcntl(pair.far.raw, F_SETFL, flags | O_NONBLOCK)
    while write(pair.far.raw, bytes, bytes.count) > 0 {}
    _ = fcntl(pair.far.raw, F_SETFL, flags)
    var results: [UInt32: Int32] = [:]
    try bytes.withUnsafeBytes { all in
      let token = try #require(port.write(pair.far.raw, all, owner: 1))
      _ = port.timer(at: .now().advanced(by: .milliseconds(30)), owner: 2)
      try drive(port, until: { results[2] != nil }) { results[$0.owner] = $0.result }
      #expect(results == [2: 0])
      port.cancel(token)
      try drive(port, until: { results[1] != nil }) { results[$0.owner] = $0.result }
    }
    #expect(results[1] == -ECANCELED || results[1] == -EINTR)
  }

  @Test(arguments: PortTests.choices)
  func aReaderThatIsGoneIsAnErrorNotASignal(_ choice: PortChoice) throws {
    signal(SIGPIPE, SIG_IGN)
    let pair = try pipePair()
    let (near, far) = (pair.near.release(), pair.far.release())
    defer { close(far) }
    close(near)
    let port = try open(choice)
    let outcome = try pattern(10).withUnsafeBytes { try writeAll(port, far, $0) }
    #expect(outcome.error == -EPIPE)
  }

  @Test(arguments: PortTests.choices)
  func aFullFileSystemIsToldAfterWhatFitted(_ choice: PortChoice) throws {
    let directory = try TemporaryDirectory()
    let mount = try directory.mountTmpfs("full", options: "size=64k")
    let file = try openAppend(path: "\(mount)/out")
    let port = try open(choice)
    let outcome = try pattern(200_000).withUnsafeBytes { try writeAll(port, file.raw, $0) }
    #expect(outcome.error == -ENOSPC && outcome.calls == 2)
    #expect(contents("\(mount)/out") == Array(pattern(200_000).prefix(65_536)))
    // Room again: the same descriptor goes on.
    #expect(truncate("\(mount)/out", 0) == 0)
    let retried = try pattern(1_000).withUnsafeBytes { try writeAll(port, file.raw, $0) }
    #expect(retried.error == 0 && contents("\(mount)/out") == pattern(1_000))
  }

  @Test(arguments: PortTests.choices)
  func devicesThatEpollDoesNotKnowAreWritten(_ choice: PortChoice) throws {
    let port = try open(choice)
    let null = try openAppend(path: "/dev/null")
    #expect(try pattern(100_000).withUnsafeBytes { try writeAll(port, null.raw, $0) }.error == 0)
    let full = try openAppend(path: "/dev/full")
    #expect(try pattern(10).withUnsafeBytes { try writeAll(port, full.raw, $0) }.error == -ENOSPC)
  }

  @Test(arguments: PortTests.choices)
  func aTerminalIsWritten(_ choice: PortChoice) throws {
    var (nearNumber, farNumber): (Int32, Int32) = (-1, -1)
    try #require(ctest_open_terminal(&nearNumber, &farNumber) == 0)
    let (near, far) = (nearNumber, farNumber)
    defer {
      close(near)
      close(far)
    }
    let port = try open(choice)
    let line = Array("one row\n".utf8)
    #expect(try line.withUnsafeBytes { try writeAll(port, far, $0) }.error == 0)
    var echo = [UInt8](repeating: 0, count: 100)
    let count = read(near, &echo, 100)
    #expect(String(decoding: echo.prefix(max(0, count)), as: UTF8.self) == "one row\r\n")
  }

  @Test(arguments: PortTests.choices)
  func aSocketIsWrittenInParts(_ choice: PortChoice) throws {
    let pair = try socketPair(SOCK_STREAM)
    _ = fcntl(pair.near.raw, F_SETFL, O_NONBLOCK)
    let port = try open(choice)
    let bytes = pattern(3_000_000)
    var received = 0
    var chunk = [UInt8](repeating: 0, count: 200_000)
    let outcome = try bytes.withUnsafeBytes { all in
      try writeAll(port, pair.far.raw, all) { received += max(0, read(pair.near.raw, &chunk, chunk.count)) }
    }
    while case let count = read(pair.near.raw, &chunk, chunk.count), count > 0 { received += count }
    #expect(outcome.error == 0 && received == bytes.count)
  }

  @Test(arguments: PortTests.choices)
  func nothingToWriteIsWrittenAtOnce(_ choice: PortChoice) throws {
    let directory = try TemporaryDirectory()
    let file = try openAppend(path: directory.file("empty"))
    let port = try open(choice)
    var result: Int32?
    _ = port.write(file.raw, UnsafeRawBufferPointer(start: nil, count: 0), owner: 0)
    try drive(port, until: { result != nil }) { result = $0.result }
    #expect(result == 0)
  }

  /// Without RWF_NOWAIT (old kernels, some files) a stream is written in pieces that a pipe takes at once, when epoll
  /// says so.
  @Test func streamsAreWrittenInPiecesWhereTheKernelCannotSayNoWait() async {
    await #expect(processExitsWith: .success) {
      #expect(ctest_forbid(ctest_number_of_pwritev2(), EOPNOTSUPP) == 0)
      try PortWriteTests().aFullPipeTakesPartsAndNeverBlocksTheLoop(.syscall)
      try PortWriteTests().aPipeThatNobodyReadsWaitsWithoutHoldingTheLoop(.syscall)
      try PortWriteTests().devicesThatEpollDoesNotKnowAreWritten(.syscall)
    }
  }

  private func contents(_ path: String) -> [UInt8] {
    var bytes: [UInt8] = []
    guard let file = fopen(path, "r") else { return bytes }
    defer { fclose(file) }
    while case let byte = fgetc(file), byte != EOF { bytes.append(UInt8(byte)) }
    return bytes
  }
}
