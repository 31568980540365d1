import Glibc
import IO

/// Writes batches, in order and whole, to one descriptor through a port: one write in flight, the rest queued.
///
/// When the kernel refuses (a full disk), what is queued is dropped by name and the next batch tries again, so delivery
/// resumes by itself. A batch of which a part is out already is kept, and its rest is tried once a second: the output never holds
/// half a row followed by another. The queue needs no bound of its own: it holds shares of pool batches, of which there are only so many.
struct StreamWriter: ~Copyable {
  /// What is being written.
  private enum Segment { case none, header, batch }

  private(set) var tally = SinkTally()
  private(set) var state = SinkState.up
  private(set) var descriptor: Int32

  private let port: any Port
  private let owner: UInt32
  private let place: String
  private let header: UnsafeRawBufferPointer
  private var headerIsDue: Bool
  private var queue: FixedQueue<SharedLease<Batch>>
  private var current: SharedLease<Batch>?
  private var segment = Segment.none
  private var progress = WriteProgress(total: 0)
  private var writing = false
  /// The batch in hand is cut; its rest is tried again at this time. Until then what comes is dropped under this name: a disk that
  /// is full must not hold up the dump, and with it the other sinks.
  private var cut: (retryAt: MonotonicTime, reason: DropReason)?
  /// Nothing is written any more; what comes is dropped under this name.
  private var closedFor: DropReason?
  private static let retryInterval = Duration.seconds(1)

  /// - Parameters:
  ///   - needsHeader: false when the output has one already.
  ///   - place: the path or name that an error message shows.
  init(_ output: SinkOutput, descriptor: Int32, needsHeader: Bool, place: String) {
    port = output.port
    owner = output.owner
    self.descriptor = descriptor
    self.place = place
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: output.header.count, alignment: 1)
    copy.copyBytes(from: output.header)
    header = UnsafeRawBufferPointer(copy)
    headerIsDue = needsHeader && !output.header.isEmpty
    queue = FixedQueue(capacity: output.capacity)
  }

  deinit { header.deallocate() }

  /// Nothing is queued, cut or being written.
  var isIdle: Bool { segment == .none && current == nil && queue.isEmpty }

  /// Between two segments, or waiting with one that is cut: the moments at which the descriptor may be exchanged.
  var mayExchange: Bool { !writing && (segment == .none || isCut) }

  /// A part of a batch is out, and its rest is not taken for now.
  var isCut: Bool { cut != nil }

  /// Bytes at the end of the output that belong to a batch that is cut.
  var bytesOfCutBatch: Int { isCut && segment == .batch ? progress.written : 0 }

  /// Goes on with another descriptor, whose output is new or already has its header. A batch in hand is written to it whole.
  mutating func exchange(_ descriptor: Int32, needsHeader: Bool) {
    self.descriptor = descriptor
    headerIsDue = needsHeader && !header.isEmpty
    segment = .none
    cut = nil
    closedFor = nil
  }

  /// Takes a batch. `pump` starts its writing.
  mutating func accept(_ batch: consuming SharedLease<Batch>) {
    let rows = UInt64(batch.value.rows)
    tally.accepted += rows
    if let reason = closedFor ?? cut?.reason {
      tally.dropped[reason] += rows
    } else if let refused = queue.push(batch) {
      drop(refused, .failed)
    }
  }

  /// Starts the next write if none is in flight and it is not too early for another attempt.
  mutating func pump() {
    guard !writing, closedFor == nil else { return }
    if let cut, MonotonicTime.now() < cut.retryAt { return }
    if segment == .none, !beginSegment() { return }
    let rest = segmentBytes(from: progress.written)
    writing = port.write(descriptor, rest, owner: owner) != nil
  }

  /// Takes in the completion of the write in flight.
  mutating func finishWrite(result: Int32) {
    writing = false
    if result > 0 { tally.bytes += UInt64(result) }
    switch progress.advance(by: result) {
    case .more: break
    case .complete:
      state = .up
      cut = nil
      endSegment()
    case .refused(let code):
      fail(code)
      dropCurrent(DropReason(writeError: code))
      segment = .none
      dropQueue(DropReason(writeError: code))
    case .cut(let code):
      fail(code)
      dropQueue(DropReason(writeError: code))
      cut = (MonotonicTime.now().advanced(by: Self.retryInterval), DropReason(writeError: code))
    case .broken(let code):
      fail(code)
      abandon(.closed)
    }
    pump()
  }

  /// Lets go of everything, and of what still comes, counted under `reason`. No write may be in flight: the kernel reads the
  /// batches' memory until a write has completed.
  mutating func abandon(_ reason: DropReason) {
    closedFor = reason
    cut = nil
    dropCurrent(reason)
    segment = .none
    dropQueue(reason)
  }

  // MARK: Segments

  private mutating func beginSegment() -> Bool {
    if current == nil { current = queue.pop() }
    guard current != nil else { return false }
    segment = headerIsDue ? .header : .batch
    progress = WriteProgress(total: headerIsDue ? header.count : bytesOfCurrent(from: 0).count)
    return true
  }

  private func segmentBytes(from offset: Int) -> UnsafeRawBufferPointer {
    if segment == .header { return UnsafeRawBufferPointer(rebasing: header[offset...]) }
    return bytesOfCurrent(from: offset)
  }

  private func bytesOfCurrent(from offset: Int) -> UnsafeRawBufferPointer {
    switch current {
    case .some(let batch):
      return UnsafeRawBufferPointer(rebasing: batch.value.bytes[offset...])
    case .none: return UnsafeRawBufferPointer(start: nil, count: 0)
    }
  }

  private mutating func endSegment() {
    if segment == .header {
      headerIsDue = false
    } else if let batch = current.take() {
      tally.delivered += UInt64(batch.value.rows)
    }
    segment = .none
  }

  // MARK: Failing

  private mutating func fail(_ code: Int32) {
    state = .failing("\(SystemError("write", errno: code, context: place))")
  }

  private mutating func dropCurrent(_ reason: DropReason) {
    if let batch = current.take() { drop(batch, reason) }
  }

  private mutating func dropQueue(_ reason: DropReason) {
    while let batch = queue.pop() { drop(batch, reason) }
  }

  private mutating func drop(_ batch: consuming SharedLease<Batch>, _ reason: DropReason) {
    tally.dropped[reason] += UInt64(batch.value.rows)
  }
}
