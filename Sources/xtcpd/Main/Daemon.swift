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
  /// Called once, with the last status. Does not return to the loop: it ends the process.
  private let atEnd: (DaemonStatus, ExitCode) -> Never

  private var wakeUp: MainLoop.Alarm?
  private var isStopping = false

  init(
    _ control: any DaemonControl, on loop: MainLoop, log: Logger,
    atEnd: @escaping (DaemonStatus, ExitCode) -> Never
  ) {
    self.control = control
    self.loop = loop
    self.log = log
    self.atEnd = atEnd
  }

  /// From now on acts on signals and events. The pipelines have been started.
  func start(_ signals: borrowing SignalReader) throws(StartError) {
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

  func stop() {
    if !isStopping { onStopping() }
    isStopping = true
    control.stop()
  }

  /// Does what is due, and sees to it that it is called again. To be called after anything was asked of `control`.
  func turn() {
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
      control.reload(expectedHash: nil, nil)
    case .user1:
      log.info("SIGUSR1: replaced files are reopened")
      control.reopenFiles()
    }
    turn()
  }

  private func end(_ ending: Supervisor.Ending) {
    switch ending {
    case .stopped: atEnd(control.status(), .success)
    case .failed(let error):
      log.error("cannot go on: \(error)")
      atEnd(control.status(), .failure)
    }
  }
}
