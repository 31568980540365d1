import IO
import Records

/// Connections that are known from the last walk: asked for one by one, and remembered for the next poll.
extension Pipeline {
  /// Looks at what has been received before it is encoded. False: it is no answer to what was asked.
  func look(at buffer: borrowing ReceiveBuffer, of dump: UnsafeMutablePointer<Dump>) -> Bool {
    // It is passed over; what it would be compared with may have been let go of.
    if dump.pointee.end != nil { return true }
    switch dump.pointee.walk {
    case .known:
      let answer = ExactAnswer(buffer.bytes, sequence: dump.pointee.sequence)
      return dump.pointee.known?.take(answer, in: memory.sockets, plan.walks) ?? false
    case .rest, .full:
      remember(buffer.bytes, of: dump)
      silenceReported(in: buffer, of: dump)
    case .none, .listeners: break
    }
    return true
  }

  private func remember(_ datagram: UnsafeRawBufferPointer, of dump: UnsafeMutablePointer<Dump>) {
    guard dump.pointee.remembers else { return }
    // What was known makes room for what is found, unless it has just been asked for.
    if dump.pointee.known == nil { memory.forgetConnections(of: dump.pointee.namespace) }
    var sockets = ReportedSockets(in: datagram, sequence: dump.pointee.sequence)
    while let socket = sockets.next() {
      guard plan.walks.counts(socket) else { continue }
      if !memory.sockets.append(socket, to: &dump.pointee.remembered) { return forget(dump) }
    }
  }

  /// What a dump remembers is not kept.
  func forget(_ dump: UnsafeMutablePointer<Dump>) {
    dump.pointee.remembers = false
    memory.sockets.removeAll(of: &dump.pointee.remembered)
  }

  /// All tables have been walked: what was found is what is known now. If sockstat knew of more or of less, no later poll could find
  /// that it is all.
  func keepRemembered(_ dump: UnsafeMutablePointer<Dump>) {
    let (known, found) = (memory[dump.pointee.namespace], UInt64(dump.pointee.remembered.count))
    if let present = dump.pointee.present, !plan.walks.mayBeAll(known, connections: found, present) { forget(dump) }
    memory.setConnections(&dump.pointee.remembered, of: dump.pointee.namespace)
  }

  /// What has been asked for one by one is reported once more by the walk that follows if that was not all. It has its row.
  private func silenceReported(in buffer: borrowing ReceiveBuffer, of dump: UnsafeMutablePointer<Dump>) {
    guard var known = dump.pointee.known else { return }
    var sockets = ReportedSockets(in: buffer.bytes, sequence: dump.pointee.sequence)
    while let socket = sockets.next() {
      if known.hasReported(socket, in: memory.sockets) { buffer.memory.silenceMessage(at: sockets.position) }
    }
    dump.pointee.known = known
  }

  /// Writes the request for the next known connections and returns its length.
  func askForKnown(_ dump: UnsafeMutablePointer<Dump>) -> Int {
    var known = dump.pointee.known ?? KnownRead(memory[dump.pointee.namespace].connections, in: memory.sockets)
    defer { dump.pointee.known = known }
    guard let request = dump.pointee.memory.value.request.baseAddress else { return 0 }
    return known.ask(
      memory.sockets, batch: KnownRead.batch(receiveBuffer: dump.pointee.socket.receiveBufferBytes),
      extensions: plan.attributes.requestExtensions, sequence: dump.pointee.sequence, into: request)
  }

  /// The kernel has answered all that was asked.
  func knownAnswered(_ slot: Int) {
    guard let dump = dumps[slot], dump.pointee.end == nil else { return }
    guard dump.pointee.walk == .known, let known = dump.pointee.known, known.isAnswered else {
      return endDump(slot, .malformed)
    }
    if !known.isThrough, !known.hasGone { return askAgain(dump) }
    if known.isThrough, !known.hasGone, isAll(dump, read: dump.pointee.listening + known.answered) {
      counters.walks.known += 1
      endDump(slot, .complete)
    } else {
      // A listener may have come where none had been, and was not asked for.
      dump.pointee.walk = dump.pointee.hasReadListeners ? .rest : .full
      askAgain(dump)
    }
  }

  /// Whether at least one answer and the acknowledgement can wait in a socket.
  func hasRoomForAnswers(_ socket: borrowing Descriptor) -> Bool {
    socket.receiveBufferBytes >= 2 * KnownRead.answerBytes
  }
}
