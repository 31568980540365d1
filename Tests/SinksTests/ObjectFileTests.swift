import Foundation
import IO
import Testing

@testable import Sinks

/// Files that are whole or not there, through both ports.
@Suite(.serialized) struct ObjectFileTests {
  static let modes: [PortChoice] = [.ioUring, .syscall]

  /// Files of `[ rows ... ]`; a group goes out with every third batch.
  private final class Brackets: ObjectEncoder {
    let fileExtension = "txt"
    private var bytes: [UInt8] = []
    private var group: [UInt8] = []
    private var batches = 0
    private(set) var byteCount = 0
    private let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 8)

    deinit { copy.deallocate() }

    var output: UnsafeRawBufferPointer {
      copy.copyBytes(from: bytes)
      return UnsafeRawBufferPointer(rebasing: copy[..<bytes.count])
    }
    func removeOutput(_ count: Int) { bytes.removeFirst(count) }
    func begin() {
      (bytes, group, batches) = (Array("[\n".utf8), [], 0)
      byteCount = 2
    }
    func append(_ batch: UnsafeRawBufferPointer) throws(ObjectError) {
      if batch.first == UInt8(ascii: "!") { throw ObjectError("broken", isOfBatch: true) }
      group += batch
      byteCount += batch.count
      batches += 1
      if batches % 3 == 0 { moveGroup() }
    }
    private func moveGroup() {
      bytes += group
      group = []
    }
    func finish() throws(ObjectError) {
      moveGroup()
      bytes += Array("]\n".utf8)
    }
  }

  private func sink(
    _ bench: Bench, _ path: String, retry: RetryPolicy = .quick, _ change: (inout FileSink.Options) -> Void = { _ in }
  ) throws -> DeliverySink {
    var options = FileSink.Options(path: FilledTemplate(path))
    change(&options)
    return try .objectFiles(name: "o", options, Brackets(), bench.output(retry: retry))
  }

  private func files(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  private func rows(_ folder: String) throws -> [Int] {
    try files(folder).flatMap { name in
      let text = try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
      #expect(text.hasPrefix("[\n") && text.hasSuffix("]\n"), "a file is not whole")
      return rowNumbers(String(text.dropFirst(2).dropLast(2)))
    }
  }

  private func offer(_ bench: Bench, _ sink: DeliverySink, _ batches: Range<Int>) throws {
    for batch in batches {
      let text = (0..<10).map { line(batch * 10 + $0) }.joined()
      #expect(bench.offer(text, rows: 10, to: sink))
      try bench.turn(sink, seconds: 2) {
        sink.tally.accepted == sink.tally.delivered || sink.queueGauges.queuedRows == 0
      }
    }
  }

  @Test(arguments: modes) func aFileAppearsWhenItIsWholeAndItsRowsAreDeliveredThen(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let folder = bench.directory.path
    let sink = try sink(bench, folder + "/rows.txt") { $0.synchronizes = true }
    try offer(bench, sink, 0..<10)
    #expect(sink.tally.delivered == 0)
    #expect(sink.queueGauges.sendingRows == 100 && isBalanced(sink))
    #expect(bench.budget.gauges.held == 0, "what the encoder has taken is not queued")
    #expect(try files(folder).allSatisfy { $0.hasPrefix(".") }, "nothing to be seen before it is whole")
    sink.drain()
    try bench.drain(sink)
    #expect(sink.tally.delivered == 100 && sink.isIdle)
    let names = try files(folder)
    #expect(names.count == 1 && names[0].hasPrefix("rows.2") && names[0].hasSuffix("Z.txt"))
    #expect(try rows(folder) == Array(0..<100))
  }

  @Test(arguments: modes) func filesEndBySizeAndByAge(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let folder = bench.directory.path
    let bySize = try sink(bench, folder + "/rows") { $0.rotateBytes = 3_000 }
    try offer(bench, bySize, 0..<9)
    try bench.turn(bySize, seconds: 5) { bySize.tally.delivered == 90 }
    #expect(bySize.tally.delivered == 90)
    #expect(try files(folder).count == 3)
    #expect(try rows(folder) == Array(0..<90))
    let byAge = try sink(bench, folder + "/old") { $0.rotateAge = 200_000_000 }
    try offer(bench, byAge, 0..<1)
    try bench.turn(byAge, seconds: 3) { byAge.tally.delivered == 10 }
    #expect(byAge.tally.delivered == 10, "although nothing more comes")
  }

  @Test(arguments: modes) func aFullDiskIsWaitedForAndNoRowIsLost(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let mount = try bench.mountTmpfs("small", kibibytes: 64)
    let ballast = mount + "/ballast"
    try Data(count: 56_000).write(to: URL(fileURLWithPath: ballast))
    let sink = try sink(bench, mount + "/rows")
    for batch in 0..<30 {
      let text = (0..<10).map { line(batch * 10 + $0) }.joined()
      #expect(bench.offer(text, rows: 10, to: sink))
      try bench.turn(sink)
      try bench.turn(sink)
      #expect(isBalanced(sink))
    }
    try bench.turn(sink, seconds: 2) { sink.state != .up }
    #expect(sink.state != .up)
    try FileManager.default.removeItem(atPath: ballast)
    sink.drain()
    try bench.drain(sink)
    #expect(sink.state == .up)
    #expect(sink.tally.delivered == 300)
    #expect(try rows(mount) == Array(0..<300))
  }

  @Test(arguments: modes) func whatHasHadItsTimeIsDroppedByNameAndLeavesNothing(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let mount = try bench.mountTmpfs("small", kibibytes: 16)
    let retry = RetryPolicy(initial: 10_000_000, max: 20_000_000, giveUpAfter: 100_000_000)
    let sink = try sink(bench, mount + "/rows", retry: retry)
    for batch in 0..<30 {
      let text = (0..<10).map { line(batch * 10 + $0) }.joined()
      #expect(bench.offer(text, rows: 10, to: sink))
      try bench.turn(sink)
    }
    sink.drain()
    try bench.drain(sink)
    #expect(sink.isIdle)
    #expect(sink.tally.dropped[.expired] == sink.tally.dropped.total && sink.tally.dropped.total > 0)
    #expect(sink.tally.inFlight == 0)
    #expect(try files(mount).allSatisfy { !$0.hasPrefix(".") })
  }

  @Test func aBrokenBatchIsDroppedAndTheFileGoesOn() throws {
    let bench = try Bench(.syscall)
    let folder = bench.directory.path
    let sink = try sink(bench, folder + "/rows")
    try offer(bench, sink, 0..<1)
    #expect(bench.offer("!" + line(1), rows: 1, to: sink))
    try offer(bench, sink, 1..<2)
    sink.drain()
    try bench.drain(sink)
    #expect(sink.tally.dropped[.corrupt] == 1 && sink.tally.delivered == 20)
    #expect(try rows(folder) == Array(0..<20))
  }

  @Test(arguments: modes) func whatIsAbandonedIsCountedAndLeavesNoPart(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let folder = bench.directory.path
    let sink = try sink(bench, folder + "/rows")
    try offer(bench, sink, 0..<4)
    bench.port.tearDown()
    sink.abandon(isStuck: false)
    #expect(sink.tally.dropped[.shutdown] == 40 && sink.tally.inFlight == 0)
    #expect(try files(folder).isEmpty)
  }

  @Test(arguments: modes) func aSinkThatGoesFinishesItsFileFirst(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let folder = bench.directory.path
    let old = try sink(bench, folder + "/rows")
    try offer(bench, old, 0..<4)
    old.beginRelease()
    try bench.turn(old) { old.isReleased }
    #expect(old.isReleased && old.tally.delivered == 40)
    #expect(try rows(folder) == Array(0..<40))
  }

  @Test func aFolderThatIsNotThereIsFoundAtTheStart() throws {
    let bench = try Bench(.syscall)
    #expect(throws: FileError.self) { try sink(bench, bench.directory.path + "/missing/rows") }
  }
}
