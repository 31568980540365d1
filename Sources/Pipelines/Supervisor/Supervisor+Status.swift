import Config
import IO

/// What goes on.
extension Supervisor {
  public func status() -> DaemonStatus {
    var status = DaemonStatus()
    status.version = options.version
    status.startedAt = startedAt
    status.state = state
    guard let running else { return status }
    status.configuration = configurationStatus(running)
    status.threads = running.admission.threads.byKind.map { ThreadUse(kind: $0.kind, granted: $0.count) }
    let memory = running.admission.memory
    status.memory = [
      MemoryUse(use: "limit", bytes: memory.budget), MemoryUse(use: "pools", bytes: memory.pools),
      MemoryUse(use: "queue_reserve", bytes: memory.queueReserve), MemoryUse(use: "queued", bytes: budget.gauges.held),
    ]
    status.loops = loopStatus(running)
    status.pipelines = running.pipelines.map(pipelineStatus)
    return status
  }

  private var state: DaemonStatus.State {
    if isStopping { return .stopping }
    if running == nil { return .starting }
    return inProgress == nil ? .running : .reloading
  }

  private func configurationStatus(_ running: RunningConfiguration) -> ConfigurationStatus {
    var status = ConfigurationStatus()
    status.path = source.path
    status.hash = running.hash
    status.generation = running.generation
    status.state = running.state
    status.verdict = verdict
    status.isLastReloadSuccessful = isLastReloadSuccessful
    status.lastSuccess = lastSuccess
    status.reloads = reloadCounts
    return status
  }

  private func loopStatus(_ running: RunningConfiguration) -> [LoopStatus] {
    let now = MonotonicTime.now().nanoseconds
    return loops.values.sorted { $0.index < $1.index }.map { loop in
      let own = running.pipelines.filter { $0.loop == loop.index }
      return LoopStatus(
        name: loop.name, pipelines: own.map(\.name), sinceTurn: now - loop.clock.lastTurn,
        longestInterval: own.map(\.plan.interval).max() ?? .max / 4)
    }
  }

  private func pipelineStatus(_ pipeline: RunningConfiguration.RunningPipeline) -> PipelineStatus {
    let report = pipeline.board.read()
    var status = PipelineStatus(
      name: pipeline.name, loop: "loop\(pipeline.loop)", mode: report.mode, generation: pipeline.generation,
      interval: pipeline.plan.interval, totals: report.totals)
    status.state = draining[pipeline.name] == nil ? .running : .draining
    status.lastPoll = report.lastPoll
    status.lastCompletePoll = report.lastCompletePoll
    status.pools = report.pools.named
    status.pollDurations = report.pollDurations
    status.queues = report.queues
    return status
  }
}
