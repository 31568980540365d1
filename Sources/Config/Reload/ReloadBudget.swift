/// Decides which pipelines can be made beside those they replace.
///
/// While a plan is carried out, the new configuration's pipelines and those they replace exist at the same time. The new set alone
/// has been admitted; what is then left of threads, memory and descriptors goes to the old pipelines, those that are replaced
/// first, in the order of the configuration. Queues are handed over, so that only the pools are there twice.
struct Budget {
  private let limits: Use
  private var used: Use
  private let before: [String: Demand]
  private let loopDescriptors: Int

  /// What a set of pipelines uses, comparable part by part.
  private struct Use {
    var loops: Set<Int> = []
    var fileLoops: Set<Int> = []
    var threads = 0
    var memory = 0
    var descriptors = 0
  }

  init(plan: ReloadPlan, new: Settings, before: [Demand], capacity: HostCapacity, model: DemandModel) {
    let admission = plan.admission
    limits = Use(
      threads: new.global.resources.threads ?? .max, memory: new.global.resources.memory,
      descriptors: capacity.openFiles)
    used = Use(
      loops: Set(admission.loops.map(\.number)),
      fileLoops: Set(admission.loops.filter { $0.fileWorkers > 0 }.map(\.number)),
      threads: admission.threads.total, memory: admission.memory.total,
      descriptors: admission.descriptors.total)
    self.before = Dictionary(before.map { ($0.pipeline, $0) }) { first, _ in first }
    loopDescriptors = model.loopDescriptors
  }

  /// Turns rebuilds that do not fit into such in place, and marks what has to end before others are made.
  func settle(_ plan: inout ReloadPlan) {
    guard !plan.isRefused else { return }
    var budget = self
    for index in plan.steps.indices where plan.steps[index].action == .rebuild {
      guard let obstacle = budget.add(plan.steps[index]) else { continue }
      plan.steps[index].action = .rebuildInPlace
      plan.steps[index].note = [plan.steps[index].note, obstacle].compactMap(\.self).joined(separator: "; ")
    }
    for index in plan.steps.indices where plan.steps[index].action == .remove {
      guard let obstacle = budget.add(plan.steps[index]) else { continue }
      plan.steps[index].endsFirst = true
      plan.steps[index].note = "ends before others are made; \(obstacle)"
    }
  }

  /// Keeps the old pipeline beside the new ones, or says what there is too little of.
  private mutating func add(_ step: ReloadPlan.Step) -> String? {
    guard let demand = before[step.pipeline] else { return nil }
    var sum = used
    if let loop = step.loopBefore {
      if sum.loops.insert(loop).inserted {
        sum.threads += 1
        sum.descriptors += loopDescriptors
      }
      if demand.needsFileWorker, sum.fileLoops.insert(loop).inserted { sum.threads += 1 }
    }
    sum.threads += demand.readers
    sum.memory += demand.footprint.pools
    sum.descriptors += demand.footprint.descriptors
    if let obstacle = obstacle(sum) { return obstacle }
    used = sum
    return nil
  }

  private func obstacle(_ sum: Use) -> String? {
    if sum.threads > limits.threads { return "threads: both need \(sum.threads), budget \(limits.threads)" }
    if sum.memory > limits.memory {
      return "memory: both need \(Units.rough(bytes: sum.memory)), budget \(Units.text(bytes: limits.memory))"
    }
    if sum.descriptors > limits.descriptors {
      return "descriptors: both need \(sum.descriptors), limit \(limits.descriptors)"
    }
    return nil
  }
}
