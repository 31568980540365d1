import Foundation
import Testing

@testable import IO
@testable import Sinks

/// What has no room in memory goes to disk and comes back, in order: real files, through both ports.
@Suite(.serialized) struct SpillTests {
  static let modes: [PortChoice] = [.ioUring, .syscall]

  /// Takes what it is given when it is open, and keeps it.
  final class Gate: Outlet {
    var isOpen = false
    private(set) var text = ""
    private(set) var ids: [BatchID] = []
    private var shipment: Shipment?
    private var outcome: Outcome?

    let isReady = true
    let reachability = Reachability.reachable
    let nextDeadline: Int64? = nil
    func probe(now: Int64) {}
    func send(_ shipment: Shipment, now: Int64) {
      self.shipment = shipment
      resume(now: now)
    }
    func handle(_ completion: consuming Completion) {}
    func resume(now: Int64) {
      guard isOpen, let shipment else { return }
      for index in 0..<shipment.count {
        text += String(decoding: shipment.bytes(of: index), as: UTF8.self)
        ids.append(shipment.facts(of: index).id)
      }
      outcome = .delivered(bytes: shipment.byteCount, refused: nil)
      self.shipment = nil
    }
    func takeOutcome() -> Outcome? { outcome.take() }
    func cancel() {
      if shipment != nil { outcome = .failed(Failure(message: "cancelled")) }
      shipment = nil
    }
    func close(isStuck: Bool) { cancel() }
  }

  private func sink(
    _ bench: Bench, _ gate: Gate, in folder: String? = nil, limit: Int = 1 << 30, awaitsEstate: Bool = false
  ) -> DeliverySink {
    let place = SpoolPlace(directory: (folder ?? bench.directory.path) + "/spill/p@s@jsonl", limit: limit)
    let queue = QueuePolicy(limit: 2 * BatchCopy.unit, reserve: 0, whenFull: .spill)
    return DeliverySink(
      name: "s", bench.output(queue: queue, spool: place, awaitsEstate: awaitsEstate), outlet: gate)
  }

  /// Batches of 100 rows.
  private func offer(_ bench: Bench, _ sink: DeliverySink, _ batches: Range<Int>) throws {
    for batch in batches {
      let text = (0..<100).map { line(batch * 100 + $0) }.joined()
      while !bench.offer(text, rows: 100, marked: 100, to: sink) { try bench.turn(sink, seconds: 0.1) { false } }
      try bench.turn(sink)
      #expect(isBalanced(sink))
    }
  }

  private func settle(_ bench: Bench, _ sink: DeliverySink) throws {
    try bench.turn(sink, seconds: 5) {
      sink.queueGauges.queuedRows + sink.queueGauges.sendingRows <= 300 && bench.freeBatches >= 3
    }
  }

  private func files(_ bench: Bench, _ folder: String? = nil) -> [String] {
    let path = (folder ?? bench.directory.path) + "/spill/p@s@jsonl"
    return ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }

  private func path(_ bench: Bench, _ name: String) -> String { bench.directory.path + "/spill/p@s@jsonl/" + name }

  @Test(arguments: modes) func whatHasNoRoomComesBackInOrder(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let gate = Gate()
    let sink = sink(bench, gate)
    try offer(bench, sink, 0..<50)
    try settle(bench, sink)
    #expect(sink.queueGauges.spilledRows > 4_000)
    #expect(sink.queueGauges.bytes <= 3 * BatchCopy.unit)
    #expect(files(bench).count > 40)
    gate.isOpen = true
    try offer(bench, sink, 50..<60)
    try bench.turn(sink, seconds: 10) { sink.tally.delivered == 6_000 }
    #expect(sink.tally.delivered == 6_000 && sink.tally.dropped.total == 0)
    #expect(rowNumbers(gate.text).elementsEqual(0..<6_000))
    #expect(files(bench).isEmpty, "what was delivered is removed")
    #expect(sink.queueGauges.spilledBytes == 0 && bench.budget.gauges.held == 0)
    #expect(bench.freeBatches == 4)
  }

  @Test(arguments: modes) func whatIsOnDiskArrivesAfterAnEndAtAnyMoment(mode: PortChoice) throws {
    let bench = try Bench(mode)
    do {
      let sink = sink(bench, Gate())
      try offer(bench, sink, 0..<30)
      try settle(bench, sink)
      // As SIGKILL would: nobody says good-bye. A file that is not whole is left too.
    }
    let whole = files(bench).filter { $0.hasSuffix(".batch") }
    try Data("half".utf8).write(to: URL(fileURLWithPath: path(bench, "00000001099511627999-100-9999.batch.part")))
    let other = try Bench(mode)
    let gate = Gate()
    let sink = sink(other, gate, in: bench.directory.path)
    #expect(sink.tally.restored == UInt64(whole.count * 100))
    #expect(isBalanced(sink))
    gate.isOpen = true
    try offer(other, sink, 30..<35)
    try other.turn(sink, seconds: 10) { sink.queueGauges.spilledRows == 0 && sink.isIdle }
    let rows = rowNumbers(gate.text)
    #expect(rows == rows.sorted() && rows.suffix(500).elementsEqual(3_000..<3_500))
    #expect(rows.count == whole.count * 100 + 500)
    #expect(sink.tally.delivered == sink.tally.accepted + sink.tally.restored)
    #expect(files(bench).isEmpty)
  }

  @Test(arguments: modes) func atAnOrderlyEndEverythingIsKept(mode: PortChoice) throws {
    let bench = try Bench(mode)
    do {
      let sink = sink(bench, Gate())
      try offer(bench, sink, 0..<20)
      bench.port.tearDown()
      sink.abandon(isStuck: false)
      #expect(sink.tally.inFlight == 2_000 && sink.tally.dropped.total == 0)
      #expect(sink.queueGauges.spilledRows == 2_000)
    }
    let other = try Bench(mode)
    let gate = Gate()
    gate.isOpen = true
    let sink = sink(other, gate, in: bench.directory.path)
    #expect(sink.tally.restored == 2_000)
    try other.turn(sink, seconds: 10) { sink.queueGauges.spilledRows == 0 && sink.isIdle }
    #expect(rowNumbers(gate.text).elementsEqual(0..<2_000), "in order, and none twice")
  }

  @Test func aFlippedByteAnywhereLosesThatFileAndNoMore() throws {
    let bench = try Bench(.syscall)
    do {
      let sink = sink(bench, Gate())
      try offer(bench, sink, 0..<6)
      bench.port.tearDown()
      sink.abandon(isStuck: false)
    }
    let names = files(bench)
    let original = try Data(contentsOf: URL(fileURLWithPath: path(bench, names[2])))
    // Every byte of the header and of what follows it, and others far and wide.
    let offsets = Array(0..<120) + stride(from: 120, to: original.count, by: 997) + [original.count - 1]
    for offset in offsets {
      var broken = original
      broken[offset] ^= 1 << UInt8(offset % 8)
      for other in names { try #require(files(bench).contains(other)) }
      try broken.write(to: URL(fileURLWithPath: path(bench, names[2])))
      let segment = try #require(Segment(name: names[2]))
      let bytes = [UInt8](broken)
      bytes.withUnsafeBytes { bytes in
        let header = UnsafeRawBufferPointer(rebasing: bytes[..<SegmentHeader.byteCount])
        let content = UnsafeRawBufferPointer(rebasing: bytes[SegmentHeader.byteCount...])
        #expect(SegmentHeader(header, content: content, segment: segment) == nil, "byte \(offset)")
      }
    }
    // One of them in earnest.
    let gate = Gate()
    gate.isOpen = true
    let other = try Bench(.syscall)
    let sink = sink(other, gate, in: bench.directory.path)
    try other.turn(sink, seconds: 10) { sink.queueGauges.spilledRows == 0 && sink.isIdle }
    #expect(sink.tally.dropped[.corrupt] == 100 && sink.tally.delivered == 500)
    #expect(rowNumbers(gate.text) == Array(0..<200) + Array(300..<600))
  }

  /// A name that says otherwise, or nothing, costs no more than its own file.
  @Test(arguments: [
    "00000001099511627776-101-@.batch", "00000001099511627777-101-@.batch", "00000001099511627777-100-2000000000.batch",
    "00000001099511627777-100-@.batcj", "0000000109951162777x-100-@.batch", "-100-@.batch", "nonsense",
  ])
  func aBrokenNameLosesItsFileAtMost(name: String) throws {
    let bench = try Bench(.syscall)
    do {
      let sink = sink(bench, Gate())
      try offer(bench, sink, 0..<6)
      bench.port.tearDown()
      sink.abandon(isStuck: false)
    }
    let names = files(bench)
    let broken = try #require(names.dropFirst(2).first)
    let bytes = try #require(Segment(name: broken)).bytes
    let other = name.replacingOccurrences(of: "@", with: "\(bytes)")
      .replacingOccurrences(of: "00000001099511627776", with: names[0].prefix(20))
    try FileManager.default.moveItem(atPath: path(bench, broken), toPath: path(bench, other))
    let gate = Gate()
    gate.isOpen = true
    let next = try Bench(.syscall)
    let sink = sink(next, gate, in: bench.directory.path)
    try next.turn(sink, seconds: 10) { sink.queueGauges.spilledRows == 0 && sink.isIdle }
    #expect(isBalanced(sink) && sink.tally.inFlight == 0)
    let rows = Set(rowNumbers(gate.text))
    #expect(rows.isSuperset(of: Array(0..<200) + Array(300..<600)))
    #expect(sink.tally.delivered == UInt64(rows.count), "none twice")
    #expect(sink.tally.restored == sink.tally.delivered + sink.tally.dropped[.corrupt])
    #expect(rows.count == 600 || sink.tally.dropped[.corrupt] >= 100)
    #expect(files(bench).isEmpty)
  }

  @Test func linksAreNotFollowed() throws {
    let bench = try Bench(.syscall)
    let manager = FileManager.default
    let elsewhere = bench.directory.path + "/elsewhere"
    try manager.createDirectory(atPath: elsewhere, withIntermediateDirectories: true)
    try manager.createDirectory(atPath: bench.directory.path + "/spill", withIntermediateDirectories: true)
    try manager.createSymbolicLink(
      atPath: bench.directory.path + "/spill/p@s@jsonl", withDestinationPath: elsewhere)
    let sink = sink(bench, Gate())
    try offer(bench, sink, 0..<20)
    try settle(bench, sink)
    #expect(try manager.contentsOfDirectory(atPath: elsewhere).isEmpty)
    #expect(sink.tally.dropped[.failed] == sink.tally.dropped.total && sink.tally.dropped.total > 0)
    #expect(isBalanced(sink))
  }

  @Test func directoriesOfNobodyAreFound() throws {
    let bench = try Bench(.syscall)
    let parent = bench.directory.path + "/spill"
    for (directory, files) in [("p@a@csv", 3), ("p@b@csv", 2), ("p@empty@csv", 0)] {
      try FileManager.default.createDirectory(atPath: "\(parent)/\(directory)", withIntermediateDirectories: true)
      for number in 0..<files {
        let name = Segment(number: UInt64(number) + 1, rows: 7, bytes: 4_000).name
        try Data().write(to: URL(fileURLWithPath: "\(parent)/\(directory)/\(name)"))
      }
    }
    let orphans = OrphanedSpool.all(in: parent, besides: ["\(parent)/p@b@csv"])
    #expect(orphans == [OrphanedSpool(directory: "\(parent)/p@a@csv", rows: 21, files: 3)])
    #expect(OrphanedSpool.all(in: parent + "/nowhere", besides: []).isEmpty)
  }

  @Test(arguments: modes) func aFullDiskIsCountedAndOver(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let mount = try bench.mountTmpfs("small", kibibytes: 256)
    let gate = Gate()
    let sink = sink(bench, gate, in: mount)
    try offer(bench, sink, 0..<60)
    try settle(bench, sink)
    #expect(sink.tally.dropped[.noSpace] > 0)
    gate.isOpen = true
    try bench.turn(sink, seconds: 10) { sink.queueGauges.spilledRows == 0 && sink.isIdle }
    let lost = sink.tally.dropped[.noSpace]
    #expect(lost == sink.tally.dropped.total)
    #expect(sink.tally.delivered == 6_000 - lost)
    // There is room again.
    gate.isOpen = false
    try offer(bench, sink, 60..<70)
    gate.isOpen = true
    try bench.turn(sink, seconds: 10) { sink.queueGauges.spilledRows == 0 && sink.isIdle }
    #expect(sink.tally.dropped.total == lost && sink.tally.delivered == 7_000 - lost)
    let rows = rowNumbers(gate.text)
    #expect(rows == rows.sorted() && Set(rows).count == rows.count)
  }

  @Test(arguments: modes) func beyondItsLimitTheOldestGiveWay(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let gate = Gate()
    let sink = sink(bench, gate, limit: 200_000)
    try offer(bench, sink, 0..<60)
    try settle(bench, sink)
    #expect(sink.queueGauges.spilledBytes <= 200_000)
    #expect(sink.tally.dropped[.queueFull] == sink.tally.dropped.total && sink.tally.dropped.total > 0)
    gate.isOpen = true
    try bench.turn(sink, seconds: 10) { sink.queueGauges.spilledRows == 0 && sink.isIdle }
    let rows = rowNumbers(gate.text)
    #expect(rows == rows.sorted() && rows.last == 5_999)
  }

  @Test(arguments: modes) func whatIsOnDiskGoesToTheHeir(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let old = sink(bench, Gate())
    try offer(bench, old, 0..<30)
    // What completes later would be told to the new one: both have one owner here.
    try bench.turn(old) {
      let whole = files(bench).filter { $0.hasSuffix(".batch") }.count
      return old.queueGauges.spilledRows == UInt64(whole * 100)
    }
    let gate = Gate()
    let new = sink(bench, gate, awaitsEstate: true)
    try offer(bench, new, 30..<33)
    old.beginRelease()
    try bench.turn(old) { old.isReleased }
    new.inherit(old.takeEstate())
    #expect(isBalanced(new))
    gate.isOpen = true
    try bench.turn(new, seconds: 10) { new.queueGauges.spilledRows == 0 && new.isIdle }
    #expect(new.tally.delivered == 3_300)
    #expect(rowNumbers(gate.text).elementsEqual(0..<3_300))
  }

  @Test func namesOfSegments() {
    let segment = Segment(number: 1 << 40, rows: 10_000, bytes: 655_440)
    #expect(Segment(name: segment.name) == segment)
    for name in [
      "x.batch", "1-2-3.batch", "00000001099511627776-0-655440.batch", "00000001099511627776-1-79.batch",
      "00000001099511627776-01-655440.batch", "00000001099511627776-1-655440.batch.part", "..", "",
      "00000001099511627776-1-99999999999999.batch", "0000000109951162777x-1-655440.batch",
    ] { #expect(Segment(name: name) == nil, "\(name)") }
  }

  @Test func checksums() {
    // RFC 3720, appendix B.4.
    let vectors: [([UInt8], UInt32)] = [
      (Array(repeating: 0, count: 32), 0x8a91_36aa), (Array(repeating: 0xff, count: 32), 0x62a8_ab43),
      (Array(0..<32), 0x46dd_794e), (Array((0..<32).reversed()), 0x113f_db5c),
    ]
    for (bytes, sum) in vectors {
      #expect(bytes.withUnsafeBytes { Checksum.crc32c($0) } == sum)
      #expect(bytes.withUnsafeBytes { Checksum.crc32cByTable($0) } == sum)
      let parts = bytes.withUnsafeBytes {
        Checksum.crc32c(
          UnsafeRawBufferPointer(rebasing: $0[5...]), after: Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[..<5]))
        )
      }
      #expect(parts == sum)
    }
  }

  @Test func tenThousandFilesAreFoundInUnderASecond() throws {
    let bench = try Bench(.syscall)
    let folder = bench.directory.path + "/spill/p@s@jsonl"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for number in 0..<10_000 {
      let name = Segment(number: UInt64(number) + 1 << 40, rows: 7, bytes: 4_000).name
      close(open(folder + "/" + name, O_CREAT | O_WRONLY, 0o600))
    }
    let began = MonotonicTime.now()
    let sink = sink(bench, Gate())
    #expect(sink.tally.restored == 70_000)
    #expect(MonotonicTime.now().nanoseconds - began.nanoseconds < 1_000_000_000)
  }
}
