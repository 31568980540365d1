import IO

/// What the supervisor asks for.
extension EventLoop {
  /// Performs one command. What fails in what a command builds is an answer to the supervisor, not an error of the loop.
  func perform(_ command: LoopCommand) throws(SystemError) {
    switch command {
    case .prepare(let ticket, let plan, let board, let isHeir):
      answer(ticket) { () throws(StartError) in
        .pipeline(try builder.build(plan, board: board, awaitsEstate: isHeir))
      }
    case .prepareAdjustment(let ticket, let plan):
      let present = running.first { $0.plan.name == plan.name }?.plan
      answer(ticket) { () throws(StartError) in
        .adjustment(AdjustmentBox(try builder.buildAdjustment(of: present, plan)))
      }
    case .discard(let ticket): discard(ticket)
    case .start(let ticket, let parcel):
      guard case .pipeline(let pipeline)? = prepared.removeValue(forKey: ticket) else {
        return refuse(ticket, "to be started")
      }
      try start(pipeline, parcel)
      supervisor.post(.switched(ticket))
    case .build(let ticket, let plan, let board, let parcel, let isChecked):
      try build(ticket, plan, board, parcel, isChecked: isChecked)
    case .adjust(let ticket, let name): scheduleAdjustment(ticket, of: name)
    case .replace(let ticket, let name):
      guard case .pipeline(let heir)? = prepared.removeValue(forKey: ticket) else { return refuse(ticket, name) }
      retire(ticket, name, heir: .pipeline(ticket, heir))
    case .vacate(let ticket, let name, let plan): retire(ticket, name, heir: .later(ticket, plan))
    case .remove(let ticket, let name): retire(ticket, name, heir: .none(ticket))
    case .limitWorkers(let files):
      fileWorkers = files
      limitWorkers()
    case .runOn(let cpus): runOn(cpus: cpus)
    case .drainWithin(let nanoseconds): drainTimeout = nanoseconds
    case .poll(let name, let request):
      if let pipeline = running.first(where: { $0.plan.name == name }) {
        pipeline.poll(request: request)
      } else {
        supervisor.post(.polled(request: request, nil))
      }
    case .reopenFiles: for pipeline in running { pipeline.reopenFiles() }
    case .stop: stop()
    }
  }

  /// - Parameters:
  ///   - parcel: what a pipeline that is started at once goes on with.
  ///   - isChecked: destinations that are required have to be there first.
  private func answer(
    _ ticket: Ticket, parcel: Parcel? = nil, isChecked: Bool = true, _ make: () throws(StartError) -> Prepared
  ) {
    do throws(StartError) {
      let made = try make()
      prepared[ticket] = made
      // Before anything is submitted to a ring that may be the first one of this thread.
      limitWorkers()
      if isChecked, case .pipeline(let pipeline) = made, pipeline.plan.requiresHealth {
        return try beginHealthCheck(ticket, pipeline, parcel)
      }
      supervisor.post(.prepared(ticket, nil))
    } catch {
      supervisor.post(.prepared(ticket, error))
    }
  }

  private func discard(_ ticket: Ticket) {
    endHealthCheck(ticket)
    if case .pipeline(let pipeline)? = prepared.removeValue(forKey: ticket) { pipeline.close() }
  }

  func start(_ pipeline: Pipeline, _ parcel: Parcel?) throws(SystemError) {
    if let parcel { pipeline.inherit(from: parcel) }
    try adopt(pipeline)
  }

  private func build(
    _ ticket: Ticket, _ plan: PipelinePlan, _ board: PipelineBoard, _ parcel: Parcel, isChecked: Bool
  ) throws(SystemError) {
    answer(ticket, parcel: parcel, isChecked: isChecked) { () throws(StartError) in
      .pipeline(try builder.build(plan, board: board, awaitsEstate: true))
    }
    if healthChecks.contains(where: { $0.ticket == ticket }) { return }
    if case .pipeline(let pipeline)? = prepared.removeValue(forKey: ticket) { try start(pipeline, parcel) }
  }

  /// What a sink may hold and how it is tried again holds at once: it may be what a poll waits for.
  private func scheduleAdjustment(_ ticket: Ticket, of name: String) {
    guard case .adjustment(let parts)? = prepared.removeValue(forKey: ticket),
      let pipeline = running.first(where: { $0.plan.name == name })
    else { return refuse(ticket, name) }
    pipeline.applySinkSettings(of: parts.plan)
    // What was asked for before and could not be done yet is no longer wanted.
    adjustments.removeAll { $0.pipeline === pipeline }
    adjustments.append(
      PendingAdjustment(
        ticket: ticket, pipeline: pipeline, parts: parts,
        interruptAt: MonotonicTime.now().nanoseconds + EventLoop.patience(with: pipeline)))
  }

  /// Every ticket is answered, whatever has become of what it names.
  func refuse(_ ticket: Ticket, _ name: String) {
    supervisor.post(.prepared(ticket, .system("pipeline \(name) does not run")))
  }

  func runOn(cpus: [Int]) {
    for pipeline in running + retirements.map(\.pipeline) { pipeline.readers?.runOn(cpus: cpus) }
    do throws(SystemError) {
      try Affinity.pin(to: cpus)
    } catch {
      log.warning("resources.cpus: \(error)")
    }
  }

  /// io-wq belongs to the thread that submits, whatever the number of its rings: any of them will do.
  private func limitWorkers() {
    let pipelines =
      running + prepared.values.compactMap { if case .pipeline(let pipeline) = $0 { pipeline } else { nil } }
    guard let ring = pipelines.lazy.compactMap({ $0.port as? RingPort }).first else { return }
    do throws(SystemError) {
      // 0 would leave the kernel's own limit, which is hundreds.
      try ring.limitWorkers(files: UInt32(max(1, fileWorkers)), others: 1)
    } catch {
      log.warning("the number of io_uring's kernel threads cannot be limited: \(error)")
    }
  }
}
