import IO

/// How the rows of a batch stand one after another.
public enum RowFraming: Sendable, Equatable {
  /// Any run of whole rows can be read by itself.
  case plain
  /// As `plain`, behind a uvarint of its length: protobuf's `Envelope`, whose rows are a repeated field.
  case envelope
  /// Only the whole batch can be read.
  case whole
}

/// Whose rows they are, for destinations that want to know.
public struct SinkOrigin: Sendable {
  public var hostname = ""
  public var pipeline = ""
  /// The daemon's.
  public var version = ""
  /// The format's name in configurations.
  public var format = ""
  /// The version of the rows' schema.
  public var schema = ""

  public init() {}
}

/// What every sink that has a queue needs of its pipeline.
public struct SinkOutput {
  let port: any Port
  /// What completions of this sink's operations carry.
  let owner: UInt32
  /// What an output begins with: the names of CSV columns; empty for most formats.
  let header: [UInt8]
  let framing: RowFraming
  public let origin: SinkOrigin
  let queue: QueuePolicy
  let retry: RetryPolicy
  let budget: MemoryBudget
  /// Where the queue keeps what has no room in memory; nil: nowhere.
  let spool: SpoolPlace?
  /// Batches that may wait before the queue needs memory for more places.
  let capacity: Int
  /// How long, in nanoseconds, the sink may hold encoding up from one moment at which nothing waits to the next, although its
  /// policy is to drop: a burst of rows is written slower than it is encoded, and yet nothing is wrong with the output.
  let patience: Int64
  /// Another sink will leave its queue: nothing is written before `Sink.inherit`.
  public let awaitsEstate: Bool
  /// Whether the destination is there is found out before there is something to send.
  let probes: Bool
  /// Makes the sink's loop call `Sink.resume` soon; called from any thread.
  let wake: @Sendable () -> Void

  public init(
    port: any Port, owner: UInt32, header: [UInt8], framing: RowFraming = .plain, origin: SinkOrigin = SinkOrigin(),
    queue: QueuePolicy, retry: RetryPolicy, budget: MemoryBudget, spool: SpoolPlace? = nil,
    capacity: Int = 4, patience: Int64 = 0, awaitsEstate: Bool = false, probes: Bool = true,
    wake: @escaping @Sendable () -> Void = {}
  ) {
    self.port = port
    self.owner = owner
    self.header = header
    self.framing = framing
    self.origin = origin
    self.queue = queue
    self.retry = retry
    self.budget = budget
    self.spool = spool
    self.capacity = capacity
    self.patience = patience
    self.awaitsEstate = awaitsEstate
    self.probes = probes
    self.wake = wake
  }
}
