import IO
import Pipelines
import Sinks

extension MetricsText {
  static let pipelineFamilies: [MetricFamily] = [
    .pipeline(
      "xtcpd_polls_total", .counter, by: ["result"],
      "Polls: complete; partial: a namespace was not read to its end; failed: nothing was read; skipped: the poll before was "
        + "still running."
    ) { pipeline, label, out in
      let counters = pipeline.totals.counters
      out.sample(label + [("result", "complete")], counters.completePolls)
      out.sample(label + [("result", "partial")], counters.partialPolls)
      out.sample(label + [("result", "failed")], counters.failedPolls)
      out.sample(label + [("result", "skipped")], counters.skippedPolls)
    },
    .pipeline("xtcpd_poll_duration_seconds", .histogram, "How long polls took.") { pipeline, label, out in
      let durations = pipeline.pollDurations
      out.histogram(label, bounds: DurationHistogram.bounds, counts: durations.counts, sum: durations.sum)
    },
    .pipeline("xtcpd_poll_interval_seconds", .gauge, "The interval as configured.") {
      $2.sample($1, nanoseconds: $0.interval)
    },
    .pipeline(
      "xtcpd_last_complete_poll_timestamp_seconds", .gauge,
      "When the last complete poll ended, in seconds since 1970; 0: there was none."
    ) {
      $2.sample($1, nanoseconds: $0.lastCompletePoll)
    },
    .pipeline("xtcpd_sockets_reported_total", .counter, "Sockets in the kernel's answers.") {
      $2.sample($1, $0.totals.counters.rows.reported)
    },
    .pipeline(
      "xtcpd_sockets_unread_total", .counter,
      "Estimate, from /proc/net/sockstat, of sockets that dumps which were given up had not got to."
    ) {
      $2.sample($1, $0.totals.counters.socketsUnread)
    },
    .pipeline(
      "xtcpd_records_total", .counter, by: ["outcome"],
      "What became of the sockets that were reported: filtered, sampled (out), or encoded, once in however many formats."
    ) { pipeline, label, out in
      let rows = pipeline.totals.counters.rows
      out.sample(label + [("outcome", "filtered")], rows.filtered)
      out.sample(label + [("outcome", "sampled")], rows.sampledOut)
      out.sample(label + [("outcome", "encoded")], rows.encoded)
    },
    .pipeline("xtcpd_namespaces", .gauge, by: ["state"], "Network namespaces; selected: in the last poll.") {
      $2.sample($1 + [("state", "selected")], $0.totals.counters.namespaces)
    },
    .pipeline("xtcpd_dumps_total", .counter, by: ["result"], "Reads of one namespace, by how they ended.") {
      pipeline, label, out in
      for (result, count) in pipeline.totals.counters.dumps.byResult {
        out.sample(label + [("result", result)], count)
      }
    },
    .pipeline(
      "xtcpd_walks_total", .counter, by: ["kind"],
      "Reads of one namespace, by what the kernel walked: none: no socket was in use; listeners: their table, which held all "
        + "there were; known: that, and each connection known from the last walk was asked for; all tables: exact: for one port; filtered: with a program; full."
    ) { pipeline, label, out in
      let walks = pipeline.totals.counters.walks
      out.sample(label + [("kind", "none")], walks.none)
      out.sample(label + [("kind", "listeners")], walks.listeners)
      out.sample(label + [("kind", "known")], walks.known)
      out.sample(label + [("kind", "exact")], walks.exact)
      out.sample(label + [("kind", "filtered")], walks.filtered)
      out.sample(label + [("kind", "full")], walks.full)
    },
    .pipeline("xtcpd_pool_in_use", .gauge, by: ["pool"], "Elements of a pool that are lent out.") {
      pipeline, label, out in
      for (name, gauges) in pipeline.pools { out.sample(label + [("pool", name)], gauges.inUse) }
    },
    .pipeline("xtcpd_pool_size", .gauge, by: ["pool"], "Elements that a pool has.") { pipeline, label, out in
      for (name, gauges) in pipeline.pools { out.sample(label + [("pool", name)], gauges.size) }
    },
    .pipeline("xtcpd_pool_high_water", .gauge, by: ["pool"], "The most elements of a pool ever lent out at once.") {
      pipeline, label, out in
      for (name, gauges) in pipeline.pools { out.sample(label + [("pool", name)], gauges.highWater) }
    },
    .pipeline(
      "xtcpd_pool_waits_total", .counter, by: ["pool"], "How often an element of a pool was wanted and none was free."
    ) { pipeline, label, out in
      for (name, gauges) in pipeline.pools { out.sample(label + [("pool", name)], gauges.waits) }
    },
  ]
}

extension DumpCounts {
  /// Each count under the name that log and metrics give it.
  var byResult: [(String, UInt64)] { [("complete", complete)] + incompleteByResult }

  /// The same without those that were read to their end.
  var incompleteByResult: [(String, UInt64)] {
    [
      ("vanished", vanished), ("denied", denied), ("refused", refused), ("timed_out", timedOut),
      ("held_too_long", heldTooLong), ("malformed", malformed), ("interrupted", interrupted), ("failed", failed),
    ]
  }
}
