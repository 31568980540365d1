import IO

/// Changes at poll boundaries: adjustments, replacements, removals.
extension EventLoop {
  /// How long encoding what was read may take once nothing more is read, in nanoseconds.
  private static let quietingTime: Int64 = 1_000_000_000
  /// How long a poll may go on that a change waits for, however long the interval is.
  private static let longestPoll: Int64 = 30_000_000_000

  /// Does what the time has come for.
  func advance(now: Int64) throws(SystemError) {
    if !adjustments.isEmpty { adjustPipelines(now: now) }
    var index = 0
    while index < retirements.count {
      if try advance(&retirements[index], now: now) {
        retirements.remove(at: index)
      } else {
        index += 1
      }
    }
  }

  private func adjustPipelines(now: Int64) {
    var index = 0
    while index < adjustments.count {
      let pipeline = adjustments[index].pipeline
      if pipeline.isAtBoundary {
        if let parts = adjustments[index].parts.take() { pipeline.adopt(parts) }
        supervisor.post(.switched(adjustments[index].ticket))
        adjustments.remove(at: index)
        continue
      }
      if now >= adjustments[index].interruptAt {
        if adjustments[index].isInterrupted {
          // Its sinks take no batch: nobody shall wait for that.
          pipeline.log.notice("other settings take effect when the sinks take batches again")
          supervisor.post(.switched(adjustments[index].ticket))
          adjustments[index].interruptAt = .max
        } else {
          pipeline.interruptPoll()
          adjustments[index].isInterrupted = true
          adjustments[index].interruptAt = now + EventLoop.quietingTime
        }
      }
      index += 1
    }
  }

  // MARK: Retiring

  /// How long a poll may go on that a change waits for, in nanoseconds.
  static func patience(with pipeline: Pipeline) -> Int64 { min(pipeline.plan.interval, longestPoll) }

  /// The poll that runs is the pipeline's last one here; `advance` does the rest.
  func retire(_ ticket: Ticket, _ name: String, heir: Retirement.Heir) {
    guard let index = running.firstIndex(where: { $0.plan.name == name }) else {
      refuse(ticket, name)
      return supervisor.post(.drained(pipeline: name, PipelineTotals(name: name, sinks: [])))
    }
    let pipeline = running.remove(at: index)
    adjustments.removeAll { $0.pipeline === pipeline }
    pipeline.stopPolling()
    retirements.append(
      Retirement(
        pipeline: pipeline, heir: heir,
        deadline: MonotonicTime.now().nanoseconds + EventLoop.patience(with: pipeline)))
  }

  /// Returns true when nothing is left to do.
  private func advance(_ retirement: inout Retirement, now: Int64) throws(SystemError) -> Bool {
    let old = retirement.pipeline
    if retirement.phase == .polling {
      guard old.isAtBoundary || now >= retirement.deadline else { return false }
      beginQuieting(&retirement, now: now)
    }
    if retirement.phase == .quieting {
      if !old.isQuiet {
        guard now >= retirement.deadline else { return false }
        try cutShort(retirement)
        return true
      }
      try beginLettingGo(&retirement, now: now)
    }
    if case .pipeline(_, let heir) = retirement.heir { heir.inherit(from: old) }
    guard old.hasLetGo(isCut: now >= retirement.deadline) else { return false }
    finish(retirement)
    return true
  }

  /// The poll is over or is cut short: sinks whose work somebody goes on with write no more.
  private func beginQuieting(_ retirement: inout Retirement, now: Int64) {
    let old = retirement.pipeline
    retirement.phase = .quieting
    retirement.deadline = now + EventLoop.quietingTime
    old.stop()
    switch retirement.heir {
    case .none, .later(_, nil):
      // Its sinks write on, and may have to before they take the rest.
      retirement.deadline = now + max(drainTimeout, EventLoop.quietingTime)
    case .pipeline(_, let heir): old.beginRelease(to: heir.plan)
    case .later(_, let plan?): old.beginRelease(to: plan)
    }
  }

  /// Nothing more comes from the old one: who follows begins.
  private func beginLettingGo(_ retirement: inout Retirement, now: Int64) throws(SystemError) {
    let old = retirement.pipeline
    let quietBy = retirement.deadline
    retirement.phase = .lettingGo
    retirement.deadline = now + drainTimeout
    switch retirement.heir {
    case .none(let ticket):
      retirement.deadline = quietBy
      supervisor.post(.switched(ticket))
    case .pipeline(let ticket, let heir):
      heir.takeOver(old.legacy)
      heir.predecessor = old
      try adopt(heir)
      heir.publish(now: now)
      supervisor.post(.switched(ticket))
    case .later(_, nil): retirement.deadline = quietBy
    case .later:
      // Nothing polls meanwhile.
      retirement.deadline = now + min(drainTimeout, old.plan.interval)
    }
  }

  private func finish(_ retirement: Retirement) {
    let old = retirement.pipeline
    switch retirement.heir {
    case .none: dismiss(old)
    case .pipeline(_, let heir):
      heir.inherit(from: old)
      dismiss(old)
      heir.outlive(old)
    case .later(let ticket, _): supervisor.post(.parted(ticket, packUp(old)))
    }
    supervisor.post(.drained(pipeline: old.plan.name, old.totals))
  }

  private func packUp(_ old: Pipeline) -> Parcel {
    let parcel = old.pack()
    dismiss(old)
    return parcel
  }

  /// Some sink takes no batch, so that what was read cannot be handed over whole: what sinks have goes to who follows, the rest is
  /// dropped by name.
  private func cutShort(_ retirement: Retirement) throws(SystemError) {
    let old = retirement.pipeline
    let parcel = packUp(old)
    switch retirement.heir {
    case .none(let ticket): supervisor.post(.switched(ticket))
    case .later(let ticket, _): supervisor.post(.parted(ticket, parcel))
    case .pipeline(let ticket, let heir):
      heir.inherit(from: parcel)
      try adopt(heir)
      supervisor.post(.switched(ticket))
    }
    supervisor.post(.drained(pipeline: old.plan.name, old.totals))
  }
}
