import Config
import IO
import Logging
import Records

/// Taking over another configuration.
extension Supervisor {
  /// Why a configuration is not taken over.
  public struct Refusal: Error {
    /// One line.
    public var summary: String
    /// For people.
    public var details: [String]
    public var cause: ReloadVerdict.Cause
  }

  /// Reads the configuration anew as soon as it has settled, and goes on with it if it is better than none. One reload answers
  /// everything that was asked for before it began.
  ///
  /// - Parameters:
  ///   - expectedHash: refuse any other configuration.
  ///   - done: called from a later `turn`.
  public func reload(expectedHash: String? = nil, _ done: ((ReloadVerdict) -> Void)? = nil) {
    reloadRequests.isAsked = true
    if done == nil, expectedHash == nil { reloadRequests.isUnconditional = true }
    if done != nil || expectedHash != nil {
      reloadRequests.requests.append(.init(expectedHash: expectedHash, done: done ?? { _ in }))
    }
  }

  /// What a reload would do now. Nothing is changed or opened.
  public func plan() -> Result<ReloadPlan, Refusal> {
    let outcome = source.read()
    guard let settings = outcome.settings, let running else { return .failure(Refusal(outcome)) }
    return planned(settings, running)
  }

  /// Works out what another configuration asks for; why it cannot be had, if so.
  private func planned(_ settings: Settings, _ running: RunningConfiguration) -> Result<ReloadPlan, Refusal> {
    do throws(StartError) {
      try checkRights(settings)
      if settings.global.paths != running.settings.global.paths { try checkPaths(settings.global.paths) }
    } catch {
      return .failure(Refusal(summary: "\(error)", details: [], cause: .init(error)))
    }
    let plan = ReloadPlan.make(
      from: running.settings, to: settings, loops: running.admission.assignment, workers: loops.mapValues(\.workers),
      on: .current(), .pipelines)
    guard plan.isRefused else { return .success(plan) }
    return .failure(
      Refusal(
        summary: plan.admission.refusals.joined(separator: "; "), details: plan.admission.arithmetic,
        cause: .configuration))
  }

  /// Begins what is due of reloads; returns when it wants to be asked again.
  func turnReload(now: Int64) -> Int64 {
    guard let running else { return .max }
    var deadline = Int64.max
    if running.settings.global.reload.watch { deadline = min(deadline, lookAtFiles(now: now)) }
    // What goes holds memory, threads and descriptors that the next plan counts on.
    guard reloadRequests.isAsked, inProgress == nil, draining.isEmpty, !loops.values.contains(where: \.isEnding) else {
      return deadline
    }
    if now < settlesAt { return min(deadline, settlesAt) }
    let outcome = source.read()
    let settle = running.settings.global.reload.settle.nanoseconds
    if let youngest = outcome.closure?.youngestChange {
      let age = wallClockNanoseconds() - youngest
      if age >= 0, age < settle {
        settlesAt = now + settle - age
        return min(deadline, settlesAt)
      }
    }
    begin(outcome, reloadRequests.take(), running)
    return deadline
  }

  private func lookAtFiles(now: Int64) -> Int64 {
    if now < nextLook { return nextLook }
    nextLook = now + 1_000_000_000
    if let files = closureWatch, files.hasChanged, !reloadRequests.isAsked {
      log.info("the configuration has changed")
      reload()
    }
    return nextLook
  }

  // MARK: Beginning

  private func begin(_ outcome: Outcome, _ requests: ReloadRequests, _ running: RunningConfiguration) {
    services.reloading()
    closureWatch = outcome.watch
    let hash = outcome.closure?.hash ?? ""
    let (wrong, requests) = requests.separated { $0.map(hash.hasPrefix) ?? true }
    if let expected = wrong.requests.compactMap(\.expectedHash).first {
      refuse("the configuration's hash is \(hash), not \(expected) as expected", [], hash, wrong, .system)
      // Who asked for no certain one, by SIGHUP for example, gets what there is.
      guard requests.isAsked else { return }
    }
    guard let settings = outcome.settings else {
      let refusal = Refusal(outcome)
      return refuse(refusal.summary, refusal.details, hash, requests, refusal.cause)
    }
    let present = facts
    if settings.global.paths.proc != running.settings.global.paths.proc {
      facts = HostFacts.current(proc: settings.global.paths.proc)
    }
    switch planned(settings, running) {
    case .failure(let refusal):
      facts = present
      refuse(refusal.summary, refusal.details, hash, requests, refusal.cause)
    case .success(let plan) where plan.isEmpty:
      self.running?.hash = hash
      // The last good one may have run in its place.
      self.running?.state = .current
      conclude(.unchanged, "nothing to change", [], hash, requests)
    case .success(let plan): begin(plan, settings, outcome, hash, requests, running, presentFacts: present)
    }
  }

  private func begin(
    _ plan: ReloadPlan, _ settings: Settings, _ outcome: Outcome, _ hash: String, _ requests: ReloadRequests,
    _ running: RunningConfiguration, presentFacts: HostFacts
  ) {
    let next = successor(of: running, settings, plan.admission, hash) { name in
      plan.steps.first { $0.pipeline == name }?.action ?? .add
    }
    do throws(StartError) {
      try services.prepare(settings.global)
      try carryOut(steps(of: plan, from: running, to: next), to: next) { [self] error in
        if let error {
          facts = presentFacts
          services.discard()
          refuse("\(error)", plan.lines, hash, requests, .init(error))
        } else {
          forgetVacancies()
          services.commit(outcome)
          conclude(.applied, plan.summary, plan.lines, hash, requests)
        }
      }
    } catch {
      facts = presentFacts
      services.discard()
      refuse("\(error)", plan.lines, hash, requests, .init(error))
    }
  }

  // MARK: Verdicts

  private func refuse(
    _ summary: String, _ details: [String], _ hash: String, _ requests: ReloadRequests, _ cause: ReloadVerdict.Cause
  ) {
    conclude(.refused, summary, details, hash, requests, cause)
  }

  private func conclude(
    _ result: ReloadVerdict.Result, _ summary: String, _ details: [String], _ hash: String, _ requests: ReloadRequests,
    _ cause: ReloadVerdict.Cause? = nil
  ) {
    let now = wallClockNanoseconds()
    let verdict = ReloadVerdict(
      result: result, cause: cause, generation: running?.generation ?? 0, hash: hash, time: now, summary: summary,
      details: details)
    self.verdict = verdict
    reloadCounts[result, default: 0] += 1
    isLastReloadSuccessful = result != .refused
    if result != .refused { lastSuccess = now }
    let line: Logger.Message = "reload \(result.rawValue): \(summary)"
    let metadata: Logger.Metadata = ["generation": "\(verdict.generation)", "hash": "\(hash.prefix(12))"]
    result == .refused ? log.error(line, metadata: metadata) : log.notice(line, metadata: metadata)
    for detail in details { log.log(level: result == .refused ? .error : .info, "reload: \(detail)") }
    services.reloaded(verdict)
    for request in requests.requests { request.done(verdict) }
  }
}

extension Supervisor.Refusal {
  /// What is wrong with a configuration.
  init(_ outcome: Outcome) {
    let count = outcome.errors.count
    let first = outcome.errors.first.map { ": \($0.place.label): \($0.message)" } ?? ""
    summary = "the configuration is invalid, \(count) error\(count == 1 ? "" : "s")\(first)"
    details = outcome.rendered.split(separator: "\n").map(String.init)
    cause = .configuration
  }
}
