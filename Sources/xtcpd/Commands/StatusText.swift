/// `xtcpd status` as text.
enum StatusText {
  /// - Parameters:
  ///   - previous: an earlier report of the same daemon: what happened since is shown as rates.
  ///   - table: a line for each pipeline, instead of all that there is to say.
  static func render(_ report: StatusReport, since previous: StatusReport? = nil, as table: StatusTable? = nil)
    -> String
  {
    // After a restart of the daemon there is nothing to compare with.
    let earlier = previous.flatMap { $0.startedAtNs == report.startedAtNs ? $0 : nil }
    var lines = process(report)
    if let table {
      lines = table.render(report, under: lines, since: earlier)
      return lines.map { $0 + "\n" }.joined()
    }
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
    let age =
      pipeline.lastPollNs == 0 ? "none yet" : "last \(Quantity.duration(max(0, now - pipeline.lastPollNs))) ago"
    var lines = [
      "\(pipeline.name)  \(pipeline.state), \(pipeline.mode) on \(pipeline.loop), generation \(pipeline.generation)",
      "  polls      \(age), every \(Quantity.duration(pipeline.intervalNs)); \(polls.complete) complete, "
        + "\(polls.partial) partial, \(polls.failed) failed, \(polls.skipped) skipped",
      "  sockets    \(sockets(pipeline, before, elapsed))",
    ]
    let counts = pipeline.sockets
    lines.append(
      "  rows       \(counts.reported) reported: \(counts.encoded) encoded, \(counts.filtered) filtered, "
        + "\(counts.sampledOut) sampled out; \(Quantity.count(counts.unread, "socket")) unread")
    let advice = advice(for: pipeline, before: before)
    for pool in pipeline.pools {
      lines.append(
        "  pool       \(pool.name) \(pool.inUse)/\(pool.size), high water \(pool.highWater), waits \(pool.waits)"
          + (advice?.pool == pool.name ? " -> \(advice?.text ?? "")" : ""))
    }
    for sink in pipeline.sinks {
      let earlier = before?.sinks.first { $0.name == sink.name }
      lines.append("  sink       " + self.sink(sink, before: earlier, elapsed: elapsed, now: now))
    }
    return lines
  }

  private static func sockets(
    _ pipeline: StatusReport.Pipeline, _ before: StatusReport.Pipeline?, _ elapsed: Int64
  ) -> String {
    guard let rate = socketRate(pipeline, before, elapsed) else { return "none yet" }
    let polls = pipeline.polls.total
    let mean = before == nil && polls > 0 ? ", \(pipeline.sockets.reported / polls) a poll" : ""
    return "\(rate)\(mean) in \(Quantity.count(pipeline.namespaces, "namespace"))"
  }

  /// Since the earlier report if a poll was due since, else the mean of all polls; nil before the first.
  static func socketRate(
    _ pipeline: StatusReport.Pipeline, _ before: StatusReport.Pipeline?, _ elapsed: Int64
  ) -> String? {
    let total = pipeline.sockets.reported
    guard pipeline.polls.total > 0 else { return nil }
    if let before, elapsed >= max(1, pipeline.intervalNs), total >= before.sockets.reported {
      return Quantity.rate(total - before.sockets.reported, in: elapsed)
    }
    return Quantity.rate(total / pipeline.polls.total, in: pipeline.intervalNs)
  }

  /// The pool that is waited for most, and what to do about it: while its waits grow, or if there is no telling, when there was
  /// one in ten polls. Not while a sink fails: its queue holds the batches then, and no size helps.
  static func advice(
    for pipeline: StatusReport.Pipeline, before: StatusReport.Pipeline?
  ) -> (pool: String, text: String)? {
    guard pipeline.sinks.allSatisfy(\.isUp) else { return nil }
    let pools = pipeline.pools.filter { ["receive_buffers", "batches"].contains($0.name) }
    let waits = pools.map { pool in
      (pool, pool.waits.subtractingReportingOverflow(before?.pools.first { $0.name == pool.name }?.waits ?? 0))
    }
    let threshold = before == nil ? max(1, pipeline.polls.total / 10) : 1
    let worst = waits.filter { !$0.1.overflow && $0.1.partialValue >= threshold }
      .max { $0.1.partialValue < $1.1.partialValue }
    return worst.map { ($0.0.name, "raise pools.\($0.0.name) to \(min(4096, $0.0.size * 2))") }
  }

  private static func sink(
    _ sink: StatusReport.Sink, before: StatusReport.Sink?, elapsed: Int64, now: Int64
  ) -> String {
    var text = "\(sink.name) \(sink.isUp ? "up" : "DOWN (\(sink.problem ?? "no reason given"))"), "
    text += "\(Quantity.count(sink.delivered, "row")) delivered"
    if let before, elapsed > 0, sink.delivered >= before.delivered {
      text += " (\(Quantity.rate(sink.delivered - before.delivered, in: elapsed)))"
    }
    let drops = sink.dropped.map { "\($0.rows) \($0.reason)" }.joined(separator: ", ")
    text += "; dropped \(drops.isEmpty ? "0" : drops)"
    text += "; in flight \(sink.openRows + sink.queuedRows + sink.sendingRows + sink.spilledRows)"
    if sink.spilledRows > 0 {
      text += " (\(Quantity.count(sink.spilledRows, "row")), \(Quantity.bytes(sink.spilledBytes)) on disk)"
    }
    if sink.restored > 0 { text += "; restored \(sink.restored)" }
    // What is discarded at once has no queue.
    if sink.queueLimit > 0 {
      text += "; queue \(Quantity.bytes(sink.queueBytes)) of \(Quantity.bytes(sink.queueLimit))"
    }
    if sink.oldestBatchNs > 0 { text += ", oldest \(Quantity.duration(max(0, now - sink.oldestBatchNs)))" }
    return text
  }
}
