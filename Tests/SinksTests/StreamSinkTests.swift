import Foundation
import IO
import Testing

@testable import Sinks

/// Sinks that write to descriptors, on real files, pipes and a full tmpfs, through both ports.
@Suite(.serialized) struct StreamSinkTests {
  static let modes: [PortChoice] = [.ioUring, .syscall]

  /// A port with a pool of batches, and a loop that turns it until a sink is idle.
  final class Bench {
    let port: any IO.Port
    let pool: BatchPool
    let directory: URL
    /// Writes that have completed.
    private(set) var completions = 0

    init(_ choice: PortChoice, batches: Int = 4) throws {
      port = try openPort(choice, PortOptions(receiveBuffers: 1, operations: 8)).port
      pool = try BatchPool(count: batches, byteCount: 1 << 20)
      directory = FileManager.default.temporaryDirectory.appending(path: "xtcpd-sinks-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    var freeBatches: Int { pool.gauges.size - pool.gauges.inUse }

    func output(header: String = "") -> SinkOutput {
      SinkOutput(port: port, owner: 7, header: Array(header.utf8), capacity: pool.gauges.size)
    }

    /// Fills a batch with `text` and hands it over. False if no batch is free.
    func offer(_ text: String, rows: Int, to sink: any Sink) -> Bool {
      guard var lease = pool.lease() else { return false }
      fill(&lease.value, text, rows)
      sink.accept(lease.shared())
      return true
    }

    private func fill(_ batch: inout Batch, _ text: String, _ rows: Int) {
      batch.reset(headroom: 16)
      batch.memory[16...].copyBytes(from: Array(text.utf8))
      batch.end = 16 + text.utf8.count
      batch.rows = rows
    }

    /// Turns the port until the sink is idle or `seconds` have passed.
    func drain(_ sink: any Sink, seconds: Double = 5) throws {
      let poller = try Poller()
      try poller.add(port.pollable, token: 0)
      let end = MonotonicTime.now().advanced(by: .seconds(seconds))
      while !sink.isIdle, MonotonicTime.now() < end {
        try turn(sink)
        if !port.hasPending, !sink.isIdle {
          try poller.wait(until: min(end, MonotonicTime.now().advanced(by: .milliseconds(20)))) { _, _ in }
        }
      }
    }

    /// What a pipeline does in a turn.
    func turn(_ sink: any Sink) throws {
      _ = try port.reap(limit: 16) {
        completions += 1
        sink.handle($0)
      }
      sink.resume()
      try port.submit()
    }
  }

  static func text(_ row: Int, bytes: Int = 100) -> String {
    let line = "row \(row) "
    return line + String(repeating: "x", count: max(0, bytes - line.count - 1)) + "\n"
  }

  static func balance(_ sink: any Sink) -> Bool {
    sink.tally.accepted == sink.tally.delivered + sink.tally.dropped.total + sink.tally.inFlight
  }

  @Test(arguments: modes) func aFileGetsEveryBatchInOrderAndMode0640(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    umask(0o022)
    let sink = try FileSink(name: "f", path: path, mode: 0o640, bench.output(header: "head\n"))
    var expected = "head\n"
    for row in 0..<20 {
      #expect(bench.offer(Self.text(row), rows: 1, to: sink))
      expected += Self.text(row)
      try bench.drain(sink)
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == expected)
    #expect(sink.tally.delivered == 20)
    #expect(sink.tally.bytes == UInt64(expected.utf8.count))
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o640)
    #expect(bench.freeBatches == 4, "every batch is back in its pool")
  }

  @Test(arguments: modes) func aFileThatHasContentGetsNoSecondHeader(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    try "head\nold\n".write(toFile: path, atomically: false, encoding: .utf8)
    let sink = try FileSink(name: "f", path: path, mode: 0o640, bench.output(header: "head\n"))
    #expect(bench.offer("new\n", rows: 1, to: sink))
    try bench.drain(sink)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "head\nold\nnew\n")
  }

  @Test(arguments: modes) func aNamedPipeGetsItsHeaderOnce(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "pipe").path
    #expect(mkfifo(path, 0o600) == 0)
    let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    defer { close(reader) }
    let sink = try FileSink(name: "f", path: path, mode: 0o640, bench.output(header: "head\n"))
    for text in ["one\n", "two\n"] {
      #expect(bench.offer(text, rows: 1, to: sink))
      try bench.drain(sink)
    }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(reader, &bytes, bytes.count)
    #expect(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == "head\none\ntwo\n")
  }

  @Test(arguments: modes) func aRotatedFileIsReopenedWithItsHeader(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    let sink = try FileSink(name: "f", path: path, mode: 0o640, bench.output(header: "head\n"))
    #expect(bench.offer("one\n", rows: 1, to: sink))
    try bench.drain(sink)
    try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
    #expect(bench.offer("two\n", rows: 1, to: sink))
    try bench.drain(sink)
    #expect(try String(contentsOfFile: path + ".1", encoding: .utf8) == "head\none\n")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "head\ntwo\n")
    #expect(sink.tally.delivered == 2)
  }

  @Test(arguments: modes) func aFileThatCannotBeReopenedKeepsTheOldOneAndSaysSo(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    let sink = try FileSink(name: "f", path: path, mode: 0o640, bench.output())
    try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/null")
    #expect(bench.offer("one\n", rows: 1, to: sink))
    try bench.drain(sink)
    #expect(try String(contentsOfFile: path + ".1", encoding: .utf8) == "one\n")
    guard case .failing(let why) = sink.state else {
      Issue.record("the sink does not say that it cannot reopen")
      return
    }
    #expect(why.contains("symbolic link"))
    try FileManager.default.removeItem(atPath: path)
    #expect(bench.offer("two\n", rows: 1, to: sink))
    try bench.drain(sink)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "two\n")
    #expect(sink.state == .up)
  }

  @Test(arguments: modes) func symbolicLinksAndDirectoriesAreRefused(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let link = bench.directory.appending(path: "link").path
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/tmp/elsewhere")
    #expect(throws: FileError.isSymbolicLink(path: link)) {
      _ = try FileSink(name: "f", path: link, mode: 0o640, bench.output())
    }
    #expect(throws: FileError.isDirectory(path: bench.directory.path)) {
      _ = try FileSink(name: "f", path: bench.directory.path, mode: 0o640, bench.output())
    }
  }

  @Test(arguments: modes) func aFullDiskDropsByNameAndDeliveryResumesWithNoRowSplit(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let mount = bench.directory.appending(path: "small").path
    try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
    try run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount)
    defer { try? run("umount", mount) }
    let path = mount + "/out"
    let ballast = mount + "/ballast"
    try Data(count: 30_000).write(to: URL(fileURLWithPath: ballast))

    let sink = try FileSink(name: "f", path: path, mode: 0o640, bench.output())
    var offered: UInt64 = 0
    for batch in 0..<10 {
      let text = (0..<100).map { Self.text(batch * 100 + $0) }.joined()
      if bench.offer(text, rows: 100, to: sink) { offered += 100 }
      try bench.drain(sink, seconds: 0.3)
      #expect(Self.balance(sink))
    }
    #expect(sink.tally.accepted == offered)
    #expect(sink.tally.dropped[.noSpace] > 0)
    #expect(sink.state != .up)
    try FileManager.default.removeItem(atPath: ballast)
    for batch in 10..<12 {
      let text = (0..<10).map { Self.text(batch * 100 + $0) }.joined()
      #expect(bench.offer(text, rows: 10, to: sink))
      try bench.drain(sink)
    }
    #expect(sink.isIdle)
    #expect(sink.state == .up)
    #expect(sink.tally.inFlight == 0)
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == Int(sink.tally.delivered), "what is counted as delivered is in the file")
    #expect(lines.allSatisfy { $0.utf8.count == 99 && $0.hasPrefix("row ") }, "no line is cut or joined")
    #expect(lines.contains { $0.hasPrefix("row 1109 ") }, "delivery resumed")
  }

  /// A small tmpfs with a file sink on it whose first batch is cut by a lack of room.
  func withCutBatch(_ mode: PortChoice, _ body: (Bench, FileSink, _ path: String, _ ballast: String) throws -> Void)
    throws
  {
    let bench = try Bench(mode)
    let mount = bench.directory.appending(path: "small").path
    try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
    try run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount)
    defer { try? run("umount", "-l", mount) }
    try Data(count: 32_768).write(to: URL(fileURLWithPath: mount + "/ballast"))
    let sink = try FileSink(name: "f", path: mount + "/out", mode: 0o640, bench.output(header: "head\n"))
    #expect(bench.offer((0..<500).map { Self.text($0) }.joined(), rows: 500, to: sink))
    try bench.drain(sink, seconds: 0.2)
    guard case .failing = sink.state else {
      Issue.record("the batch was not cut")
      return
    }
    try body(bench, sink, mount + "/out", mount + "/ballast")
  }

  /// Every line of the file, which must begin with the header.
  static func rows(_ path: String) throws -> [Substring] {
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.first == "head")
    #expect(lines.dropFirst().allSatisfy { $0.utf8.count == 99 && $0.hasPrefix("row ") }, "a line is cut or joined")
    return Array(lines.dropFirst())
  }

  @Test(arguments: modes) func aCutBatchIsTriedOnceASecondNotAllTheTime(mode: PortChoice) throws {
    try withCutBatch(mode) { bench, sink, _, _ in
      let before = bench.completions
      let end = MonotonicTime.now().advanced(by: .milliseconds(1500))
      while MonotonicTime.now() < end { try bench.turn(sink) }
      #expect((1...4).contains(bench.completions - before), "\(bench.completions - before) writes in 1.5 s")
    }
  }

  @Test(arguments: modes) func theRestOfACutBatchFollowsWhenThereIsRoom(mode: PortChoice) throws {
    try withCutBatch(mode) { bench, sink, path, ballast in
      try FileManager.default.removeItem(atPath: ballast)
      try bench.drain(sink)
      #expect(try Self.rows(path).count == 500)
      #expect(sink.tally.delivered == 500)
      #expect(sink.state == .up)
    }
  }

  @Test(arguments: modes) func aFileThatIsRemovedOrEmptiedGetsACutBatchFromItsBeginning(mode: PortChoice) throws {
    for empty in [false, true] {
      try withCutBatch(mode) { bench, sink, path, ballast in
        if empty { #expect(truncate(path, 0) == 0) } else { try FileManager.default.removeItem(atPath: path) }
        try FileManager.default.removeItem(atPath: ballast)
        try bench.drain(sink)
        #expect(try Self.rows(path).count == 500)
        #expect(sink.tally.delivered == 500)
      }
    }
  }

  @Test(arguments: modes) func whatIsGivenUpAtTheEndLeavesNoHalfRow(mode: PortChoice) throws {
    try withCutBatch(mode) { bench, sink, path, _ in
      bench.port.tearDown()
      sink.abandon()
      let rows = try Self.rows(path)
      #expect(rows.isEmpty)
      #expect(sink.tally.dropped[.shutdown] == 500)
      #expect(bench.offer("late\n", rows: 1, to: sink))
      #expect(sink.tally.dropped[.shutdown] == 501, "what still comes is counted too")
      #expect(bench.freeBatches == 4)
    }
  }

  @Test(arguments: modes) func aSlowPipeGetsEverythingAndHoldsBatchesBack(mode: PortChoice) throws {
    let bench = try Bench(mode, batches: 2)
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { close(ends[0]) }
    let sink = StandardStreamSink(name: "o", descriptor: ends[1], bench.output())
    let text = (0..<5000).map { Self.text($0) }.joined()
    #expect(bench.offer(text, rows: 5000, to: sink))
    #expect(bench.offer(text, rows: 5000, to: sink))
    try bench.turn(sink)
    try bench.turn(sink)
    #expect(!bench.offer(text, rows: 5000, to: sink), "the pool is exhausted while the reader is slow")
    let descriptor = ends[0]
    let reader = DetachedReader(descriptor)
    try bench.drain(sink)
    close(ends[1])
    #expect(reader.wait() == Data((text + text).utf8))
    #expect(sink.tally.delivered == 10_000)
    #expect(bench.freeBatches == 2)
  }

  @Test(arguments: modes) func aGoneReaderEndsDeliveryUnderItsName(mode: PortChoice) throws {
    signal(SIGPIPE, SIG_IGN)
    let bench = try Bench(mode)
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    close(ends[0])
    defer { close(ends[1]) }
    let sink = StandardStreamSink(name: "o", descriptor: ends[1], bench.output())
    #expect(bench.offer("a\n", rows: 1, to: sink))
    try bench.drain(sink)
    #expect(bench.offer("b\n", rows: 1, to: sink))
    #expect(sink.tally.dropped[.closed] == 2)
    #expect(sink.isIdle)
    #expect(sink.state != .up)
    #expect(bench.freeBatches == 4)
  }

  @Test(arguments: modes) func whatIsLeftAtTheEndIsCounted(mode: PortChoice) throws {
    let bench = try Bench(mode)
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let sink = StandardStreamSink(name: "o", descriptor: ends[1], bench.output())
    let text = (0..<5000).map { Self.text($0) }.joined()
    for _ in 0..<3 { #expect(bench.offer(text, rows: 5000, to: sink)) }
    try bench.turn(sink)
    bench.port.tearDown()
    sink.abandon()
    #expect(sink.tally.dropped[.shutdown] == 15_000)
    #expect(sink.tally.inFlight == 0)
    #expect(bench.freeBatches == 4)
  }

  private func run(_ words: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(words)")
  }
}

/// Reads a descriptor to its end on a thread of its own.
private final class DetachedReader: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var data = Data()

  init(_ descriptor: Int32) {
    Thread.detachNewThread { [self] in
      data = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).readDataToEndOfFile()
      done.signal()
    }
  }

  func wait() -> Data {
    done.wait()
    return data
  }
}
