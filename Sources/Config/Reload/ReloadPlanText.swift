// How a plan is told: to people line by line, to programs as JSON.

extension ReloadPlan.Step {
  /// `web: rebuild (sinks.local.path, pools.batches 4 -> 8)`.
  public var text: String {
    let word =
      switch action {
      case .keep: "keep"
      case .adjust: "adjust live"
      case .rebuild: "rebuild"
      case .rebuildInPlace: "rebuild in place: gap <= 1 interval"
      case .add: "add"
      case .remove: "remove"
      }
    let reasons = [changes.map(\.text).joined(separator: ", "), note ?? ""].filter { !$0.isEmpty }
    return "\(pipeline): \(word)" + (reasons.isEmpty ? "" : " (\(reasons.joined(separator: "; ")))")
  }

  var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("pipeline", .string(pipeline)), .init("action", .string(action.rawValue)),
      .init("changes", .array(changes.map(\.json))),
    ]
    if let loopBefore { members.append(.init("loop_before", .integer(loopBefore))) }
    if let loopAfter { members.append(.init("loop_after", .integer(loopAfter))) }
    if endsFirst { members.append(.init("ends_first", .boolean(true))) }
    if let note { members.append(.init("note", .string(note))) }
    return .object(members)
  }
}

extension ReloadPlan.ProcessStep {
  /// `global.control.mode: rebind`.
  public var text: String {
    let values = change.old.flatMap { old in change.new.map { " \(old) -> \($0)" } } ?? ""
    return "\(change.path): \(effect.rawValue)\(values)"
  }
}

extension ReloadPlan {
  /// One line a pipeline, one a setting of the process; after a refusal only what does not fit.
  public var lines: [String] {
    isRefused ? admission.refusals.map { "refused: \($0)" } : steps.map(\.text) + process.map(\.text)
  }

  /// All lines.
  public var rendered: String { lines.map { $0 + "\n" }.joined() }

  /// One line: `1 rebuild, 2 keep`.
  public var summary: String {
    if isRefused { return admission.refusals.joined(separator: "; ") }
    if isEmpty { return "nothing changes" }
    var parts = Action.allCases.compactMap { action in
      let number = steps.count { $0.action == action }
      return number > 0 ? "\(number) \(action.rawValue.replacing("_", with: " "))" : nil
    }
    if !process.isEmpty { parts.append("\(process.count) of the process") }
    return parts.joined(separator: ", ")
  }

  /// The plan as a JSON value.
  var jsonValue: JSONValue {
    .object(
      .init("empty", .boolean(isEmpty)), .init("refused", .boolean(isRefused)),
      .init("steps", .array(steps.map(\.json))),
      .init(
        "process",
        .array(
          process.map { step in step.change.json.adding([.init("effect", .string(step.effect.rawValue))]) })),
      .init(
        "findings",
        .array(
          admission.findings.map { finding in
            .object(
              .init("severity", .string(finding.severity.rawValue)),
              .init("key", finding.key.map { .string($0) } ?? .null),
              .init("message", .string(finding.message)))
          })),
      .init("threads", .integer(admission.threads.total)), .init("memory", .integer(admission.memory.total)),
      .init("descriptors", .integer(admission.descriptors.total)))
  }

  /// The plan as one line of JSON, for the control socket.
  public var json: String { jsonValue.line }
}
