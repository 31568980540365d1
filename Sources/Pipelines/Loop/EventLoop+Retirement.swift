import IO

/// Changes at poll boundaries: adjustments, replacements, removals.
extension EventLoop {
  /// How long encoding what was read may take once nothing more is read, in nanoseconds.
  private static let quietingTime: Int64 = 1_000_000_000

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
    adjustments.removeAll { adjustment in
      if !adjustment.pipeline.isAtBoundary {
        if now >= adjustment.interruptAt { adjustment.pipeline.interruptPoll() }
        return false
      }
      if let parts = adjustment.parts.take() { adjustment.pipeline.adopt(parts) }
      supervisor.post(.switched(adjustment.ticket))
      return true
    }
  }

  // MARK: Retiring

  /// The poll that runs is the pipeline's last one here; `advance` does the rest.
  func retire(_ name: String, heir: Retirement.Heir) {
    guard let index = running.firstIndex(where: { $0.plan.name == name }) else { return }
    let pipeline = running.remove(at: index)
    pipeline.stopPolling()
    retirements.append(
      Retirement(
        pipeline: pipeline, heir: heir, deadline: MonotonicTime.now().nanoseconds + pipeline.plan.interval))
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
        // What still cannot be handed to a sink is dropped by name.
        old.close()
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
    case .none, .later(_, nil): break
    case .pipeline(_, let heir): old.beginRelease(to: heir.plan)
    case .later(_, let plan?): old.beginRelease(to: plan)
    }
  }

  /// Nothing more comes from the old one: who follows begins.
  private func beginLettingGo(_ retirement: inout Retirement, now: Int64) throws(SystemError) {
    let old = retirement.pipeline
    retirement.phase = .lettingGo
    retirement.deadline = now + drainTimeout
    switch retirement.heir {
    case .none(let ticket): supervisor.post(.switched(ticket))
    case .pipeline(let ticket, let heir):
      heir.takeOver(old.legacy)
      heir.predecessor = old
      try adopt(heir)
      supervisor.post(.switched(ticket))
    case .later(_, nil): break
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
      heir.predecessor = nil
      dismiss(old)
    case .later(let ticket, _):
      let parcel = old.pack()
      dismiss(old)
      supervisor.post(.parted(ticket, parcel))
    }
    supervisor.post(.drained(pipeline: old.plan.name, old.board.read().totals))
  }
}
