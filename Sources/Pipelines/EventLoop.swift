import IO

/// Drives the ports of its pipelines from one thread: sleeps until one has completions, gives each of those a turn, sleeps again.
final class EventLoop {
  private let poller: Poller
  private let pipelines: [Pipeline]
  /// Signalled from another thread: deliver what there is, and end.
  private let stop: Wakeup
  /// Nanoseconds that delivering what is left may take after a stop was asked for.
  private let drainTimeout: Int64
  private var drainUntil: Int64?
  private var isDue: [Bool]

  private let directory: NamespaceDirectory

  /// What the poller reports the stop request and a change of mounts as; pipelines are reported by their index.
  private static let stopToken = UInt64.max
  private static let mountsToken = UInt64.max - 1

  init(
    pipelines: [Pipeline], directory: NamespaceDirectory, stop: Wakeup, drainTimeout: Int64
  ) throws(SystemError) {
    self.directory = directory
    self.pipelines = pipelines
    self.stop = stop
    self.drainTimeout = drainTimeout
    isDue = pipelines.map { _ in true }
    let poller = try Poller()
    try poller.add(stop.pollable, token: EventLoop.stopToken)
    try poller.add(directory.mountsPollable, .exceptional, token: EventLoop.mountsToken)
    for (index, pipeline) in pipelines.enumerated() { try poller.add(pipeline.port.pollable, token: UInt64(index)) }
    self.poller = poller
  }

  /// Returns when every pipeline has finished, or when delivering what was left has taken its time.
  ///
  /// - Throws: what makes it impossible to go on: the kernel refuses the ring's or the poller's own calls, or the thread could not
  ///   return to its own namespace.
  func run() throws(SystemError) {
    defer { for pipeline in pipelines { pipeline.close() } }
    while true {
      try giveTurns()
      if pipelines.allSatisfy({ $0.isFinished }) { return }
      if let drainUntil, MonotonicTime.now().nanoseconds >= drainUntil { return }
      try sleep()
      if stop.drain() {
        // Who asks twice does not want to wait.
        if drainUntil != nil { return }
        drainUntil = MonotonicTime.now().nanoseconds + drainTimeout
        for (index, pipeline) in pipelines.enumerated() {
          pipeline.stop()
          isDue[index] = true
        }
      }
    }
  }

  private func giveTurns() throws(SystemError) {
    for (index, pipeline) in pipelines.enumerated() where isDue[index] || pipeline.port.hasPending {
      isDue[index] = false
      try pipeline.turn()
    }
  }

  private func sleep() throws(SystemError) {
    let isBusy = pipelines.contains { $0.port.hasPending }
    let deadline = isBusy ? MonotonicTime(nanoseconds: 0) : drainUntil.map { MonotonicTime(nanoseconds: $0) }
    try poller.wait(until: deadline) { token, _ in
      switch token {
      case EventLoop.stopToken: break
      case EventLoop.mountsToken: directory.markStale()
      default: isDue[Int(token)] = true
      }
    }
  }
}
