import Glibc
import IO
import Records

/// Dumps: one sock_diag request to one namespace, from entering it to letting go of its socket.
extension Pipeline {
  /// How many namespaces are entered in one turn: where that is all there is to do, it takes 25 µs each.
  private static let entriesATurn = 64

  /// Starts as many walks as may be started now and returns how many. A dump starts only with buffers and batches in hand.
  func startDumps(now: Int64) -> Int {
    var started = continueDumps()
    var entered = 0
    while isPolling, !cursor.isAtEnd, !dumps.isFull, hasRoomForRows() {
      let isOffered = isForReader
      guard isOffered || started < quantum.size && hasFreeReceiveBuffer else { break }
      if entered == Self.entriesATurn {
        isDue = true
        break
      }
      guard let memory = dumpPool.lease() else { break }
      let (index, part) = (choice.indices[cursor.namespace], cursor.part)
      cursor.advance(parts: largest.parts(of: index))
      entered += 1
      do throws(EntryError) {
        let isStarted = try startDump(memory, namespace: index, part: part, toReader: isOffered, now: now)
        if isStarted, !isOffered { started += 1 }
      } catch {
        entryFailed(error, namespace: index)
      }
    }
    return started
  }

  /// Whether the next dump goes to a reader: to one that has nothing to do, or, while this thread has one itself, to be next.
  private var isForReader: Bool {
    guard let readers else { return false }
    return readers.isIdle || readers.hasRoom && dumps.count > readers.handedOver
  }

  /// Starts the next request of dumps for which one was not enough.
  private func continueDumps() -> Int {
    var started = 0
    for slot in 0..<dumps.capacity where waitingDumps > 0 && started < quantum.size {
      guard let dump = dumps[slot], dump.pointee.isWaiting, !dump.pointee.isWithReader else { continue }
      waitingDumps -= 1
      // Nobody else receives on a socket while a reader does.
      let isForReader = dump.pointee.receive == nil && isForReader
      send(slot, dump, toReader: isForReader)
      if !isForReader { started += 1 }
    }
    return started
  }

  /// False if there is nothing to be read.
  private func startDump(
    _ memory: consuming Lease<DumpMemory>, namespace: Int, part: Int, toReader: Bool, now: Int64
  ) throws(EntryError) -> Bool {
    var entry = NamespaceEntry()
    let ports = largest.interval(of: namespace, part: part)
    let bindings = memory.value.bindings
    guard let socket = try enter(namespace, isWhole: ports == nil, bindings, &entry) else {
      pollEnds.count(.complete)
      counters.walks.none += 1
      return false
    }
    for encoding in encodings {
      encoding.writePrefix(of: table.identities[namespace], poll: poll, into: memory.value.prefixes)
    }
    if ports != nil { pollParts += 1 }
    if entry.walk == .known, !hasRoomForAnswers(socket) { entry.walk = .full }
    let dump = Dump(
      memory: memory, namespace: namespace, socket: socket, entry: entry, ports: ports,
      clock: DumpClock(now: now, held: hold.held(now: now)))
    guard let slot = dumps.insert(dump), let dump = dumps[slot] else { return false }
    send(slot, dump, toReader: toReader)
    return true
  }

  /// - Parameter isWhole: one dump shall read all of it; what is read in parts is never empty.
  private func enter(
    _ namespace: Int, isWhole: Bool, _ bindings: UnsafeMutablePointer<UInt64>, _ entry: inout NamespaceEntry
  ) throws(EntryError) -> Descriptor? {
    try door.openDiagSocket(table.namespaces[namespace]) { sockstat throws(SystemError) in
      if plan.walks.needsSockstat, isWhole {
        entry.present = sockstat()
        entry.walk = plan.walks.walk(of: memory[namespace], poll: poll.sequence, present: entry.present)
        entry.remembersConnections =
          plan.walks.remembersConnections(memory[namespace], present: entry.present) && sharesHash(namespace)
      }
      if entry.walk == .none { return false }
      try plan.lookup.bind(cgroups, into: bindings)
      return true
    }
  }

  /// Whether the namespace, in which the thread is, has its connections in a hash with those of others. Looked up once.
  private func sharesHash(_ namespace: Int) -> Bool {
    if memory[namespace].hash == .unknown {
      // The number says it of all but the one that was there first, which is the host's.
      let isShared = table.namespaces[namespace].isHost || (try? Sockstat.sharesHash()) ?? false
      memory[namespace].hash = isShared ? .shared : .own
    }
    return memory[namespace].hash == .shared
  }

  /// Rows have batches to go to.
  private func hasRoomForRows() -> Bool { received.isEmpty && encodings.allSatisfy { $0.ensureOpen(batchPool) } }

  private var hasFreeReceiveBuffer: Bool {
    let gauges = port.receiveBufferGauges
    return gauges.inUse < gauges.size
  }

  /// Asks for what the dump is to walk.
  private func send(_ slot: Int, _ dump: UnsafeMutablePointer<Dump>, toReader: Bool) {
    sequence &+= 1
    dump.pointee.sequence = sequence
    dump.pointee.isWaiting = false
    dump.pointee.readerError = nil
    dump.pointee.reportedBefore = dump.pointee.reported
    let request = writeRequest(dump)
    let isAnsweredAtOnce = dump.pointee.walk == .known
    if toReader, let readers {
      dump.pointee.isWithReader = true
      let now = MonotonicTime.now().nanoseconds
      dump.pointee.inLine = DumpClock.Moment(now: now, held: hold.held(now: now))
      readers.perform(
        dump.pointee.socket, request, owner: UInt32(slot), isAnsweredAtOnce: isAnsweredAtOnce)
      return
    }
    dump.pointee.fill = FillClock(sentAt: wallClockNanoseconds(), isAnsweredAtOnce: isAnsweredAtOnce)
    if port.send(dump.pointee.socket.raw, request, owner: UInt32(slot)) == nil {
      endDump(slot, .failed(SystemError("send", errno: EAGAIN)))
    } else {
      dump.pointee.sends += 1
      if dump.pointee.receive == nil { armReceive(slot, dump) }
    }
  }

  private func writeRequest(_ dump: UnsafeMutablePointer<Dump>) -> UnsafeRawBufferPointer {
    let memory = dump.pointee.memory.value.request
    let length =
      dump.pointee.walk == .known
      ? askForKnown(dump)
      : request(for: dump.pointee.walk, dump.pointee.ports).encode(
        sequence: dump.pointee.sequence, bindings: dump.pointee.memory.value.bindings, into: memory)
    return UnsafeRawBufferPointer(rebasing: memory[..<length])
  }

  private func request(for walk: Walk, _ ports: PortInterval?) -> DumpRequest {
    let (states, extensions) = (plan.selection.states, plan.attributes.requestExtensions)
    return switch walk {
    // All of them, also those that are not wanted: they have to be counted.
    case .none, .known, .listeners: DumpRequest(states: .listen, extensions: extensions, filter: .none)
    case .rest: DumpRequest(states: states.subtracting(.listen), extensions: extensions, filter: kernelFilter)
    case .full: DumpRequest(states: states, extensions: extensions, filter: kernelFilter, ports: ports)
    }
  }

  /// What the kernel leaves out of walks of all tables.
  private var kernelFilter: KernelFilter { isFilterRefused ? .none : plan.kernelFilter }

  private func armReceive(_ slot: Int, _ dump: UnsafeMutablePointer<Dump>) {
    dump.pointee.receive = port.receive(dump.pointee.socket.raw, owner: UInt32(slot))
    if dump.pointee.receive == nil { hasUnarmedReceives = true }
  }

  /// Arms the receives of dumps that ran out of buffers, now that some have come back.
  func armReceives() {
    guard hasUnarmedReceives, hasFreeReceiveBuffer else { return }
    hasUnarmedReceives = false
    for slot in 0..<dumps.capacity {
      if let dump = dumps[slot], dump.pointee.needsReceive { armReceive(slot, dump) }
    }
  }

  // MARK: Completions

  func handleDump(_ completion: consuming Completion) {
    let slot = Int(completion.owner)
    guard let dump = dumps[slot] else { return }
    switch completion.kind {
    case .send:
      dump.pointee.sends -= 1
      if completion.result < 0 { endDump(slot, .failed(SystemError("send", errno: -completion.result))) }
    case .receive:
      if completion.isFinal { dump.pointee.receive = nil }
      receiveCompleted(completion, slot, dump)
    default: break
    }
    freeIfDone(slot)
  }

  private func receiveCompleted(_ completion: consuming Completion, _ slot: Int, _ dump: UnsafeMutablePointer<Dump>) {
    let result = completion.result
    let completedAt = completion.completedAt
    if let buffer = completion.takeBuffer() {
      let filled = dump.pointee.fill.datagramReceived(submitted: submitted, completed: completedAt)
      queue(buffer, of: slot, dump, filledAt: filled)
    } else if result < 0, result != -ENOBUFS, dump.pointee.end == nil {
      endDump(slot, .failed(SystemError("recv", errno: -result)))
    }
    // There were no buffers, or the kernel has ended a multishot receive, which it may do with any datagram. The dump may be gone.
    if let dump = dumps[slot], dump.pointee.needsReceive { hasUnarmedReceives = true }
  }

  private func queue(
    _ buffer: consuming ReceiveBuffer, of slot: Int, _ dump: UnsafeMutablePointer<Dump>, filledAt: Int64
  ) {
    largest.received(buffer.bytes, of: dump.pointee.namespace)
    guard look(at: buffer, of: dump) else { return endDump(slot, .malformed) }
    if received.push(ReceivedDatagram(buffer: buffer, slot: slot, timestamp: filledAt)) != nil {
      endDump(slot, .malformed)
    } else {
      dump.pointee.queued += 1
    }
  }

  // MARK: Readers

  /// Takes in what readers have received.
  func collectFromReaders() {
    readers?.collect { event in
      switch consume event {
      case .begun(let owner):
        guard let dump = dumps[Int(owner)] else { return }
        let now = MonotonicTime.now().nanoseconds
        if let begin = dump.pointee.inLine.take() {
          dump.pointee.clock.leaveOut(from: begin, to: DumpClock.Moment(now: now, held: hold.held(now: now)))
        }
      case .received(let owner, let buffer, let filledAt):
        guard let dump = dumps[Int(owner)] else { return }
        queue(buffer, of: Int(owner), dump, filledAt: filledAt)
      case .ended(let owner, let errno):
        guard let dump = dumps[Int(owner)] else { return }
        dump.pointee.isWithReader = false
        dump.pointee.readerError = errno
        judgeReader(Int(owner))
      }
    }
    if let readers, !isWatchingReaders {
      isWatchingReaders = port.poll(readers.pollable, .readable, owner: Owner.readers) != nil
    }
  }

  /// A reader has let go of a dump. The end of what it received is yet to be seen, or it was not all.
  func judgeReader(_ slot: Int) {
    guard let dump = dumps[slot], !dump.pointee.isWithReader else { return }
    if let errno = dump.pointee.readerError, dump.pointee.queued == 0, dump.pointee.end == nil, !dump.pointee.isWaiting
    {
      // Without an error the kernel had nothing more, and has not said that it is done.
      endDump(slot, errno == 0 ? .malformed : .failed(SystemError("recv", errno: errno)))
    }
    freeIfDone(slot)
  }

  // MARK: Ending

  /// The kernel has said that a walk is done.
  func walkEnded(_ slot: Int) {
    guard let dump = dumps[slot], dump.pointee.end == nil else { return }
    let namespace = dump.pointee.namespace
    switch dump.pointee.walk {
    case .none: break
    // It is not a walk, and says in another way that it is done.
    case .known: return endDump(slot, .malformed)
    case .listeners:
      memory[namespace].listeners = dump.pointee.listening
      dump.pointee.hasReadListeners = true
      if let before = dump.pointee.present, hasRoomForAnswers(dump.pointee.socket),
        plan.walks.mayKnowRest(memory[namespace], before: before)
      {
        dump.pointee.walk = .known
        return askAgain(dump)
      }
      guard plan.walks.sparesConnections, isAll(dump, read: dump.pointee.listening) else {
        dump.pointee.walk = .rest
        return askAgain(dump)
      }
      counters.walks.listeners += 1
    case .rest:
      keepRemembered(dump)
      counters.walks.countTables(kernelFilter)
    // The last part counts for all.
    case .full where dump.pointee.ports != nil: break
    case .full:
      if plan.selection.states.contains(.listen), kernelFilter.isEmpty {
        memory[namespace].listeners = dump.pointee.listening
      } else if plan.walks.isFullWalkDue(memory[namespace], poll: poll.sequence) {
        // Not all of them were reported: how many there are is to be found out anew.
        memory[namespace].listeners = nil
      }
      memory[namespace].hasBeenWalked = true
      keepRemembered(dump)
      if plan.selection.states == .listen {
        counters.walks.listeners += 1
      } else {
        counters.walks.countTables(kernelFilter)
      }
    }
    endDump(slot, .complete)
  }

  /// Sends another request for the same dump, when it is its turn.
  func askAgain(_ dump: UnsafeMutablePointer<Dump>) {
    dump.pointee.isWaiting = true
    waitingDumps += 1
    isDue = true
  }

  /// The kernel does not take a request. If that may be for the filter's sake (an operation that it does not know, a right that is
  /// missing for marks), it is asked without, and the filter is evaluated in user space alone from then on.
  func requestRefused(_ slot: Int, errno: Int32) {
    guard let dump = dumps[slot], dump.pointee.end == nil else { return }
    // One of many answers: the socket that was asked for is not there any more.
    guard dump.pointee.walk != .known else { return }
    guard errno == EINVAL || errno == EPERM, dump.pointee.walk != .listeners,
      dump.pointee.reported == dump.pointee.reportedBefore,
      !plan.kernelFilter.program.isEmpty, !dump.pointee.isRepeated
    else {
      endDump(slot, .refused(SystemError("sock_diag request", errno: errno)))
      return
    }
    if !isFilterRefused {
      log.notice(
        "the kernel does not take the program of `filter` (\(SystemError("sock_diag request", errno: errno))); it is evaluated here"
      )
    }
    isFilterRefused = true
    dump.pointee.isRepeated = true
    askAgain(dump)
  }

  /// The sockets that were read, so many, are all that there are.
  func isAll(_ dump: UnsafeMutablePointer<Dump>, read: UInt64) -> Bool {
    guard let before = dump.pointee.present else { return false }
    do throws(EntryError) {
      let after = try door.readSockstat(table.namespaces[dump.pointee.namespace])
      return plan.walks.isAll(read: read, before: before, after: after)
    } catch {
      if case .lostHome(let reason) = error { failure = reason }
      return false
    }
  }

  /// The dump is over, for whatever reason. What it gave stays; what it holds is let go of as its operations complete.
  func endDump(_ slot: Int, _ end: DumpEnd) {
    guard let dump = dumps[slot], dump.pointee.end == nil else { return }
    dump.pointee.end = end
    if dump.pointee.isWaiting {
      dump.pointee.isWaiting = false
      waitingDumps -= 1
    }
    let namespace = dump.pointee.namespace
    forget(dump)
    // What could not be read in this way is not tried in it again.
    if end != .complete, dump.pointee.known != nil { memory.forgetConnections(of: namespace) }
    count(end, of: namespace)
    largest.ended(table.namespaces[namespace], at: namespace, reported: dump.pointee.reported)
    if let receive = dump.pointee.receive { port.cancel(receive) }
    if dump.pointee.isWithReader { readers?.cancel(owner: UInt32(slot)) }
    if end != .complete { dumpFailed(end, dump) }
    freeIfDone(slot)
  }

  /// Counts how a read of a namespace ended. One in parts counts once, when the last of them is over.
  func count(_ end: DumpEnd, of namespace: Int) {
    guard largest.parts(of: namespace) > 1 else { return pollEnds.count(end) }
    guard let end = largest.partEnded(end) else { return }
    pollEnds.count(end)
    if end == .complete { counters.walks.countTables(kernelFilter) }
  }

  func freeIfDone(_ slot: Int) {
    if let dump = dumps[slot], dump.pointee.isFree { _ = dumps.remove(slot) }
  }
}
