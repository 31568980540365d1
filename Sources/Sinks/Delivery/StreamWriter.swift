import Glibc
import IO

/// Writes batches, in order and whole, to one descriptor through a port: one write in flight, the rest queued.
///
/// When the kernel refuses (a full disk), the batch is kept and tried again on a schedule, and what comes waits behind it. A batch
/// of which a part is out already goes on where it was cut: the output never holds half a row followed by another.
struct StreamWriter: ~Copyable {
  /// What is being written.
  enum Segment { case none, header, batch }

  /// What becomes of a batch beside being written.
  struct Treatment {
    /// Header and batches are compressed, each into a frame of its own.
    var compresses = false
    /// A batch is delivered when it is on the disk.
    var synchronizes = false
  }

  var delivery: Delivery
  private(set) var descriptor: Int32
  private(set) var segment = Segment.none
  private(set) var progress = WriteProgress(total: 0)
  /// A batch has had its time, but a part of it is out: `giveUp` once that is taken back.
  private(set) var isExpired = false

  private let port: any Port
  private let owner: UInt32
  private var place: String
  private let header: UnsafeRawBufferPointer
  private var headerIsDue: Bool
  private var writing: OperationToken?
  private var lastError: Int32 = 0
  private let treatment: Treatment
  private let compressor: FrameCompressor?
  /// The segment in hand as a frame.
  private var frame = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var frameBytes = 0
  /// The batch in hand is out and shall be on the disk.
  private var isSynchronizing = false
  /// It did not get there: it has to be taken back, and written anew.
  private(set) var mustTakeBack = false
  /// The batch under a write in flight that was given away meanwhile.
  private var orphan: HeldBatch?
  private var isHeaderLeaked = false

  /// - Parameters:
  ///   - needsHeader: false when the output has one already.
  ///   - place: the path or name that an error message shows.
  init(
    _ output: SinkOutput, descriptor: Int32, needsHeader: Bool, place: String, treatment: Treatment = Treatment()
  ) {
    self.treatment = treatment
    compressor = treatment.compresses ? FrameCompressor() : nil
    port = output.port
    owner = output.owner
    self.descriptor = descriptor
    self.place = place
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: output.header.count, alignment: 1)
    copy.copyBytes(from: output.header)
    header = UnsafeRawBufferPointer(copy)
    headerIsDue = needsHeader && !output.header.isEmpty
    delivery = Delivery(output)
  }

  deinit {
    if isHeaderLeaked { return }
    header.deallocate()
    frame.deallocate()
  }

  /// Nothing is queued or being written.
  var isIdle: Bool { delivery.isIdle }
  /// Between two segments, or waiting with one that is refused: the moments at which the descriptor may be exchanged.
  var mayExchange: Bool { writing == nil && (segment == .none || delivery.isFailing) && !delivery.isShutDown }
  /// Bytes at the end of the output that belong to a segment that is not out as a whole.
  var partBytes: Int { writing == nil && segment != .none ? progress.written : 0 }
  var gauges: QueueGauges { delivery.queue.gauges(isSending: writing != nil && segment == .batch) }

  // MARK: Writing

  /// Does what is due: gives way to other queues, and starts the next write unless one is in flight or it is too early.
  mutating func pump() {
    delivery.settle()
    startWrite()
    delivery.watchHold()
  }

  private mutating func startWrite() {
    guard delivery.mayTry(now: MonotonicTime.now().nanoseconds) else { return }
    if segment == .none, !beginSegment() { return }
    if isSynchronizing {
      writing = port.synchronize(descriptor, owner: owner)
    } else {
      let rest = UnsafeRawBufferPointer(rebasing: segmentBytes[progress.written...])
      writing = port.write(descriptor, rest, owner: owner)
    }
    if writing != nil { delivery.started(1) } else { forgetUnstarted() }
  }

  /// Takes in the completion of the write in flight; `pump` starts the next one.
  ///
  /// - Parameter canTakeBack: the last bytes of the output can be cut off again.
  mutating func finishWrite(result: Int32, canTakeBack: Bool) {
    writing = nil
    if orphan.take() != nil {
      _ = delivery.ended()
      return
    }
    if isSynchronizing { return finishSynchronizing(result) }
    if result > 0 { delivery.queue.tally.bytes += UInt64(result) }
    let step = progress.advance(by: result)
    _ = delivery.ended(pinned: segment == .batch && progress.written > 0 ? 1 : 0)
    switch step {
    case .more: forgetUnstarted()
    case .complete where treatment.synchronizes && segment == .batch:
      isSynchronizing = true
      _ = delivery.ended(pinned: 1)
    case .complete: endSegment()
    case .refused(let code), .cut(let code): writeFailed(code, canTakeBack: canTakeBack)
    case .broken(let code):
      fail(code)
      segment = .none
      delivery.close(.closed)
    }
  }

  /// False: the segment could not be compressed, and is tried again or dropped.
  private mutating func beginSegment() -> Bool {
    segment = headerIsDue ? .header : .batch
    delivery.begin()
    if treatment.compresses, !compress() {
      segment = .none
      writeFailed(ENOMEM, canTakeBack: true)
      return false
    }
    progress = WriteProgress(total: segmentBytes.count)
    return true
  }

  /// What is to be written.
  private var segmentBytes: UnsafeRawBufferPointer {
    if treatment.compresses { return UnsafeRawBufferPointer(rebasing: frame[..<frameBytes]) }
    return segment == .header ? header : delivery.queue.frontBytes
  }

  private mutating func compress() -> Bool {
    let bytes = segment == .header ? header : delivery.queue.frontBytes
    let bound = FrameCompressor.bound(bytes.count)
    if frame.count < bound {
      frame.deallocate()
      frame = .allocate(byteCount: bound, alignment: 16)
    }
    guard let size = compressor?.compress(pieces: 1, total: bytes.count, into: frame, { _ in bytes }) else {
      return false
    }
    frameBytes = size
    return true
  }

  /// A segment of which nothing is out begins anew: until then its batch may give way to others.
  private mutating func forgetUnstarted() { if progress.written == 0 { segment = .none } }

  private mutating func endSegment() {
    delivery.succeeded()
    if segment == .header { headerIsDue = false } else { delivery.queue.deliver() }
    segment = .none
  }

  private mutating func finishSynchronizing(_ result: Int32) {
    _ = delivery.ended(pinned: 1)
    if result == -EINTR || result == -EAGAIN || result == -ECANCELED { return }
    isSynchronizing = false
    // EINVAL: a pipe, which has no disk.
    if result >= 0 || result == -EINVAL { return endSegment() }
    // What the kernel could not write it forgets (fsync(2)): the batch is written once more.
    fail(-result, "fdatasync")
    mustTakeBack = true
    isExpired = delivery.hasExpired()
  }

  /// The part or the whole of the batch that was out has been taken back.
  mutating func beginAnew() {
    mustTakeBack = false
    segment = .none
    delivery.queue.pinned = 0
  }

  // MARK: Failing

  private mutating func fail(_ code: Int32, _ operation: StaticString = "write") {
    lastError = code
    delivery.complain("\(SystemError(operation, errno: code, context: place))")
  }

  private mutating func writeFailed(_ code: Int32, canTakeBack: Bool) {
    fail(code)
    let isPartOut = progress.written > 0
    guard delivery.hasExpired(mayGiveUp: !isPartOut || canTakeBack) else { return forgetUnstarted() }
    if isPartOut { isExpired = true } else { giveUp() }
  }

  /// Drops the batch in hand, of which nothing is out, or nothing any more. The next one is tried at once.
  mutating func giveUp() {
    isExpired = false
    mustTakeBack = false
    segment = .none
    delivery.forgetFailure()
    delivery.queue.drop(1, delivery.reasonToDrop(DropReason(writeError: lastError)))
  }

  /// Goes on with another descriptor, or with one that was emptied. A batch in hand is written to it whole, at once.
  mutating func exchange(_ descriptor: Int32, needsHeader: Bool, place: String) {
    self.descriptor = descriptor
    self.place = place
    headerIsDue = needsHeader && !header.isEmpty
    segment = .none
    isSynchronizing = false
    delivery.reopen()
  }

  /// An output that is empty has no header.
  mutating func outputIsEmpty(_ isEmpty: Bool = true) {
    if segment == .none { headerIsDue = isEmpty && !header.isEmpty }
  }

  /// Lets go of everything, and of what still comes, counted as dropped by shutdown. The port is torn down.
  mutating func abandon(isStuck: Bool) {
    if writing != nil, isStuck {
      // Which of the port's operations is stuck is not known: one of ours may be.
      isHeaderLeaked = true
      if let orphan = orphan.take() { orphan.leak() } else { delivery.queue.leakFront() }
    }
    writing = nil
    isExpired = false
    segment = .none
    delivery.abandon(isStuck: isStuck)
  }

  // MARK: Hand-over

  mutating func beginRelease() {
    delivery.beginRelease()
    if let writing { port.cancel(writing) }
  }

  /// What comes of the write in flight will not be known in time: its batch is written once more.
  mutating func forceRelease() {
    if delivery.forceRelease() { orphan = delivery.queue.share(0) }
  }

  /// Gives away what waits, once.
  ///
  /// - Parameter tail: what is out in part, if it can be taken back.
  mutating func takeEstate(_ identity: OutputIdentity?, tail: consuming TornTail?) -> SinkEstate? {
    guard delivery.isReleased else { return nil }
    // A frame is made anew by whoever goes on: nobody goes on in the middle of one.
    let isPart = partBytes > 0 && !treatment.compresses && !isSynchronizing
    let part = isPart ? WrittenPart(isHeader: segment == .header, bytes: progress.written) : nil
    let output = OutputMark(identity: identity, isHeaderOut: !headerIsDue, part: part, tail: tail)
    segment = .none
    return delivery.takeEstate(output)
  }

  /// Takes over what another writer left.
  ///
  /// - Parameter part: what this output has already of the first segment.
  mutating func inherit(_ estate: SinkEstate, part: WrittenPart?, needsHeader: Bool) {
    headerIsDue = needsHeader && !header.isEmpty
    guard delivery.inherit(estate, pinned: part.map { $0.isHeader ? 0 : 1 } ?? 0) else { return }
    if let part {
      segment = part.isHeader ? .header : .batch
      headerIsDue = part.isHeader
      progress = WriteProgress(
        total: part.isHeader ? header.count : delivery.queue.frontBytes.count, written: part.bytes)
    }
    proceed()
  }

  /// Begins to write, or goes on.
  mutating func proceed() {
    delivery.proceed()
    pump()
  }
}
