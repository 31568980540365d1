import Glibc
import IO

/// Writes batches, in order and whole, to one descriptor through a port: one write in flight, the rest queued.
///
/// When the kernel refuses (a full disk), the batch is kept and tried again on a schedule, and what comes waits behind it. A batch
/// of which a part is out already goes on where it was cut: the output never holds half a row followed by another.
struct StreamWriter: ~Copyable {
  /// What is being written.
  enum Segment { case none, header, batch }

  enum Phase: Equatable {
    /// Another sink's queue is expected: nothing is written before it.
    case awaiting
    case open
    /// Nothing is written any more; what comes is dropped under this name.
    case closed(DropReason)
  }

  var queue: DeliveryQueue
  private(set) var state = SinkState.up
  private(set) var descriptor: Int32
  private(set) var phase: Phase
  private(set) var segment = Segment.none
  private(set) var progress = WriteProgress(total: 0)
  /// Its queue is about to go, or gone: no further write is started.
  private(set) var isReleasing = false
  private var hasLeft = false
  /// A batch has had its time, but a part of it is out: `giveUp` once that is taken back.
  private(set) var isExpired = false

  private let port: any Port
  private let owner: UInt32
  private let place: String
  private let header: UnsafeRawBufferPointer
  private var headerIsDue: Bool
  private var writing: OperationToken?
  /// Not before this time is the next write started, monotonic nanoseconds; set while writes fail.
  private var retryAt: Int64?
  private var schedule: RetrySchedule
  private var jitter: SplitMix64
  private var lastError: Int32 = 0
  /// The batch under a write in flight that was given away meanwhile: nobody waits for the result.
  private var orphan: HeldBatch?
  private var isHeaderLeaked = false

  /// What is left of `SinkOutput.patience`, since when it is used, and when the batch in hand was begun. Nanoseconds, monotonic.
  private let patience: Int64
  private var patienceLeft: Int64
  private var heldSince: Int64?
  private var segmentStarted: Int64 = 0
  /// A batch that takes longer is not written by an output that keeps up.
  private static let longestWrite: Int64 = 100_000_000

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
    phase = output.awaitsEstate ? .awaiting : .open
    let account = output.budget.openAccount(
      reserve: output.queue.reserve, sheds: output.queue.whenFull != .block, wake: output.wake)
    queue = DeliveryQueue(output.queue, account: account, capacity: output.capacity)
    schedule = RetrySchedule(output.retry)
    patience = output.patience
    patienceLeft = output.patience
    jitter = SplitMix64(seed: .random(in: 0 ... .max))
  }

  deinit { if !isHeaderLeaked { header.deallocate() } }

  var isWriting: Bool { writing != nil }
  /// Nothing is queued or being written.
  var isIdle: Bool { queue.isEmpty && writing == nil }
  /// The last write was refused, and the next one waits for its time.
  var isFailing: Bool { retryAt != nil }
  /// Between two segments, or waiting with one that is refused: the moments at which the descriptor may be exchanged.
  var mayExchange: Bool { writing == nil && (segment == .none || isFailing) && !isShutDown }
  /// Bytes at the end of the output that belong to a segment that is not out as a whole.
  var partBytes: Int { writing == nil && segment != .none ? progress.written : 0 }
  var nextDeadline: Int64? {
    if queue.isHolding, let heldSince { return min(segmentStarted + Self.longestWrite, heldSince + patienceLeft) }
    return mayWrite && writing == nil && !queue.isEmpty ? retryAt : nil
  }
  var gauges: QueueGauges { queue.gauges(isSending: writing != nil && segment == .batch) }

  private var mayWrite: Bool { phase == .open && !isReleasing }
  private var isShutDown: Bool { if case .closed(let reason) = phase { reason != .closed } else { false } }

  // MARK: In

  /// Takes a batch, or drops by policy. `pump` starts its writing.
  mutating func accept(_ offer: inout BatchOffer) {
    if case .closed(let reason) = phase { return queue.reject(offer, reason) }
    if isReleasing { return queue.acceptBeyondLimits(&offer) }
    let writesAtOnce = mayWrite && isIdle && !isFailing
    let mayHold = !writesAtOnce && patience > 0 && keepsUp(MonotonicTime.now().nanoseconds)
    queue.accept(&offer, writesAtOnce: writesAtOnce, mayHold: mayHold)
  }

  /// There will be room in a moment.
  private func keepsUp(_ now: Int64) -> Bool {
    guard writing != nil, mayWrite, !isFailing, queue.policy.whenFull != .block else { return false }
    return now - segmentStarted < Self.longestWrite && (heldSince.map { now - $0 } ?? 0) < patienceLeft
  }

  /// Counts the time for which encoding is held up, and ends it when it has been long enough.
  private mutating func watchHold() {
    guard patience > 0 else { return }
    if queue.isEmpty { patienceLeft = patience }
    guard queue.isHolding || heldSince != nil else { return }
    let now = MonotonicTime.now().nanoseconds
    if queue.isHolding, heldSince == nil { heldSince = now }
    if queue.isHolding, !keepsUp(now) { queue.letPoolGo() }
    if !queue.isHolding, let since = heldSince {
      patienceLeft -= now - since
      heldSince = nil
    }
  }

  mutating func apply(_ policy: QueuePolicy, _ retry: RetryPolicy) {
    queue.apply(policy)
    schedule.policy = retry
    if let retryAt { self.retryAt = schedule.shortened(retryAt, now: MonotonicTime.now().nanoseconds) }
  }

  // MARK: Writing

  /// Does what is due: gives way to other queues, and starts the next write unless one is in flight or it is too early.
  mutating func pump() {
    if isReleasing { queue.leavePool(andFront: writing == nil) }
    queue.settle(andFront: writing == nil && (!mayWrite || isFailing))
    startWrite()
    watchHold()
  }

  private mutating func startWrite() {
    guard mayWrite, writing == nil, !queue.isEmpty else { return }
    if let retryAt, MonotonicTime.now().nanoseconds < retryAt { return }
    if segment == .none { beginSegment() }
    let bytes = segment == .header ? header : queue.frontBytes
    writing = port.write(descriptor, UnsafeRawBufferPointer(rebasing: bytes[progress.written...]), owner: owner)
    if writing != nil { queue.isFrontPinned = true } else { forgetUnstarted() }
  }

  /// Takes in the completion of the write in flight.
  ///
  /// - Parameter canTakeBack: the last bytes of the output can be cut off again.
  mutating func finishWrite(result: Int32, canTakeBack: Bool) {
    writing = nil
    if orphan.take() != nil { return pump() }
    if result > 0 { queue.tally.bytes += UInt64(result) }
    let step = progress.advance(by: result)
    queue.isFrontPinned = segment == .batch && progress.written > 0
    switch step {
    case .more: forgetUnstarted()
    case .complete: endSegment()
    case .refused(let code), .cut(let code): writeFailed(code, canTakeBack: canTakeBack)
    case .broken(let code):
      fail(code)
      close(.closed)
    }
    if !isExpired { pump() }
  }

  private mutating func beginSegment() {
    segment = headerIsDue ? .header : .batch
    if patience > 0 { segmentStarted = MonotonicTime.now().nanoseconds }
    progress = WriteProgress(total: headerIsDue ? header.count : queue.frontBytes.count)
  }

  /// A segment of which nothing is out begins anew: until then its batch may give way to others.
  private mutating func forgetUnstarted() { if progress.written == 0 { segment = .none } }

  private mutating func endSegment() {
    state = .up
    retryAt = nil
    schedule.succeeded()
    if segment == .header { headerIsDue = false } else { queue.deliverFront() }
    segment = .none
  }

  // MARK: Failing

  private mutating func fail(_ code: Int32) {
    lastError = code
    state = .failing("\(SystemError("write", errno: code, context: place))")
  }

  private mutating func writeFailed(_ code: Int32, canTakeBack: Bool) {
    fail(code)
    let isPartOut = progress.written > 0
    let verdict = schedule.failed(
      batch: queue.frontNumber, now: MonotonicTime.now().nanoseconds, mayGiveUp: !isPartOut || canTakeBack,
      using: &jitter)
    switch verdict {
    case .retry(let time):
      retryAt = time
      forgetUnstarted()
    case .expired where isPartOut: isExpired = true
    case .expired: giveUp()
    }
  }

  /// Drops the batch in hand, of which nothing is out, or nothing any more. The next one is tried at once.
  mutating func giveUp() {
    isExpired = false
    segment = .none
    retryAt = nil
    let reason = schedule.policy.giveUpAfter > 0 ? DropReason.expired : DropReason(writeError: lastError)
    queue.dropFront(reason)
  }

  /// Goes on with another descriptor, or with one that was emptied. A batch in hand is written to it whole, at once.
  mutating func exchange(_ descriptor: Int32, needsHeader: Bool) {
    self.descriptor = descriptor
    headerIsDue = needsHeader && !header.isEmpty
    segment = .none
    queue.isFrontPinned = false
    retryAt = nil
    if phase == .closed(.closed) { phase = .open }
  }

  /// An output that is empty has no header.
  mutating func outputIsEmpty(_ isEmpty: Bool = true) {
    if segment == .none { headerIsDue = isEmpty && !header.isEmpty }
  }

  private mutating func close(_ reason: DropReason) {
    phase = .closed(reason)
    segment = .none
    retryAt = nil
    queue.dropAll(reason)
  }

  /// Lets go of everything, and of what still comes, counted as dropped by shutdown. The port is torn down.
  mutating func abandon(isStuck: Bool) {
    if writing != nil, isStuck {
      // Which of the port's operations is stuck is not known: one of ours may be.
      isHeaderLeaked = true
      if let orphan = orphan.take() { orphan.leak() } else { queue.leakFront() }
    }
    writing = nil
    isExpired = false
    close(.shutdown)
  }

  // MARK: Hand-over

  mutating func beginRelease() {
    isReleasing = true
    queue.leavePool(andFront: writing == nil)
    if let writing { port.cancel(writing) }
  }

  var isReleased: Bool { isReleasing && (writing == nil || orphan != nil) }

  /// What comes of the write in flight will not be known in time: its batch is written once more.
  mutating func forceRelease() {
    if isReleasing, writing != nil, orphan == nil { orphan = queue.shareFront() }
  }

  /// Gives away what waits, once.
  ///
  /// - Parameter tail: what is out in part, if it can be taken back.
  mutating func takeEstate(_ identity: OutputIdentity?, tail: consuming TornTail?) -> SinkEstate? {
    guard isReleased, !hasLeft else { return nil }
    hasLeft = true
    let part = partBytes > 0 ? WrittenPart(isHeader: segment == .header, bytes: progress.written) : nil
    let output = OutputMark(identity: identity, isHeaderOut: !headerIsDue, part: part, tail: tail)
    segment = .none
    retryAt = nil
    return queue.release(output)
  }

  /// Takes over what another writer left.
  ///
  /// - Parameter part: what this output has already of the first segment.
  mutating func inherit(_ estate: SinkEstate, part: WrittenPart?, needsHeader: Bool) {
    if case .closed(let reason) = phase {
      queue.inherit(estate)
      queue.dropAll(reason)
      return
    }
    headerIsDue = needsHeader && !header.isEmpty
    queue.isFrontPinned = part.map { !$0.isHeader } ?? false
    queue.inherit(estate)
    if let part {
      segment = part.isHeader ? .header : .batch
      headerIsDue = part.isHeader
      progress = WriteProgress(total: part.isHeader ? header.count : queue.frontBytes.count, written: part.bytes)
    }
    proceed()
  }

  /// Begins to write, or goes on.
  mutating func proceed() {
    // What was taken beyond the limits for a hand-over gives way by the policy.
    if isReleasing { queue.apply(queue.policy) }
    (isReleasing, hasLeft) = (false, false)
    if phase == .awaiting { phase = .open }
    pump()
  }
}
