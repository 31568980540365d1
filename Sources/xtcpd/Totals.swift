import Logging
import Pipelines

extension PipelineTotals {
  /// The last lines of a run: what was read, and what became of it.
  func log(to log: Logger) {
    log.info(
      "totals",
      metadata: [
        "pipeline": "\(name)", "polls": "\(counters.polls)", "partial": "\(counters.partialPolls)",
        "failed": "\(counters.failedPolls)", "skipped": "\(counters.skippedPolls)",
        "reported": "\(counters.rows.reported)",
        "filtered": "\(counters.rows.filtered)", "sampled_out": "\(counters.rows.sampledOut)",
        "encoded": "\(counters.rows.encoded)", "unread": "\(counters.socketsUnread)",
      ])
    for sink in sinks {
      log.info(
        "totals",
        metadata: [
          "pipeline": "\(name)", "sink": "\(sink.name)", "delivered": "\(sink.tally.delivered)",
          "dropped": "\(sink.tally.dropped.total)", "in_flight": "\(sink.inFlight)",
          "bytes": "\(sink.tally.bytes)",
        ])
    }
    if let imbalance { log.error("the counters do not add up: \(imbalance)") }
  }
}
