/// What `xtcpd status` shows and the request `status` answers: `DaemonStatus` in the form of its JSON. Times ending in `Ns` are
/// nanoseconds, of the wall clock (since 1970) if they are moments.
struct StatusReport: Codable, Equatable {
  var version: String
  var state: String
  var pid: Int
  var nowNs: Int64
  var startedAtNs: Int64
  var configuration: Configuration
  /// Where /metrics is; absent if there is no HTTP server.
  var metricsAddress: String?
  var threads: [Threads]
  /// As the kernel counts them at this moment.
  var threadsRunning: Int
  var memory: [Memory]
  var residentBytes: Int
  var loops: [Loop]
  var pipelines: [Pipeline]

  struct Configuration: Codable, Equatable {
    var path: String
    var hash: String
    var generation: UInt64
    var state: String
    /// The file was invalid at the start, and the last good configuration runs in its place.
    var isDegraded: Bool
    var isLastReloadSuccessful: Bool
    var lastSuccessNs: Int64
    var reloads: [Reloads]
    var verdict: Verdict?
  }

  struct Reloads: Codable, Equatable {
    var result: String
    var count: UInt64
  }

  struct Verdict: Codable, Equatable {
    var result: String
    var cause: String?
    var generation: UInt64
    var hash: String
    var timeNs: Int64
    var summary: String
    var details: [String]
  }

  struct Threads: Codable, Equatable {
    var kind: String
    var granted: Int
  }

  struct Memory: Codable, Equatable {
    var use: String
    var bytes: Int
  }

  struct Loop: Codable, Equatable {
    var name: String
    var pipelines: [String]
    var sinceTurnNs: Int64
    var isHanging: Bool
  }

  struct Pipeline: Codable, Equatable {
    var name: String
    var state: String
    var loop: String
    var mode: String
    var generation: UInt64
    var intervalNs: Int64
    /// 0: none yet.
    var lastPollNs: Int64
    var lastCompletePollNs: Int64
    var namespaces: UInt64
    var polls: Polls
    var sockets: Sockets
    var pools: [Pool]
    var sinks: [Sink]
  }

  struct Polls: Codable, Equatable {
    var complete: UInt64
    var partial: UInt64
    var failed: UInt64
    var skipped: UInt64

    var total: UInt64 { complete + partial + failed }
  }

  struct Sockets: Codable, Equatable {
    var reported: UInt64
    var filtered: UInt64
    var sampledOut: UInt64
    var encoded: UInt64
    var unread: UInt64
  }

  struct Pool: Codable, Equatable {
    var name: String
    var inUse: Int
    var size: Int
    var highWater: Int
    var waits: UInt64
  }

  struct Sink: Codable, Equatable {
    var name: String
    var isUp: Bool
    /// Why it is not.
    var problem: String?
    var delivered: UInt64
    /// Those of which there are any.
    var dropped: [Drops]
    var bytes: UInt64
    var openRows: UInt64
    var queuedRows: UInt64
    var sendingRows: UInt64
    var spilledRows: UInt64
    var spilledBytes: Int
    var restored: UInt64
    var queueBytes: Int
    var queueLimit: Int
    /// 0: nothing waits.
    var oldestBatchNs: Int64
  }

  struct Drops: Codable, Equatable {
    var reason: String
    var rows: UInt64
  }
}
