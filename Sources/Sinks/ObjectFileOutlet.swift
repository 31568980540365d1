import Glibc
import IO

/// Writes files that are whole or not there: each of many batches, under a hidden name until its last byte is written, then under one that
/// says when it was begun.
///
/// It takes the rows of a batch when they are encoded and settles them when their file is finished. What a full disk refuses is tried
/// again; the batches that come meanwhile wait in the queue.
final class ObjectFileOutlet: Outlet {
  /// The file that is being written.
  private struct Open {
    /// Owned by `descriptor`.
    let raw: Int32
    let path: String
    let hidden: String
    /// Monotonic nanoseconds.
    let openedAt: Int64
  }

  private enum Stage { case filling, finishing, synchronizing }

  private let options: FileSink.Options
  private let encoder: any ObjectEncoder
  private let port: any Port
  private let owner: UInt32
  private var schedule: RetrySchedule
  private var jitter = SplitMix64(seed: .random(in: 0 ... .max))
  private var descriptor: Descriptor?
  private var open: Open?
  private var stage = Stage.filling
  private var pathChangesAt: Int64?
  private var inFlight: OperationToken?
  /// The shipment that waits for the file before to be finished.
  private var pending: Shipment?
  /// Bytes of the shipment whose rows are in the file, until what of it is complete is written.
  private var taken: Int?
  private var outcomes: [Outcome] = []
  private var trouble: String?
  private var retryAt: Int64?
  private var fileNumber: UInt64 = 0

  init(_ options: FileSink.Options, _ encoder: any ObjectEncoder, _ output: SinkOutput) throws(FileError) {
    self.options = options
    self.encoder = encoder
    port = output.port
    owner = output.owner
    schedule = RetrySchedule(output.retry)
    encoder.begin()
    // What stands in the way is found at the start, not with the first rows.
    let path = options.path.text(at: wallClockNanoseconds())
    try FileRotation.checkFolder(of: path, makes: options.path.dependsOnTime)
  }

  var isReady: Bool { true }
  var reachability: Reachability { trouble.map { .unreachable($0) } ?? .reachable }
  func probe(now: Int64) {}

  var nextDeadline: Int64? {
    if let retryAt { return retryAt }
    guard let open, let age = options.rotateAge, stage == .filling, inFlight == nil else { return nil }
    return open.openedAt + age
  }

  func takeOutcome() -> Outcome? { outcomes.isEmpty ? nil : outcomes.removeFirst() }

  // MARK: Rows

  func send(_ shipment: Shipment, now: Int64) {
    pending = shipment
    proceed(now: now)
  }

  private func encode() {
    guard let shipment = pending, stage == .filling, taken == nil else { return }
    pending = nil
    do throws(ObjectError) {
      for index in 0..<shipment.count { try encoder.append(shipment.bytes(of: index)) }
      taken = shipment.byteCount
    } catch {
      outcomes.append(.failed(Failure(message: "\(error)", reason: .corrupt, isFinal: true)))
      if !error.isOfBatch { giveUp(.failed, "\(error)") }
    }
  }

  func resume(now: Int64) {
    if let retryAt, now < retryAt { return }
    retryAt = nil
    if isFinishDue(now: now) { finish() }
    proceed(now: now)
  }

  private func isFinishDue(now: Int64) -> Bool {
    guard stage == .filling, inFlight == nil, taken == nil else { return false }
    guard let open else { return false }
    if let age = options.rotateAge, now - open.openedAt >= age { return true }
    if let bytes = options.rotateBytes, encoder.byteCount >= bytes { return true }
    return pathChangesAt.map { wallClockNanoseconds() >= $0 } ?? false
  }

  func flush() {
    guard stage == .filling, inFlight == nil, taken == nil, pending == nil, open != nil else { return }
    finish()
    proceed(now: MonotonicTime.now().nanoseconds)
  }

  private func finish() {
    do throws(ObjectError) {
      try encoder.finish()
      stage = .finishing
    } catch {
      giveUp(.failed, "\(error)")
    }
  }

  // MARK: Bytes

  /// Starts what comes next: opening, writing, synchronizing, renaming.
  private func proceed(now: Int64) {
    guard inFlight == nil, retryAt == nil else { return }
    encode()
    if open == nil {
      guard taken != nil || stage == .finishing, openFile(now: now) else { return }
    }
    switch stage {
    case .filling where encoder.output.isEmpty, .filling where !hasRowGroup:
      acknowledge()
    case .filling: writeOutput()
    case .finishing where encoder.output.isEmpty:
      stage = .synchronizing
      synchronize()
    case .finishing: writeOutput()
    case .synchronizing: synchronize()
    }
  }

  /// More than what a file begins with.
  private var hasRowGroup: Bool { encoder.output.count > 64 }

  private func acknowledge() {
    guard let bytes = taken else { return }
    taken = nil
    trouble = nil
    outcomes.append(.taken(bytes: bytes))
    if let limit = options.rotateBytes, encoder.byteCount >= limit {
      finish()
      proceed(now: MonotonicTime.now().nanoseconds)
    }
  }

  private func openFile(now: Int64) -> Bool {
    let wall = wallClockNanoseconds()
    let path = FileRotation.name(options.path.text(at: wall), begunAt: wall, fileExtension: encoder.fileExtension)
    let hidden = FileRotation.hidden(path)
    do throws(FileError) {
      if options.path.dependsOnTime { try FileRotation.makeFolders(for: path) }
      let file = try openNew(path: hidden, mode: options.mode)
      open = Open(raw: file.raw, path: path, hidden: hidden, openedAt: now)
      descriptor = consume file
    } catch {
      failed("\(error)")
      return false
    }
    fileNumber += 1
    pathChangesAt = options.path.changes(after: wall)
    return true
  }

  private func writeOutput() {
    if let open { inFlight = port.write(open.raw, encoder.output, owner: owner) }
  }

  private func synchronize() {
    guard options.synchronizes else { return publish() }
    if let open { inFlight = port.synchronize(open.raw, owner: owner) }
  }

  func handle(_ completion: consuming Completion) {
    guard completion.token == inFlight else { return }
    inFlight = nil
    let result = completion.result
    if result < 0 {
      guard result != -EINTR, result != -EAGAIN, result != -ECANCELED else { return }
      let isWrite = completion.kind == .write
      return failed("\(SystemError(isWrite ? "write" : "fdatasync", errno: -result, context: path))")
    }
    if completion.kind == .synchronize { return publish() }
    encoder.removeOutput(Int(result))
    trouble = nil
    schedule.succeeded()
  }

  private var path: String { open?.path ?? options.path.text(at: wallClockNanoseconds()) }

  /// The file gets its name, and its rows are delivered.
  private func publish() {
    guard let open else { return }
    guard rename(open.hidden, open.path) == 0 else {
      return failed("\(SystemError("rename", errno: errno, context: open.path))")
    }
    outcomes.append(.settled(nil))
    reset()
    proceed(now: MonotonicTime.now().nanoseconds)
  }

  private func reset() {
    descriptor = nil
    open = nil
    stage = .filling
    trouble = nil
    retryAt = nil
    schedule.succeeded()
    encoder.begin()
  }

  // MARK: Trouble

  private func failed(_ message: String) {
    trouble = message
    let now = MonotonicTime.now().nanoseconds
    switch schedule.failed(batch: fileNumber, now: now, using: &jitter) {
    case .retry(let time): retryAt = time
    case .expired: giveUp(.expired, message)
    }
  }

  /// Drops the file in hand with all its rows.
  private func giveUp(_ reason: DropReason, _ message: String) {
    removeHidden()
    if taken != nil {
      taken = nil
      outcomes.append(.failed(Failure(message: message, reason: reason, isFinal: true)))
    }
    outcomes.append(.settled(reason))
    reset()
    trouble = message
  }

  private func removeHidden() { if let open { unlink(open.hidden) } }

  func cancel() { if let inFlight { port.cancel(inFlight) } }

  func close(isStuck: Bool) {
    // What the kernel may still read lives as long as this object.
    if isStuck, inFlight != nil { _ = Unmanaged.passRetained(self) }
    // Whoever looks into the folder later finds whole files only.
    removeHidden()
    if taken != nil || pending != nil {
      outcomes.append(.failed(Failure(message: "stopped", reason: .shutdown, isFinal: true)))
    }
    (taken, pending) = (nil, nil)
    outcomes.append(.settled(.shutdown))
    descriptor = nil
    open = nil
    inFlight = nil
  }
}

extension DeliverySink {
  /// A sink that writes files that are whole or not there.
  public static func objectFiles(
    name: String, _ options: FileSink.Options, _ encoder: any ObjectEncoder, _ output: SinkOutput
  ) throws(FileError) -> DeliverySink {
    DeliverySink(name: name, output, outlet: try ObjectFileOutlet(options, encoder, output))
  }
}
