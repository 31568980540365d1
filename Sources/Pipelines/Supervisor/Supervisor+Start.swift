import Config
import IO
import Logging
import Records

/// Beginning: the first configuration is a plan that adds everything.
extension Supervisor {
  /// Builds all pipelines of a configuration and returns when they run, or when nothing of it does.
  ///
  /// - Parameter state: whether it is the one that xtcpd was told to start with.
  public func start(_ outcome: Outcome, state: ConfigurationStatus.State = .current) throws(StartError) {
    guard let settings = outcome.settings else { throw .configuration("the configuration is invalid") }
    facts = HostFacts.current(proc: settings.global.paths.proc)
    try checkRights(settings)
    raiseLimits()
    let admission = Supervisor.admission(of: settings)
    if admission.isRefused { throw .configuration(admission.refusals.joined(separator: "; ")) }
    for line in admission.arithmetic { log.debug("\(line)") }
    try services.prepare(settings.global)
    do throws(StartError) {
      try startScout(settings)
      try addAll(settings, admission, outcome.closure?.hash ?? "", state)
    } catch {
      services.discard()
      throw error
    }
    tellOrphanedSpools()
    // What the last good one is stays what it was.
    services.commit(outcome)
    lastSuccess = wallClockNanoseconds()
    closureWatch = outcome.watch
  }

  private func addAll(
    _ settings: Settings, _ admission: AdmissionResult, _ hash: String, _ state: ConfigurationStatus.State
  ) throws(StartError) {
    let nothing = RunningConfiguration(
      settings: settings, hash: "", generation: 0, state: state, admission: admission,
      host: HostIdentity(settings.global, facts, version: options.version), pipelines: [])
    var first = successor(of: nothing, settings, admission, hash) { _ in .add }
    first.state = state
    budget.resize(limit: admission.memory.budget - admission.memory.pools)
    clients.threads.limit = settings.global.resources.libraryThreads
    var result: StartError?
    var isDone = false
    let steps = first.pipelines.map {
      ExecutionStep(pipeline: $0.name, action: .add, present: nil, future: $0.place)
    }
    try carryOut(steps, to: first) { error in
      result = error
      isDone = true
    }
    // Until the first pipelines run there is nothing else to do.
    do throws(SystemError) {
      let poller = try Poller()
      try poller.add(events, token: 0)
      while !isDone, ending == nil {
        try poller.wait(until: nil) { _, _ in }
        takeEvents()
      }
    } catch {
      throw .system("\(error)")
    }
    if let result { throw result }
    if case .failed(let error) = ending { throw .system("\(error)") }
  }

  /// The host's namespaces are those that the host's processes are in: where `paths.proc` shows a container's processes, a name
  /// such as `host` would be false.
  func checkRights(_ settings: Settings) throws(StartError) {
    guard facts.seesHostProcesses == false, !options.ownNamespaceOnly else { return }
    let selectorsOfHost: Set<NamespaceSelector> = [.host, .all, .rest]
    for pipeline in settings.pipelines where !selectorsOfHost.isDisjoint(with: pipeline.namespaces.include) {
      throw .missingRight(
        "pipeline \(pipeline.name) selects the host's namespaces, but PID 1 under \(settings.global.paths.proc) is only this "
          + "container's; run with the host's PID namespace (docker --pid=host, hostPID: true), mount the host's /proc and name it "
          + "in global.paths.proc, or select namespaces by name or path")
    }
  }

  // MARK: Namespaces

  private func startScout(_ settings: Settings) throws(StartError) {
    var log = log
    // Who reads its own namespace misses nothing of the others.
    if options.ownNamespaceOnly { log.logLevel = .error }
    do throws(SystemError) {
      let scout = try NamespaceScout(
        board: namespaces, paths: NamespacePaths(settings.global.paths),
        maxNamespaces: settings.global.discovery.maxNamespaces,
        interval: settings.global.discovery.interval.nanoseconds,
        needs: NamespaceScout.Needs(settings.pipelines.map(\.namespaces)), log: log)
      scout.scanWhole()
      self.scout = scout
    } catch {
      throw .system("looking for network namespaces: \(error)")
    }
  }

  /// Says what could be done about the host, if it is worth it. Once, when all that is urgent has been done.
  public func adviseOnHost() {
    guard let scout, let running else { return }
    do throws(SystemError) {
      let advice = try scout.examineHost(for: running.settings.pipelines.map(\.namespaces))
      if advice.isWorthIt { log.notice("\(advice.text)") }
    } catch {
      // The scout's next turn ends the process, in order.
      log.error("looking at this host's network namespaces: \(error)")
    }
  }

  /// What cannot be looked at must not be taken over.
  func checkPaths(_ paths: PathSettings) throws(StartError) {
    do throws(SystemError) {
      _ = try NamespaceDiscoverer(paths: NamespacePaths(paths))
    } catch {
      throw .system("global.paths: \(error)")
    }
  }

  /// Namespaces are looked for anew only if something about it has changed.
  func configureScout(from old: Settings?, to new: Settings) {
    let needs = NamespaceScout.Needs(new.pipelines.map(\.namespaces))
    if let old, old.global.paths == new.global.paths, old.global.discovery == new.global.discovery,
      NamespaceScout.Needs(old.pipelines.map(\.namespaces)) == needs
    {
      return
    }
    do throws(SystemError) {
      try scout?.configure(
        paths: NamespacePaths(new.global.paths), maxNamespaces: new.global.discovery.maxNamespaces,
        interval: new.global.discovery.interval.nanoseconds, needs: needs)
    } catch {
      log.error("looking for network namespaces goes on as before: \(error)")
    }
  }

  /// Rings need locked memory unless CAP_IPC_LOCK is there, and every pipeline some descriptors.
  private func raiseLimits() {
    do throws(SystemError) {
      try ResourceLimits.raiseLockedMemory(to: 8 << 20)
    } catch {
      // It may not. A ring that does not fit says what is missing.
    }
    do throws(SystemError) {
      try ResourceLimits.raiseOpenFiles()
    } catch {
      // The hard limit stays; admission counts with what there is.
    }
  }
}

extension Supervisor {
  /// What a configuration asks of this machine if it is started here.
  public static func admission(of settings: Settings) -> AdmissionResult {
    Admission(settings, on: .current(), .pipelines).admit()
  }

  /// What becomes of the pipelines' filters.
  public static func explainFilters(_ settings: Settings) -> [FilterExplanation] {
    settings.pipelines.map { pipeline in
      PipelinePlan(pipeline, host: HostIdentity(), RunOptions(version: "")).filterExplanation
    }
  }

  /// Finds what makes a valid configuration impossible to run anywhere. Starts and opens nothing.
  public static func check(_ settings: Settings) throws(StartError) {
    for pipeline in settings.pipelines {
      let plan = PipelinePlan(pipeline, host: HostIdentity(), RunOptions(version: ""))
      _ = try PipelineBuilder.makeEncodings(plan)
    }
  }
}

extension NamespacePaths {
  init(_ paths: PathSettings) { self.init(proc: paths.proc, netns: paths.netns, cgroup: paths.cgroup) }
}
