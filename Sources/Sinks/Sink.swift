import IO

/// Why rows that were encoded never reached their destination. The spelling is what metrics and `status` show.
public enum DropReason: String, CaseIterable, Sendable {
  /// The device, quota or file size limit left no room (ENOSPC, EDQUOT, EFBIG).
  case noSpace = "no_space"
  /// The reader of a pipe or terminal has gone (EPIPE) or the descriptor is no longer usable.
  case closed
  /// Any other error of the write; the sink's state carries it.
  case failed
  /// The daemon stopped before the rows could be written.
  case shutdown
}

/// Rows per `DropReason`.
public struct DropCounts: Sendable, Equatable {
  // Words in place of a dictionary: counting allocates nothing.
  private var noSpace: UInt64 = 0
  private var closed: UInt64 = 0
  private var failed: UInt64 = 0
  private var shutdown: UInt64 = 0

  public init() {}

  public subscript(reason: DropReason) -> UInt64 {
    get { self[keyPath: DropCounts.path(reason)] }
    set { self[keyPath: DropCounts.path(reason)] = newValue }
  }

  /// Rows dropped for any reason.
  public var total: UInt64 { noSpace + closed + failed + shutdown }

  private static func path(_ reason: DropReason) -> WritableKeyPath<DropCounts, UInt64> {
    switch reason {
    case .noSpace: \.noSpace
    case .closed: \.closed
    case .failed: \.failed
    case .shutdown: \.shutdown
    }
  }
}

/// What became of the rows handed to a sink: accepted = delivered + dropped + in flight, at every moment.
public struct SinkTally: Sendable, Equatable {
  /// Rows handed to the sink.
  public var accepted: UInt64 = 0
  /// Rows whose last byte the kernel has taken (for `blackhole`: discarded as asked).
  public var delivered: UInt64 = 0
  public var dropped = DropCounts()
  /// Bytes the kernel has taken, headers included.
  public var bytes: UInt64 = 0

  public init() {}

  /// Rows queued or being written.
  public var inFlight: UInt64 { accepted - delivered - dropped.total }
}

/// Whether a sink's last write worked.
public enum SinkState: Sendable, Equatable {
  case up
  /// Why it did not: a sentence for people.
  case failing(String)
}

/// What every sink that writes to a descriptor needs of its pipeline.
public struct SinkOutput {
  let port: any Port
  /// What completions of this sink's operations carry.
  let owner: UInt32
  /// What an output begins with: the names of CSV columns; empty for most formats.
  let header: [UInt8]
  /// Batches in the pipeline's pool, and so the most that can be queued.
  let capacity: Int

  public init(port: any Port, owner: UInt32, header: [UInt8], capacity: Int) {
    self.port = port
    self.owner = owner
    self.header = header
    self.capacity = capacity
  }
}

/// The end of a pipeline: takes sealed batches and ships their bytes.
///
/// A sink lives on its pipeline's loop thread and does its I/O through the pipeline's port. It never blocks and never refuses
/// a batch: what it cannot deliver it drops by name. It keeps a share of every batch it holds; letting go of the last share
/// returns the batch to the pool, which is how a slow sink slows the dump down.
public protocol Sink: AnyObject {
  /// The name from the configuration.
  var name: String { get }
  var tally: SinkTally { get }
  var state: SinkState { get }
  /// Nothing queued and nothing being written.
  var isIdle: Bool { get }

  /// Takes a share of a sealed batch.
  func accept(_ batch: consuming SharedLease<Batch>)
  /// Handles a completion whose owner is this sink's.
  func handle(_ completion: consuming Completion)
  /// Starts what could not be started before because the port had no free operation. Called once a turn.
  func resume()
  /// Counts all that is still held, and all that still comes, as dropped by shutdown. Called when draining has ended and the
  /// port's operations are over.
  func abandon()
}
