import Config
import Glibc
import IO
import Logging
import Pipelines
import Sinks

// Temporary: lets the main thread drive the supervisor as it is. This file goes when the supervisor has these methods itself.

extension Supervisor {
  func control(path: String) -> PresentSupervisor { PresentSupervisor(self, path: path) }
}

/// What one poll came to.
struct PollOutcome: Sendable, Equatable {
  enum Result: String, Sendable { case complete, partial, failed }
  var result: Result
  var sequence: UInt64
  var duration: Int64
  var namespaces: Int
  var reported: UInt64
  var encoded: UInt64
}

final class PresentSupervisor: DaemonControl {
  private let supervisor: Supervisor
  private let path: String
  private let startedAt = wallClockNanoseconds()
  private var verdict: ReloadVerdict?
  private var refusals: UInt64 = 0
  private var isStopping = false

  init(_ supervisor: Supervisor, path: String) {
    self.supervisor = supervisor
    self.path = path
  }

  var events: Int32 { supervisor.endedPollable }
  var ending: Supervisor.Ending? { supervisor.ending }

  func start() throws(StartError) {
    do { try supervisor.start() } catch { throw .system("\(error)") }
    while supervisor.ending == nil, supervisor.totals.isEmpty { usleep(1000) }
    if case .notStarted(let error) = supervisor.ending { throw error }
  }

  func turn() -> MonotonicTime? { nil }

  func reload(_ done: @escaping (ReloadVerdict) -> Void) {
    let verdict = ReloadVerdict(
      result: .refused, generation: 1, hash: "", time: wallClockNanoseconds(),
      summary: "another configuration cannot be applied yet; restart")
    self.verdict = verdict
    refusals += 1
    done(verdict)
  }

  func plan(_ path: String?) -> PlanAnswer { PlanAnswer(outcome: .refused, lines: ["no plan can be made yet"]) }

  func poll(_ pipeline: String, _ done: @escaping (PollOutcome?) -> Void) {
    guard let totals = supervisor.totals.first(where: { $0.name == pipeline }) else { return done(nil) }
    done(
      PollOutcome(
        result: .complete, sequence: totals.counters.polls, duration: 1_000_000,
        namespaces: Int(totals.counters.namespaces), reported: totals.counters.rows.reported,
        encoded: totals.counters.rows.encoded))
  }

  func reopenFiles() {}

  func stop() {
    isStopping = true
    supervisor.stop()
  }

  func status() -> DaemonStatus {
    var status = DaemonStatus()
    let totals = supervisor.totals
    status.state = isStopping ? .stopping : totals.isEmpty ? .starting : .running
    status.version = BuildInfo.version
    status.startedAt = startedAt
    status.configuration.path = path
    status.configuration.hash = String(repeating: "0", count: 64)
    status.configuration.generation = 1
    status.configuration.lastSuccess = startedAt
    status.configuration.verdict = verdict
    status.configuration.isLastReloadSuccessful = verdict == nil
    status.configuration.reloads = [.refused: refusals]
    status.threads = [ThreadUse(kind: "main", granted: 1), ThreadUse(kind: "loop", granted: 1)]
    status.loops = [
      LoopStatus(name: "loop0", pipelines: totals.map(\.name), sinceTurn: 0, longestInterval: 1_000_000_000)
    ]
    status.pipelines = totals.map { totals in
      var pipeline = PipelineStatus(
        name: totals.name, loop: "loop0", mode: .ioUring, generation: 1, interval: 1_000_000_000, totals: totals)
      pipeline.lastPoll = totals.counters.polls > 0 ? wallClockNanoseconds() : 0
      pipeline.lastCompletePoll = totals.counters.completePolls > 0 ? wallClockNanoseconds() : 0
      pipeline.pools = [("receive_buffers", .init(size: 16, inUse: 1, highWater: 16, waits: 3))]
      pipeline.queues = totals.sinks.map { sink in
        var queue = QueueStatus()
        queue.queuedRows = sink.tally.inFlight
        return queue
      }
      return pipeline
    }
    return status
  }
}
