import ArgumentParser
import Config
import IO
import Logging
import Pipelines

/// The main thread of `run` and `snapshot`: starts the pipelines, waits for signals and for their end.
struct Daemon {
  let settings: Settings
  let options: RunOptions
  let log: Logger

  private enum Token {
    static let signals: UInt64 = 0
    static let ended: UInt64 = 1
    static let attention: UInt64 = 2
  }

  /// Returns the totals of every pipeline once all have ended.
  ///
  /// - Throws: the exit code, after the reason has been logged.
  func run(_ signals: consuming SignalReader) throws -> [PipelineTotals] {
    let supervisor = try Supervisor(settings: settings, options: options, log: log)
    let ending = try wait(for: supervisor, scout: try start(supervisor), signals)
    switch ending {
    case .stopped: return supervisor.totals
    case .notStarted(let error):
      log.error("\(error)")
      throw exitCode(of: error)
    case .failed(let error):
      log.error("cannot go on: \(error)")
      throw ExitCode.failure
    }
  }

  private func start(_ supervisor: Supervisor) throws -> NamespaceScout {
    do throws(StartError) {
      return try supervisor.start()
    } catch {
      log.error("\(error)")
      throw exitCode(of: error)
    }
  }

  private func wait(
    for supervisor: Supervisor, scout: NamespaceScout, _ signals: borrowing SignalReader
  ) throws(SystemError) -> Supervisor.Ending {
    let poller = try Poller()
    try poller.add(signals.pollable, token: Token.signals)
    try poller.add(supervisor.endedPollable, token: Token.ended)
    try poller.add(supervisor.attentionPollable, token: Token.attention)
    while true {
      let due = scout.turn(now: MonotonicTime.now().nanoseconds)
      if let failure = scout.failure { return .failed(failure) }
      try poller.wait(until: due.map { MonotonicTime(nanoseconds: $0) }) { _, _ in }
      supervisor.drainAttention()
      if let ending = supervisor.ending { return ending }
      while let signal = signals.next() { handle(signal, supervisor) }
    }
  }

  private func handle(_ signal: Signal, _ supervisor: Supervisor) {
    switch signal {
    case .terminate, .interrupt:
      log.info("stopping: delivering what has been read")
      supervisor.stop()
    case .hangup:
      log.notice("SIGHUP: replaced files are reopened with their next batch; restart to apply another configuration")
    case .user1:
      log.info("SIGUSR1: replaced files are reopened with their next batch")
    }
  }

  private func exitCode(of error: StartError) -> ExitCode {
    switch error {
    case .missingRight: .missingRight
    case .configuration: .invalidConfiguration
    case .system: .failure
    }
  }
}
