import IO

/// What waits for one sink, in order: bounded in bytes, charged to the process's budget, counted row by row.
///
/// The batch at the front is the one being written, if one is. It decides what to keep, copy and drop; the sink's writer
/// performs.
struct DeliveryQueue: ~Copyable {
  private(set) var policy: QueuePolicy
  var tally = SinkTally()
  /// Batches at the front that are being sent, or of which a part is out: they must stay.
  var pinned = 0
  /// Changes with the front: tells one batch from the next.
  private(set) var frontNumber: UInt64 = 0
  /// Bytes of copies.
  private(set) var charged = 0
  private(set) var rows: UInt64 = 0
  /// Bytes to ship.
  private(set) var byteCount = 0

  private var batches: HeldBatches
  /// What is on disk, behind all that is in memory; nil: nothing ever was.
  private var spool: Spool?
  private let spoolPlace: SpoolPlace?
  /// Batches of the pool that wait to be taken by the spool.
  private var waiting = HeldBatches(capacity: 1)
  /// What the spool holds in memory.
  private var spoolCharge = 0
  private var account: MemoryBudget.Account
  /// Batches that are still in their pool.
  private var pooled = 0
  /// Some are there because there would be room in a moment.
  private var holds = false

  init(_ policy: QueuePolicy, account: MemoryBudget.Account, capacity: Int, spool: SpoolPlace? = nil) {
    self.policy = policy
    spoolPlace = spool
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
    if isSending { for index in 0..<min(max(1, pinned), count) { gauges.sendingRows += UInt64(batches[index].rows) } }
    gauges.queuedRows = rows - gauges.sendingRows + waiting.rows
    if let spool { (gauges.spilledRows, gauges.spilledBytes) = (spool.rows, spool.bytes) }
    gauges.oldestBatch = oldestSealedAt
    return gauges
  }

  /// Wall clock at which the front was sealed; 0: nothing waits.
  var oldestSealedAt: Int64 { isEmpty ? 0 : batches[0].facts.sealedAt }

  /// How many batches at the front go together now; 0: more are waited for.
  ///
  /// - Parameters:
  ///   - isUrgent: nothing is waited for.
  ///   - wallClock: nanoseconds since 1970.
  func shipmentSize(_ gather: GatherPolicy?, isUrgent: Bool, wallClock: Int64) -> Int {
    guard let gather else { return min(1, count) }
    var (bytes, gathered, size) = (0, 0, 0)
    while size < count, bytes < gather.bytes, gathered < gather.rows {
      bytes += batches[size].bytes.count
      gathered += batches[size].rows
      size += 1
    }
    // More cannot come where there is no room for it.
    let isFull = !isEmpty && charged + batches[0].copyCharge > policy.limit
    let age = wallClock - oldestSealedAt
    // A clock that was set back makes nothing young again.
    let isOld = age >= gather.maxAge || age < 0
    return isUrgent || isFull || isOld || account.isAsked || bytes >= gather.bytes || gathered >= gather.rows ? size : 0
  }

  // MARK: In

  /// Takes a batch, or drops by policy.
  ///
  /// - Parameters:
  ///   - writesAtOnce: nothing is before it and it will be written now: it may stay in its pool for that.
  ///   - mayHold: there will be room in a moment: until then it may stay in its pool even if encoding has to wait.
  mutating func accept(_ offer: inout BatchOffer, writesAtOnce: Bool, mayHold: Bool) {
    tally.accepted += UInt64(offer.rows)
    if hasSpilled { return spill(&offer) }
    if writesAtOnce, offer.canSpare { return append(.pooled(offer.share())) }
    switch makeRoom(for: offer.charge, canWait: offer.canSpare, mayHold: mayHold) {
    case .made:
      if let copy = offer.copy() { return append(.own(copy)) }
      release(offer.charge)
      noRoom(.memory, offer)
    case .waits:
      if policy.whenFull == .spill { return spill(&offer) }
      if mayHold { holds = true }
      append(.pooled(offer.share()))
    case .refused(let reason): noRoom(reason, offer)
    }
  }

  /// Takes a batch whatever the limits say: the queue is about to go elsewhere, and encoding must not wait for it.
  mutating func acceptBeyondLimits(_ offer: inout BatchOffer) {
    tally.accepted += UInt64(offer.rows)
    if hasSpilled { return spill(&offer) }
    guard let copy = offer.copy() else { return append(.pooled(offer.share())) }
    account.force(offer.charge)
    charged += offer.charge
    append(.own(copy))
  }

  /// Copies what waits in its pool whatever the limits say, for the same reason.
  ///
  /// - Parameter first: batches at the front that are being sent.
  mutating func leavePool(besides first: Int) {
    guard pooled > 0, count > first else { return }
    for index in first..<count where batches[index].isPooled {
      let charge = batches[index].copyCharge
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
    byteCount += batch.bytes.count
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
    if policy.whenFull == .spill {
      guard charged == 0 || charged + charge <= policy.limit, account.take(charge) == .granted else { return .waits }
      charged += charge
      return .made
    }
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
  private var droppable: Int {
    var bytes = charged
    for index in 0..<min(pinned, count) { bytes -= batches[index].charge }
    return bytes
  }

  /// Drops copies, oldest or newest first, until so many bytes are free or none is left.
  private mutating func drop(_ bytes: Int, fromEnd: Bool, _ reason: DropReason) {
    let goal = charged - min(bytes, droppable)
    let first = min(pinned, count)
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

  /// The first batches have arrived, all rows of them but those that were refused.
  mutating func deliver(_ count: Int = 1, _ refused: Outcome.Refusal? = nil) {
    let taken = take(count)
    let refusedRows = min(taken, UInt64(refused?.rows ?? 0))
    tally.delivered += taken - refusedRows
    if let refused { tally.dropped[refused.reason] += refusedRows }
  }

  /// The first batches are given up.
  ///
  /// - Parameter delivered: rows of theirs that have arrived all the same.
  mutating func drop(_ count: Int = 1, _ reason: DropReason, delivered: Int = 0) {
    let taken = take(count)
    let arrived = min(taken, UInt64(max(0, delivered)))
    tally.delivered += arrived
    tally.dropped[reason] += taken - arrived
  }

  /// Takes the first batches out and returns their rows; the caller counts them.
  mutating func take(_ count: Int) -> UInt64 {
    pinned = 0
    var taken = 0
    for _ in 0..<min(count, self.count) { taken += remove(at: 0) }
    return UInt64(taken)
  }

  mutating func dropAll(_ reason: DropReason) { drop(count, reason) }

  private mutating func drop(at index: Int, _ reason: DropReason) { tally.dropped[reason] += UInt64(remove(at: index)) }

  /// Takes one out and returns its rows.
  private mutating func remove(at index: Int) -> Int {
    let batch = batches.remove(at: index)
    let (taken, charge) = (batch.rows, batch.charge)
    if batch.origin != 0 { spool?.forget(batch.origin) }
    rows -= UInt64(taken)
    byteCount -= batch.bytes.count
    if batch.isPooled { pooled -= 1 }
    if charge > 0 { release(charge) }
    if index == 0 { frontNumber += 1 }
    return taken
  }

  // MARK: Keeping order

  /// Does what the budget asks for, and copies what waits in its pool as far as there is room. Called once a turn.
  ///
  /// - Parameter first: batches at the front that are being sent or about to be.
  mutating func settle(besides first: Int) {
    if account.isAsked { shed() }
    guard pooled > 0, count > first else { return }
    for index in first..<count where batches[index].isPooled {
      if !own(index) { return }
    }
  }

  /// Gives memory back that others need more, by the own policy.
  private mutating func shed() {
    let demand = account.demand
    if demand > 0, policy.whenFull.drops { drop(demand, fromEnd: policy.whenFull == .dropNewest, .memory) }
    account.answerDemand()
  }

  /// Copies a batch out of its pool if there is room without dropping anything.
  private mutating func own(_ index: Int) -> Bool {
    let charge = batches[index].copyCharge
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
    account.configure(reserve: policy.reserve, sheds: policy.whenFull.drops)
    guard policy.whenFull.drops else { return }
    // Not the last one that is left: a single batch may be bigger than the limit.
    while charged > policy.limit, droppable > 0, count - pooled > 1 {
      drop(1, fromEnd: policy.whenFull == .dropNewest, .queueFull)
    }
    letPoolGo()
  }

  /// Copies or drops by policy what waits in its pool, now.
  mutating func letPoolGo() {
    holds = false
    guard policy.whenFull.drops else { return }
    while let index = firstWaitingInPool {
      if own(index) { continue }
      if policy.whenFull == .dropOldest, droppable > 0 {
        drop(1, fromEnd: false, .queueFull)
      } else {
        drop(at: index, .queueFull)
      }
    }
  }

  /// Encoding may be waiting for this queue, although its policy is to drop.
  var isHolding: Bool { holds && firstWaitingInPool != nil }

  /// The first batch that is in its pool without being sent from there.
  private var firstWaitingInPool: Int? {
    let first = max(1, pinned)
    return pooled > 0 && first < count ? (first..<count).first { batches[$0].isPooled } : nil
  }

  // MARK: Moving

  /// All that waits, as copies, with the account that they are charged to and what has been counted so far.
  ///
  /// - Parameter output: what the destination has of it.
  mutating func release(_ output: consuming OutputMark?) -> SinkEstate {
    var moved: [BatchCopy] = []
    moved.reserveCapacity(count)
    pinned = 0
    var isFront = true
    while !isEmpty {
      // A pool is about to go with its pipeline: its batches move whatever the limits say.
      if batches[0].isPooled {
        let charge = batches[0].copyCharge
        account.force(charge)
        charged += charge
        if !replace(0) {
          release(charge)
          drop(at: 0, .memory)
          if isFront { output?.part = nil }
          isFront = false
          continue
        }
      }
      isFront = false
      if case .own(let copy) = takeFront() { moved.append(copy) }
    }
    moveWaiting(all: true)
    if policy.whenFull == .spill { _ = openSpool() }
    settleSpool()
    let estate = SinkEstate(tally: tally, batches: moved, account: account, output: output, spool: spool)
    spool = nil
    account = account.openAnother(reserve: 0, sheds: policy.whenFull.drops)
    (charged, spoolCharge, tally) = (0, 0, SinkTally())
    return estate
  }

  /// Takes the front out and leaves its charge.
  private mutating func takeFront() -> HeldBatch {
    let batch = batches.remove(at: 0)
    rows -= UInt64(batch.rows)
    byteCount -= batch.bytes.count
    frontNumber += 1
    return batch
  }

  /// Puts what another queue left before what has come since. `pinned` says whether a part of its first batch is out.
  mutating func inherit(_ estate: SinkEstate) {
    if let left = estate.spool, !left.isEmpty { moveAll(behind: left) }
    for copy in estate.batches.reversed() {
      rows += UInt64(copy.rows)
      charged += copy.charge
      byteCount += copy.bytes.count
      batches.prepend(.own(copy))
    }
    frontNumber += 1
    tally += estate.tally
    if let left = estate.account { account.absorb(left) }
    if let left = estate.spool {
      left.apply(limit: spoolPlace?.limit ?? left.place.limit)
      spool = left
      settleSpool()
    }
    apply(policy)
  }

  /// What has come since goes behind what is on disk.
  private mutating func moveAll(behind spool: Spool) {
    while !isEmpty {
      spool.append(batches[0])
      if batches[0].charge > 0 { release(batches[0].charge) }
      if batches[0].isPooled { pooled -= 1 }
      _ = takeFront()
    }
  }

  // MARK: Disk

  /// Something is behind what is in memory.
  var hasSpilled: Bool { !waiting.isEmpty || !(spool?.isEmpty ?? true) }
  /// Nothing is on its way to disk or from there.
  var isSpoolQuiet: Bool { waiting.isEmpty && (spool?.isQuiet ?? true) }
  var hasSpoolOperation: Bool { spool?.hasOperation ?? false }
  /// Monotonic nanoseconds at which reading from disk goes on although nothing happens.
  var spoolDeadline: Int64? { spool?.retryAt }
  /// Why the last batch did not get to disk.
  var spoolTrouble: String? { spool?.trouble }

  /// Finds what an earlier process has left.
  mutating func restore() {
    guard spool == nil, let spoolPlace else { return }
    let found = Spool(spoolPlace)
    tally.restored += found.restore()
    if !found.isEmpty { spool = found }
  }

  private mutating func openSpool() -> Spool? {
    if spool == nil { spool = spoolPlace.map(Spool.init) }
    return spool
  }

  /// A batch has no room in memory, or comes behind one that had none.
  private mutating func spill(_ offer: inout BatchOffer) {
    guard let spool = openSpool() else {
      tally.dropped[.queueFull] += UInt64(offer.rows)
      return
    }
    if spool.isBusy || !waiting.isEmpty { return waiting.append(.pooled(offer.share())) }
    spool.append(.pooled(offer.share()))
    settleSpool()
  }

  /// The spool takes what waits for it.
  private mutating func moveWaiting(all: Bool) {
    while !waiting.isEmpty, let spool, all || !spool.isBusy { spool.append(waiting.remove(at: 0)) }
  }

  /// Does what the disk part can do now.
  ///
  /// - Parameter mayRead: what is on disk may come back, as far as there is room.
  mutating func pumpSpool(_ port: any Port, owner: UInt32, mayRead: Bool) {
    guard let spool else { return }
    if let copy = spool.takeReady() {
      account.force(copy.charge)
      charged += copy.charge
      append(.own(copy))
    }
    moveWaiting(all: false)
    spool.start(port, owner: owner, mayRead: mayRead && (isEmpty || charged < policy.limit / 2))
    settleSpool()
  }

  /// Takes over what the spool has lost, and charges what it holds.
  private mutating func settleSpool() {
    guard let spool else { return }
    if let losses = spool.takeLosses() { tally.dropped.add(losses) }
    let charge = spool.memory
    if charge > spoolCharge { account.force(charge - spoolCharge) } else { account.give(spoolCharge - charge) }
    spoolCharge = charge
  }

  /// Whether an operation is the spool's; if so, takes in its result.
  mutating func finishSpoolOperation(_ token: OperationToken, result: Int32) -> Bool {
    guard let spool, spool.owns(token) else { return false }
    spool.finish(token, result: result)
    settleSpool()
    return true
  }

  /// What the spool writes or reads will not be known in time.
  mutating func abandonSpoolOperations(isStuck: Bool) { spool?.abandonOperations(isStuck: isStuck) }

  /// Nothing can be sent any more: what is in memory goes to disk if that is the policy, else is dropped under `reason`.
  mutating func end(_ reason: DropReason) {
    pinned = 0
    moveWaiting(all: true)
    var kept: [BatchCopy] = []
    let keeps = policy.whenFull == .spill && openSpool() != nil
    while !isEmpty {
      guard keeps || batches[0].origin != 0, let copy = batches[0].owned() else {
        drop(at: 0, reason)
        continue
      }
      kept.append(copy)
      if batches[0].charge > 0 { release(batches[0].charge) }
      if batches[0].isPooled { pooled -= 1 }
      _ = takeFront()
    }
    spool?.keep(kept)
    settleSpool()
  }

  /// Keeps the memory of the front for the life of the process.
  mutating func leakFront() { if !isEmpty { batches[0].share().leak() } }

  /// One more right to a batch.
  func share(_ index: Int) -> HeldBatch? { index < count ? batches[index].share() : nil }
}
