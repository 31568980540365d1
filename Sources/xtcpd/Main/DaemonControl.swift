import IO
import Pipelines

/// What the main thread asks of what runs the pipelines. Used on the main thread only.
protocol DaemonControl: AnyObject {
  /// An eventfd: readable when `turn` has something to do.
  var events: Int32 { get }
  /// Nil while it runs.
  var ending: Supervisor.Ending? { get }

  /// Does what is due. Returns when it wants to be called next if nothing happens before.
  func turn() -> MonotonicTime?
  func status() -> DaemonStatus
  /// Reads the configuration again. The verdict comes later, from `turn`; requests that come meanwhile share one.
  ///
  /// - Parameter expectedHash: refuse any other configuration.
  func reload(expectedHash: String?, _ done: ((ReloadVerdict) -> Void)?)
  /// What a reload would do, without doing it.
  func plan() -> PlanAnswer
  /// Polls a pipeline now, or as soon as the poll that runs is over. Nil: there is no such pipeline, or it went meanwhile.
  func poll(_ pipeline: String, _ done: @escaping (PollOutcome?) -> Void)
  /// Opens files again whose path names another one.
  func reopenFiles()
  /// Delivers what has been read, then `ending` is set. A second call does not wait.
  func stop()
}

/// What a reload would do.
struct PlanAnswer: Equatable {
  enum Outcome: String, Codable {
    case unchanged, changes
    /// The configuration is invalid or asks for too much: a reload would be refused.
    case refused
  }

  var outcome: Outcome
  /// The steps, or the diagnostics of what is wrong; a line each.
  var lines: [String]
}
