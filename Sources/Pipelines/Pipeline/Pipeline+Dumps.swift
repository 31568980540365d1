import Glibc
import IO
import Records

/// Dumps: one sock_diag request to one namespace, from entering it to letting go of its socket.
extension Pipeline {
  /// Starts as many dumps as may be started now and returns how many. A dump starts only with buffers and batches in hand.
  func startDumps(now: Int64) -> Int {
    var started = 0
    while isPolling, nextNamespace < choice.indices.count, started < quantum.size, !dumps.isFull, hasFreeReader,
      hasRoomForRows()
    {
      guard let memory = dumpPool.lease() else { break }
      let index = choice.indices[nextNamespace]
      nextNamespace += 1
      do throws(EntryError) {
        let socket = try door.openDiagSocket(table.namespaces[index])
        send(through: socket, memory: memory, namespace: index, now: now)
        started += 1
      } catch {
        entryFailed(error, namespace: index)
      }
    }
    return started
  }

  /// A worker that would begin a dump later than now would make its rows look older than they are.
  private var hasFreeReader: Bool { !isOffloading || sending < plan.readers }

  /// Kernel workers perform the first part of each walk.
  private var isOffloading: Bool { plan.readers > 0 && port.mode == .ioUring }

  /// A datagram can be received, and its rows have batches to go to.
  private func hasRoomForRows() -> Bool {
    received.isEmpty && hasFreeReceiveBuffer && encodings.allSatisfy { $0.ensureOpen(batchPool) }
  }

  private var hasFreeReceiveBuffer: Bool {
    let gauges = port.receiveBufferGauges
    return gauges.inUse < gauges.size
  }

  private func send(
    through socket: consuming Descriptor, memory: consuming Lease<DumpMemory>, namespace: Int, now: Int64
  ) {
    sequence &+= 1
    let request = memory.value.request
    DumpRequest.encode(
      sequence: sequence, states: plan.selection.states, extensions: plan.attributes.requestExtensions, into: request)
    for encoding in encodings {
      encoding.writePrefix(of: table.identities[namespace], poll: poll, into: memory.value.prefixes)
    }
    let dump = Dump(
      memory: memory, namespace: namespace, socket: socket, sequence: sequence,
      clock: DumpClock(now: now, held: hold.held(now: now)), sentAt: wallClockNanoseconds())
    guard let slot = dumps.insert(dump), let dump = dumps[slot] else { return }
    if port.send(dump.pointee.socket.raw, UnsafeRawBufferPointer(request), owner: UInt32(slot)) == nil {
      dump.pointee.isSending = false
      endDump(slot, .failed(SystemError("send", errno: EAGAIN)))
    } else {
      sending += 1
      armReceive(slot, dump)
    }
  }

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
      dump.pointee.isSending = false
      sending -= 1
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
      if received.push(ReceivedDatagram(buffer: buffer, slot: slot, timestamp: filled)) != nil {
        endDump(slot, .malformed)
      } else {
        dump.pointee.queued += 1
      }
    } else if result < 0, result != -ENOBUFS, dump.pointee.end == nil {
      endDump(slot, .failed(SystemError("recv", errno: -result)))
    } else if dump.pointee.needsReceive {
      hasUnarmedReceives = true
    }
  }

  // MARK: Ending

  /// The dump is over, for whatever reason. What it gave stays; what it holds is let go of as its operations complete.
  func endDump(_ slot: Int, _ end: DumpEnd) {
    guard let dump = dumps[slot], dump.pointee.end == nil else { return }
    dump.pointee.end = end
    pollEnds.count(end)
    if let receive = dump.pointee.receive { port.cancel(receive) }
    if end != .complete { dumpFailed(end, dump) }
    freeIfDone(slot)
  }

  func freeIfDone(_ slot: Int) {
    if let dump = dumps[slot], dump.pointee.isFree { _ = dumps.remove(slot) }
  }
}
