import Foundation
import IO
import Testing

@testable import Sinks

/// Sinks that write to descriptors, on real files, pipes and a full tmpfs, through both ports.
@Suite(.serialized) struct StreamSinkTests {
  static let modes: [PortChoice] = [.ioUring, .syscall]

  @Test(arguments: modes) func aFileGetsEveryBatchInOrderAndMode0640(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    umask(0o022)
    let sink = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640), bench.output(header: "head\n"))
    var expected = "head\n"
    for row in 0..<20 {
      #expect(bench.offer(line(row), rows: 1, to: sink))
      expected += line(row)
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
    let sink = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640), bench.output(header: "head\n"))
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
    let sink = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640), bench.output(header: "head\n"))
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
    let sink = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640), bench.output(header: "head\n"))
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
    let sink = try FileSink(name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640), bench.output())
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
      _ = try FileSink(name: "f", FileSink.Options(path: FilledTemplate(link), mode: 0o640), bench.output())
    }
    #expect(throws: FileError.isDirectory(path: bench.directory.path)) {
      _ = try FileSink(
        name: "f", FileSink.Options(path: FilledTemplate(bench.directory.path), mode: 0o640), bench.output())
    }
  }

  @Test(arguments: modes) func aFullDiskQueuesDropsByNameAndDeliveryResumesWithNoRowSplit(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let mount = try bench.mountTmpfs("small", kibibytes: 64)
    let path = mount + "/out"
    let ballast = mount + "/ballast"
    try Data(count: 30_000).write(to: URL(fileURLWithPath: ballast))

    let sink = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640),
      bench.output(queue: .limited(3, .dropOldest)))
    for batch in 0..<10 {
      let text = (0..<100).map { line(batch * 100 + $0) }.joined()
      #expect(bench.offer(text, rows: 100, to: sink), "a full disk holds no batch of the pool")
      try bench.drain(sink, seconds: 0.3)
      #expect(isBalanced(sink))
      #expect(sink.queueGauges.bytes <= 3 * BatchCopy.unit)
    }
    #expect(sink.tally.accepted == 1000)
    #expect(sink.tally.dropped[.queueFull] == sink.tally.dropped.total)
    #expect(sink.tally.dropped.total > 0)
    #expect(sink.state != .up)
    #expect(bench.freeBatches == 4)
    try FileManager.default.removeItem(atPath: ballast)
    try bench.drain(sink)
    for batch in 10..<12 {
      let text = (0..<10).map { line(batch * 100 + $0) }.joined()
      #expect(bench.offer(text, rows: 10, to: sink))
      try bench.drain(sink)
    }
    #expect(sink.isIdle)
    #expect(sink.state == .up)
    #expect(sink.tally.inFlight == 0)
    let rows = try rowNumbers(String(contentsOfFile: path, encoding: .utf8))
    #expect(rows.count == Int(sink.tally.delivered), "what is counted as delivered is in the file")
    #expect(rows == rows.sorted())
    #expect(rows.contains(999), "what was queued last is kept")
    #expect(rows.last == 1109, "delivery resumed")
  }

  /// A small tmpfs with a file sink on it whose first batch is cut by a lack of room.
  func withCutBatch(
    _ mode: PortChoice, retry: RetryPolicy = .quick,
    _ body: (Bench, FileSink, _ path: String, _ ballast: String) throws -> Void
  ) throws {
    let bench = try Bench(mode)
    let mount = try bench.mountTmpfs("small", kibibytes: 64)
    try Data(count: 32_768).write(to: URL(fileURLWithPath: mount + "/ballast"))
    let sink = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(mount + "/out"), mode: 0o640),
      bench.output(header: "head\n", retry: retry))
    #expect(bench.offer((0..<500).map { line($0) }.joined(), rows: 500, to: sink))
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

  @Test(arguments: modes) func aRefusedWriteIsTriedOnItsScheduleNotAllTheTime(mode: PortChoice) throws {
    let retry = RetryPolicy(initial: 500_000_000, max: 30_000_000_000, giveUpAfter: .max)
    try withCutBatch(mode, retry: retry) { bench, sink, _, _ in
      let before = bench.completions
      let end = MonotonicTime.now().advanced(by: .milliseconds(1500))
      while MonotonicTime.now() < end {
        try bench.turn(sink)
        if let deadline = sink.nextDeadline { #expect(deadline <= MonotonicTime.now().nanoseconds + retry.max) }
      }
      #expect((0...8).contains(bench.completions - before), "\(bench.completions - before) writes in 1.5 s")
    }
  }

  @Test(arguments: modes) func aCutBatchThatHasHadItsTimeIsTakenBackAndDropped(mode: PortChoice) throws {
    let retry = RetryPolicy(initial: 10_000_000, max: 20_000_000, giveUpAfter: 300_000_000)
    try withCutBatch(mode, retry: retry) { bench, sink, path, ballast in
      #expect(bench.offer(line(1000), rows: 1, to: sink))
      try bench.turn(sink) { sink.tally.dropped[.expired] > 0 }
      #expect(sink.tally.dropped[.expired] == 500)
      try bench.drain(sink)
      #expect(try Self.rows(path).count == 1, "what waited behind it is written whole")
      #expect(sink.tally.delivered == 1)
    }
  }

  @Test(arguments: modes) func withoutRetryARefusalDropsUnderItsOwnName(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
    defer { close(full) }
    let sink = StandardStreamSink(
      name: "o", descriptor: full, bench.output(retry: RetryPolicy(initial: 0, max: 0, giveUpAfter: 0)))
    for _ in 0..<3 { #expect(bench.offer("a\n", rows: 1, to: sink)) }
    try bench.drain(sink)
    #expect(sink.tally.dropped[.noSpace] == 3)
    #expect(isBalanced(sink))
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
      sink.abandon(isStuck: false)
      let rows = try Self.rows(path)
      #expect(rows.isEmpty)
      #expect(sink.tally.dropped[.shutdown] == 500)
      #expect(bench.offer("late\n", rows: 1, to: sink))
      #expect(sink.tally.dropped[.shutdown] == 501, "what still comes is counted too")
      #expect(bench.freeBatches == 4)
    }
  }

  @Test(arguments: modes) func aSlowPipeThatMayBlockGetsEverythingAndHoldsBatchesBack(mode: PortChoice) throws {
    let bench = try Bench(mode, batches: 2)
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { close(ends[0]) }
    let sink = StandardStreamSink(name: "o", descriptor: ends[1], bench.output(queue: .limited(8, .block)))
    let text = (0..<5000).map { line($0) }.joined()
    // One written from the pool, one copied, one that stays in the pool.
    for _ in 0..<3 {
      #expect(bench.offer(text, rows: 5000, to: sink))
      try bench.turn(sink)
    }
    #expect(!bench.offer(text, rows: 5000, to: sink), "the pool is exhausted while the reader is slow")
    let descriptor = ends[0]
    let reader = DetachedReader(descriptor)
    try bench.drain(sink)
    close(ends[1])
    #expect(reader.wait() == Data((text + text + text).utf8))
    #expect(sink.tally.delivered == 15_000)
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
    let text = (0..<5000).map { line($0) }.joined()
    for _ in 0..<3 { #expect(bench.offer(text, rows: 5000, to: sink)) }
    try bench.turn(sink)
    bench.port.tearDown()
    sink.abandon(isStuck: false)
    #expect(sink.tally.dropped[.shutdown] == 15_000)
    #expect(sink.tally.inFlight == 0)
    #expect(bench.freeBatches == 4)
  }
}
