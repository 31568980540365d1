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
  let plan: PipelinePlan
  let port: any Port
  let log: Logger
  let directory: NamespaceDirectory
  let encodings: [Encoding]
  let sinks: [any Sink]

  var counters = PipelineCounters()
  let board: TotalsBoard
  var schedule: PollSchedule
  var choice: NamespaceChoice
  var quantum: StartQuantum
  var hold = HoldMeter()
  var complaints = Complaints()

  // Pools of this pipeline. Receive buffers and operations belong to the port.
  let dumpPool: Pool<DumpMemory>
  let batchPool: BatchPool
  var dumps: SlotTable<Dump>
  var received: FixedQueue<ReceivedDatagram>
  var door: NamespaceDoor

  // The poll that is running.
  var poll = PollIdentity()
  var isPolling = false
  /// Looking for namespaces failed and none are known.
  var isBlind = false
  var table = NamespaceTable(namespaces: [], generation: 0)
  var nextNamespace = 0
  var pollEnds = DumpCounts()
  var pollStarted: Int64 = 0
  var rowsBefore = RowTally()

  // The turn that is running.
  /// Wall clock right before the last submission.
  var submitted: Int64 = 0
  var sequence: UInt32 = 0
  /// Some dump has no receive armed: it ran out of buffers.
  var hasUnarmedReceives = false
  var armedTimer: (deadline: Int64, token: OperationToken)?
  var isStopping = false
  /// What makes it impossible to go on. The loop ends the process with it.
  var failure: SystemError?

  /// Owners of operations that are not a dump's slot.
  enum Owner {
    static let timer: UInt32 = 1 << 31
    /// Plus the index of the sink.
    static let sinks: UInt32 = 1 << 30
  }

  init(
    plan: PipelinePlan, port: any Port, directory: NamespaceDirectory, choice: NamespaceChoice,
    door: consuming NamespaceDoor, encodings: [Encoding], sinks: [any Sink], batchPool: consuming BatchPool, log: Logger
  ) {
    self.plan = plan
    self.port = port
    self.directory = directory
    self.door = door
    self.encodings = encodings
    self.sinks = sinks
    self.log = log
    self.batchPool = batchPool
    let now = MonotonicTime.now().nanoseconds
    schedule = PollSchedule(
      interval: plan.interval, alignment: plan.alignment, monotonic: now, wall: wallClockNanoseconds())
    self.choice = choice
    quantum = StartQuantum(limit: plan.recvBatch)
    let prefixBytes = encodings.reduce(0) { max($0, $1.prefixRange.upperBound) }
    dumpPool = Pool(count: plan.recvBatch) { _ in
      DumpMemory(requestBytes: DumpRequest.byteCount, prefixBytes: prefixBytes)
    }
    dumps = SlotTable(capacity: plan.recvBatch)
    received = FixedQueue(capacity: plan.receiveBuffers)
    board = TotalsBoard(name: plan.name, sinks: sinks.map(\.name))
  }

  /// Stopped, with nothing left to deliver.
  var isFinished: Bool { isStopping && !isPolling && sinks.allSatisfy { $0.isIdle } }

  /// Does all that can be done without waiting. The loop calls it when the port has completions, and once to begin with.
  func turn() throws(SystemError) {
    _ = try port.reap(limit: plan.cqeBatch) { completion in handle(completion) }
    encodeReceived()
    armReceives()
    let before = MonotonicTime.now().nanoseconds
    let started = startDumps(now: before)
    endPollIfDone(now: before)
    flushAged(now: before)
    for sink in sinks { sink.resume() }
    armTimer()
    submitted = wallClockNanoseconds()
    try port.submit()
    if started > 0 { quantum.observe(duration: MonotonicTime.now().nanoseconds - before) }
    if let failure { throw failure }
  }

  /// Ends what runs, keeps the rows it gave, and hands the last batches to the sinks. Further turns drain them.
  func stop() {
    guard !isStopping else { return }
    isStopping = true
    if isPolling { pollEnds.interrupted += UInt64(choice.indices.count - nextNamespace) }
    nextNamespace = choice.indices.count
    for slot in 0..<dumps.capacity { endDump(slot, .interrupted) }
  }

  /// Lets go of the port, and drops by name what could not be delivered before.
  func close() {
    stop()
    port.tearDown()
    for sink in sinks { sink.abandon() }
    // A datagram that some encodings are through with is encoded by all, so that the counters agree: batches go free at once now.
    for _ in 0..<plan.receiveBuffers where !received.isEmpty { encodeReceived() }
    for encoding in encodings { encoding.ship() }
    if isPolling { countPoll() }
    publishTotals()
  }

  private func handle(_ completion: consuming Completion) {
    switch completion.owner {
    // One that was cancelled for a sooner one may fire all the same.
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
    guard !isStopping, now >= schedule.nextTick else { return }
    if schedule.tick(monotonic: now, wall: wallClockNanoseconds(), busy: isPolling) { beginPoll(now: now) }
    counters.skippedPolls = schedule.skipped
  }

  /// One timer for all deadlines: the next tick, the first dump that may be overdue, the first batch that grows old. It is armed
  /// anew only when something is due sooner than it.
  private func armTimer() {
    var due = isStopping ? Int64.max : schedule.nextTick
    if dumps.count > 0 { due = min(due, MonotonicTime.now().nanoseconds + max(plan.timeout / 4, 1_000_000)) }
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
