import IO
import Synchronization
import Sinks

/// What a pipeline tells of itself, as of its last turn between two polls.
struct PipelineReport: Sendable {
  var totals: PipelineTotals
  var mode = PortMode.syscall
  /// Wall clock, nanoseconds since 1970; 0: none yet.
  var lastPoll: Int64 = 0
  var lastCompletePoll: Int64 = 0
  var pollDurations = DurationHistogram()
  var pools = PipelinePools()
  /// One entry a sink, in the order of `totals.sinks`.
  var queues: [QueueGauges]
}

/// Gauges of the pools of a pipeline.
struct PipelinePools: Sendable {
  var receiveBuffers = PoolGauges(size: 0, inUse: 0, highWater: 0, waits: 0)
  /// Nil: there are no readers.
  var readerBuffers: PoolGauges?
  var dumps = PoolGauges(size: 0, inUse: 0, highWater: 0, waits: 0)
  var operations = PoolGauges(size: 0, inUse: 0, highWater: 0, waits: 0)
  var batches = PoolGauges(size: 0, inUse: 0, highWater: 0, waits: 0)

  var knownSockets = PoolGauges(size: 0, inUse: 0, highWater: 0, waits: 0)

  var named: [(name: String, gauges: PoolGauges)] {
    [("receive_buffers", receiveBuffers)] + (readerBuffers.map { [("reader_buffers", $0)] } ?? [])
      + [("dumps", dumps), ("operations", operations), ("batches", batches), ("known_sockets", knownSockets)]
  }
}

/// Where a pipeline puts its report for other threads to read. Written in place: publishing allocates nothing.
final class PipelineBoard: Sendable {
  private let latest: Mutex<PipelineReport>

  init(name: String, sinks: [String]) {
    latest = Mutex(
      PipelineReport(totals: PipelineTotals(name: name, sinks: sinks), queues: sinks.map { _ in QueueGauges() }))
  }

  func update(_ change: (inout PipelineReport) -> Void) { latest.withLock { change(&$0) } }

  func read() -> PipelineReport { latest.withLock { $0 } }
}
