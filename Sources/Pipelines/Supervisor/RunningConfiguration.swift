import Config
import Records

/// The configuration that runs, and what came of it.
struct RunningConfiguration {
  struct RunningPipeline {
    let name: String
    let loop: Int
    let plan: PipelinePlan
    var board: PipelineBoard
    /// The configuration that last changed it.
    let generation: UInt64

    var place: ExecutionStep.Place { ExecutionStep.Place(plan: plan, board: board, loop: loop) }
  }

  var settings: Settings
  var hash: String
  var generation: UInt64
  var state: ConfigurationStatus.State
  var admission: AdmissionResult
  var host: HostIdentity
  /// In the order of the configuration.
  var pipelines: [RunningPipeline]

  func pipeline(_ name: String) -> RunningPipeline? { pipelines.first { $0.name == name } }
}

/// What the loops are carrying out.
struct ExecutionInProgress {
  var execution: PlanExecution
  let previous: [RunningConfiguration.RunningPipeline]
  let next: RunningConfiguration
  /// Loops that were started for it.
  let newLoops: [Int]
  let done: (StartError?) -> Void
}

/// A pipeline that has made room in vain and could not be built again.
struct Vacancy {
  let place: ExecutionStep.Place
  let settings: PipelineSettings
  let parcel: Parcel
  /// Monotonic nanoseconds.
  var retryAt: Int64
}

/// Reloads that were asked for and have not begun: one reload answers them all.
struct ReloadRequests {
  struct Request {
    /// What the configuration's hash has to be; nil: anything.
    var expectedHash: String?
    var done: (ReloadVerdict) -> Void
  }

  var isAsked = false
  /// Somebody wants whatever there is, and no answer: a signal, a change of the files.
  var isUnconditional = false
  var requests: [Request] = []

  /// Those that cannot be served and those that can. A request for a certain hash is no request for anything else.
  func separated(_ isServed: (_ expectedHash: String?) -> Bool) -> (wrong: ReloadRequests, served: ReloadRequests) {
    let wrong = requests.filter { !isServed($0.expectedHash) }
    let served = requests.filter { isServed($0.expectedHash) }
    let others = isUnconditional || !served.isEmpty
    return (
      ReloadRequests(isAsked: !wrong.isEmpty, isUnconditional: false, requests: wrong),
      ReloadRequests(isAsked: others, isUnconditional: isUnconditional, requests: served)
    )
  }

  mutating func take() -> ReloadRequests {
    defer { self = ReloadRequests() }
    return self
  }
}
