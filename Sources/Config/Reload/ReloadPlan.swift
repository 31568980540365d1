/// What a reload would do, worked out before anything is touched.
///
/// Pure: the difference of two configurations, then the budget. It says what, not how; the supervisor carries it out.
public struct ReloadPlan: Sendable, Equatable {
  /// What becomes of a pipeline.
  public enum Action: String, Sendable, CaseIterable {
    /// Nothing of it changes: it misses no poll and keeps rings, descriptors and counters.
    case keep
    /// It takes over new values and goes on.
    case adjust
    /// A new one is made beside it and takes its place at a poll boundary.
    case rebuild
    /// It ends before its successor is made, since both do not fit: a gap of at most one interval.
    case rebuildInPlace = "rebuild_in_place"
    case add
    case remove
  }

  /// One pipeline's part.
  public struct Step: Sendable, Equatable {
    public var pipeline: String
    public var action: Action
    /// What causes it; empty for keep, add and remove.
    public var changes: [SettingChange] = []
    /// What else there is to say, such as what does not fit.
    public var note: String?
    /// The number of the loop it is on before; nil: it is new.
    public var loopBefore: Int?
    /// The number of the loop it is on afterwards; nil: it goes, or the plan is refused.
    public var loopAfter: Int?
    /// Of a pipeline that is removed: it has to end before others are made, since all together do not fit.
    public var endsFirst = false

    /// The dotted paths of what causes it.
    public var keys: [String] { changes.map(\.path) }
  }

  /// One setting of the process.
  public struct ProcessStep: Sendable, Equatable {
    /// How it is taken over.
    public enum Effect: String, Sendable {
      /// Taken over as it is.
      case apply
      /// A listener is made anew beside the old one.
      case rebind
      /// What the process may use: everything was added up again.
      case readmit
    }

    public var change: SettingChange
    public var effect: Effect
  }

  /// One entry a pipeline: those of the new configuration in its order, then those that go.
  public var steps: [Step] = []
  public var process: [ProcessStep] = []
  /// Of the new configuration alone.
  public var admission = AdmissionResult()

  /// Nothing differs.
  public var isEmpty: Bool { process.isEmpty && steps.allSatisfy { $0.action == .keep } }
  /// The new configuration alone does not fit.
  public var isRefused: Bool { admission.isRefused }

  /// The plan that leads from one configuration to another.
  ///
  /// - Parameters:
  ///   - present: the loop of every pipeline that runs; nil: those that `old` gets when it is started.
  ///   - workers: the kernel workers that the loops have.
  public static func make(
    from old: Settings, to new: Settings, loops present: [String: Int]? = nil, workers: [Int: LoopWorkers] = [:],
    on capacity: HostCapacity, _ model: DemandModel
  ) -> ReloadPlan {
    let before = Admission(old, on: capacity, model).admit(present: present ?? [:])
    return Difference(
      old: old, new: new, present: present ?? before.assignment, workers: workers, before: before.demands,
      capacity: capacity, model: model
    ).plan()
  }
}

/// The work behind `ReloadPlan.make`.
struct Difference {
  let old: Settings
  let new: Settings
  let present: [String: Int]
  let workers: [Int: LoopWorkers]
  /// What the pipelines that run have been granted.
  let before: [Demand]
  let capacity: HostCapacity
  let model: DemandModel

  func plan() -> ReloadPlan {
    let changes = SettingsList.global.changes(from: old.global, to: new.global)
    var plan = ReloadPlan()
    plan.process = changes.compactMap(Self.processStep)
    plan.steps = new.pipelines.map { pipeline in
      step(
        for: pipeline,
        identity: changes.filter {
          Self.namesTheHost($0.path) || $0.path == "paths.cgroup" && pipeline.filter.namesCgroups
        })
    }
    plan.steps += old.pipelines.filter { pipeline in !new.pipelines.contains { $0.name == pipeline.name } }.map {
      ReloadPlan.Step(pipeline: $0.name, action: .remove, loopBefore: present[$0.name])
    }
    addRest(&plan)
    place(&plan, resources: changes.filter { $0.path.hasPrefix("resources.") })
    Budget(plan: plan, new: new, before: before, capacity: capacity, model: model).settle(&plan)
    return plan
  }

  // MARK: Pipelines

  private func step(for pipeline: PipelineSettings, identity: [SettingChange]) -> ReloadPlan.Step {
    let name = pipeline.name
    guard let before = old.pipelines.first(where: { $0.name == name }) else {
      return ReloadPlan.Step(pipeline: name, action: .add)
    }
    let changes = pipeline.changes(from: before) + identity.map { $0.under("global.") }
    let action: ReloadPlan.Action =
      changes.isEmpty ? .keep : changes.allSatisfy { $0.reload == .live } ? .adjust : .rebuild
    return ReloadPlan.Step(pipeline: name, action: action, changes: changes, loopBefore: present[name])
  }

  /// Columns of every row, and what `align: spread` is made of. `label` and `tag` reach pipelines as their own settings.
  private static func namesTheHost(_ path: String) -> Bool { path == "hostname" || path == "location" }

  /// `rest` is what the other pipelines leave: it changes with theirs.
  private func addRest(_ plan: inout ReloadPlan) {
    for index in plan.steps.indices {
      let name = plan.steps[index].pipeline
      guard let own = new.pipelines.first(where: { $0.name == name }), own.namespaces.usesRest else { continue }
      guard plan.steps[index].action == .keep || plan.steps[index].action == .adjust else { continue }
      let causes = others(than: name).map { SettingChange("namespaces of \($0)", .live) }
      guard !causes.isEmpty else { continue }
      plan.steps[index].changes += causes
      plan.steps[index].action = .adjust
    }
  }

  /// Pipelines whose own selection differs, or that are there only before or only after. What is chosen by `rest` is left over
  /// by those that choose by something else.
  private func others(than name: String) -> [String] {
    func selections(_ settings: Settings) -> [String: NamespaceSelection] {
      let explicit = settings.pipelines.filter { !$0.namespaces.usesRest }
      return Dictionary(explicit.map { ($0.name, $0.namespaces) }) { first, _ in first }
    }
    let (before, after) = (selections(old), selections(new))
    let names = new.pipelines.map(\.name) + old.pipelines.map(\.name).filter { after[$0] == nil }
    return names.filter { $0 != name && before[$0] != after[$0] }
  }

  // MARK: Loops

  /// Gives everybody a loop; who has to leave his is made anew.
  private func place(_ plan: inout ReloadPlan, resources: [SettingChange]) {
    let rebuilt = plan.steps.filter { $0.action == .rebuild }.map(\.pipeline)
    let decides = ["resources.threads", "resources.loops", "resources.cpus"]
    let causes = resources.filter { decides.contains($0.path) }
    plan.admission = Admission(new, on: capacity, model).admit(
      present: present, free: Set(rebuilt), spreads: !causes.isEmpty, workers: workers)
    for index in plan.steps.indices {
      plan.steps[index].loopAfter = plan.admission.assignment[plan.steps[index].pipeline]
      guard let before = plan.steps[index].loopBefore, let after = plan.steps[index].loopAfter, before != after else {
        continue
      }
      plan.steps[index].action = .rebuild
      plan.steps[index].changes +=
        causes.isEmpty ? [SettingChange("global.resources.threads", .process)] : causes.map { $0.under("global.") }
      plan.steps[index].note = "moves from loop\(before) to loop\(after)"
    }
  }

  // MARK: Process

  private static func processStep(_ change: SettingChange) -> ReloadPlan.ProcessStep? {
    // Said of the pipelines, which take them over one by one.
    if ["label", "tag"].contains(change.path) || namesTheHost(change.path) { return nil }
    return ReloadPlan.ProcessStep(change: change.under("global."), effect: effect(of: change))
  }

  private static func effect(of change: SettingChange) -> ReloadPlan.ProcessStep.Effect {
    guard change.reload == .process else { return .apply }
    return change.path.hasPrefix("resources.") ? .readmit : .rebind
  }
}
