import ArgumentParser
import IO
import Logging
import NIOCore
import Pipelines

/// The main thread of `run` and `snapshot`: signals, and turns of what runs the pipelines, until it ends.
///
/// Whoever wants to know more of it (the service manager) sets the closures. Belongs to the main thread, and lives until the process
/// ends.
final class Daemon {
  let control: any DaemonControl
  let loop: MainLoop
  let log: Logger
  /// The end has begun.
  var onStopping: () -> Void = {}
  /// A reload has been asked for.
  var onReloading: () -> Void = {}
  /// A reload has come to its verdict.
  var onVerdict: (ReloadVerdict) -> Void = { _ in }
  /// Called once, with the last status. Does not return to the loop: it ends the process.
  private let atEnd: (DaemonStatus, ExitCode) -> Never

  private var wakeUp: MainLoop.Alarm?
  private var isStopping = false
  /// When the verdict that was logged last was reached: requests that were taken together share one.
  private var lastVerdict: Int64 = 0

  init(
    _ control: any DaemonControl, on loop: MainLoop, log: Logger,
    atEnd: @escaping (DaemonStatus, ExitCode) -> Never
  ) {
    self.control = control
    self.loop = loop
    self.log = log
    self.atEnd = atEnd
  }

  /// Starts the pipelines, and from then on acts on signals and events.
  func start(_ signals: borrowing SignalReader) throws(StartError) {
    try control.start()
    do throws(SystemError) {
      try loop.read(control.events) { [self] _ in turn() }
      try loop.read(signals.pollable) { [self] bytes in
        for signal in SignalReader.signals(in: bytes.readableBytesView) { act(on: signal) }
      }
    } catch {
      throw .system("\(error)")
    }
    turn()
  }

  /// Asks for a reload and tells everybody of its verdict.
  func reload(_ done: @escaping (ReloadVerdict) -> Void = { _ in }) {
    onReloading()
    control.reload { [self] verdict in
      tell(verdict)
      done(verdict)
    }
  }

  func stop() {
    if !isStopping { onStopping() }
    isStopping = true
    control.stop()
  }

  private func turn() {
    let next = control.turn()
    if let ending = control.ending { end(ending) }
    wakeUp?.cancel()
    wakeUp = next.map { loop.schedule(at: $0) { [self] in turn() } }
  }

  private func act(on signal: Signal) {
    switch signal {
    case .terminate, .interrupt:
      log.info("stopping: delivering what has been read")
      stop()
    case .hangup:
      log.info("SIGHUP: reading the configuration again")
      reload()
    case .user1:
      log.info("SIGUSR1: replaced files are reopened")
      control.reopenFiles()
    }
    turn()
  }

  private func tell(_ verdict: ReloadVerdict) {
    onVerdict(verdict)
    guard verdict.time != lastVerdict else { return }
    lastVerdict = verdict.time
    let metadata: Logger.Metadata = [
      "result": "\(verdict.result.rawValue)", "generation": "\(verdict.generation)", "hash": "\(verdict.hash)",
    ]
    let isRefused = verdict.result == .refused
    log.log(level: isRefused ? .error : .notice, "reload: \(verdict.summary)", metadata: metadata)
    for line in verdict.details { log.log(level: isRefused ? .error : .info, "reload: \(line)") }
  }

  private func end(_ ending: Supervisor.Ending) {
    switch ending {
    case .stopped: atEnd(control.status(), .success)
    case .notStarted(let error):
      log.error("\(error)")
      atEnd(control.status(), ExitCode(error))
    case .failed(let error):
      log.error("cannot go on: \(error)")
      atEnd(control.status(), .failure)
    }
  }
}
