import Config
import Logging
import Pipelines

extension Supervisor: DaemonControl {
  func plan() -> PlanAnswer {
    let result: Result<ReloadPlan, Refusal> = plan()
    switch result {
    case .success(let plan): return PlanAnswer(outcome: plan.isEmpty ? .unchanged : .changes, lines: plan.lines)
    case .failure(let refusal): return PlanAnswer(outcome: .refused, lines: [refusal.summary] + refusal.details)
    }
  }
}

/// The configuration file that a command was given.
struct FileSource: ConfigurationSource {
  /// Absolute, so that whoever asks the daemon can tell whether he means the same file.
  let path: String
  /// As the command was given it.
  private let file: String

  init(path: String) {
    file = path
    self.path = FilePath.absolute(path)
  }

  func read() -> Outcome { ConfigurationOption.read(file) }
}

/// Connects a supervisor with what else belongs to the process. Belongs to the main thread.
final class DaemonServices: ProcessServices {
  /// Nil: nobody asks.
  var listeners: Listeners?
  var onReloading: () -> Void = {}
  var onVerdict: (ReloadVerdict) -> Void = { _ in }
  private var prepared: PreparedListeners?
  /// Of the configuration that runs.
  private var references: [ValueReference] = []
  private let log: Logger

  init(log: Logger) { self.log = log }

  func prepare(_ settings: GlobalSettings) throws(StartError) { prepared = try listeners?.prepare(settings) }

  func commit(_ outcome: Outcome) {
    prepared?.commit()
    prepared = nil
    if let log = outcome.settings?.global.log { LogOutput.follow(log) }
    // What is on its way out may still speak of the values that it was made with.
    LogOutput.redact(only: references + outcome.references)
    references = outcome.references
    LastGood.keep(outcome, log: log)
  }

  func discard() {
    prepared?.discard()
    prepared = nil
  }

  /// The end: nothing is left behind, nor what a reload that is under way has bound.
  func close() {
    discard()
    listeners?.close()
  }

  func reloading() { onReloading() }

  func reloaded(_ verdict: ReloadVerdict) { onVerdict(verdict) }
}
