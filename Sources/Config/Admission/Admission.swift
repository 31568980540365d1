/// Adds up what a configuration asks for and compares it with what there is, before anything is started.
public struct Admission {
  /// What is asked for.
  let settings: Settings
  /// What there is.
  let capacity: HostCapacity
  let model: DemandModel

  public init(_ settings: Settings, on capacity: HostCapacity, _ model: DemandModel) {
    self.settings = settings
    self.capacity = capacity
    self.model = model
  }

  private var resources: ResourceSettings { settings.global.resources }

  /// The sums, the loop of each pipeline, and what is wrong with them.
  ///
  /// - Parameters:
  ///   - present: the loop that each pipeline is on; those named here stay there if they may.
  ///   - free: pipelines of `present` that are made anew anyhow, so that they may as well be moved.
  ///   - spreads: even out the loops, though that moves pipelines.
  ///   - workers: the kernel workers that loops have by now; a loop keeps its last until it ends.
  public func admit(
    present: [String: Int] = [:], free: Set<String> = [], spreads: Bool = false, workers: [Int: LoopWorkers] = [:]
  ) -> AdmissionResult {
    var result = AdmissionResult()
    result.demands = settings.pipelines.map { Demand($0, on: capacity, model) }
    result.threads.budget = resources.threads
    result.threads.libraryBudget = resources.libraryThreads
    result.library = LibraryGrant(of: settings.pipelines)
    result.threads.library = result.library.threads
    result.threads.readers = result.demands.reduce(0) { $0 + $1.readers }

    let members = result.demands.map { demand in
      LoopAssignment.Member(
        name: demand.pipeline, needsFileWorker: demand.needsFileWorker, loop: present[demand.pipeline],
        isFree: free.contains(demand.pipeline))
    }
    let readers = result.threads.readers
    let idle = idleWorkers(workers, result.demands, present)
    let loops = LoopAssignment(
      members: members, limit: loopLimit, isExact: resources.loops != nil,
      threads: resources.threads.map { $0 - 1 - readers - idle }, spreads: spreads)
    if let assignment = loops.assign() {
      result.grant(assignment)
      result.threads.idleWorkers = idleWorkers(workers, result.demands, assignment)
    } else {
      result.threads.loops = loops.smallest.loops
      result.threads.fileWorkers = loops.smallest.fileLoops
      result.threads.idleWorkers = idle
    }
    judgeThreads(&result, largest: 1 + loops.largest.threads + readers)
    judgeLibraryThreads(&result)
    judgeMemory(&result)
    judgeDescriptors(&result)
    judgeLockedMemory(&result)
    return result
  }

  /// Workers that loops in use have and do not need.
  private func idleWorkers(_ workers: [Int: LoopWorkers], _ demands: [Demand], _ loops: [String: Int]) -> Int {
    workers.reduce(0) { sum, entry in
      let own = demands.filter { loops[$0.pipeline] == entry.key }
      guard !own.isEmpty else { return sum }
      return sum + (entry.value.file && !own.contains(where: \.needsFileWorker) ? 1 : 0)
    }
  }

  /// As many loops as may be: what was asked for, else one a core.
  private var loopLimit: Int {
    if let loops = resources.loops { return loops }
    return resources.cpus.isEmpty ? capacity.cores : max(1, min(capacity.cores, resources.cpus.count))
  }

  // MARK: Each budget

  private func judgeThreads(_ result: inout AdmissionResult, largest: Int) {
    let threads = result.threads
    guard let budget = threads.budget else { return }
    if threads.total > budget {
      let loops = resources.loops.map { $0 > 1 ? ", or lower `resources.loops`" : "" } ?? ""
      result.error(
        "global.resources.threads",
        "threads: budget \(budget), asked \(threads.total) = \(result.threadSum); set `resources.threads` to "
          + "\(threads.total) or more, or to auto\(loops)")
    } else if budget > largest {
      result.warning(
        "global.resources.threads",
        "threads: budget \(budget), of which \(largest) can be used at most; \(threads.total) are: \(result.threadSum)")
    }
  }

  private func judgeLibraryThreads(_ result: inout AdmissionResult) {
    let threads = result.threads
    guard threads.library > threads.libraryBudget else { return }
    result.error(
      "global.resources.library_threads",
      "library threads: budget \(threads.libraryBudget), asked \(threads.library) = \(result.library.sum); raise "
        + "`resources.library_threads`")
  }

  private func judgeMemory(_ result: inout AdmissionResult) {
    result.memory = MemoryGrant(
      budget: resources.memory, pools: result.demands.reduce(0) { $0 + $1.footprint.pools },
      queueReserve: result.demands.reduce(0) { $0 + $1.queueReserve })
    guard result.memory.total > result.memory.budget else { return }
    result.error(
      "global.resources.memory",
      "memory: budget \(Units.text(bytes: result.memory.budget)), asked \(Units.rough(bytes: result.memory.total)) = "
        + "\(result.memorySum); raise `resources.memory`, or lower `pools`, `batch.bytes` or `queue.reserve`")
  }

  private func judgeDescriptors(_ result: inout AdmissionResult) {
    let loops = result.threads.loops
    result.descriptors = DescriptorGrant(
      limit: capacity.openFiles,
      process: model.processDescriptors + loops * model.loopDescriptors + result.library.descriptors,
      pipelines: result.demands.reduce(0) { $0 + $1.footprint.descriptors })
    let descriptors = result.descriptors
    guard descriptors.total > descriptors.limit else { return }
    result.error(
      nil,
      "descriptors: limit \(descriptors.limit), asked \(descriptors.total) = \(result.descriptorSum); raise RLIMIT_NOFILE "
        + "(LimitNOFILE= of the unit) to \(descriptors.total) or more, or lower `reader.recv_batch`")
  }

  /// Rings that do not fit are refused by the kernel one by one: `auto` does without then, so this is no error.
  private func judgeLockedMemory(_ result: inout AdmissionResult) {
    result.lockedMemory = LockedMemoryGrant(
      limit: capacity.lockedMemory, total: result.demands.reduce(0) { $0 + $1.footprint.lockedMemory })
    guard let limit = capacity.lockedMemory, result.lockedMemory.total > limit else { return }
    let needed = Units.rough(bytes: result.lockedMemory.total)
    let shares = result.shares(\.footprint.lockedMemory, Units.rough(bytes:))
    result.warning(
      nil,
      "locked memory: limit \(Units.text(bytes: limit)), needed \(needed) = rings (\(shares)); raise RLIMIT_MEMLOCK "
        + "(LimitMEMLOCK= of the unit) to \(needed) or give CAP_IPC_LOCK, or pipelines go without a ring")
  }
}

extension AdmissionResult {
  fileprivate mutating func error(_ key: String?, _ message: String) {
    findings.append(AdmissionFinding(severity: .error, key: key, message: message))
  }

  fileprivate mutating func warning(_ key: String?, _ message: String) {
    findings.append(AdmissionFinding(severity: .warning, key: key, message: message))
  }

  /// Takes over which pipeline is on which loop, and counts.
  fileprivate mutating func grant(_ assignment: [String: Int]) {
    self.assignment = assignment
    loops = Set(assignment.values).sorted().map { number in
      let own = demands.filter { assignment[$0.pipeline] == number }
      return LoopGrant(
        number: number, pipelines: own.map(\.pipeline), fileWorkers: own.contains(where: \.needsFileWorker) ? 1 : 0)
    }
    threads.loops = loops.count
    threads.fileWorkers = loops.reduce(0) { $0 + $1.fileWorkers }
  }
}
