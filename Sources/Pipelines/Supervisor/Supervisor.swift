import Config
import IO
import Logging
import Records
import Sinks

/// Runs the pipelines of a configuration on event loops, takes over other configurations, and knows what goes on.
///
/// Used on one thread, the one that made it: the main thread, which sleeps until `events` is readable or the deadline that `turn`
/// returned has come, and then calls `turn`. Loops are told what to do and answer by messages; nothing here waits for them, but
/// `start`.
public final class Supervisor {
  /// How it ended.
  public enum Ending: Sendable {
    /// Stopped, or every pipeline came to its poll limit.
    case stopped
    /// A loop could not go on.
    case failed(SystemError)
  }

  let source: any ConfigurationSource
  let services: any ProcessServices
  let options: RunOptions
  let log: Logger
  private let wakeup: Wakeup
  let mailbox: Mailbox<LoopEvent>

  /// What runs. Nil before `start`.
  var running: RunningConfiguration?
  var loops: [Int: LoopThread] = [:]
  let namespaces: NamespaceBoard
  var scout: NamespaceScout?
  var nextTicket: Ticket = 1
  let budget = MemoryBudget(limit: 0)
  let clients = ClientRegistry(libraryThreads: 0)
  var facts = HostFacts(hostname: "", bootID: "", machineID: "", kernelRelease: "", seesHostProcesses: nil)
  /// What the loops are carrying out.
  var inProgress: ExecutionInProgress?
  /// Reloads that were asked for since.
  var reloadRequests = ReloadRequests()
  /// The files as they were when they were last read, and when they are looked at next.
  var closureWatch: ClosureWatch?
  var nextLook: Int64 = 0
  var verdict: ReloadVerdict?
  var reloadCounts: [ReloadVerdict.Result: UInt64] = [:]
  var lastSuccess: Int64 = 0
  var isLastReloadSuccessful = true
  /// What was to be rebuilt in place and could be built neither anew nor again.
  var vacancies: [Ticket: Vacancy] = [:]
  /// Pipelines that go and have not let go of everything yet.
  var draining: [String: Int] = [:]
  /// Directories of spilled rows that were said to belong to no sink.
  var toldSpools: Set<String> = []
  private var pollRequests: [Int: (PollOutcome?) -> Void] = [:]
  private var nextPollRequest = 1
  private var finished: Set<String> = []
  private var isTurning = false
  /// Before this time nothing of the configuration has settled: it is not read. Monotonic nanoseconds.
  var settlesAt: Int64 = 0
  var isStopping = false
  private(set) public var ending: Ending?
  let startedAt = wallClockNanoseconds()

  public init(
    source: any ConfigurationSource, services: any ProcessServices, options: RunOptions, log: Logger
  ) throws(SystemError) {
    self.source = source
    self.services = services
    self.options = options
    self.log = log
    wakeup = try Wakeup()
    mailbox = Mailbox(wakeup: wakeup)
    namespaces = NamespaceBoard(wakeup: wakeup)
  }

  /// For a poller: readable when `turn` has something to do.
  public var events: Int32 { wakeup.pollable }

  /// What every pipeline had done by its last turn between two polls, in the order of the configuration.
  public var totals: [PipelineTotals] { running?.pipelines.map { $0.board.read().totals } ?? [] }

  /// Does what is due, and returns when it wants to be called again at the latest: monotonic time; nil: when `events` is readable.
  ///
  /// Who was answered may ask for something at once, which is done in the next turn.
  public func turn() -> MonotonicTime? {
    guard !isTurning else { return .now() }
    isTurning = true
    defer { isTurning = false }
    takeEvents()
    let now = MonotonicTime.now().nanoseconds
    var deadline = Int64.max
    if ending == nil, let scout { deadline = min(deadline, scout.turn(now: now) ?? .max) }
    if !isStopping { deadline = min(deadline, turnReload(now: now), fillVacancies(now: now)) }
    if let failure = scout?.failure, ending == nil { fail(failure) }
    return deadline == .max ? nil : MonotonicTime(nanoseconds: deadline)
  }

  /// Asks every pipeline to deliver what it has and end; asked twice, they do not wait for slow sinks. Returns at once.
  public func stop() {
    isStopping = true
    for loop in loops.values { loop.send(.stop) }
    if loops.isEmpty, ending == nil { ending = .stopped }
  }

  /// Opens files again whose path names another one.
  public func reopenFiles() {
    for loop in loops.values { loop.send(.reopenFiles) }
  }

  /// Polls a pipeline as soon as the poll that runs is over; nil: there is no such pipeline.
  public func poll(_ pipeline: String, _ done: @escaping (PollOutcome?) -> Void) {
    guard let loop = running?.pipelines.first(where: { $0.name == pipeline })?.loop else { return done(nil) }
    pollRequests[nextPollRequest] = done
    loops[loop]?.send(.poll(pipeline: pipeline, request: nextPollRequest))
    nextPollRequest += 1
  }

  // MARK: Events

  /// Takes in what the loops have told.
  func takeEvents() {
    wakeup.drain()
    for event in mailbox.takeAll() { handle(event) }
  }

  private func handle(_ event: LoopEvent) {
    switch event {
    case .prepared(let ticket, let error):
      if error == nil { showSuccessor(ticket) }
      vacancyPrepared(ticket, error)
      advance { $0.prepared(ticket, error) }
    case .switched(let ticket):
      showSuccessor(ticket)
      advance { $0.switched(ticket) }
    case .parted(let ticket, let parcel): parted(ticket, parcel)
    case .drained(let pipeline, let totals): drained(pipeline, totals)
    case .polled(let request, let outcome): pollRequests.removeValue(forKey: request)?(outcome)
    case .finished(let pipeline):
      finished.insert(pipeline)
      if let running, running.pipelines.allSatisfy({ finished.contains($0.name) }) { stop() }
    case .ended(let index, let error):
      loops.removeValue(forKey: index)?.join()
      if let error, inProgress?.newLoops.contains(index) == true {
        // Nothing ran on it yet.
        advance { $0.loopEnded(.system("loop\(index): \(error)")) }
      } else if let error {
        return fail(error)
      }
      if isStopping, loops.isEmpty, ending == nil {
        clients.waitUntilClosed(milliseconds: 500)
        ending = .stopped
      }
    }
  }

  private func fail(_ error: SystemError) {
    if ending == nil { ending = .failed(error) }
    isStopping = true
    for loop in loops.values { loop.send(.stop) }
  }
}

/// Where configurations come from.
public protocol ConfigurationSource {
  /// The path that people know it by.
  var path: String { get }
  /// Reads everything anew.
  func read() -> Outcome
}

/// What belongs to the process and stands outside of the pipelines: listeners, the log.
public protocol ProcessServices: AnyObject {
  /// Opens what other settings ask for beside what is open.
  func prepare(_ settings: GlobalSettings) throws(StartError)
  /// Goes on with what was prepared.
  func commit(_ outcome: Outcome)
  /// Lets go of what was prepared.
  func discard()
  /// A reload is under way, or has come to this.
  func reloading()
  func reloaded(_ verdict: ReloadVerdict)
}
