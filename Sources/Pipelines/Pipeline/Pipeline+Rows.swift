import IO
import Records

/// Rows: from received datagrams to full batches.
extension Pipeline {
  /// Encodes what has been received, oldest first, for as long as there are batches to encode into.
  func encodeReceived() {
    while let step = received.withFirst({ encode(&$0) }) {
      switch step {
      case .held:
        hold.update(isHeld: true, now: MonotonicTime.now().nanoseconds)
        return
      case .through(let slot, let stop):
        _ = received.pop()
        for encoding in encodings { encoding.isThrough = false }
        datagramDone(slot, stop)
      }
    }
    hold.update(isHeld: false, now: MonotonicTime.now().nanoseconds)
  }

  private enum Step {
    /// No batch is free: the rest of the datagram waits.
    case held
    /// All encodings are through; nil: it was skipped, its dump had ended.
    case through(slot: Int, TranscodeStop?)
  }

  private func encode(_ datagram: inout ReceivedDatagram) -> Step {
    let slot = datagram.slot
    guard let dump = dumps[slot] else { return .through(slot: slot, nil) }
    if dump.pointee.end != nil, !datagram.isStarted { return .through(slot: slot, nil) }
    // A cut between two messages would look whole.
    if datagram.buffer.isTruncated { return .through(slot: slot, .malformed(.messageLength)) }
    datagram.isStarted = true
    let before = (counters.rows.reported, counters.rows.listening)
    var stop: TranscodeStop?
    var isHeld = false
    for (index, encoding) in encodings.enumerated() where !encoding.isThrough {
      // A row counts once, however many formats it is encoded in.
      var uncounted = RowTally()
      let end =
        index == 0
        ? encode(datagram, dump, encoding, tally: &counters.rows) : encode(datagram, dump, encoding, tally: &uncounted)
      if let end { stop = end } else { isHeld = true }
    }
    dump.pointee.reported += counters.rows.reported - before.0
    dump.pointee.listening += counters.rows.listening - before.1
    return isHeld ? .held : .through(slot: slot, stop)
  }

  private func encode(
    _ datagram: borrowing ReceivedDatagram, _ dump: UnsafeMutablePointer<Dump>, _ encoding: Encoding,
    tally: inout RowTally
  ) -> TranscodeStop? {
    encoding.encode(
      datagram.buffer.bytes, sequence: dump.pointee.sequence, timestamp: datagram.timestamp,
      memory: dump.pointee.memory.value.prefixes, bindings: dump.pointee.memory.value.bindings, pool: batchPool,
      now: MonotonicTime.now().nanoseconds, tally: &tally)
  }

  private func datagramDone(_ slot: Int, _ stop: TranscodeStop?) {
    guard let dump = dumps[slot] else { return }
    dump.pointee.queued -= 1
    switch stop {
    case .none, .datagramEnd, .batchFull: break
    case .dumpDone(0): walkEnded(slot)
    case .dumpDone(let errno): endDump(slot, .refused(SystemError("sock_diag dump", errno: errno)))
    case .dumpError(let errno): requestRefused(slot, errno: errno)
    case .acknowledged: knownAnswered(slot)
    case .malformed: endDump(slot, .malformed)
    }
    if dump.pointee.readerError != nil { judgeReader(slot) }
    freeIfDone(slot)
  }
}
