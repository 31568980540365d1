import IO
import Pipelines

/// What a scrape is made of.
struct Scrape {
  var status: DaemonStatus
  var process: ProcessUsage
  /// Wall clock, nanoseconds since 1970.
  var now: Int64
}

/// One metric: /metrics and docs/metrics.md are both made of the list of these.
struct MetricFamily: Sendable {
  enum Kind: String { case counter, gauge, histogram }

  let name: String
  let kind: Kind
  let labels: [String]
  let help: String
  let write: @Sendable (Scrape, inout Exposition) -> Void

  init(
    _ name: String, _ kind: Kind, by labels: [String] = [], _ help: String,
    _ write: @escaping @Sendable (Scrape, inout Exposition) -> Void
  ) {
    self.name = name
    self.kind = kind
    self.labels = labels
    self.help = help
    self.write = write
  }

  /// A metric with one or more samples a pipeline; `write` gets the pipeline and its label.
  static func pipeline(
    _ name: String, _ kind: Kind, by labels: [String] = [], _ help: String,
    _ write: @escaping @Sendable (PipelineStatus, [(String, String)], inout Exposition) -> Void
  ) -> MetricFamily {
    MetricFamily(name, kind, by: ["pipeline"] + labels, help) { scrape, exposition in
      for pipeline in scrape.status.pipelines { write(pipeline, [("pipeline", pipeline.name)], &exposition) }
    }
  }
}

/// The text of /metrics.
enum MetricsText {
  static let families = processFamilies + pipelineFamilies + sinkFamilies

  static func render(_ scrape: Scrape) -> String {
    var exposition = Exposition()
    for family in families {
      exposition.begin(family.name, family.kind, help: family.help)
      family.write(scrape, &exposition)
    }
    return exposition.text
  }

  /// docs/metrics.md: every metric with its type, labels and meaning.
  static func reference() -> String {
    var text = """
      # Metrics

      `GET /metrics` at `global.metrics.listen` (127.0.0.1:9088 unless configured otherwise) answers in the text format of
      Prometheus. [examples/prometheus](../examples/prometheus) has a scrape configuration and alerts. Counters begin at 0 when the
      daemon starts, those of a pipeline when it is added; a reload that keeps or adjusts a pipeline does not touch them. A namespace is
      never a label: there may be thousands.

      The counters add up, whenever no poll is running:

          xtcpd_sockets_reported_total = sum over outcome of xtcpd_records_total{outcome}
          xtcpd_records_total{outcome="encoded"} + xtcpd_sink_records_total{outcome="restored"}
              = xtcpd_sink_records_total{outcome="delivered"} + sum of xtcpd_records_dropped_total + sum of xtcpd_records_in_flight

      `GET /healthz` answers 200, or 503 if an event loop has not turned for three times the longest interval of its pipelines: restart
      the daemon then. `GET /readyz` answers 503 until every pipeline has completed a poll; once ready, the daemon
      stays so over reloads. Neither looks at sinks: a destination that is
      down is no reason to restart what reads sockets. The body says which loop or pipeline it is.

      This page is made of the list in the sources; `XTCPD_REGENERATE=1 swift test --filter XtcpdTests` writes it.

      | metric | type | labels | meaning |
      |---|---|---|---|

      """
    for family in families {
      let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
      text += "| `\(family.name)` | \(family.kind.rawValue) | \(labels) | \(family.help) |\n"
    }
    return text
  }
}
