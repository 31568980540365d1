import IO
import Logging
import Sinks

/// Failures: what could not be read is counted, estimated, and said once.
extension Pipeline {
  /// A namespace could not be entered. It costs its part of this poll; the next poll looks for it anew.
  func entryFailed(_ error: EntryError, namespace: Int) {
    let name = table.namespaces[namespace].name
    count(DumpEnd(error), of: namespace)
    switch error {
    case .vanished, .replaced:
      namespaces.markStale(table.namespaces[namespace])
      log.debug("namespace has gone", metadata: ["netns": "\(name)"])
    case .denied(let reason):
      complain(.denied, "\(reason): entering network namespace \(name) needs CAP_SYS_ADMIN; its sockets are not read")
    case .system(let reason):
      estimateUnread(namespace, reported: 0)
      complain(.failed, "\(reason), in network namespace \(name)")
    case .lostHome(let reason):
      failure = reason
    }
  }

  /// A dump ended before the kernel said that it was done.
  func dumpFailed(_ end: DumpEnd, _ dump: UnsafeMutablePointer<Dump>) {
    let namespace = table.namespaces[dump.pointee.namespace]
    estimateUnread(dump.pointee.namespace, reported: dump.pointee.reported)
    switch end {
    case .refused(let error):
      complain(.refused, "\(error), in network namespace \(namespace.name)")
    case .failed(let error):
      complain(.failed, "\(error), in network namespace \(namespace.name)")
    case .timedOut:
      complain(
        .timedOut,
        "network namespace \(namespace.name) was not read within the timeout of \(plan.timeout / 1_000_000) ms")
    case .heldTooLong:
      complain(
        .heldTooLong,
        "the sinks took no batch for longer than the timeout; network namespace \(namespace.name) was given up")
    case .malformed:
      complain(.malformed, "the kernel's answer for network namespace \(namespace.name) is cut or broken")
    case .complete, .vanished, .denied, .interrupted: break
    }
  }

  /// The kernel knows how many sockets a namespace has (`TCP: inuse` and `tw` of /proc/net/sockstat): what was not reported of
  /// them is what the given-up dump did not get to.
  /// Of a part it is as much as of the others. With a filter in the kernel it is too much: what the filter would have dropped is in it.
  private func estimateUnread(_ namespace: Int, reported: UInt64) {
    do throws(EntryError) {
      let present = try door.readSockstat(table.namespaces[namespace]).total / UInt64(largest.parts(of: namespace))
      counters.socketsUnread += present > reported ? present - reported : 0
    } catch {
      if case .lostHome(let reason) = error { failure = reason }
    }
  }

  /// Gives up the dumps that have had their time.
  func endOverdueDumps(now: Int64) {
    let held = hold.held(now: now)
    for slot in 0..<dumps.capacity {
      guard let dump = dumps[slot], dump.pointee.end == nil, dump.pointee.inLine == nil else { continue }
      switch dump.pointee.clock.verdict(now: now, held: held, timeout: plan.timeout) {
      case .inTime: break
      case .timedOut: endDump(slot, .timedOut)
      case .heldTooLong: endDump(slot, .heldTooLong)
      }
    }
  }

  // MARK: Saying so

  /// Says a failure once, until the pipeline has had a complete poll again: what goes on failing is in the counters.
  func complain(_ kind: Complaints.Kind, _ message: @autoclosure () -> String) {
    guard complaints.insert(kind) else { return }
    log.warning("\(message())")
  }

  func sinkChanged(_ sink: any Sink) {
    switch sink.state {
    case .up: log.notice("sink \(sink.name) works again")
    case .failing(let reason) where sink.tally.dropped[.closed] > 0:
      log.notice("sink \(sink.name): its reader has gone, what comes is dropped and counted: \(reason)")
    case .failing(let reason):
      log.warning(
        "sink \(sink.name): \(reason); it is tried again, and what its queue cannot hold is dropped and counted")
    }
  }

  func recovered() {
    guard !complaints.isEmpty else { return }
    complaints.removeAll()
    log.notice("every namespace was read again")
  }
}

/// The kinds of failure that have been said and not been over since.
struct Complaints {
  enum Kind: UInt8 {
    case denied, failed, refused, timedOut, heldTooLong, malformed, nothingChosen
  }

  private var said: UInt8 = 0

  var isEmpty: Bool { said == 0 }

  /// True if it had not been said.
  mutating func insert(_ kind: Kind) -> Bool {
    let bit: UInt8 = 1 << kind.rawValue
    defer { said |= bit }
    return said & bit == 0
  }

  mutating func removeAll() { said = 0 }
}
