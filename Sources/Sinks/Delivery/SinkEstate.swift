import IO

/// What a sink leaves to the one that takes its place: batches in order, what has been counted, and what the output has of the first one.
///
/// It belongs to no thread, and to one owner at a time, who gives it to `Sink.inherit` or ends it with `abandon`; one that is merely
/// let go of loses rows without a name.
public final class SinkEstate: @unchecked Sendable {
  /// Everything the old sink has counted; what it leaves is in flight.
  public private(set) var tally: SinkTally
  private(set) var batches: [BatchCopy]
  /// What `batches` are charged to; it gives back what nobody absorbed when it goes.
  let account: MemoryBudget.Account?
  private var output: OutputMark?
  /// What is behind `batches`, on disk.
  private(set) var spool: Spool?

  init(
    tally: SinkTally, batches: [BatchCopy], account: MemoryBudget.Account?, output: consuming OutputMark?,
    spool: Spool? = nil
  ) {
    self.spool = spool
    self.tally = tally
    self.batches = batches
    self.account = account
    self.output = consume output
  }

  /// Rows that are left in memory.
  public var rows: UInt64 { batches.reduce(0) { $0 + UInt64($1.rows) } }

  /// Nobody inherits: the rows are kept on disk if that is the policy, else dropped under `reason`, and half a row at the end of a file is taken back. Returns the final
  /// counts.
  public func abandon(_ reason: DropReason = .shutdown) -> SinkTally {
    if let output = output.take() { output.takeBack() }
    account?.give(batches.reduce(0) { $0 + $1.charge })
    if let spool {
      // What is on disk waits for the next start.
      spool.keep(batches)
      if let losses = spool.takeLosses() { tally.dropped.add(losses) }
    } else {
      tally.dropped[reason] += rows
    }
    batches = []
    spool = nil
    return tally
  }

  func takeOutput() -> OutputMark? { output.take() }
}

/// Which output something is written to.
enum OutputIdentity: Equatable, Sendable {
  /// A descriptor of the process itself.
  case stream(Int32)
  case file(FileIdentity)
}

/// How far an output has been written.
struct OutputMark: ~Copyable, Sendable {
  var identity: OutputIdentity?
  /// The header is out, or none is needed.
  var isHeaderOut: Bool
  /// What is out in part.
  var part: WrittenPart?
  /// The bytes of `part`, if they can be taken back.
  var tail: TornTail?

  /// Takes back what is out in part.
  borrowing func takeBack() {
    switch tail {
    case .some(let tail): tail.remove()
    case .none: break
    }
  }
}

/// A segment of which only the beginning is out.
struct WrittenPart: Equatable, Sendable {
  let isHeader: Bool
  let bytes: Int
}
