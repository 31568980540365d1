import IO
import Sinks

@testable import Pipelines

/// A status with one pipeline `web` that has two sinks, with a different number at every place.
func sampleStatus() -> DaemonStatus {
  var status = DaemonStatus()
  status.state = .running
  status.version = "1.2.3"
  status.startedAt = 1_700_000_000_000_000_000
  status.configuration.path = "/etc/xtcpd/xtcpd.yaml"
  status.configuration.hash = String(repeating: "ab", count: 32)
  status.configuration.generation = 7
  status.configuration.lastSuccess = 1_700_000_100_500_000_000
  status.configuration.reloads = [.applied: 6, .refused: 2]
  status.threads = [ThreadUse(kind: "main", granted: 1), ThreadUse(kind: "loop", granted: 2)]
  status.memory = [MemoryUse(use: "limit", bytes: 256 << 20)]
  status.loops = [
    LoopStatus(name: "loop0", pipelines: ["web"], sinceTurn: 500_000_000, longestInterval: 1_000_000_000)
  ]
  status.pipelines = [samplePipeline("web")]
  return status
}

func samplePipeline(_ name: String) -> PipelineStatus {
  var counters = PipelineCounters()
  counters.completePolls = 10
  counters.partialPolls = 2
  counters.failedPolls = 1
  counters.skippedPolls = 3
  counters.namespaces = 4
  counters.socketsUnread = 5
  counters.dumps.complete = 40
  counters.dumps.timedOut = 2
  counters.rows.reported = 1000
  counters.rows.filtered = 100
  counters.rows.sampledOut = 200
  counters.rows.encoded = 700
  var good = SinkReport(name: "kafka")
  good.tally.accepted = 650
  good.tally.delivered = 600
  good.tally.dropped[.noSpace] = 30
  good.tally.bytes = 12_345
  good.openRows = 50
  var bad = SinkReport(name: "disk")
  bad.state = .failing("open(/x): No space left on device (ENOSPC)")
  var totals = PipelineTotals(name: name, sinks: [])
  totals.counters = counters
  totals.sinks = [good, bad]
  var pipeline = PipelineStatus(
    name: name, loop: "loop0", mode: .ioUring, generation: 6, interval: 1_000_000_000, totals: totals)
  pipeline.lastPoll = 1_700_000_200_000_000_000
  pipeline.lastCompletePoll = 1_700_000_199_000_000_000
  pipeline.pools = [
    ("receive_buffers", PoolGauges(size: 16, inUse: 1, highWater: 16, waits: 9)),
    ("batches", PoolGauges(size: 4, inUse: 2, highWater: 3, waits: 0)),
  ]
  pipeline.pollDurations.observe(900_000)
  pipeline.pollDurations.observe(3_000_000)
  pipeline.pollDurations.observe(60_000_000_000)
  var queue = QueueGauges()
  queue.bytes = 65_536
  queue.limit = 16 << 20
  queue.queuedRows = 15
  queue.sendingRows = 5
  queue.oldestBatch = 1_700_000_198_000_000_000
  pipeline.queues = [queue, QueueGauges()]
  return pipeline
}

/// The moment that the sample is looked at.
let sampleNow: Int64 = 1_700_000_200_500_000_000

var sampleProcess: ProcessUsage {
  var process = ProcessUsage()
  process.threads = 3
  process.cpuSeconds = 1.5
  process.residentBytes = 20 << 20
  process.openDescriptors = 12
  return process
}
