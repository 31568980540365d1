/// What may wait for a sink, and what gives way when it is too much.
public struct QueuePolicy: Sendable, Equatable {
  public enum WhenFull: Sendable {
    /// The batch stays in its pool: the dump waits.
    case block
    /// The batch that comes is dropped.
    case dropNewest
    /// Batches that have waited longest are dropped.
    case dropOldest
    /// What has no room in memory goes to disk.
    case spill

    /// Memory is made by dropping.
    var drops: Bool { self == .dropNewest || self == .dropOldest }
  }

  /// Bytes of copies that may be held, the one being written included. One batch may always be held, however big it is.
  public var limit: Int
  /// Bytes of the process's budget that are this queue's own.
  public var reserve: Int
  public var whenFull: WhenFull

  public init(limit: Int, reserve: Int, whenFull: WhenFull) {
    self.limit = limit
    self.reserve = reserve
    self.whenFull = whenFull
  }
}

/// How much of a queue goes together: whichever is reached first.
public struct GatherPolicy: Equatable, Sendable {
  /// Bytes to ship.
  public var bytes: Int
  public var rows: Int
  /// Nanoseconds since the first batch was sealed.
  public var maxAge: Int64

  public init(bytes: Int, rows: Int, maxAge: Int64) {
    self.bytes = bytes
    self.rows = rows
    self.maxAge = maxAge
  }
}

/// How a write that failed is tried again. Nanoseconds.
public struct RetryPolicy: Sendable, Equatable {
  /// The longest wait after the first failure; it doubles with every further one.
  public var initial: Int64
  /// The longest wait of all.
  public var max: Int64
  /// A batch that has failed for so long is dropped; 0: at its first failure.
  public var giveUpAfter: Int64

  public init(initial: Int64, max: Int64, giveUpAfter: Int64) {
    self.initial = initial
    self.max = max
    self.giveUpAfter = giveUpAfter
  }
}

/// What waits for a sink at this moment.
public struct QueueGauges: Sendable, Equatable {
  /// Bytes of memory that are held, in units of 64 KiB a batch; a batch of the pool that is written from there is not among them.
  public var bytes = 0
  public var limit = 0
  public var reserve = 0
  /// Rows that wait.
  public var queuedRows: UInt64 = 0
  /// Rows of the batch that is being written.
  public var sendingRows: UInt64 = 0
  /// Rows that are on disk, or on the way there, and bytes of the files.
  public var spilledRows: UInt64 = 0
  public var spilledBytes = 0
  /// Wall clock, nanoseconds since 1970, at which the oldest batch was sealed; 0: nothing waits.
  public var oldestBatch: Int64 = 0

  public init() {}
}
