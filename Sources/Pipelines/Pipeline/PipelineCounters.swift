import IO
import Records
import Sinks

/// What a pipeline has done since it was created. Rule 1 of the design holds over it whenever no poll is running:
/// `rows.reported == rows.filtered + rows.sampledOut + rows.encoded`, and for every sink
/// `rows.encoded == delivered + dropped + in flight`, the open batch counting as in flight (`PipelineTotals.imbalance`).
public struct PipelineCounters: Sendable, Equatable {
  /// Polls in which every selected namespace was read to its end.
  public var completePolls: UInt64 = 0
  /// Polls in which at least one namespace could not be read, or not to its end.
  public var partialPolls: UInt64 = 0
  /// Polls in which not one namespace could be read.
  public var failedPolls: UInt64 = 0
  /// Ticks at which the poll before was still running.
  public var skippedPolls: UInt64 = 0
  /// Namespaces chosen in the last poll.
  public var namespaces: UInt64 = 0
  public var dumps = DumpCounts()
  public var walks = WalkCounts()
  public var rows = RowTally()
  /// Estimate, from sockstat, of sockets that dumps which were given up did not get to.
  public var socketsUnread: UInt64 = 0

  public var polls: UInt64 { completePolls + partialPolls + failedPolls }
}

/// What a pipeline and its sinks have done: everything that other threads, `status` and the last log lines are told.
public struct PipelineTotals: Sendable, Equatable {
  public let name: String
  public internal(set) var counters = PipelineCounters()
  /// One entry a sink, in the order of the configuration.
  public internal(set) var sinks: [SinkReport]

  init(name: String, sinks: [String]) {
    self.name = name
    self.sinks = sinks.map { SinkReport(name: $0) }
  }

  /// Every namespace that still existed was read to its end.
  public var isWhole: Bool { counters.failedPolls == 0 && counters.dumps.incomplete == counters.dumps.vanished }

  /// Rows were dropped although somebody wanted to have them: a reader that has gone has seen enough.
  public var hasLostRows: Bool { sinks.contains { $0.tally.dropped.total > $0.tally.dropped[.closed] } }

  /// Nil if the sums of rule 1 agree, else a sentence that says which do not.
  public var imbalance: String? {
    let rows = counters.rows
    if rows.reported != rows.filtered + rows.sampledOut + rows.encoded {
      return
        "reported \(rows.reported) != filtered \(rows.filtered) + sampled out \(rows.sampledOut) + encoded \(rows.encoded)"
    }
    for sink in sinks where sink.encodedBefore + sink.tally.accepted + sink.openRows != rows.encoded {
      return "sink \(sink.name): before it \(sink.encodedBefore) + accepted \(sink.tally.accepted) + open "
        + "\(sink.openRows) != encoded \(rows.encoded)"
    }
    return nil
  }
}

/// A sink's name, tally and state as of the end of a poll.
public struct SinkReport: Sendable, Equatable {
  public var name: String
  public var tally = SinkTally()
  public var state = SinkState.up
  /// Rows in the batch that is being filled: in flight, though not handed to the sink yet.
  public var openRows: UInt64 = 0
  /// Rows that the pipeline had encoded before this sink was there.
  public var encodedBefore: UInt64 = 0

  public init(name: String) { self.name = name }

  /// Rows that are neither delivered nor dropped.
  public var inFlight: UInt64 { tally.inFlight + openRows }
}

/// How the dumps of a pipeline ended.
public struct DumpCounts: Sendable, Equatable {
  /// Read to the kernel's NLMSG_DONE.
  public var complete: UInt64 = 0
  /// The namespace was gone, or its name meant another one by the time it was entered.
  public var vanished: UInt64 = 0
  /// Not permitted to enter.
  public var denied: UInt64 = 0
  /// The kernel answered with an error.
  public var refused: UInt64 = 0
  /// Longer than `timeout`.
  public var timedOut: UInt64 = 0
  /// Held open by our own sinks for longer than `timeout`.
  public var heldTooLong: UInt64 = 0
  /// A datagram was cut or broken.
  public var malformed: UInt64 = 0
  /// Cut by the daemon's stop.
  public var interrupted: UInt64 = 0
  /// The request could not be sent or the answer not received.
  public var failed: UInt64 = 0

  public var incomplete: UInt64 {
    vanished + denied + refused + timedOut + heldTooLong + malformed + interrupted + failed
  }

  mutating func add(_ other: DumpCounts) {
    complete += other.complete
    vanished += other.vanished
    denied += other.denied
    refused += other.refused
    timedOut += other.timedOut
    heldTooLong += other.heldTooLong
    malformed += other.malformed
    interrupted += other.interrupted
    failed += other.failed
  }

  mutating func count(_ end: DumpEnd) {
    switch end {
    case .complete: complete += 1
    case .vanished: vanished += 1
    case .denied: denied += 1
    case .refused: refused += 1
    case .timedOut: timedOut += 1
    case .heldTooLong: heldTooLong += 1
    case .malformed: malformed += 1
    case .interrupted: interrupted += 1
    case .failed: failed += 1
    }
  }
}

/// By what namespaces were read.
public struct WalkCounts: Sendable, Equatable {
  /// By no dump: no socket was in use.
  public var none: UInt64 = 0
  /// By a walk of the table of listeners: nothing else was in use.
  public var listeners: UInt64 = 0
  /// By a walk of the table of listeners and by asking for the connections that are known: nothing else was in use.
  public var known: UInt64 = 0
  /// By a walk of all tables of which the kernel reported one port alone.
  public var exact: UInt64 = 0
  /// By a walk of all tables of which the kernel reported what its program let through.
  public var filtered: UInt64 = 0
  /// By a walk of all tables.
  public var full: UInt64 = 0

  /// Those of all tables.
  public var tables: UInt64 { exact + filtered + full }

  mutating func countTables(_ filter: KernelFilter) {
    if !filter.program.isEmpty {
      filtered += 1
    } else if !filter.isEmpty {
      exact += 1
    } else {
      full += 1
    }
  }
}

/// Why a dump is over.
enum DumpEnd: Equatable {
  case complete
  case vanished
  case denied
  case refused(SystemError)
  case timedOut
  case heldTooLong
  case malformed
  case interrupted
  case failed(SystemError)

  /// Of what could not be entered.
  init(_ error: EntryError) {
    self =
      switch error {
      case .vanished, .replaced: .vanished
      case .denied: .denied
      case .system(let reason), .lostHome(let reason): .failed(reason)
      }
  }
}
