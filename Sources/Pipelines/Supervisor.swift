import Config
import IO
import Logging
import Records
import Sinks
import Synchronization

/// Why the pipelines could not be started. Nothing was read or written.
public enum StartError: Error, CustomStringConvertible, Sendable {
  /// A right is missing (exit code 77).
  case missingRight(String)
  /// The configuration asks for what cannot be (exit code 78).
  case configuration(String)
  /// Anything else (exit code 1).
  case system(String)

  public var description: String {
    switch self {
    case .missingRight(let text), .configuration(let text), .system(let text): text
    }
  }
}

/// What to run beside what the settings say.
public struct RunOptions: Sendable {
  /// Every pipeline stops by itself after so many polls; nil: they run until they are stopped.
  public var pollLimit: UInt64?
  /// Encode for a terminal in place of the configured format.
  public var asTable = false
  /// Read only the namespace this process is in; needs no rights.
  public var ownNamespaceOnly = false
  /// What rows say of this build.
  public var version: String
  /// How long delivering what is left may take after a stop.
  public var drainTimeout: Duration = .seconds(5)

  public init(version: String) { self.version = version }
}

/// Runs the pipelines of a configuration on a loop thread of its own; the thread that made it keeps the signals.
public final class Supervisor: Sendable {
  /// How it ended.
  public enum Ending: Sendable {
    /// Stopped, or every pipeline came to its poll limit.
    case stopped
    case notStarted(StartError)
    /// The loop could not go on.
    case failed(SystemError)
  }

  private struct State {
    var boards: [TotalsBoard] = []
    var ending: Ending?
  }

  private let settings: Settings
  private let options: RunOptions
  private let log: Logger
  private let stopRequest: Wakeup
  private let ended: Wakeup
  private let state = Mutex(State())

  public init(settings: Settings, options: RunOptions, log: Logger) throws(SystemError) {
    self.settings = settings
    self.options = options
    self.log = log
    stopRequest = try Wakeup()
    ended = try Wakeup()
  }

  /// Finds what makes a valid configuration impossible to run anywhere. Starts and opens nothing.
  public static func check(_ settings: Settings) throws(StartError) {
    let assembly = PipelineAssembly(
      settings: settings, options: RunOptions(version: ""), host: HostIdentity(), log: Logger(label: "check"))
    try assembly.check()
  }

  /// Starts the loop thread, which builds the pipelines: rings belong to the thread that drives them.
  public func start() throws(SystemError) {
    let thread = try WorkerThread(name: "loop0") { [self] in
      let ending = runLoop()
      state.withLock { $0.ending = ending }
      ended.signal()
    }
    _ = consume thread  // Its end is told by `ended`, not by joining.
  }

  /// Asks every pipeline to deliver what it has and end. Returns at once.
  public func stop() { stopRequest.signal() }

  /// For a poller: readable once `ending` is set.
  public var endedPollable: Int32 { ended.pollable }

  /// Nil while the loop runs.
  public var ending: Ending? { state.withLock { $0.ending } }

  /// What every pipeline had done by the end of its last poll, in the order of the configuration.
  public var totals: [PipelineTotals] { state.withLock { $0.boards }.map { $0.read() } }

  private func runLoop() -> Ending {
    let pipelines: [Pipeline]
    let directory: NamespaceDirectory
    do throws(StartError) {
      let facts = HostFacts.current(proc: settings.global.paths.proc)
      let host = HostIdentity(settings.global, facts, version: options.version)
      let assembly = PipelineAssembly(settings: settings, options: options, host: host, log: log)
      try assembly.checkRights(facts)
      directory = try assembly.makeDirectory()
      pipelines = try assembly.build(directory: directory)
    } catch {
      return .notStarted(error)
    }
    state.withLock { $0.boards = pipelines.map { $0.board } }
    do throws(SystemError) {
      let loop = try EventLoop(
        pipelines: pipelines, directory: directory, stop: stopRequest, drainTimeout: options.drainTimeout.nanoseconds)
      try loop.run()
      return .stopped
    } catch {
      return .failed(error)
    }
  }
}
