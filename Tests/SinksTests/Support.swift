import Foundation
import IO
import Testing

@testable import Sinks

extension RetryPolicy {
  /// Soon again, and never given up.
  static let quick = RetryPolicy(initial: 20_000_000, max: 50_000_000, giveUpAfter: .max)
}

extension QueuePolicy {
  /// Room for whatever a test queues.
  static let roomy = QueuePolicy(limit: 1 << 30, reserve: 0, whenFull: .dropOldest)

  static func limited(_ batches: Int, _ whenFull: WhenFull) -> QueuePolicy {
    QueuePolicy(limit: batches * BatchCopy.unit, reserve: 0, whenFull: whenFull)
  }
}

/// A port with a pool of batches, and a loop that turns it until a sink is idle.
final class Bench {
  let port: any IO.Port
  let pool: BatchPool
  let directory: URL
  let budget = MemoryBudget(limit: 1 << 30)
  /// Writes that have completed.
  private(set) var completions = 0
  private var mounts: [String] = []

  init(_ choice: PortChoice, batches: Int = 4) throws {
    port = try openPort(choice, PortOptions(receiveBuffers: 1, operations: 8)).port
    pool = try BatchPool(count: batches, byteCount: 1 << 20, marks: 10_000)
    directory = FileManager.default.temporaryDirectory.appending(path: "xtcpd-sinks-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  deinit {
    for mount in mounts { try? run("umount", "-l", mount) }
    try? FileManager.default.removeItem(at: directory)
  }

  var freeBatches: Int { pool.gauges.size - pool.gauges.inUse }

  func output(
    header: String = "", framing: RowFraming = .plain, queue: QueuePolicy = .roomy, retry: RetryPolicy = .quick,
    spool: SpoolPlace? = nil, awaitsEstate: Bool = false, probes: Bool = true
  ) -> SinkOutput {
    SinkOutput(
      port: port, owner: 7, header: Array(header.utf8), framing: framing, queue: queue, retry: retry, budget: budget,
      spool: spool, capacity: pool.gauges.size, awaitsEstate: awaitsEstate, probes: probes)
  }

  /// A tmpfs of so many KiB.
  func mountTmpfs(_ name: String, kibibytes: Int) throws -> String {
    let mount = directory.appending(path: name).path
    try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
    try run("mount", "-t", "tmpfs", "-o", "size=\(kibibytes)k", "tmpfs", mount)
    mounts.append(mount)
    return mount
  }

  /// Fills a batch with `text` and offers it as the one encoding of a pipeline does. False if no batch is free.
  ///
  /// - Parameter marked: bytes of each row, if rows are to be told apart.
  func offer(_ text: String, rows: Int, marked: Int = 0, to sinks: any Sink...) -> Bool {
    guard var lease = pool.lease() else { return false }
    fill(&lease.value, text, rows)
    for row in 0..<rows { lease.value.marks[row] = RowMark(end: UInt32((row + 1) * marked), key: UInt64(row)) }
    let shared = lease.shared()
    let canSpare = shared.freeBeside >= 1
    var offer = BatchOffer(shared, canSpare: canSpare)
    for sink in sinks { sink.accept(&offer) }
    return true
  }

  private func fill(_ batch: inout Batch, _ text: String, _ rows: Int) {
    batch.reset(headroom: 16)
    batch.memory[16...].copyBytes(from: Array(text.utf8))
    batch.end = 16 + text.utf8.count
    batch.rows = rows
    batch.facts.sealedAt = wallClockNanoseconds()
  }

  /// Turns the port until the sink is idle or `seconds` have passed.
  func drain(_ sink: any Sink, seconds: Double = 5) throws { try turn(sink, seconds: seconds) { sink.isIdle } }

  /// Turns the port until `isDone` or `seconds` have passed.
  func turn(_ sink: any Sink, seconds: Double = 5, until isDone: () -> Bool) throws {
    let poller = try Poller()
    try poller.add(port.pollable, token: 0)
    let end = MonotonicTime.now().advanced(by: .seconds(seconds))
    while !isDone(), MonotonicTime.now() < end {
      try turn(sink)
      if !port.hasPending, !isDone() {
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

/// One row of exactly `bytes` bytes.
func line(_ row: Int, bytes: Int = 100) -> String {
  let text = "row \(row) "
  return text + String(repeating: "x", count: max(0, bytes - text.count - 1)) + "\n"
}

/// The numbers of the rows of a text that consists of whole lines of `line`.
func rowNumbers(_ text: String, bytes: Int = 100) -> [Int] {
  let lines = text.split(separator: "\n")
  #expect(lines.allSatisfy { $0.utf8.count == bytes - 1 && $0.hasPrefix("row ") }, "a line is cut or joined")
  return lines.compactMap { Int($0.dropFirst(4).prefix { $0.isNumber }) }
}

func isBalanced(_ sink: any Sink) -> Bool {
  let gauges = sink.queueGauges
  return sink.tally.inFlight == gauges.queuedRows + gauges.sendingRows + gauges.spilledRows
}

func run(_ words: String...) throws {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = words
  try process.run()
  process.waitUntilExit()
  try #require(process.terminationStatus == 0, "\(words)")
}

/// Reads a descriptor to its end on a thread of its own.
final class DetachedReader: @unchecked Sendable {
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
