import Foundation
import Testing

@testable import IO
@testable import Sinks

/// A queue outlives its sink: real files, pipes and a full tmpfs, through both ports.
@Suite(.serialized) struct HandOverTests {
  static let modes: [PortChoice] = [.ioUring, .syscall]

  static func rows(_ range: Range<Int>) -> String { range.map { line($0) }.joined() }

  static func contents(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  /// Lets `old` go and gives `new` what it leaves.
  func handOver(_ bench: Bench, _ old: any Sink, _ new: any Sink) throws {
    old.beginRelease()
    try bench.turn(old) { old.isReleased }
    #expect(old.isReleased)
    new.inherit(old.takeEstate())
  }

  @Test(arguments: modes) func fiftyMebibytesQueuedOnAFullDiskGoToAnotherPath(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let mount = try bench.mountTmpfs("small", kibibytes: 300)
    let old = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(mount + "/out"), mode: 0o640), bench.output(header: "head\n"))
    var row = 0
    while old.queueGauges.bytes < 50 << 20 {
      #expect(bench.offer(Self.rows(row..<(row + 5_000)), rows: 5_000, to: old))
      row += 5_000
      try bench.turn(old)
    }
    let path = bench.directory.appending(path: "elsewhere").path
    let new = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640),
      bench.output(header: "head\n", awaitsEstate: true))
    #expect(bench.offer(Self.rows(row..<(row + 10)), rows: 10, to: new), "accepted before the queue comes")
    row += 10
    try handOver(bench, old, new)
    try bench.drain(new, seconds: 30)
    #expect(new.tally.accepted == UInt64(row))
    #expect(new.tally.delivered == UInt64(row))
    #expect(new.tally.dropped.total == 0)
    let (kept, moved) = (try Self.contents(mount + "/out"), try Self.contents(path))
    #expect(kept.hasPrefix("head\n") && moved.hasPrefix("head\n"))
    #expect(rowNumbers(String(kept.dropFirst(5)) + moved.dropFirst(5)) == Array(0..<row))
    #expect(bench.budget.gauges.held == 0)
    #expect(bench.freeBatches == 4)
  }

  /// A sink on a small tmpfs whose only batch of 500 rows is cut.
  func withCutBatch(_ mode: PortChoice, _ body: (Bench, FileSink, _ path: String, _ ballast: String) throws -> Void)
    throws
  {
    let bench = try Bench(mode)
    let mount = try bench.mountTmpfs("small", kibibytes: 64)
    try Data(count: 32_768).write(to: URL(fileURLWithPath: mount + "/ballast"))
    let sink = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(mount + "/out"), mode: 0o640), bench.output(header: "head\n"))
    #expect(bench.offer(Self.rows(0..<500), rows: 500, to: sink))
    try bench.turn(sink, seconds: 2) { sink.state != .up }
    #expect(sink.state != .up)
    try body(bench, sink, mount + "/out", mount + "/ballast")
  }

  @Test(arguments: modes) func inTheSameFileACutBatchGoesOnWhereItWasCut(mode: PortChoice) throws {
    try withCutBatch(mode) { bench, old, path, ballast in
      let new = try FileSink(
        name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640),
        bench.output(header: "head\n", awaitsEstate: true))
      #expect(bench.offer(Self.rows(500..<510), rows: 10, to: new))
      try handOver(bench, old, new)
      try FileManager.default.removeItem(atPath: ballast)
      try bench.drain(new)
      let text = try Self.contents(path)
      #expect(text.hasPrefix("head\n"))
      #expect(rowNumbers(String(text.dropFirst(5))) == Array(0..<510))
      #expect(new.tally.delivered == 510)
    }
  }

  @Test(arguments: modes) func aFileThatWasEmptiedMeanwhileGetsTheBatchFromItsBeginning(mode: PortChoice) throws {
    try withCutBatch(mode) { bench, old, path, ballast in
      let new = try FileSink(
        name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640),
        bench.output(header: "head\n", awaitsEstate: true))
      old.beginRelease()
      try bench.turn(old) { old.isReleased }
      let estate = old.takeEstate()
      #expect(truncate(path, 0) == 0)
      try FileManager.default.removeItem(atPath: ballast)
      new.inherit(estate)
      try bench.drain(new)
      let text = try Self.contents(path)
      #expect(text.hasPrefix("head\n"))
      #expect(rowNumbers(String(text.dropFirst(5))) == Array(0..<500))
    }
  }

  @Test(arguments: modes) func anEstateThatNobodyTakesIsCountedAndLeavesNoHalfRow(mode: PortChoice) throws {
    try withCutBatch(mode) { bench, old, path, _ in
      old.beginRelease()
      try bench.turn(old) { old.isReleased }
      let estate = try #require(old.takeEstate())
      #expect(old.takeEstate() == nil, "it leaves once")
      #expect(estate.rows == 500)
      let tally = estate.abandon()
      #expect(tally.dropped[.shutdown] == 500)
      #expect(tally.inFlight == 0)
      let text = try Self.contents(path)
      #expect(text == "head\n")
      #expect(bench.budget.gauges.held == 0)
    }
  }

  @Test(arguments: modes) func aReleaseThatIsCalledOffChangesNothing(mode: PortChoice) throws {
    try withCutBatch(mode) { bench, sink, path, ballast in
      sink.beginRelease()
      #expect(bench.offer(Self.rows(500..<510), rows: 10, to: sink))
      sink.inherit(nil)
      try bench.turn(sink)
      // The same after the queue has left.
      sink.beginRelease()
      try bench.turn(sink) { sink.isReleased }
      let estate = sink.takeEstate()
      #expect(bench.offer(Self.rows(510..<520), rows: 10, to: sink))
      sink.inherit(estate)
      try FileManager.default.removeItem(atPath: ballast)
      try bench.drain(sink)
      let text = try Self.contents(path)
      #expect(rowNumbers(String(text.dropFirst(5))) == Array(0..<520))
      #expect(sink.tally.delivered == 520)
    }
  }

  @Test(arguments: modes) func aPipeGoesOnInTheMiddleOfABatch(mode: PortChoice) throws {
    let bench = try Bench(mode)
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { close(ends[0]) }
    let old = StandardStreamSink(name: "o", descriptor: ends[1], bench.output(header: "head\n"))
    // More than the pipe holds: the write is in flight when the sink has to let go.
    #expect(bench.offer(Self.rows(0..<5_000), rows: 5_000, to: old))
    #expect(bench.offer(Self.rows(5_000..<6_000), rows: 1_000, to: old))
    for _ in 0..<5 { try bench.turn(old) }
    let new = StandardStreamSink(name: "o", descriptor: ends[1], bench.output(header: "head\n", awaitsEstate: true))
    #expect(bench.offer(Self.rows(6_000..<7_000), rows: 1_000, to: new))
    try handOver(bench, old, new)
    let reader = DetachedReader(ends[0])
    try bench.drain(new)
    close(ends[1])
    let text = String(decoding: reader.wait(), as: UTF8.self)
    #expect(text.hasPrefix("head\n"))
    #expect(rowNumbers(String(text.dropFirst(5))) == Array(0..<7_000))
    #expect(new.tally.delivered == 7_000)
    #expect(new.tally.bytes == UInt64(text.utf8.count))
  }

  @Test(arguments: modes) func aSinkWithNothingToInheritBeginsWithItsHeader(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    let sink = try FileSink(
      name: "f", FileSink.Options(path: FilledTemplate(path), mode: 0o640),
      bench.output(header: "head\n", awaitsEstate: true))
    #expect(bench.offer("a\n", rows: 1, to: sink))
    for _ in 0..<3 { try bench.turn(sink) }
    #expect(try Self.contents(path).isEmpty)
    sink.inherit(nil)
    try bench.drain(sink)
    #expect(try Self.contents(path) == "head\na\n")
  }

  @Test func aWriteThatIsStuckLeavesItsBatchBehindAndKeepsItsMemory() throws {
    let port = ScriptedPort()
    let budget = MemoryBudget(limit: 1 << 30)
    let pool = try BatchPool(count: 2, byteCount: 1 << 16)
    func output(_ owner: UInt32, awaitsEstate: Bool) -> SinkOutput {
      SinkOutput(
        port: port, owner: owner, header: [], queue: .roomy, retry: .quick, budget: budget, awaitsEstate: awaitsEstate)
    }
    let old = StandardStreamSink(name: "o", descriptor: 1, output(1, awaitsEstate: false))
    let new = StandardStreamSink(name: "o", descriptor: 2, output(2, awaitsEstate: true))
    guard var lease = pool.lease() else { return }
    func fill(_ batch: inout Batch) {
      batch.reset()
      batch.memory.copyBytes(from: Array("row\n".utf8))
      (batch.end, batch.rows) = (4, 1)
    }
    fill(&lease.value)
    let shared = lease.shared()
    var offer = BatchOffer(shared, canSpare: true)
    old.accept(&offer)
    old.beginRelease()
    #expect(!old.isReleased && old.takeEstate() == nil)
    old.forceRelease()
    new.inherit(old.takeEstate())
    port.complete(2, .max, to: new)
    #expect(new.tally.delivered == 1)
    #expect(pool.gauges.inUse == 1, "the kernel may still read it")
    port.complete(1, .max, to: old)
    #expect(old.tally.delivered == 0 && old.tally.accepted == 0, "a row counts once")
    // Of the offer's own right only.
    #expect(offer.share().holderCount == 2)

    let stuck = StandardStreamSink(name: "o", descriptor: 3, output(3, awaitsEstate: false))
    stuck.accept(&offer)
    stuck.abandon(isStuck: true)
    #expect(stuck.tally.dropped[.shutdown] == 1)
    #expect(offer.share().holderCount == 3, "never given back")
  }

  @Test func aBlackholeSwallowsWhatItInherits() throws {
    let bench = try Bench(.syscall)
    let (old, new) = (BlackholeSink(name: "b"), BlackholeSink(name: "b"))
    #expect(bench.offer("a\n", rows: 1, to: old))
    old.beginRelease()
    try bench.turn(old) { old.isReleased }
    new.inherit(old.takeEstate())
    #expect(new.tally.delivered == 1 && old.tally.accepted == 0)
  }
}
