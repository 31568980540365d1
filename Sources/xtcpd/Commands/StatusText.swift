/// `xtcpd status` as text.
enum StatusText {
  /// - Parameter previous: an earlier report of the same daemon: what happened since is shown as rates.
  static func render(_ report: StatusReport, since previous: StatusReport? = nil) -> String {
    // After a restart of the daemon there is nothing to compare with.
    let earlier = previous.flatMap { $0.startedAtNs == report.startedAtNs ? $0 : nil }
    var lines = process(report)
    for pipeline in report.pipelines {
      let before = earlier.flatMap { $0.pipelines.first { $0.name == pipeline.name } }
      let elapsed = earlier.map { report.nowNs - $0.nowNs } ?? 0
      lines.append("")
      lines += self.pipeline(pipeline, before: before, elapsed: elapsed, now: report.nowNs)
    }
    return lines.map { $0 + "\n" }.joined()
  }

  private static func process(_ report: StatusReport) -> [String] {
    let configuration = report.configuration
    var lines = [
      "xtcpd \(report.version), \(report.state), process \(report.pid), up "
        + Quantity.duration(report.nowNs - report.startedAtNs),
      "configuration \(configuration.path), generation \(configuration.generation), hash \(configuration.hash)",
    ]
    if configuration.isDegraded {
      lines.append("DEGRADED: the configuration was invalid at the start; the last good one runs")
    }
    if let verdict = configuration.verdict {
      let age = Quantity.duration(report.nowNs - verdict.timeNs)
      lines.append("last reload \(verdict.result) \(age) ago: \(verdict.summary)")
    }
    let threads = report.threads.map { "\($0.granted) \($0.kind)" }.joined(separator: ", ")
    lines.append("threads \(report.threadsRunning) running; granted \(threads)")
    let memory = report.memory.map { "\($0.use) \(Quantity.bytes($0.bytes))" }
    lines.append("memory " + (["resident \(Quantity.bytes(report.residentBytes))"] + memory).joined(separator: ", "))
    if let address = report.metricsAddress { lines.append("metrics http://\(address)/metrics") }
    for loop in report.loops where loop.isHanging {
      let pipelines = loop.pipelines.joined(separator: ", ")
      lines.append("HANGING: \(loop.name) has not turned for \(Quantity.duration(loop.sinceTurnNs)) (\(pipelines))")
    }
    return lines
  }

  private static func pipeline(
    _ pipeline: StatusReport.Pipeline, before: StatusReport.Pipeline?, elapsed: Int64, now: Int64
  ) -> [String] {
    let polls = pipeline.polls
    let age = pipeline.lastPollNs == 0 ? "none yet" : "\(Quantity.duration(max(0, now - pipeline.lastPollNs))) ago"
    var lines = [
      "\(pipeline.name)  \(pipeline.state), \(pipeline.mode) on \(pipeline.loop), generation \(pipeline.generation)",
      "  polls      last \(age), every \(Quantity.duration(pipeline.intervalNs)); \(polls.complete) complete, "
        + "\(polls.partial) partial, \(polls.failed) failed, \(polls.skipped) skipped",
      "  sockets    \(sockets(pipeline, before, elapsed)) in \(pipeline.namespaces) namespaces",
    ]
    let counts = pipeline.sockets
    lines.append(
      "  rows       \(counts.encoded) encoded, \(counts.filtered) filtered, \(counts.sampledOut) sampled out; "
        + "\(counts.unread) sockets unread")
    for pool in pipeline.pools {
      lines.append("  pool       " + self.pool(pool, before: before?.pools.first { $0.name == pool.name }))
    }
    for sink in pipeline.sinks {
      let earlier = before?.sinks.first { $0.name == sink.name }
      lines.append("  sink       " + self.sink(sink, before: earlier, elapsed: elapsed, now: now))
    }
    return lines
  }

  /// A rate if there is an earlier report, else the mean of all polls.
  private static func sockets(
    _ pipeline: StatusReport.Pipeline, _ before: StatusReport.Pipeline?, _ elapsed: Int64
  ) -> String {
    let total = pipeline.sockets.reported
    if let before, elapsed > 0, total >= before.sockets.reported {
      return "\(Quantity.rate(total - before.sockets.reported, in: elapsed)), \(total) reported"
    }
    let polls = pipeline.polls.total
    guard polls > 0 else { return "0 reported" }
    return "\(Quantity.rate(total / polls, in: pipeline.intervalNs)), \(total / polls) a poll, \(total) reported"
  }

  private static func pool(_ pool: StatusReport.Pool, before: StatusReport.Pool?) -> String {
    var text =
      "\(pool.name) \(pool.inUse)/\(pool.size), high water \(pool.highWater), waits \(pool.waits)"
    if let hint = suggestion(for: pool, before: before) { text += " -> \(hint)" }
    return text
  }

  /// What to do about a pool that is waited for: while the waits grow, or if there is no telling, when there were any.
  static func suggestion(for pool: StatusReport.Pool, before: StatusReport.Pool?) -> String? {
    guard pool.waits > (before?.waits ?? 0), ["receive_buffers", "batches"].contains(pool.name) else { return nil }
    return "raise pools.\(pool.name) to \(min(4096, pool.size * 2))"
  }

  private static func sink(
    _ sink: StatusReport.Sink, before: StatusReport.Sink?, elapsed: Int64, now: Int64
  ) -> String {
    var text = "\(sink.name) \(sink.isUp ? "up" : "DOWN (\(sink.problem ?? "no reason given"))"), "
    text += "\(sink.delivered) rows delivered"
    if let before, elapsed > 0, sink.delivered >= before.delivered {
      text += " (\(Quantity.rate(sink.delivered - before.delivered, in: elapsed)))"
    }
    let drops = sink.dropped.map { "\($0.rows) \($0.reason)" }.joined(separator: ", ")
    text += "; dropped \(drops.isEmpty ? "0" : drops)"
    text += "; in flight \(sink.openRows + sink.queuedRows + sink.sendingRows)"
    text += "; queue \(Quantity.bytes(sink.queueBytes)) of \(Quantity.bytes(sink.queueLimit))"
    if sink.oldestBatchNs > 0 { text += ", oldest \(Quantity.duration(max(0, now - sink.oldestBatchNs)))" }
    return text
  }
}
