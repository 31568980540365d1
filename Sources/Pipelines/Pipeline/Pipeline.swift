import Glibc
import IO
import Logging
import Records
import Sinks

/// One pipeline at work: namespaces -> dumps -> rows -> batches -> sinks, on one port, on one thread.
///
/// It is a driver. What to do is decided by values (`PollSchedule`, `DumpClock`, `StartQuantum`, `Dump`, the encoder, the sinks'
/// writers); this class performs it through the port, a turn at a time:
///
///     reap completions -> encode what was received -> re-arm receives -> start dumps -> end the poll -> arm the timer -> submit
///
/// Data flows one way. Pressure flows back through the pools alone: a sink that holds batches leaves none to encode into, datagrams
/// then wait in receive buffers, and without free buffers the kernel keeps the rest of the dump.
final class Pipeline {
  /// Changes at poll boundaries only (`adopt`).
  private(set) var plan: PipelinePlan
  let port: any Port
  let log: Logger
  let namespaces: NamespaceBoard
  private(set) var encodings: [Encoding]
  let sinks: [any Sink]

  var counters = PipelineCounters()
  let board: PipelineBoard
  /// Wall clock at which the last poll, and the last complete one, ended.
  var lastPoll: Int64 = 0
  var lastCompletePoll: Int64 = 0
  /// What each sink's rows are counted from: rows encoded before it was there.
  var encodedBefore: [UInt64]
  /// By sink: what was counted by predecessors whose counts it has not inherited with their queues.
  var countedBefore: [SinkTally]
  /// Its counts have gone to a successor, which publishes them.
  var isSilent = false
  /// Whose sinks let go at present: what they still hold is reported with this pipeline's.
  var predecessor: Pipeline?
  private var hasToldItsEnd = false
  var schedule: PollSchedule
  var choice: NamespaceChoice
  var quantum: StartQuantum
  var hold = HoldMeter()
  var complaints = Complaints()

  // Pools of this pipeline. Receive buffers and operations belong to the port.
  private(set) var dumpPool: Pool<DumpMemory>
  private(set) var batchPool: BatchPool
  var dumps: SlotTable<Dump>
  var received: FixedQueue<ReceivedDatagram>
  var door: NamespaceDoor
  /// Threads that perform dumps beside this one; nil: `reader.parallelism` is 1.
  let readers: DumpReaders?
  var isWatchingReaders = false

  // The poll that is running.
  var poll = PollIdentity()
  var isPolling = false
  /// Looking for namespaces failed and none are known.
  var isBlind = false
  var table = NamespaceTable(namespaces: [], generation: 0)
  /// What is known of the table's namespaces.
  var memory: NamespaceMemory
  var cgroups = CgroupNumbers()
  var cursor = PollCursor(count: 0)
  var largest: LargestNamespace
  /// Parts read in the poll that runs.
  var pollParts = 0
  var pollEnds = DumpCounts()
  var pollStarted: Int64 = 0
  var rowsBefore = RowTally()
  var walksBefore = WalkCounts()
  var lastPublished: Int64 = 0

  /// Who wants to know what the next poll, and the one that runs, comes to.
  private var pollRequests: [Int] = []
  var pollWatchers: [Int] = []
  /// What was asked for and has ended; the loop takes it.
  var endedPolls: [(request: Int, outcome: PollOutcome)] = []

  // The turn that is running.
  /// The port has completions, or something was asked for: the loop owes a turn.
  var isDue = true
  /// Wall clock right before the last submission.
  var submitted: Int64 = 0
  var sequence: UInt32 = 0
  /// The kernel does not take the filter's program.
  var isFilterRefused = false
  /// Dumps that have to walk once more.
  var waitingDumps = 0
  /// Some dump has no receive armed: it ran out of buffers.
  var hasUnarmedReceives = false
  var armedTimer: (deadline: Int64, token: OperationToken)?
  /// The poll that runs is the last one.
  private var pollsNoMore = false
  var isStopping = false
  /// What makes it impossible to go on. The loop ends the process with it.
  var failure: SystemError?

  /// Owners of operations that are not a dump's slot.
  enum Owner {
    static let timer: UInt32 = 1 << 31
    static let readers: UInt32 = 1 << 31 + 1
    /// Plus the index of the sink.
    static let sinks: UInt32 = 1 << 30
  }

  init(
    plan: PipelinePlan, port: any Port, namespaces: NamespaceBoard, choice: NamespaceChoice,
    door: consuming NamespaceDoor, readers: DumpReaders?, encodings: [Encoding], sinks: [any Sink],
    batchPool: consuming BatchPool,
    board: PipelineBoard, log: Logger
  ) {
    self.plan = plan
    self.board = board
    encodedBefore = sinks.map { _ in 0 }
    countedBefore = sinks.map { _ in SinkTally() }
    self.port = port
    self.namespaces = namespaces
    self.door = door
    self.readers = readers
    self.encodings = encodings
    self.sinks = sinks
    self.log = log
    self.batchPool = batchPool
    let now = MonotonicTime.now().nanoseconds
    schedule = PollSchedule(
      interval: plan.interval, alignment: plan.alignment, monotonic: now, wall: wallClockNanoseconds())
    self.choice = choice
    // Plain calls gain nothing by many at once, and whoever waits in between waits longer.
    quantum = StartQuantum(limit: port.mode == .ioUring ? plan.recvBatch : 1)
    largest = LargestNamespace(mostParts: readers == nil ? 1 : plan.readers + 1)
    memory = NamespaceMemory(connections: plan.knownSockets)
    dumpPool = Pipeline.makeDumpPool(plan, encodings)
    dumps = SlotTable(capacity: plan.dumps)
    received = FixedQueue(capacity: plan.receiveBuffers + plan.readers * DumpReaders.buffersPerReader)
  }

  private static func prefixBytes(_ encodings: [Encoding]) -> Int {
    encodings.reduce(0) { max($0, $1.prefixRange.upperBound) }
  }

  private static func makeDumpPool(_ plan: PipelinePlan, _ encodings: [Encoding]) -> Pool<DumpMemory> {
    let prefixBytes = prefixBytes(encodings)
    return Pool(count: plan.dumps) { _ in
      DumpMemory(
        requestBytes: plan.requestBytes, bindings: plan.lookup.count, prefixBytes: prefixBytes)
    }
  }

  /// Stopped, with nothing left to deliver.
  var isFinished: Bool { isStopping && !isPolling && sinks.allSatisfy { $0.isIdle } }

  /// Between two polls: nothing is being read, and all that was read is encoded.
  var isAtBoundary: Bool { !isPolling && received.isEmpty }

  /// At a boundary, and every row is with the sinks.
  var isQuiet: Bool { isAtBoundary && encodings.allSatisfy { $0.openRows == 0 } }

  /// Does all that can be done without waiting. The loop calls it when the port has completions, and once to begin with.
  func turn() throws(SystemError) {
    _ = try port.reap(limit: plan.cqeBatch) { completion in handle(completion) }
    collectFromReaders()
    encodeReceived()
    armReceives()
    let before = MonotonicTime.now().nanoseconds
    beginRequestedPoll(now: before)
    let started = startDumps(now: before)
    endPollIfDone(now: before)
    // Who asked while a poll ran need not wait for a completion.
    if mayBeginRequestedPoll { isDue = true }
    flushAged(now: before)
    if isStopping, isQuiet { for sink in sinks { sink.drain() } } else { for sink in sinks { sink.resume() } }
    armTimer()
    submitted = wallClockNanoseconds()
    try port.submit()
    if started > 0 { quantum.observe(duration: MonotonicTime.now().nanoseconds - before) }
    publishIfDue(now: before)
    if let failure { throw failure }
  }

  /// Does what its sinks have to do, and nothing else: it has been built and does not run yet.
  func turnSinks() throws(SystemError) {
    isDue = false
    _ = try port.reap(limit: plan.cqeBatch) { completion in handle(completion) }
    for sink in sinks { sink.resume() }
    try port.submit()
  }

  // MARK: Ending

  /// Lets the poll that runs be the last one.
  func stopPolling() {
    pollsNoMore = true
    isDue = true
  }

  /// Gives up what the poll that runs has not read yet; the rows it gave stay.
  func interruptPoll() {
    guard isPolling else { return }
    if !cursor.isAtEnd {
      let next = choice.indices[cursor.namespace]
      let skipped = cursor.skipRest(partsOfNext: largest.parts(of: next))
      pollEnds.interrupted += UInt64(skipped.namespaces)
      for _ in 0..<skipped.parts { count(.interrupted, of: next) }
    }
    for slot in 0..<dumps.capacity { endDump(slot, .interrupted) }
    isDue = true
  }

  /// Ends what runs, keeps the rows it gave, and hands the last batches to the sinks. Further turns drain them.
  func stop() {
    guard !isStopping else { return }
    isStopping = true
    interruptPoll()
    isDue = true
  }

  /// Lets go of the port, and drops by name what could not be delivered before.
  func close() {
    stop()
    readers?.stop()
    let stuck = port.tearDown()
    for sink in sinks { sink.abandon(isStuck: stuck > 0) }
    // A datagram that some encodings are through with is encoded by all, so that the counters agree: batches go free at once now.
    for _ in 0..<received.capacity where !received.isEmpty { encodeReceived() }
    for encoding in encodings { encoding.ship() }
    let now = MonotonicTime.now().nanoseconds
    if isPolling { countPoll(duration: now - pollStarted) }
    publish(now: now)
  }

  /// Whether it has finished and has not said so before.
  func tellsItsEnd() -> Bool {
    guard isFinished, !hasToldItsEnd else { return false }
    hasToldItsEnd = true
    return true
  }

  // MARK: Reload

  /// What its sinks may hold and how they are tried again holds at once: it may be what a poll waits for.
  func applySinkSettings(of plan: PipelinePlan) {
    for (sink, part) in zip(sinks, plan.sinks) { sink.apply(queue: part.queue, retry: part.retry) }
    isDue = true
  }

  /// Opens files again whose path names another one.
  func reopenFiles() {
    for sink in sinks { sink.reopen() }
    isDue = true
  }

  /// What a pipeline goes on with after its live settings have changed, made beside it.
  struct Adjustment: ~Copyable {
    let plan: PipelinePlan
    let encodings: [Encoding]
    /// Nil: batches stay as big as they are, and so does the pool with its counts.
    var batchPool: BatchPool?
  }

  /// Goes on with other live settings: at a poll boundary, on the same port, with the same sinks and counters. Batches of the old
  /// pool are delivered as they are.
  func adopt(_ new: consuming Adjustment) {
    var new = new
    for encoding in encodings { encoding.ship() }
    let now = MonotonicTime.now().nanoseconds
    schedule = schedule.changed(
      interval: new.plan.interval, alignment: new.plan.alignment, monotonic: now, wall: wallClockNanoseconds())
    if new.plan.namespaces != plan.namespaces || new.plan.otherNamespaces != plan.otherNamespaces {
      choice = NamespaceChoice(selection: new.plan.namespaces, others: new.plan.otherNamespaces)
    }
    let (prefixBytes, old) = (Pipeline.prefixBytes(encodings), plan)
    plan = new.plan
    encodings = new.encodings
    if plan.kernelFilter != old.kernelFilter { isFilterRefused = false }
    if plan.lookup.cgroupPaths != old.lookup.cgroupPaths { cgroups = CgroupNumbers() }
    if let pool = new.batchPool.take() { batchPool = pool }
    if Pipeline.prefixBytes(encodings) > prefixBytes || plan.lookup.count > old.lookup.count
      || plan.requestBytes > old.requestBytes
    {
      dumpPool = Pipeline.makeDumpPool(plan, encodings)
    }
    for (sink, part) in zip(sinks, plan.sinks) { encodings[part.encoding].attach(sink) }
    applySinkSettings(of: plan)
  }

  // MARK: Polls on request

  /// Polls as soon as the poll that runs is over, without regard to the schedule.
  func poll(request: Int) {
    pollRequests.append(request)
    isDue = true
  }

  /// Who still waits for a poll that will not come.
  func takePollRequests() -> [Int] {
    defer { (pollRequests, pollWatchers) = ([], []) }
    return pollRequests + pollWatchers
  }

  private var mayBeginRequestedPoll: Bool { !pollRequests.isEmpty && isAtBoundary && !isStopping && !pollsNoMore }

  private func beginRequestedPoll(now: Int64) {
    guard mayBeginRequestedPoll else { return }
    swap(&pollRequests, &pollWatchers)
    beginPoll(now: now)
  }

  private func handle(_ completion: consuming Completion) {
    switch completion.owner {
    // One that was cancelled for a sooner one may fire all the same.
    case Owner.readers: isWatchingReaders = false
    case Owner.timer: if completion.token == armedTimer?.token { timerFired() }
    case Owner.sinks...: sinks[Int(completion.owner - Owner.sinks)].handle(completion)
    default: handleDump(completion)
    }
  }

  // MARK: Time

  private func timerFired() {
    armedTimer = nil
    let now = MonotonicTime.now().nanoseconds
    if isPolling { endOverdueDumps(now: now) }
    guard !isStopping, !pollsNoMore, now >= schedule.nextTick else { return }
    if schedule.tick(monotonic: now, wall: wallClockNanoseconds(), busy: isPolling) { beginPoll(now: now) }
    counters.skippedPolls = schedule.skipped
  }

  /// One timer for all deadlines: the next tick, the first dump that may be overdue, the first batch that grows old, the first sink that
  /// tries again. It is armed anew only when something is due sooner than it.
  private func armTimer() {
    var due = isStopping || pollsNoMore ? Int64.max : schedule.nextTick
    if dumps.count > 0 { due = min(due, MonotonicTime.now().nanoseconds + max(plan.timeout / 4, 1_000_000)) }
    for sink in sinks { if let deadline = sink.nextDeadline { due = min(due, deadline) } }
    if plan.batchMaxAge > 0 {
      for encoding in encodings { if let first = encoding.firstRowAt { due = min(due, first + plan.batchMaxAge) } }
    }
    guard due < armedTimer?.deadline ?? Int64.max else { return }
    if let armedTimer { port.cancel(armedTimer.token) }
    armedTimer = port.timer(at: MonotonicTime(nanoseconds: due), owner: Owner.timer).map { (due, $0) }
  }

  private func flushAged(now: Int64) {
    guard plan.batchMaxAge > 0 else { return }
    for encoding in encodings {
      if let first = encoding.firstRowAt, isStopping || now - first >= plan.batchMaxAge { encoding.ship() }
    }
  }
}
