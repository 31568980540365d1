import Pipelines
import Sinks

extension MetricsText {
  static let sinkFamilies: [MetricFamily] = [
    sink(
      "xtcpd_sink_records_total", .counter, by: ["outcome"],
      "Rows delivered to a sink's destination, and rows restored from disk."
    ) { sink, _, label, out in
      out.sample(label + [("outcome", "delivered")], sink.tally.delivered)
      out.sample(label + [("outcome", "restored")], sink.tally.restored)
    },
    sink("xtcpd_sink_bytes_total", .counter, "Bytes that a sink's destination has taken.") { sink, _, label, out in
      out.sample(label, sink.tally.bytes)
    },
    sink("xtcpd_records_dropped_total", .counter, by: ["reason"], "Rows that a sink let go of.") {
      sink, _, label, out in
      for reason in DropReason.allCases {
        out.sample(label + [("reason", reason.rawValue)], sink.tally.dropped[reason])
      }
    },
    sink(
      "xtcpd_records_in_flight", .gauge, by: ["where"],
      "Rows that are neither delivered nor dropped: open (in the batch that is being filled), queued, sending, "
        + "spilled (on disk)."
    ) { sink, queue, label, out in
      out.sample(label + [("where", "open")], sink.openRows)
      out.sample(label + [("where", "queued")], queue.queuedRows)
      out.sample(label + [("where", "sending")], queue.sendingRows)
      out.sample(label + [("where", "spilled")], queue.spilledRows)
    },
    sink("xtcpd_queue_bytes", .gauge, "Memory that is held by what waits for a sink.") { _, queue, label, out in
      out.sample(label, queue.bytes)
    },
    sink("xtcpd_queue_spilled_bytes", .gauge, "Bytes on disk that wait for a sink.") { _, queue, label, out in
      out.sample(label, queue.spilledBytes)
    },
    sink("xtcpd_queue_limit_bytes", .gauge, "`queue.bytes` of a sink.") { _, queue, label, out in
      out.sample(label, queue.limit)
    },
    sink("xtcpd_sink_up", .gauge, "1 if the last write to a sink's destination worked, or there was none yet.") {
      sink, _, label, out in
      out.sample(label, isTrue: sink.state == .up)
    },
    MetricFamily(
      "xtcpd_sink_oldest_batch_age_seconds", .gauge, by: ["pipeline", "sink"],
      "Age of the oldest batch that waits for a sink; 0: none waits."
    ) { scrape, out in
      eachSink(scrape) { _, queue, label in
        out.sample(label, nanoseconds: queue.oldestBatch > 0 ? max(0, scrape.now - queue.oldestBatch) : 0)
      }
    },
  ]

  private static func sink(
    _ name: String, _ kind: MetricFamily.Kind, by labels: [String] = [], _ help: String,
    _ write: @escaping @Sendable (SinkReport, QueueGauges, [(String, String)], inout Exposition) -> Void
  ) -> MetricFamily {
    MetricFamily(name, kind, by: ["pipeline", "sink"] + labels, help) { scrape, out in
      eachSink(scrape) { write($0, $1, $2, &out) }
    }
  }

  private static func eachSink(_ scrape: Scrape, _ body: (SinkReport, QueueGauges, [(String, String)]) -> Void) {
    for pipeline in scrape.status.pipelines {
      for (sink, queue) in pipeline.sinks {
        body(sink, queue, [("pipeline", pipeline.name), ("sink", sink.name)])
      }
    }
  }
}
