import IO
import Logging

/// Drives the ports of its pipelines from one thread: sleeps until one has completions, gives each of those a turn, sleeps again.
/// Between turns it performs what the supervisor asks for.
final class EventLoop {
  let builder: PipelineBuilder
  let poller: Poller
  private let mailbox: Mailbox<LoopCommand>
  private let wakeup: Wakeup
  let supervisor: Mailbox<LoopEvent>
  private let clock: TurnClock
  let log: Logger

  /// What polls, in the order in which it was started.
  var running: [Pipeline] = []
  /// What goes.
  var retirements: [Retirement] = []
  /// What was built beside, and does nothing yet.
  var prepared: [Ticket: Prepared] = [:]
  /// What a pipeline shall go on with at its next poll boundary.
  var adjustments: [PendingAdjustment] = []
  /// What was built and waits for its destinations.
  var healthChecks: [HealthCheck] = []
  /// Pipelines by what the poller reports their port as.
  private var ports: [UInt64: Pipeline] = [:]
  private var nextPort: UInt64 = 1

  /// How many kernel workers (io-wq) for buffered writes the thread may have.
  var fileWorkers = 0
  /// Nanoseconds that delivering what is left may take.
  var drainTimeout: Int64
  private var isStopping = false
  private var drainUntil: Int64?

  /// What the poller reports a message and a change of mounts as.
  private static let wakeupToken = UInt64.max
  private static let mountsToken = UInt64.max - 1

  init(
    builder: PipelineBuilder, mailbox: Mailbox<LoopCommand>, wakeup: Wakeup, supervisor: Mailbox<LoopEvent>,
    clock: TurnClock, cpus: [Int], drainTimeout: Int64
  ) throws(SystemError) {
    self.builder = builder
    self.mailbox = mailbox
    self.wakeup = wakeup
    self.supervisor = supervisor
    self.clock = clock
    self.drainTimeout = drainTimeout
    log = builder.log
    let poller = try Poller()
    try poller.add(wakeup.pollable, token: EventLoop.wakeupToken)
    try poller.add(builder.mountsPollable, .exceptional, token: EventLoop.mountsToken)
    self.poller = poller
    if !cpus.isEmpty { runOn(cpus: cpus) }
  }

  /// Returns after a stop, when every pipeline has delivered what it had, or when that has taken its time.
  ///
  /// - Throws: what makes it impossible to go on: the kernel refuses the ring's or the poller's own calls, or the thread could not
  ///   return to its own namespace.
  func run() throws(SystemError) {
    defer { closeAll() }
    while true {
      for command in mailbox.takeAll() {
        if case .stop = command, drainUntil != nil { return }
        try perform(command)
      }
      try giveTurns()
      let now = MonotonicTime.now().nanoseconds
      clock.turned(at: now)
      try advance(now: now)
      try advanceHealthChecks(now: now)
      if isStopping {
        if running.allSatisfy({ $0.isFinished }), retirements.isEmpty { return }
        if let drainUntil, now >= drainUntil { return }
      }
      try sleep()
    }
  }

  /// Begins to end: every pipeline keeps the rows it has and delivers them.
  func stop() {
    isStopping = true
    drainUntil = MonotonicTime.now().nanoseconds + drainTimeout
    refuseHealthChecks()
    for pipeline in running { pipeline.stop() }
    for index in retirements.indices { retirements[index].pipeline.stop() }
  }

  // MARK: Ports

  /// Watches a pipeline's port and gives it turns from now on.
  func adopt(_ pipeline: Pipeline) throws(SystemError) {
    try watch(pipeline)
    running.append(pipeline)
    if isStopping { pipeline.stop() }
  }

  func watch(_ pipeline: Pipeline) throws(SystemError) {
    try poller.add(pipeline.port.pollable, token: nextPort)
    ports[nextPort] = pipeline
    nextPort += 1
  }

  func unwatch(_ pipeline: Pipeline) {
    poller.remove(pipeline.port.pollable)
    for (token, watched) in ports where watched === pipeline { ports[token] = nil }
  }

  /// Forgets a pipeline's port, and lets go of it.
  func dismiss(_ pipeline: Pipeline) {
    unwatch(pipeline)
    pipeline.close()
    tellPolls(of: pipeline)
  }

  /// Every poll that was asked for is answered, also one that does not come any more.
  private func tellPolls(of pipeline: Pipeline) {
    for (request, outcome) in pipeline.endedPolls { supervisor.post(.polled(request: request, outcome)) }
    pipeline.endedPolls.removeAll()
    for request in pipeline.takePollRequests() { supervisor.post(.polled(request: request, nil)) }
  }

  // MARK: Turns

  private func giveTurns() throws(SystemError) {
    for pipeline in running {
      try giveTurn(pipeline)
      // The end of what goes is no end of the pipeline by its name.
      if pipeline.isFinished, !isStopping, pipeline.tellsItsEnd() {
        supervisor.post(.finished(pipeline: pipeline.plan.name))
      }
    }
    for retirement in retirements { try giveTurn(retirement.pipeline) }
  }

  private func giveTurn(_ pipeline: Pipeline) throws(SystemError) {
    guard pipeline.isDue || pipeline.port.hasPending else { return }
    pipeline.isDue = false
    try pipeline.turn()
    for (request, outcome) in pipeline.endedPolls { supervisor.post(.polled(request: request, outcome)) }
    if !pipeline.endedPolls.isEmpty { pipeline.endedPolls.removeAll() }
  }

  private func sleep() throws(SystemError) {
    let isBusy = running.contains { $0.isDue || $0.port.hasPending } || retirements.contains { $0.isBusy }
    var deadline = isBusy ? 0 : Int64.max
    for retirement in retirements { deadline = min(deadline, retirement.deadline) }
    for adjustment in adjustments { deadline = min(deadline, adjustment.interruptAt) }
    if let drainUntil { deadline = min(deadline, drainUntil) }
    deadline = min(deadline, nextHealthCheck)
    try poller.wait(until: deadline == .max ? nil : MonotonicTime(nanoseconds: deadline)) { token, _ in
      switch token {
      case EventLoop.wakeupToken:
        wakeup.drain()
        // A message, or a queue that shall give memory back: whose it is, the pipelines find out.
        for pipeline in running { pipeline.isDue = true }
        for retirement in retirements { retirement.pipeline.isDue = true }
      case EventLoop.mountsToken: builder.namespaces.markMountsChanged()
      default: ports[token]?.isDue = true
      }
    }
  }

  private func closeAll() {
    for pipeline in retirements.map(\.pipeline) + running {
      pipeline.close()
      tellPolls(of: pipeline)
    }
  }
}
