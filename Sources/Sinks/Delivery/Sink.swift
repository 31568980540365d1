import IO

/// Why rows that were encoded never reached their destination. The spelling is what metrics and `status` show.
public enum DropReason: String, CaseIterable, Sendable {
  /// The device, quota or file size limit left no room (ENOSPC, EDQUOT, EFBIG), and nothing is tried again.
  case noSpace = "no_space"
  /// The reader of a pipe or terminal has gone (EPIPE) or the descriptor is no longer usable.
  case closed
  /// Any other error of the write, and nothing is tried again; the sink's state carries it.
  case failed
  /// The daemon stopped before the rows could be written.
  case shutdown
  /// The queue was at its own limit.
  case queueFull = "queue_full"
  /// The memory for all queues was used up.
  case memory
  /// Tried for as long as the configuration says.
  case expired
  /// The destination will never take them, and said so.
  case rejected
  /// A row or a message is longer than the destination takes.
  case tooLarge = "too_large"
  /// What was kept on disk came back broken.
  case corrupt

  /// Where `DropCounts` counts it.
  fileprivate var index: Int {
    switch self {
    case .noSpace: 0
    case .closed: 1
    case .failed: 2
    case .shutdown: 3
    case .queueFull: 4
    case .memory: 5
    case .expired: 6
    case .rejected: 7
    case .tooLarge: 8
    case .corrupt: 9
    }
  }
}

/// Rows per `DropReason`.
public struct DropCounts: Sendable, Equatable {
  // Words in place of a dictionary: counting allocates nothing.
  private var counts: InlineArray<10, UInt64> = .init(repeating: 0)

  public init() {}

  public subscript(reason: DropReason) -> UInt64 {
    get { counts[reason.index] }
    set { counts[reason.index] = newValue }
  }

  /// Adds what was counted elsewhere.
  public mutating func add(_ other: DropCounts) {
    for reason in DropReason.allCases { self[reason] += other[reason] }
  }

  /// Rows dropped for any reason.
  public var total: UInt64 { DropReason.allCases.reduce(0) { $0 + self[$1] } }

  public static func == (a: DropCounts, b: DropCounts) -> Bool { DropReason.allCases.allSatisfy { a[$0] == b[$0] } }
}

/// What became of the rows handed to a sink: accepted + restored = delivered + dropped + in flight, at every moment.
public struct SinkTally: Sendable, Equatable {
  /// Rows handed to the sink.
  public var accepted: UInt64 = 0
  /// Rows that an earlier process left on disk.
  public var restored: UInt64 = 0
  /// Rows that the destination has acknowledged; where none does, whose last byte the kernel has taken; for `blackhole`, discarded as
  /// asked.
  public var delivered: UInt64 = 0
  public var dropped = DropCounts()
  /// Bytes that went out, headers included.
  public var bytes: UInt64 = 0

  public init() {}

  /// Rows queued or being written.
  public var inFlight: UInt64 { accepted + restored - delivered - dropped.total }

  /// Adds what another sink has counted.
  public static func += (tally: inout SinkTally, other: SinkTally) {
    tally.accepted += other.accepted
    tally.restored += other.restored
    tally.delivered += other.delivered
    tally.bytes += other.bytes
    tally.dropped.add(other.dropped)
  }
}

/// Whether a sink's last write worked.
public enum SinkState: Sendable, Equatable {
  case up
  /// Why it did not: a sentence for people.
  case failing(String)
}

/// Whether a sink's destination is there, for `healthcheck`.
public enum SinkHealth: Sendable, Equatable {
  /// Not known yet.
  case unknown
  case good
  /// Why it is not: a sentence for people.
  case bad(String)
}

/// The end of a pipeline: takes sealed batches and ships their bytes.
///
/// A sink lives on its pipeline's loop thread and does its I/O through the pipeline's port. It never blocks: what it cannot write
/// yet waits in its queue, what has no room there is dropped by name, or keeps its batch out of the pool if the queue's policy
/// is to make the pipeline wait.
///
/// **Hand-over.** A queue belongs to a pipeline and the name of a sink, so it outlives the sink that fills it:
///
///     old.beginRelease()                    // writes nothing more; goes on accepting
///     ... until old.isReleased ...          // the write in flight has ended
///     new.inherit(old.takeEstate())         // new, made with `awaitsEstate`, has accepted but not written
///
/// Called off before `takeEstate`: `old.inherit(nil)`; after it: `old.inherit(estate)`.
public protocol Sink: AnyObject {
  /// The name from the configuration.
  var name: String { get }
  var tally: SinkTally { get }
  var state: SinkState { get }
  var health: SinkHealth { get }
  /// What waits. Zeros for a sink without a queue.
  var queueGauges: QueueGauges { get }
  /// Nothing queued and nothing being written.
  var isIdle: Bool { get }
  /// Monotonic nanoseconds at which `resume` has something to do although no completion comes; nil: never.
  var nextDeadline: Int64? { get }

  /// Takes a share or a copy of a sealed batch, or drops it by name.
  func accept(_ offer: inout BatchOffer)
  /// Handles a completion whose owner is this sink's.
  func handle(_ completion: consuming Completion)
  /// Starts what could not be started before and what has become due. Called once a turn.
  func resume()
  /// Nothing more comes: what waits to be gathered is sent.
  func drain()
  /// Other limits from now on. What waits stays, unless it is too much for a smaller limit: that gives way by the policy.
  func apply(queue: QueuePolicy, retry: RetryPolicy)
  /// Opens anew what its name no longer leads to, as after a rotation.
  func reopen()
  /// Counts all that is still held, and all that still comes, as dropped by shutdown. Called when draining has ended and the
  /// port is torn down.
  ///
  /// - Parameter isStuck: the kernel has not let go of all operations (`Port.tearDown`): what is being written keeps its memory for
  ///   the life of the process.
  func abandon(isStuck: Bool)

  /// Nothing is written before `inherit`.
  var awaitsEstate: Bool { get }
  /// Starts no further write, and ends the one in flight early if that is possible.
  func beginRelease()
  /// From `beginRelease` to `inherit`.
  var isReleasing: Bool { get }
  /// It is releasing, and `takeEstate` can be called.
  var isReleased: Bool { get }
  /// Releases although a write is still in flight, as in a storage that hangs: its batch is given away too and will be written once
  /// more, so that its rows may arrive twice. The memory under the write stays valid until its completion, or for ever after
  /// `abandon(isStuck: true)`.
  func forceRelease()
  /// Gives away what waits, with all counts; the sink counts from zero then. Nil if it is not released or has given all away before.
  func takeEstate() -> SinkEstate?
  /// Begins to write, after taking over what another sink of the same format left, which goes before all that was accepted
  /// meanwhile. Where the output is the same, a batch of which a part is out goes on there; elsewhere it begins anew, and the part
  /// is taken back. Nil: there is nothing to inherit, or a release is called off.
  func inherit(_ estate: SinkEstate?)
}

extension Sink {
  /// What is written to a descriptor that is open is there.
  public var health: SinkHealth { .good }
  public func drain() {}
}
