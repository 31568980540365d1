import Config
import IO

/// The supervisor's end of an event loop's thread.
final class LoopThread {
  let index: Int
  let mailbox: Mailbox<LoopCommand>
  let clock = TurnClock()
  /// The kernel workers that it may have started: io-wq keeps the last of each kind for as long as the thread lives.
  private(set) var workers = LoopWorkers()
  private var thread: WorkerThread?

  var name: String { "loop\(index)" }

  /// Starts the thread. Its end is told by `LoopEvent.ended`.
  ///
  /// - Parameter cpus: the CPUs that it may run on; empty: all.
  init(
    index: Int, builder: (_ wake: @escaping @Sendable () -> Void) -> PipelineBuilder, events: Mailbox<LoopEvent>,
    drainTimeout: Int64, cpus: [Int]
  ) throws(SystemError) {
    self.index = index
    let wakeup = try Wakeup()
    let mailbox = Mailbox<LoopCommand>(wakeup: wakeup)
    self.mailbox = mailbox
    clock.turned(at: MonotonicTime.now().nanoseconds)
    let clock = clock
    let builder = builder { wakeup.signal() }
    thread = try WorkerThread(name: "loop\(index)") {
      do throws(SystemError) {
        let loop = try EventLoop(
          builder: builder, mailbox: mailbox, wakeup: wakeup, supervisor: events, clock: clock, cpus: cpus,
          drainTimeout: drainTimeout)
        try loop.run()
        events.post(.ended(loop: index, nil))
      } catch {
        events.post(.ended(loop: index, error))
      }
    }
  }

  /// Waits for the thread, which has said that it is over.
  func join() {
    if let thread = thread.take() { thread.join() }
  }

  /// It was told to stop: nothing more must be asked of it.
  private(set) var isEnding = false

  func send(_ command: LoopCommand) {
    if case .stop = command { isEnding = true }
    if case .limitWorkers(let files) = command { workers.file = workers.file || files > 0 }
    mailbox.post(command)
  }
}
