import IO

/// What every sink with a queue does alike: what it takes in, when it may send, when it tries again and gives up, what it hands over. A
/// value: the sink performs.
struct Delivery: ~Copyable {
  enum Phase: Equatable {
    /// Another sink's queue is expected: nothing is sent before it.
    case awaiting
    case open
    /// Nothing is sent any more; what comes is dropped under this name.
    case closed(DropReason)
  }

  var queue: DeliveryQueue
  private(set) var phase: Phase
  private(set) var state = SinkState.up
  /// Something is under way whose outcome is not known.
  private(set) var isSending = false
  /// Its queue is about to go, or gone: nothing further is sent.
  private(set) var isReleasing = false
  private var hasLeft = false
  /// What is under way was given away meanwhile: nobody waits for the outcome.
  private(set) var isOrphaned = false
  /// Not before this time is the next thing sent, monotonic nanoseconds; set while it fails.
  private(set) var retryAt: Int64?
  private let port: any Port
  private let owner: UInt32
  /// Nothing more comes: what is on disk stays there.
  private var isDraining = false
  private var schedule: RetrySchedule
  private var jitter: SplitMix64

  /// What is left of `SinkOutput.patience`, since when it is used, and when what is under way was begun. Nanoseconds, monotonic.
  private let patience: Int64
  private var patienceLeft: Int64
  private var heldSince: Int64?
  private var startedAt: Int64 = 0
  /// What takes longer is not written by an output that keeps up.
  private static let longestWrite: Int64 = 100_000_000

  init(_ output: SinkOutput) {
    phase = output.awaitsEstate ? .awaiting : .open
    let account = output.budget.openAccount(
      reserve: output.queue.reserve, sheds: output.queue.whenFull.drops, wake: output.wake)
    port = output.port
    owner = output.owner
    queue = DeliveryQueue(output.queue, account: account, capacity: output.capacity, spool: output.spool)
    if phase == .open { queue.restore() }
    schedule = RetrySchedule(output.retry)
    patience = output.patience
    patienceLeft = output.patience
    jitter = SplitMix64(seed: .random(in: 0 ... .max))
  }

  /// Nothing is queued or under way; what is on disk may stay there.
  var isIdle: Bool { queue.isEmpty && !isSending && queue.isSpoolQuiet }
  /// The last attempt failed, and the next one waits for its time.
  var isFailing: Bool { retryAt != nil }
  var maySend: Bool { phase == .open && !isReleasing }
  var isShutDown: Bool { if case .closed(let reason) = phase { reason != .closed } else { false } }
  var giveUpAfter: Int64 { schedule.policy.giveUpAfter }

  /// When there is something to do although nothing happens.
  var nextDeadline: Int64? {
    if queue.isHolding, let heldSince { return min(startedAt + Self.longestWrite, heldSince + patienceLeft) }
    let attempt = maySend && !isSending && !queue.isEmpty ? retryAt : nil
    guard maySend, !isDraining, let disk = queue.spoolDeadline else { return attempt }
    return min(disk, attempt ?? .max)
  }

  /// The next attempt may be made now.
  func mayTry(now: @autoclosure () -> Int64) -> Bool {
    guard maySend, !isSending, !queue.isEmpty else { return false }
    return retryAt.map { now() >= $0 } ?? true
  }

  // MARK: In

  /// Takes a batch, or drops by policy.
  ///
  /// - Parameter isReady: it would be sent at once from where it is.
  mutating func accept(_ offer: inout BatchOffer, isReady: Bool) {
    if case .closed(let reason) = phase { return queue.reject(offer, reason) }
    // Who waits for an estate does not know yet what is on disk before this.
    let comesBeforeEstate = phase == .awaiting && queue.policy.whenFull == .spill
    if isReleasing || comesBeforeEstate { return queue.acceptBeyondLimits(&offer) }
    let writesAtOnce = isReady && maySend && isIdle && !isFailing && !queue.hasSpilled
    let mayHold = !writesAtOnce && patience > 0 && keepsUp(MonotonicTime.now().nanoseconds)
    queue.accept(&offer, writesAtOnce: writesAtOnce, mayHold: mayHold)
  }

  /// There will be room in a moment.
  private func keepsUp(_ now: Int64) -> Bool {
    guard isSending, maySend, !isFailing, queue.policy.whenFull.drops else { return false }
    return now - startedAt < Self.longestWrite && (heldSince.map { now - $0 } ?? 0) < patienceLeft
  }

  /// Gives way to other queues, and copies what waits in its pool.
  mutating func settle() {
    let busy = isSending ? max(1, queue.pinned) : 0
    if isReleasing { queue.leavePool(besides: busy) }
    queue.settle(besides: isSending || (maySend && !isFailing) ? max(1, busy) : 0)
    if !isReleasing { queue.pumpSpool(port, owner: owner, mayRead: phase == .open && !isDraining) }
  }

  /// Nothing more comes.
  mutating func drain() { isDraining = true }

  /// Whether a completion was of what goes to disk or comes from there.
  mutating func handle(_ completion: borrowing Completion) -> Bool {
    queue.finishSpoolOperation(completion.token, result: completion.result)
  }

  /// Counts the time for which encoding is held up, and ends it when it has been long enough.
  mutating func watchHold() {
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

  // MARK: Out

  /// Something new is begun.
  mutating func begin() { if patience > 0 { startedAt = MonotonicTime.now().nanoseconds } }

  /// The first batches are under way.
  mutating func started(_ count: Int) {
    isSending = true
    queue.pinned = count
  }

  /// The outcome is known. True if anybody still wants to know it.
  mutating func ended(pinned: Int = 0) -> Bool {
    isSending = false
    if isOrphaned {
      isOrphaned = false
      return false
    }
    queue.pinned = pinned
    return true
  }

  /// It works.
  mutating func succeeded() {
    state = .up
    retryAt = nil
    schedule.succeeded()
  }

  /// It does not work: for people.
  mutating func complain(_ message: String) { state = .failing(message) }

  /// What is at the front was tried in vain: says whether it has had its time. If not, it is tried again at a time drawn at random.
  ///
  /// - Parameters:
  ///   - mayGiveUp: false for what cannot be taken back.
  ///   - notBefore: nanoseconds from now that the destination asks to be left alone for.
  mutating func hasExpired(mayGiveUp: Bool = true, notBefore: Int64 = 0) -> Bool {
    let now = MonotonicTime.now().nanoseconds
    switch schedule.failed(batch: queue.frontNumber, now: now, mayGiveUp: mayGiveUp, using: &jitter) {
    case .expired: return true
    case .retry(let time):
      retryAt = max(time, now + notBefore)
      return false
    }
  }

  /// The name under which what has had its time is dropped: its own if there was no time.
  func reasonToDrop(_ cause: DropReason) -> DropReason { schedule.policy.giveUpAfter > 0 ? .expired : cause }

  /// The next one is tried at once.
  mutating func forgetFailure() { retryAt = nil }

  /// Another destination, or the same anew.
  mutating func reopen() {
    queue.pinned = 0
    retryAt = nil
    if phase == .closed(.closed) { phase = .open }
  }

  mutating func close(_ reason: DropReason) {
    phase = .closed(reason)
    retryAt = nil
    queue.dropAll(reason)
  }

  /// Lets go of everything, and of what still comes: it is kept on disk if that is the policy, else counted as dropped by shutdown.
  ///
  /// - Parameter isStuck: the kernel may still read and write the memory of operations.
  mutating func abandon(isStuck: Bool) {
    isSending = false
    isOrphaned = false
    queue.abandonSpoolOperations(isStuck: isStuck)
    queue.end(.shutdown)
    close(.shutdown)
  }

  // MARK: Hand-over

  mutating func beginRelease() {
    isReleasing = true
    settle()
  }

  var isReleased: Bool { isReleasing && (!isSending || isOrphaned) && !queue.hasSpoolOperation }

  /// What comes of what is under way will not be known in time: it is sent once more. True if the caller has to keep its memory.
  mutating func forceRelease() -> Bool {
    guard isReleasing else { return false }
    queue.abandonSpoolOperations(isStuck: true)
    guard isSending, !isOrphaned else { return false }
    isOrphaned = true
    return true
  }

  /// Gives away what waits, once.
  ///
  /// - Parameter output: what the destination has of it.
  mutating func takeEstate(_ output: consuming OutputMark?) -> SinkEstate? {
    guard isReleased, !hasLeft else { return nil }
    hasLeft = true
    retryAt = nil
    return queue.release(output)
  }

  /// Takes over what another sink left. False: there is nothing to do with it any more, and it is counted.
  mutating func inherit(_ estate: SinkEstate, pinned: Int = 0) -> Bool {
    queue.pinned = pinned
    queue.inherit(estate)
    guard case .closed(let reason) = phase else { return true }
    queue.dropAll(reason)
    return false
  }

  /// Begins to send, or goes on.
  mutating func proceed() {
    // What was taken beyond the limits for a hand-over gives way by the policy.
    if isReleasing { queue.apply(queue.policy) }
    (isReleasing, hasLeft) = (false, false)
    queue.restore()
    if phase == .awaiting { phase = .open }
  }
}
