import IO
import Pipelines
import Sinks

extension StatusReport {
  /// The report of a status.
  ///
  /// - Parameter now: the wall clock.
  init(_ status: DaemonStatus, process: ProcessUsage, pid: Int, metricsAddress: String?, now: Int64) {
    version = status.version
    state = status.state.rawValue
    self.pid = pid
    nowNs = now
    startedAtNs = status.startedAt
    configuration = Configuration(status.configuration)
    self.metricsAddress = metricsAddress
    threads = status.threads.map { Threads(kind: $0.kind, granted: $0.granted) }
    threadsRunning = process.threads
    memory = status.memory.map { Memory(use: $0.use, bytes: $0.bytes) }
    residentBytes = process.residentBytes
    loops = status.loops.map {
      Loop(name: $0.name, pipelines: $0.pipelines, sinceTurnNs: $0.sinceTurn, isHanging: $0.isHanging)
    }
    pipelines = status.pipelines.map(Pipeline.init)
  }
}

extension StatusReport.Configuration {
  fileprivate init(_ status: ConfigurationStatus) {
    self.init(
      path: status.path, hash: status.hash, generation: status.generation, state: status.state.rawValue,
      isDegraded: status.state == .lastGood, isLastReloadSuccessful: status.isLastReloadSuccessful,
      lastSuccessNs: status.lastSuccess,
      reloads: ReloadVerdict.Result.allCases.map { .init(result: $0.rawValue, count: status.reloads[$0, default: 0]) },
      verdict: status.verdict.map(StatusReport.Verdict.init))
  }
}

extension StatusReport.Verdict {
  init(_ verdict: ReloadVerdict) {
    self.init(
      result: verdict.result.rawValue, cause: verdict.cause?.rawValue, generation: verdict.generation,
      hash: verdict.hash, timeNs: verdict.time, summary: LogOutput.redacted(verdict.summary),
      details: verdict.details.map(LogOutput.redacted))
  }
}

extension StatusReport.Pipeline {
  fileprivate init(_ status: PipelineStatus) {
    let counters = status.totals.counters
    self.init(
      name: status.name, state: status.state.rawValue, loop: status.loop, mode: status.mode.rawValue,
      generation: status.generation, intervalNs: status.interval, lastPollNs: status.lastPoll,
      lastCompletePollNs: status.lastCompletePoll, namespaces: counters.namespaces,
      polls: .init(
        complete: counters.completePolls, partial: counters.partialPolls, failed: counters.failedPolls,
        skipped: counters.skippedPolls),
      sockets: .init(
        reported: counters.rows.reported, filtered: counters.rows.filtered, sampledOut: counters.rows.sampledOut,
        encoded: counters.rows.encoded, unread: counters.socketsUnread),
      pools: status.pools.map { name, gauges in
        .init(
          name: name, inUse: gauges.inUse, size: gauges.size, highWater: gauges.highWater, waits: gauges.waits)
      },
      sinks: status.sinks.map(StatusReport.Sink.init))
  }
}

extension StatusReport.Sink {
  fileprivate init(_ report: SinkReport, _ queue: QueueGauges) {
    var problem: String?
    if case .failing(let reason) = report.state { problem = LogOutput.redacted(reason) }
    self.init(
      name: report.name, isUp: problem == nil, problem: problem, delivered: report.tally.delivered,
      dropped: DropReason.allCases.filter { report.tally.dropped[$0] > 0 }
        .map { .init(reason: $0.rawValue, rows: report.tally.dropped[$0]) },
      bytes: report.tally.bytes, openRows: report.openRows, queuedRows: queue.queuedRows,
      sendingRows: queue.sendingRows, spilledRows: queue.spilledRows, spilledBytes: queue.spilledBytes,
      restored: report.tally.restored, queueBytes: queue.bytes, queueLimit: queue.limit,
      oldestBatchNs: queue.oldestBatch)
  }
}

extension PipelineStatus {
  /// Each sink with its queue.
  var sinks: [(report: SinkReport, queue: QueueGauges)] {
    totals.sinks.enumerated().map { index, report in
      (report, queues.indices.contains(index) ? queues[index] : QueueGauges())
    }
  }
}
