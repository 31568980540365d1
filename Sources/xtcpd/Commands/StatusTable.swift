/// `xtcpd status` of many pipelines: a line each, those in trouble first.
struct StatusTable {
  /// Of the terminal; nil: as many as it takes.
  var width: Int?
  var height: Int?

  private static let heads = [
    "PIPELINE", "STATE", "MODE", "POLLED", "SOCKETS/S", "NETNS", "PARTIAL", "FAILED", "DROPPED", "QUEUE", "NOTE",
  ]

  /// - Parameters:
  ///   - head: what is said of the process.
  ///   - previous: an earlier report of the same process: what happened since counts.
  func render(_ report: StatusReport, under head: [String], since previous: StatusReport?) -> [String] {
    let elapsed = previous.map { report.nowNs - $0.nowNs } ?? 0
    let hanging = Set(report.loops.filter(\.isHanging).map(\.name))
    var entries = report.pipelines.map { pipeline in
      Entry(
        pipeline, before: previous?.pipelines.first { $0.name == pipeline.name }, elapsed: elapsed, now: report.nowNs,
        isHanging: hanging.contains(pipeline.loop))
    }
    // Sorting keeps the order of the configuration among equals.
    entries = entries.enumerated().sorted { ($1.element.trouble, $0.offset) < ($0.element.trouble, $1.offset) }
      .map(\.element)
    // An empty line, the heads, and one that says what is left out.
    let room = height.map { max(1, $0 - head.count - 4) } ?? .max
    let shown = entries.prefix(entries.count - 1 <= room ? .max : room)
    var lines = head + [""] + Self.aligned([Self.heads] + shown.map(\.cells))
    let rest = entries.count - shown.count
    if rest > 0 { lines.append("and \(Quantity.count(rest, "more pipeline")); xtcpd status PIPELINE shows all of one") }
    return lines.map { line in width.map { String(line.prefix($0)) } ?? line }
  }

  private static func aligned(_ rows: [[String]]) -> [String] {
    let widths = heads.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
      var line = cells.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  /// One pipeline.
  private struct Entry {
    var cells: [String] = []
    /// The more the worse.
    var trouble = 0

    init(
      _ pipeline: StatusReport.Pipeline, before: StatusReport.Pipeline?, elapsed: Int64, now: Int64, isHanging: Bool
    ) {
      var notes: [String] = []
      // Of a terminal that is too narrow for the notes, the left side is what people see.
      var state = pipeline.state
      if pipeline.sinks.contains(where: { !$0.isUp }) { state = "SINK DOWN" }
      if isHanging { state = "HANGS" }
      if isHanging { (trouble, notes) = (trouble + 64, notes + ["\(pipeline.loop) HANGS"]) }
      let polls = pipeline.polls
      if polls.failed > before?.polls.failed ?? 0 { trouble += 32 }
      for sink in pipeline.sinks where !sink.isUp {
        trouble |= 16
        notes.append("\(sink.name) DOWN: \(sink.problem ?? "no reason given")")
      }
      let dropped = Self.dropped(pipeline)
      if dropped > before.map(Self.dropped) ?? 0 { trouble |= 8 }
      if polls.partial > before?.polls.partial ?? 0 { trouble |= 4 }
      let fill = pipeline.sinks.map { $0.queueLimit > 0 ? $0.queueBytes * 100 / $0.queueLimit : 0 }.max() ?? 0
      if fill >= 80 { trouble |= 2 }
      if let advice = StatusText.advice(for: pipeline, before: before) {
        trouble |= 1
        notes.append(advice.text)
      }
      cells = [
        pipeline.name, state, pipeline.mode,
        pipeline.lastPollNs == 0 ? "none yet" : Quantity.duration(max(0, now - pipeline.lastPollNs)),
        StatusText.socketRate(pipeline, before, elapsed)?.replacing("/s", with: "") ?? "-", "\(pipeline.namespaces)",
        "\(polls.partial)", "\(polls.failed)", "\(dropped)", "\(fill)%", notes.joined(separator: "; "),
      ]
    }

    private static func dropped(_ pipeline: StatusReport.Pipeline) -> UInt64 {
      pipeline.sinks.reduce(0) { $1.dropped.reduce($0) { $0 + $1.rows } }
    }
  }
}
