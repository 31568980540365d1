import IO
import Logging
import Records
import Sinks

/// Polls: from a tick to the moment the last namespace has been read.
extension Pipeline {
  func beginPoll(now: Int64) {
    table = namespaces.table
    isBlind = table.generation == 0
    choice.update(for: table)
    memory.follow(table)
    largest.beginPoll(table, hostSockets: try? Sockstat.read().allocated)
    cgroups.update(plan.lookup) { directory, isThere in
      log.notice(
        isThere
          ? "filter.cgroup: \(directory) is there now"
          : "filter.cgroup: there is no control group \(directory); no socket is in it")
    }
    if choice.indices.isEmpty, !isBlind {
      complain(.nothingChosen, "none of the \(table.namespaces.count) network namespaces of this host is selected")
    }
    poll.sequence += 1
    poll.start = wallClockNanoseconds()
    pollStarted = now
    pollEnds = DumpCounts()
    rowsBefore = counters.rows
    walksBefore = counters.walks
    pollParts = 0
    cursor = PollCursor(count: choice.indices.count)
    isPolling = true
  }

  /// The poll is over when every chosen namespace has been read or given up, and all that was received has been encoded.
  func endPollIfDone(now: Int64) {
    guard isPolling, cursor.isAtEnd, dumps.count == 0, received.isEmpty else { return }
    if plan.batchMaxAge == 0 || isStopping { for encoding in encodings { encoding.ship() } }
    countPoll(duration: now - pollStarted)
    logPoll(duration: now - pollStarted)
    publish(now: now)
    if let limit = plan.pollLimit, poll.sequence >= limit { stop() }
  }

  /// Counts the poll under its result, and how its dumps ended.
  func countPoll(duration: Int64) {
    isPolling = false
    counters.dumps.add(pollEnds)
    counters.namespaces = UInt64(choice.indices.count)
    lastPoll = wallClockNanoseconds()
    board.update { $0.pollDurations.observe(duration) }
    let result = pollResult
    switch result {
    case .complete:
      counters.completePolls += 1
      lastCompletePoll = lastPoll
      if !choice.indices.isEmpty { recovered() }
    case .partial: counters.partialPolls += 1
    case .failed: counters.failedPolls += 1
    }
    tellWatchers(result, duration)
  }

  private var pollResult: PollOutcome.Result {
    if isBlind { return .failed }
    if pollEnds.incomplete == 0 { return .complete }
    return pollEnds.complete > 0 || counters.rows.reported > rowsBefore.reported ? .partial : .failed
  }

  private func tellWatchers(_ result: PollOutcome.Result, _ duration: Int64) {
    guard !pollWatchers.isEmpty else { return }
    let outcome = PollOutcome(
      result: result, sequence: poll.sequence, duration: duration, namespaces: choice.indices.count,
      reported: counters.rows.reported - rowsBefore.reported, encoded: counters.rows.encoded - rowsBefore.encoded)
    endedPolls += pollWatchers.map { ($0, outcome) }
    pollWatchers.removeAll()
  }

  /// Makes what has changed visible to other threads: at once between polls, ten times a second while one runs.
  func publishIfDue(now: Int64) {
    guard !isPolling || now - lastPublished >= 100_000_000 else { return }
    publish(now: now)
  }

  /// Makes the totals visible to other threads, and says which sinks fail or work again.
  func publish(now: Int64) {
    lastPublished = now
    guard !isSilent else { return }
    counters.skippedPolls = schedule.skipped
    board.update { report in
      report.totals.counters = counters
      report.mode = port.mode
      (report.lastPoll, report.lastCompletePoll) = (lastPoll, lastCompletePoll)
      report.pools.receiveBuffers = port.receiveBufferGauges
      report.pools.readerBuffers = readers?.gauges
      report.pools.operations = port.operationGauges
      report.pools.dumps = dumpPool.gauges
      report.pools.batches = batchPool.gauges
      report.pools.knownSockets = memory.sockets.gauges
      for index in sinks.indices { publish(sink: index, &report) }
    }
  }

  /// All that was counted under the name of a sink.
  func tally(ofSink index: Int) -> SinkTally {
    var tally = sinks[index].tally
    tally += countedBefore[index]
    if let predecessor, let old = predecessor.plan.predecessor(of: index, in: plan) {
      tally += predecessor.tally(ofSink: old)
    }
    return tally
  }

  private func publish(sink index: Int, _ report: inout PipelineReport) {
    let sink = sinks[index]
    if sink.state != report.totals.sinks[index].state { sinkChanged(sink) }
    let tally = tally(ofSink: index)
    report.totals.sinks[index].tally = tally
    report.totals.sinks[index].state = sink.state
    report.totals.sinks[index].openRows = UInt64(encodings[plan.sinks[index].encoding].openRows)
    report.totals.sinks[index].encodedBefore = encodedBefore[index]
    report.queues[index] = sink.queueGauges
  }

  private func logPoll(duration: Int64) {
    guard log.logLevel <= .debug else { return }
    let (rows, walks) = (counters.rows, counters.walks)
    log.debug(
      "poll",
      metadata: [
        "sequence": "\(poll.sequence)", "ms": "\(duration / 1_000_000)", "namespaces": "\(choice.indices.count)",
        "incomplete": "\(pollEnds.incomplete)", "sockets": "\(rows.reported - rowsBefore.reported)",
        "filtered": "\(rows.filtered - rowsBefore.filtered)",
        "sampled_out": "\(rows.sampledOut - rowsBefore.sampledOut)",
        "encoded": "\(rows.encoded - rowsBefore.encoded)", "us": "\(duration / 1_000)",
        "none": "\(walks.none - walksBefore.none)", "listeners": "\(walks.listeners - walksBefore.listeners)",
        "known": "\(walks.known - walksBefore.known)",
        "full": "\(walks.tables - walksBefore.tables)", "parts": "\(pollParts)",
      ])
  }
}
