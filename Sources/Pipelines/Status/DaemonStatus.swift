import Config
import IO
import Sinks

/// What the daemon is doing, at one moment: all that `xtcpd status`, /metrics and the service manager are told is made of this.
public struct DaemonStatus: Sendable {
  public enum State: String, Sendable { case starting, running, reloading, stopping }

  public var state = State.starting
  public var version = ""
  /// Wall clock, nanoseconds since 1970.
  public var startedAt: Int64 = 0
  public var configuration = ConfigurationStatus()
  /// Threads by kind, granted and running.
  public var threads: [ThreadUse] = []
  /// Bytes by use.
  public var memory: [MemoryUse] = []
  public var loops: [LoopStatus] = []
  /// In the order of the configuration.
  public var pipelines: [PipelineStatus] = []

  public init() {}
}

/// Which configuration runs, and what came of the last attempt to take over another one.
public struct ConfigurationStatus: Sendable {
  public enum State: String, Sendable {
    /// The file that xtcpd was started with.
    case current
    /// The last good one, because the file was invalid at the start: degraded.
    case lastGood = "last_good"
  }

  public var path = ""
  /// Hash of the files of the configuration that runs, 64 hexadecimal digits.
  public var hash = ""
  /// Counts configurations that were taken over; 1 is that of the start.
  public var generation: UInt64 = 0
  public var state = State.current
  /// Of the last reload; nil before the first.
  public var verdict: ReloadVerdict?
  /// False after a reload was refused, until one is not.
  public var isLastReloadSuccessful = true
  /// Wall clock, nanoseconds since 1970, of the last reload that was not refused, or of the start.
  public var lastSuccess: Int64 = 0
  /// How many reloads came to each result.
  public var reloads: [ReloadVerdict.Result: UInt64] = [:]

  public init() {}
}

/// What came of one reload: told the same way in log, metrics, status, to the service manager and by `xtcpd reload`.
public struct ReloadVerdict: Sendable {
  public enum Result: String, Sendable, CaseIterable {
    /// Taken over.
    case applied
    /// The new configuration says what runs already.
    case unchanged
    /// What ran before goes on running.
    case refused
  }

  /// Why a configuration was refused.
  public enum Cause: String, Sendable {
    /// It is invalid, or asks for more than its budget.
    case configuration
    /// A right is missing.
    case missingRight = "missing_right"
    /// Something could not be opened, bound or made.
    case system

    init(_ error: StartError) {
      switch error {
      case .missingRight: self = .missingRight
      case .configuration: self = .configuration
      case .system: self = .system
      }
    }
  }

  public var result: Result
  /// Nil unless it was refused.
  public var cause: Cause?
  /// Of the configuration that runs after it.
  public var generation: UInt64
  /// Of the configuration that was read; empty if it could not be.
  public var hash: String
  /// Wall clock, nanoseconds since 1970.
  public var time: Int64
  /// One line: what was done, or why not.
  public var summary: String
  /// Diagnostics as `xtcpd check` prints them, and the steps of the plan; for people.
  public var details: [String]

  public init(
    result: Result, cause: Cause? = nil, generation: UInt64, hash: String, time: Int64, summary: String,
    details: [String] = []
  ) {
    self.result = result
    self.cause = cause
    self.generation = generation
    self.hash = hash
    self.time = time
    self.summary = summary
    self.details = details
  }
}

/// Threads of one kind: `main`, `loop`, `file_worker`, `reader`, `library`.
public struct ThreadUse: Sendable {
  public var kind: String
  /// What admission charged.
  public var granted: Int

  public init(kind: String, granted: Int) {
    self.kind = kind
    self.granted = granted
  }
}

/// Bytes of one use: `limit`, `pools`, `queue_reserve`, `queued`.
public struct MemoryUse: Sendable {
  public var use: String
  public var bytes: Int

  public init(use: String, bytes: Int) {
    self.use = use
    self.bytes = bytes
  }
}

/// One event loop.
public struct LoopStatus: Sendable {
  /// `loop0`, ...
  public var name: String
  public var pipelines: [String]
  /// Nanoseconds since it last turned, and the longest interval of its pipelines: it hangs if the one is three times the other.
  public var sinceTurn: Int64
  public var longestInterval: Int64
  public var isHanging: Bool { sinceTurn > 3 * longestInterval }

  public init(name: String, pipelines: [String], sinceTurn: Int64, longestInterval: Int64) {
    self.name = name
    self.pipelines = pipelines
    self.sinceTurn = sinceTurn
    self.longestInterval = longestInterval
  }
}

/// One pipeline.
public struct PipelineStatus: Sendable {
  public enum State: String, Sendable { case running, draining }

  public var name: String
  public var loop: String
  public var state = State.running
  /// `io_uring` or `syscall`: what `reader.mode` came to.
  public var mode: PortMode
  /// The configuration that last changed it.
  public var generation: UInt64
  /// Nanoseconds.
  public var interval: Int64
  /// Wall clock, nanoseconds since 1970; 0: none yet.
  public var lastPoll: Int64 = 0
  public var lastCompletePoll: Int64 = 0
  public var totals: PipelineTotals
  /// Name (`receive_buffers`, `dumps`, `operations`, `batches`) and gauges.
  public var pools: [(name: String, gauges: PoolGauges)] = []
  /// Durations of polls.
  public var pollDurations = DurationHistogram()
  /// One entry a sink, in the order of `totals.sinks`.
  public var queues: [QueueGauges] = []

  public init(
    name: String, loop: String, mode: PortMode, generation: UInt64, interval: Int64, totals: PipelineTotals
  ) {
    self.name = name
    self.loop = loop
    self.mode = mode
    self.generation = generation
    self.interval = interval
    self.totals = totals
  }
}

/// How long polls took: counts of those at or below each bound, as Prometheus counts them.
public struct DurationHistogram: Sendable, Equatable {
  /// Upper bounds in nanoseconds: 1 ms to 10 s, and no bound.
  public static let bounds: [Int64] = [
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000, 500_000_000,
    1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
  ]
  /// One count a bound, and one beyond the last; not cumulative.
  public private(set) var counts = [UInt64](repeating: 0, count: DurationHistogram.bounds.count + 1)
  /// Nanoseconds.
  public private(set) var sum: Int64 = 0

  public init() {}

  mutating func observe(_ duration: Int64) {
    let index = Self.bounds.firstIndex { duration <= $0 } ?? Self.bounds.count
    counts[index] += 1
    sum += duration
  }
}
