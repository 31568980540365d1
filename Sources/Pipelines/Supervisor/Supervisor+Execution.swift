import Config
import IO
import Logging
import Records
import Sinks

/// Carrying out: from a plan to loops that run it.
extension Supervisor {
  /// The configuration that runs if all goes well.
  ///
  /// - Parameter action: what becomes of each pipeline.
  func successor(
    of running: RunningConfiguration, _ settings: Settings, _ admission: AdmissionResult, _ hash: String,
    action: (String) -> ReloadPlan.Action
  ) -> RunningConfiguration {
    var next = running
    next.generation += 1
    next.settings = settings
    next.hash = hash
    next.state = .current
    next.admission = admission
    next.host = HostIdentity(settings.global, facts, version: options.version)
    next.pipelines = settings.pipelines.map { pipeline in
      let present = running.pipeline(pipeline.name)
      let action = action(pipeline.name)
      let kept = action == .keep || action == .adjust ? present : nil
      return RunningConfiguration.RunningPipeline(
        name: pipeline.name, loop: admission.assignment[pipeline.name] ?? 0,
        plan: PipelinePlan(
          pipeline.withSinks(inOrderOf: kept?.plan), among: settings.pipelines, host: next.host,
          dataDir: settings.global.dataDir, cgroupRoot: settings.global.paths.cgroup, options),
        board: kept?.board ?? PipelineBoard(name: pipeline.name, sinks: pipeline.sinks.map(\.name)),
        generation: action == .keep ? present?.generation ?? next.generation : next.generation)
    }
    return next
  }

  func steps(
    of plan: ReloadPlan, from running: RunningConfiguration, to next: RunningConfiguration
  ) -> [ExecutionStep] {
    plan.steps.compactMap { step in
      let action: ExecutionStep.Action
      switch step.action {
      case .keep: return nil
      case .add: action = .add
      case .adjust: action = .adjust
      case .rebuild: action = .rebuild
      case .rebuildInPlace: action = .rebuildInPlace
      case .remove: action = step.endsFirst ? .removeFirst : .remove
      }
      return ExecutionStep(
        pipeline: step.pipeline, action: action, present: running.pipeline(step.pipeline)?.place,
        future: next.pipeline(step.pipeline)?.place)
    }
  }

  /// Starts the loops that are missing and has them carry out the steps; `done` is told when they run, or why nothing has changed.
  func carryOut(
    _ steps: [ExecutionStep], to next: RunningConfiguration, _ done: @escaping (StartError?) -> Void
  ) throws(StartError) {
    let newLoops = try startLoops(of: next)
    let execution = PlanExecution(steps, firstTicket: nextTicket)
    nextTicket += execution.ticketCount
    inProgress = ExecutionInProgress(
      execution: execution, previous: running?.pipelines ?? [], next: next, newLoops: newLoops, done: done)
    advance { $0.begin() }
  }

  /// Tells the execution what a loop has answered, and does what it says.
  func advance(_ step: (inout PlanExecution) -> [PlanExecution.Move]) {
    guard var current = inProgress else { return }
    let moves = step(&current.execution)
    inProgress = current
    for move in moves {
      switch move {
      case .send(let loop, let command):
        if let pipeline = command.leaving { draining[pipeline, default: 0] += 1 }
        loops[loop]?.send(command)
      case .done:
        inProgress = nil
        let previous = running?.settings
        running = current.next
        apply(current.next, after: previous)
        current.done(nil)
      case .lost(let place, let parcel, let error): vacate(place, parcel, error)
      case .failed(let error):
        inProgress = nil
        showPrevious(current.previous)
        endLoops(current.newLoops)
        if let running { apply(running, after: running.settings) }
        current.done(error)
      }
    }
  }

  /// From now on the successor's counters are told, and not those of the one that goes.
  func showSuccessor(_ ticket: Ticket) {
    guard let step = inProgress?.execution.successor(ticket), let future = step.future,
      let index = running?.pipelines.firstIndex(where: { $0.name == step.pipeline })
    else { return }
    running?.pipelines[index].board = future.board
  }

  /// What ran before runs again, and tells its counters where it did.
  private func showPrevious(_ pipelines: [RunningConfiguration.RunningPipeline]) {
    for index in running?.pipelines.indices ?? 0..<0 {
      guard let name = running?.pipelines[index].name, let before = pipelines.first(where: { $0.name == name }) else {
        continue
      }
      running?.pipelines[index].board = before.board
    }
  }

  /// What is left of a pipeline goes on its way, or is dropped by name if nobody is left to take it.
  func parted(_ ticket: Ticket, _ parcel: Parcel) {
    guard isStopping else { return advance { $0.parted(ticket, parcel) } }
    parcel.abandon(running?.pipeline(parcel.legacy.plan.name)?.board)
  }

  // MARK: Vacancies

  /// What ran before could not be built again. It counts as not running from now on, and is tried every second until it can be
  /// built, or another configuration is taken over.
  private func vacate(_ place: ExecutionStep.Place, _ parcel: Parcel, _ error: StartError) {
    let name = place.plan.name
    log.error("pipeline \(name) cannot be built again, tried every second: \(error)")
    guard let settings = running?.settings.pipelines.first(where: { $0.name == name }) else { return parcel.abandon() }
    vacancies[nextTicket] = Vacancy(
      place: place, settings: settings, parcel: parcel, retryAt: MonotonicTime.now().nanoseconds + 1_000_000_000)
    nextTicket += 1
    running?.settings.pipelines.removeAll { $0.name == name }
    running?.pipelines.removeAll { $0.name == name }
  }

  /// Returns when the next attempt is due.
  func fillVacancies(now: Int64) -> Int64 {
    guard inProgress == nil else { return .max }
    for (ticket, vacancy) in vacancies where vacancy.retryAt <= now {
      vacancies[ticket]?.retryAt = .max
      let place = vacancy.place
      loops[place.loop]?.send(.build(ticket, place.plan, place.board, vacancy.parcel, isChecked: false))
    }
    return vacancies.values.map(\.retryAt).min() ?? .max
  }

  /// An attempt has come to something.
  func vacancyPrepared(_ ticket: Ticket, _ error: StartError?) {
    guard let vacancy = vacancies[ticket] else { return }
    guard error == nil else {
      vacancies[ticket]?.retryAt = MonotonicTime.now().nanoseconds + 1_000_000_000
      return
    }
    let place = vacancy.place
    log.notice("pipeline \(place.plan.name) runs again")
    vacancies[ticket] = nil
    running?.settings.pipelines.append(vacancy.settings)
    let generation = running?.generation ?? 0
    running?.pipelines.append(
      RunningConfiguration.RunningPipeline(
        name: place.plan.name, loop: place.loop, plan: place.plan, board: place.board, generation: generation))
  }

  /// Another configuration runs now: what the lost ones had not delivered is dropped.
  func forgetVacancies() {
    for vacancy in vacancies.values {
      log.warning("pipeline \(vacancy.place.plan.name): what its sinks had not delivered is dropped")
      vacancy.parcel.abandon()
    }
    vacancies.removeAll()
  }

  /// What was replaced or removed has let go of everything.
  func drained(_ pipeline: String, _ totals: PipelineTotals) {
    if let count = draining[pipeline] { draining[pipeline] = count > 1 ? count - 1 : nil }
    endUnusedLoops()
    tellOrphanedSpools()
    let remaining = (inProgress?.next ?? running)?.pipeline(pipeline)
    // The counters of what goes on are told elsewhere, at any time; those of what went, here.
    for sink in totals.sinks where remaining?.plan.sinks.contains(where: { $0.name == sink.name }) != true {
      var left: Logger.Metadata = [:]
      if sink.tally.inFlight > 0 { left["left_on_disk"] = "\(sink.tally.inFlight)" }
      log.info(
        remaining == nil ? "pipeline \(pipeline) has gone" : "sink \(sink.name) of pipeline \(pipeline) has gone",
        metadata: [
          "encoded": "\(totals.counters.rows.encoded)", "sink": "\(sink.name)",
          "delivered": "\(sink.tally.delivered)", "dropped": "\(sink.tally.dropped.total)",
        ].merging(left) { $1 })
    }
  }

  /// Says once of every spilled queue that no sink reads it.
  func tellOrphanedSpools() {
    guard let configuration = inProgress?.next ?? running else { return }
    let known = Set(configuration.pipelines.flatMap { $0.plan.sinks.compactMap { $0.spool?.directory } })
    let parent = SpoolPlace.parent(dataDir: configuration.settings.global.dataDir)
    for orphan in OrphanedSpool.all(in: parent, besides: known) where toldSpools.insert(orphan.directory).inserted {
      log.warning(
        "\(orphan.directory): spilled rows that no sink sends; they wait for the pipeline, sink, format and columns that they were made for",
        metadata: ["rows": "\(orphan.rows)", "files": "\(orphan.files)"])
    }
    toldSpools.subtract(known)
  }

  // MARK: Loops

  /// Starts the loops that are not there yet; those that run have the limits of both configurations until the switch is over.
  private func startLoops(of next: RunningConfiguration) throws(StartError) -> [Int] {
    var started: [Int] = []
    for grant in next.admission.loops {
      if loops[grant.number] == nil {
        do throws(SystemError) {
          loops[grant.number] = try makeLoop(grant.number, next.settings.global)
          started.append(grant.number)
        } catch {
          endLoops(started)
          throw .system("starting \(grant.name): \(error)")
        }
      }
      let present = running?.admission.loops.first { $0.number == grant.number }
      loops[grant.number]?.send(.limitWorkers(files: max(grant.fileWorkers, present?.fileWorkers ?? 0)))
    }
    return started
  }

  private func makeLoop(_ number: Int, _ global: GlobalSettings) throws(SystemError) -> LoopThread {
    try LoopThread(
      index: number,
      builder: { wake in
        PipelineBuilder(
          options: options, log: log, namespaces: namespaces, mountsPollable: scout?.mountsPollable ?? -1,
          memory: budget, clients: clients, wake: wake)
      }, events: mailbox, drainTimeout: drainTimeout(global), cpus: global.resources.cpus)
  }

  /// What a run without a configuration file wants counts more than a default.
  private func drainTimeout(_ global: GlobalSettings) -> Int64 {
    (options.drainTimeout ?? global.reload.drainTimeout).nanoseconds
  }

  /// Has the loops go on with what a configuration says of them.
  private func apply(_ configuration: RunningConfiguration, after previous: Settings?) {
    let global = configuration.settings.global
    budget.resize(limit: configuration.admission.memory.budget - configuration.admission.memory.pools)
    clients.threads.limit = global.resources.libraryThreads
    configureScout(from: previous, to: configuration.settings)
    for grant in configuration.admission.loops {
      let loop = loops[grant.number]
      loop?.send(.limitWorkers(files: grant.fileWorkers))
      loop?.send(.drainWithin(drainTimeout(global)))
      loop?.send(.runOn(cpus: global.resources.cpus))
    }
    endUnusedLoops()
  }

  /// Loops end when nothing runs on them any more, and what went from them has let go.
  private func endUnusedLoops() {
    guard let running, draining.isEmpty, inProgress == nil else { return }
    endLoops(loops.keys.filter { number in !running.admission.loops.contains { $0.number == number } })
  }

  private func endLoops(_ numbers: [Int]) {
    for number in numbers { loops[number]?.send(.stop) }
  }
}

extension PipelineSettings {
  /// What runs on keeps its sinks in the order in which they were made, whatever the file says now.
  fileprivate func withSinks(inOrderOf plan: PipelinePlan?) -> PipelineSettings {
    guard let plan else { return self }
    var settings = self
    settings.sinks = plan.sinks.compactMap { part in sinks.first { $0.name == part.name } }
    return settings
  }
}
