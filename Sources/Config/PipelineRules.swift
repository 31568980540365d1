/// The rules that concern more than one setting of a pipeline; they hold for effective values, wherever these come from.
struct PipelineRules {
  let settings: PipelineSettings
  /// All layers merged, for the marks.
  let effective: Node
  /// The pipeline as it stands in the file.
  let entry: Node.Entry
  /// A file could not be read or a sink is reported already: what is not there may be in it.
  var isIncomplete = false

  /// Reports every rule that is broken.
  func check(_ problems: inout Problems) {
    checkTimeout(&problems)
    checkReceiveBuffers(&problems)
    checkStates(&problems)
    checkSinks(&problems)
    checkBatches(&problems)
    checkBlocking(&problems)
  }

  /// A dump that may take as long as the interval would make polls overlap.
  private func checkTimeout(_ problems: inout Problems) {
    guard let timeout = settings.explicitTimeout, timeout >= settings.interval else { return }
    let lower = shown("timeout", Units.text(timeout))
    let upper = shown("interval", Units.text(settings.interval))
    report(
      ("timeout", "`timeout` is set here"), ("interval", "`interval` is set here"),
      "`timeout` (\(lower)) must be below `interval` (\(upper)); lower it, or leave it out for 80% of the interval",
      &problems)
  }

  /// Every receive in flight has a buffer.
  private func checkReceiveBuffers(_ problems: inout Problems) {
    let (batch, buffers) = (settings.reader.recvBatch, settings.pools.receiveBuffers)
    guard batch > buffers else { return }
    report(
      ("reader.recv_batch", "`reader.recv_batch` is set here"),
      ("pools.receive_buffers", "`pools.receive_buffers` is set here"),
      "`reader.recv_batch` (\(shown("reader.recv_batch", "\(batch)"))) must not exceed `pools.receive_buffers` "
        + "(\(shown("pools.receive_buffers", "\(buffers)"))): each receive in flight needs a buffer"
        + advice(batch, buffers),
      &problems)
  }

  /// Each way of encoding fills a batch of its own.
  private func checkBatches(_ problems: inout Problems) {
    var encodings: [(format: FormatName, columns: [String]?)] = []
    for sink in settings.sinks where sink.isEnabled {
      let encoding = sink.encoding
      if !encodings.contains(where: { $0 == encoding }) { encodings.append(encoding) }
    }
    guard settings.pools.batches > 0, settings.pools.batches < encodings.count else { return }
    report(
      ("pools.batches", "`pools.batches` is set here"), ("sinks", "the sinks are here"),
      "`pools.batches` (\(shown("pools.batches", "\(settings.pools.batches)"))) is too small: the sinks of pipeline `\(settings.name)` use "
        + "\(encodings.count) different formats or columns, and each fills a batch of its own; set it to "
        + "\(encodings.count + 1) or more",
      &problems)
  }

  /// A queue that blocks stops the pipeline, which its other sinks may not expect.
  private func checkBlocking(_ problems: inout Problems) {
    let sinks = settings.sinks.filter(\.isEnabled)
    guard sinks.count > 1, !problems.isFull else { return }
    for sink in sinks where sink.queue.whenFull == .block {
      let place =
        effective.node(at: "sinks")?.entry(sink.name)?.value.node(at: "queue.when_full")
        ?? effective.node(at: "queue.when_full")
      let mark = place.map(\.mark).flatMap { $0.isBuiltIn ? nil : $0 } ?? entry.keyMark
      problems.warning(
        mark,
        "sink `\(sink.name)` of pipeline `\(settings.name)` blocks: while its queue is full, the pipeline's other "
          + "sinks get nothing either")
    }
  }

  /// A filter that drops every state that it keeps keeps nothing.
  private func checkStates(_ problems: inout Problems) {
    // No state at all: what is set was wrong by itself.
    guard !settings.filter.states.isEmpty, settings.filter.keptStates.isEmpty else { return }
    report(
      ("filter.not.states", "`filter.not.states` is set here"), ("filter.states", "`filter.states` is set here"),
      "`filter.not.states` drops every state that `filter.states` keeps; leave one", &problems)
  }

  /// A value as it stands in the file if it came from outside, and that nobody set it if nobody did.
  private func shown(_ path: String, _ value: String) -> String {
    guard let node = effective.node(at: path), !node.mark.isBuiltIn else { return "\(value), the default" }
    guard let scalar = node.scalar, scalar.isExpanded else { return value }
    return scalar.written.quotedForMessage
  }

  /// What to set them to, unless that would show a value that came from outside.
  private func advice(_ batch: Int, _ buffers: Int) -> String {
    let paths = ["reader.recv_batch", "pools.receive_buffers"]
    if paths.contains(where: { effective.node(at: $0)?.scalar?.isExpanded == true }) { return "" }
    return "; set `pools.receive_buffers` to \(batch) or `reader.recv_batch` to \(buffers)"
  }

  private func checkSinks(_ problems: inout Problems) {
    guard let sinks = effective.node(at: "sinks") else {
      if isIncomplete { return }
      problems.error(
        entry.keyMark, "pipeline `\(entry.key)` has no sink; add one, such as `sinks: { out: { type: stdout } }`")
      return
    }
    guard let entries = sinks.entries, !problems.hasError(at: sinks.mark) else { return }
    if isIncomplete { return }
    if entries.isEmpty {
      problems.error(sinks.mark, "`sinks` is empty; a pipeline needs at least one sink")
    } else if settings.sinks.count == entries.count, !settings.sinks.contains(where: \.isEnabled) {
      problems.error(
        entry.keyMark, "every sink of pipeline `\(entry.key)` is disabled; enable one or disable the pipeline")
    }
  }

  /// Reports that two settings do not go together, once if both are inherited: at the one that the pipeline itself
  /// sets, else at the first that stands in a file; the other one is noted. Values that are wrong by themselves have
  /// been reported already.
  private func report(
    _ first: (path: String, note: String), _ second: (path: String, note: String), _ message: String,
    _ problems: inout Problems
  ) {
    guard let one = effective.node(at: first.path), let other = effective.node(at: second.path) else { return }
    if problems.hasError(at: one.mark) || problems.hasError(at: other.mark) { return }
    if one.isUnresolved || other.isUnresolved { return }
    let firstIsOwn = entry.value.node(at: first.path) != nil
    let secondIsOwn = entry.value.node(at: second.path) != nil
    if one.mark.isBuiltIn || (secondIsOwn && !firstIsOwn) {
      problems.error(other.mark, message, notes: [(one.mark, first.note)])
    } else {
      problems.error(one.mark, message, notes: [(other.mark, second.note)])
    }
  }
}
