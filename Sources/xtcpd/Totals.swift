import Logging
import Pipelines
import Sinks

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
        "foreign_messages": "\(counters.rows.foreignMessages)",
        "unknown_attributes": "\(counters.rows.unknownAttributes)",
      ])
    logDumps(to: log)
    for sink in sinks {
      log.info(
        "totals",
        metadata: [
          "pipeline": "\(name)", "sink": "\(sink.name)", "encoded": "\(sink.tally.accepted + sink.openRows)",
          "delivered": "\(sink.tally.delivered)", "restored": "\(sink.tally.restored)",
          "dropped": "\(sink.tally.dropped.total)", "in_flight": "\(sink.inFlight)",
          "bytes": "\(sink.tally.bytes)",
        ].merging(drops(of: sink)) { $1 })
    }
    if let imbalance { log.error("the counters do not add up: \(imbalance)") }
  }

  /// How the dumps that were not read to their end ended, if there were any.
  private func logDumps(to log: Logger) {
    let dumps = counters.dumps
    guard dumps.incomplete > 0 else { return }
    var metadata: Logger.Metadata = ["pipeline": "\(name)", "complete_dumps": "\(dumps.complete)"]
    for (end, count) in dumps.incompleteByResult where count > 0 { metadata[end] = "\(count)" }
    log.info("totals", metadata: metadata)
  }

  private func drops(of sink: SinkReport) -> Logger.Metadata {
    var metadata: Logger.Metadata = [:]
    for reason in DropReason.allCases where sink.tally.dropped[reason] > 0 {
      metadata["dropped_\(reason.rawValue)"] = "\(sink.tally.dropped[reason])"
    }
    return metadata
  }
}
