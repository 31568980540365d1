import IO

/// What waits for one sink, in order: bounded in bytes, charged to the process's budget, counted row by row.
///
/// The batch at the front is the one being written, if one is. It decides what to keep, copy and drop; the sink's writer
/// performs.
struct DeliveryQueue: ~Copyable {
  private(set) var policy: QueuePolicy
  var tally = SinkTally()
  /// The front is being written, or a part of it is out: it must stay.
  var isFrontPinned = false
  /// Changes with the front: tells one batch from the next.
  private(set) var frontNumber: UInt64 = 0
  /// Bytes of copies.
  private(set) var charged = 0
  private(set) var rows: UInt64 = 0

  private var batches: HeldBatches
  private var account: MemoryBudget.Account
  /// Batches that are still in their pool.
  private var pooled = 0
  /// Some are there because there would be room in a moment.
  private var holds = false

  init(_ policy: QueuePolicy, account: MemoryBudget.Account, capacity: Int) {
    self.policy = policy
    self.account = account
    batches = HeldBatches(capacity: capacity)
  }

  var isEmpty: Bool { batches.isEmpty }
  var count: Int { batches.count }
  var frontRows: Int { isEmpty ? 0 : batches[0].rows }
  var frontBytes: UnsafeRawBufferPointer {
    isEmpty ? UnsafeRawBufferPointer(start: nil, count: 0) : batches[0].bytes
  }

  func gauges(isSending: Bool) -> QueueGauges {
    var gauges = QueueGauges()
    gauges.bytes = charged
    gauges.limit = policy.limit
    gauges.reserve = policy.reserve
    gauges.sendingRows = isSending ? UInt64(frontRows) : 0
    gauges.queuedRows = rows - gauges.sendingRows
    gauges.oldestBatch = isEmpty ? 0 : batches[0].sealedAt
    return gauges
  }

  // MARK: In

  /// Takes a batch, or drops by policy.
  ///
  /// - Parameters:
  ///   - writesAtOnce: nothing is before it and it will be written now: it may stay in its pool for that.
  ///   - mayHold: there will be room in a moment: until then it may stay in its pool even if encoding has to wait.
  mutating func accept(_ offer: inout BatchOffer, writesAtOnce: Bool, mayHold: Bool) {
    tally.accepted += UInt64(offer.rows)
    if writesAtOnce, offer.canSpare { return append(.pooled(offer.share())) }
    switch makeRoom(for: offer.charge, canWait: offer.canSpare, mayHold: mayHold) {
    case .made:
      if let copy = offer.copy() { return append(.own(copy)) }
      release(offer.charge)
      noRoom(.memory, offer)
    case .waits:
      if mayHold { holds = true }
      append(.pooled(offer.share()))
    case .refused(let reason): noRoom(reason, offer)
    }
  }

  /// Takes a batch whatever the limits say: the queue is about to go elsewhere, and encoding must not wait for it.
  mutating func acceptBeyondLimits(_ offer: inout BatchOffer) {
    tally.accepted += UInt64(offer.rows)
    guard let copy = offer.copy() else { return append(.pooled(offer.share())) }
    account.force(offer.charge)
    charged += offer.charge
    append(.own(copy))
  }

  /// Copies what waits in its pool whatever the limits say, for the same reason.
  ///
  /// - Parameter andFront: the front is not being written.
  mutating func leavePool(andFront: Bool) {
    let first = andFront ? 0 : 1
    guard pooled > 0, count > first else { return }
    for index in first..<count where batches[index].isPooled {
      let charge = BatchCopy.charge(for: batches[index].bytes.count)
      account.force(charge)
      charged += charge
      if !replace(index) { release(charge) }
    }
  }

  /// Counts a batch that comes too late to be taken.
  mutating func reject(_ offer: borrowing BatchOffer, _ reason: DropReason) {
    tally.accepted += UInt64(offer.rows)
    tally.dropped[reason] += UInt64(offer.rows)
  }

  private mutating func noRoom(_ reason: DropReason, _ offer: borrowing BatchOffer) {
    if policy.whenFull == .block { append(.pooled(offer.share())) } else { tally.dropped[reason] += UInt64(offer.rows) }
  }

  private mutating func append(_ batch: consuming HeldBatch) {
    rows += UInt64(batch.rows)
    if batch.isPooled { pooled += 1 }
    if isEmpty { frontNumber += 1 }
    batches.append(batch)
  }

  // MARK: Room

  private enum Room {
    /// There is room, and it is charged.
    case made
    /// The batch has to stay where it is for now.
    case waits
    case refused(DropReason)
  }

  private mutating func makeRoom(for charge: Int, canWait: Bool, mayHold: Bool) -> Room {
    let beyond = charged + charge - policy.limit
    if charged > 0, beyond > 0, mayHold || !giveWay(beyond, .queueFull) {
      return mayHold || policy.whenFull == .block ? .waits : .refused(.queueFull)
    }
    while true {
      switch account.take(charge) {
      case .granted:
        charged += charge
        return .made
      case .awaited where canWait || mayHold: return .waits
      case .awaited: if !giveWay(charge, .memory) { return .refused(.memory) }
      case .refused where mayHold: return .waits
      case .refused(let needed):
        if !giveWay(needed, .memory) { return policy.whenFull == .block ? .waits : .refused(.memory) }
      }
    }
  }

  /// Makes room for what comes by dropping what has waited longest, if that is the policy and enough can be dropped.
  private mutating func giveWay(_ bytes: Int, _ reason: DropReason) -> Bool {
    guard policy.whenFull == .dropOldest, droppable >= bytes else { return false }
    drop(bytes, fromEnd: false, reason)
    return true
  }

  /// Bytes of copies that may be dropped.
  private var droppable: Int { charged - (isFrontPinned && !isEmpty ? batches[0].charge : 0) }

  /// Drops copies, oldest or newest first, until so many bytes are free or none is left.
  private mutating func drop(_ bytes: Int, fromEnd: Bool, _ reason: DropReason) {
    let goal = charged - min(bytes, droppable)
    let first = isFrontPinned ? 1 : 0
    var index = fromEnd ? count - 1 : first
    while charged > goal, index >= first, index < count {
      if batches[index].isPooled { index += fromEnd ? -1 : 1; continue }
      drop(at: index, reason)
      if fromEnd { index -= 1 }
    }
  }

  private mutating func release(_ charge: Int) {
    charged -= charge
    account.give(charge)
  }

  // MARK: Out

  /// The front has been written.
  mutating func deliverFront() {
    isFrontPinned = false
    tally.delivered += UInt64(remove(at: 0))
  }

  /// The front is given up.
  mutating func dropFront(_ reason: DropReason) {
    isFrontPinned = false
    drop(at: 0, reason)
  }

  mutating func dropAll(_ reason: DropReason) {
    isFrontPinned = false
    while !isEmpty { drop(at: 0, reason) }
  }

  private mutating func drop(at index: Int, _ reason: DropReason) { tally.dropped[reason] += UInt64(remove(at: index)) }

  /// Takes one out and returns its rows.
  private mutating func remove(at index: Int) -> Int {
    let batch = batches.remove(at: index)
    let (taken, charge) = (batch.rows, batch.charge)
    rows -= UInt64(taken)
    if batch.isPooled { pooled -= 1 }
    if charge > 0 { release(charge) }
    if index == 0 { frontNumber += 1 }
    return taken
  }

  // MARK: Keeping order

  /// Does what the budget asks for, and copies what waits in its pool as far as there is room. Called once a turn.
  ///
  /// - Parameter andFront: the front is not about to be written.
  mutating func settle(andFront: Bool) {
    if account.isAsked { shed() }
    let first = andFront ? 0 : 1
    guard pooled > 0, count > first else { return }
    for index in first..<count where batches[index].isPooled {
      if !own(index) { return }
    }
  }

  /// Gives memory back that others need more, by the own policy.
  private mutating func shed() {
    let demand = account.demand
    if demand > 0, policy.whenFull != .block { drop(demand, fromEnd: policy.whenFull == .dropNewest, .memory) }
    account.answerDemand()
  }

  /// Copies a batch out of its pool if there is room without dropping anything.
  private mutating func own(_ index: Int) -> Bool {
    let charge = BatchCopy.charge(for: batches[index].bytes.count)
    guard charged == 0 || charged + charge <= policy.limit, account.take(charge) == .granted else { return false }
    charged += charge
    if replace(index) { return true }
    release(charge)
    return false
  }

  /// The copy is charged already.
  private mutating func replace(_ index: Int) -> Bool {
    guard let copy = batches[index].owned() else { return false }
    batches[index] = .own(copy)
    pooled -= 1
    return true
  }

  /// Another policy for what waits and what comes: a smaller limit drops by it.
  mutating func apply(_ policy: QueuePolicy) {
    self.policy = policy
    account.configure(reserve: policy.reserve, sheds: policy.whenFull != .block)
    guard policy.whenFull != .block else { return }
    // Not the last one that is left: a single batch may be bigger than the limit.
    while charged > policy.limit, droppable > 0, count - pooled > 1 {
      drop(1, fromEnd: policy.whenFull == .dropNewest, .queueFull)
    }
    letPoolGo()
  }

  /// Copies or drops by policy what waits in its pool, now.
  mutating func letPoolGo() {
    holds = false
    guard policy.whenFull != .block else { return }
    while hasWaitingInPool, let index = (1..<count).first(where: { batches[$0].isPooled }) {
      if own(index) { continue }
      if policy.whenFull == .dropOldest, droppable > 0 {
        drop(1, fromEnd: false, .queueFull)
      } else {
        drop(at: index, .queueFull)
      }
    }
  }

  /// Encoding may be waiting for this queue, although its policy is to drop.
  var isHolding: Bool { holds && hasWaitingInPool }

  private var hasWaitingInPool: Bool { pooled > (!isEmpty && batches[0].isPooled ? 1 : 0) }

  // MARK: Moving

  /// All that waits, as copies, with the account that they are charged to and what has been counted so far.
  ///
  /// - Parameter output: what the destination has of it.
  mutating func release(_ output: consuming OutputMark) -> SinkEstate {
    var moved: [BatchCopy] = []
    moved.reserveCapacity(count)
    isFrontPinned = false
    var isFront = true
    while !isEmpty {
      // A pool is about to go with its pipeline: its batches move whatever the limits say.
      if batches[0].isPooled {
        let charge = BatchCopy.charge(for: batches[0].bytes.count)
        account.force(charge)
        charged += charge
        if !replace(0) {
          release(charge)
          drop(at: 0, .memory)
          if isFront { output.part = nil }
          isFront = false
          continue
        }
      }
      isFront = false
      if case .own(let copy) = takeFront() { moved.append(copy) }
    }
    let estate = SinkEstate(tally: tally, batches: moved, account: account, output: output)
    account = account.openAnother(reserve: 0, sheds: policy.whenFull != .block)
    (charged, tally) = (0, SinkTally())
    return estate
  }

  /// Takes the front out and leaves its charge.
  private mutating func takeFront() -> HeldBatch {
    let batch = batches.remove(at: 0)
    rows -= UInt64(batch.rows)
    frontNumber += 1
    return batch
  }

  /// Puts what another queue left before what has come since. `isFrontPinned` says whether a part of its first batch is
  /// out.
  mutating func inherit(_ estate: SinkEstate) {
    for copy in estate.batches.reversed() {
      rows += UInt64(copy.rows)
      charged += copy.charge
      batches.prepend(.own(copy))
    }
    frontNumber += 1
    tally += estate.tally
    if let left = estate.account { account.absorb(left) }
    apply(policy)
  }

  /// Keeps the memory of the front for the life of the process.
  mutating func leakFront() { if !isEmpty { batches[0].share().leak() } }

  /// One more right to the front.
  func shareFront() -> HeldBatch? { isEmpty ? nil : batches[0].share() }
}
