import IO
import Logging
import Records

/// Polls: from a tick to the moment the last namespace has been read.
extension Pipeline {
  func beginPoll(now: Int64) {
    do throws(EntryError) {
      try directory.refreshIfDue(now: now)
    } catch {
      if case .lostHome(let reason) = error { failure = reason }
      complain(.discovery, "looking for network namespaces: \(error); those found before are read")
    }
    table = directory.table
    isBlind = table.generation == 0
    choice.update(for: table) { pid in directory.inode(ofProcess: pid) }
    if choice.indices.isEmpty, !isBlind {
      complain(.nothingChosen, "none of the \(table.namespaces.count) network namespaces of this host is selected")
    }
    poll.sequence += 1
    poll.start = wallClockNanoseconds()
    pollStarted = now
    pollEnds = DumpCounts()
    rowsBefore = counters.rows
    nextNamespace = 0
    isPolling = true
  }

  /// The poll is over when every chosen namespace has been read or given up, and all that was received has been encoded.
  func endPollIfDone(now: Int64) {
    guard isPolling, nextNamespace >= choice.indices.count, dumps.count == 0, received.isEmpty else { return }
    if plan.batchMaxAge == 0 || isStopping { for encoding in encodings { encoding.ship() } }
    countPoll()
    logPoll(duration: now - pollStarted)
    publishTotals()
    if let limit = plan.pollLimit, poll.sequence >= limit { stop() }
  }

  /// Counts the poll under its result, and how its dumps ended.
  func countPoll() {
    isPolling = false
    counters.dumps.add(pollEnds)
    counters.namespaces = UInt64(choice.indices.count)
    if isBlind {
      counters.failedPolls += 1
    } else if pollEnds.incomplete == 0 {
      counters.completePolls += 1
      if !choice.indices.isEmpty { recovered() }
    } else if pollEnds.complete > 0 || counters.rows.reported > rowsBefore.reported {
      counters.partialPolls += 1
    } else {
      counters.failedPolls += 1
    }
  }

  /// Makes the totals visible to other threads, and says which sinks fail or work again.
  func publishTotals() {
    counters.skippedPolls = schedule.skipped
    board.publish(counters) { index, report in
      let sink = sinks[index]
      if sink.state != report.state { sinkChanged(sink) }
      report.tally = sink.tally
      report.state = sink.state
      report.openRows = UInt64(encodings[plan.sinks[index].encoding].openRows)
    }
  }

  private func logPoll(duration: Int64) {
    guard log.logLevel <= .debug else { return }
    let rows = counters.rows
    log.debug(
      "poll",
      metadata: [
        "sequence": "\(poll.sequence)", "ms": "\(duration / 1_000_000)", "namespaces": "\(choice.indices.count)",
        "incomplete": "\(pollEnds.incomplete)", "sockets": "\(rows.reported - rowsBefore.reported)",
        "filtered": "\(rows.filtered - rowsBefore.filtered)",
        "sampled_out": "\(rows.sampledOut - rowsBefore.sampledOut)",
        "encoded": "\(rows.encoded - rowsBefore.encoded)",
      ])
  }
}
