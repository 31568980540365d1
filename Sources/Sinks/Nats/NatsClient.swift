import Glibc
import IO
import Synchronization

/// A connection to NATS that sinks of several pipelines share, with a thread of its own that publishes for them: cnats writes to the
/// socket where it is called, and waits there for acknowledgements, which a loop must not.
///
/// Threads: this one, those of the library for the connection (one reads, one flushes, with JetStream one more takes
/// acknowledgements), and three that the library has for all connections.
final class NatsClient: SharedClient {
  /// Of one connection, this client's own included.
  static let threads = 3
  static let streamThreads = 1

  private struct Queue {
    var jobs: [NatsJob] = []
    var members = ClientMembers()
    var isClosing = false
  }

  private let settings: NatsSettings
  private let library: NatsLibrary
  private let state: NatsState
  private let threads: LibraryThreads
  private let queue = Mutex<Queue>(Queue())
  private let wakeup: Wakeup

  /// A broken connection is not tried anew before this time has passed, in nanoseconds.
  private static let pause: Int64 = 200_000_000

  init(_ settings: NatsSettings, _ threads: LibraryThreads) throws(ClientError) {
    self.settings = settings
    self.threads = threads
    library = try NatsLibrary.load()
    try Self.check(library, settings)
    // The library may call after the connection has gone: what it tells stays.
    state = NatsState()
    _ = Unmanaged.passRetained(state)
    threads.startedShared("cnats", NatsLibrary.sharedThreads)
    do throws(SystemError) {
      wakeup = try Wakeup()
      _ = try WorkerThread(name: "nats") { [self] in run() }
    } catch {
      throw ClientError("nats: \(error)")
    }
  }

  /// Finds out whether the library takes the settings. On a thread of its own, waited for: the library's threads begin with the
  /// first call and are named as the one that makes it.
  private static func check(_ library: NatsLibrary, _ settings: NatsSettings) throws(ClientError) {
    let answer = Answer()
    do throws(SystemError) {
      let thread = try WorkerThread(name: "nats") {
        do throws(ClientError) { try NatsConnection.check(library, settings) } catch { answer.set(error) }
      }
      thread.join()
    } catch {
      throw ClientError("nats: \(error)")
    }
    if let error = answer.error { throw error }
  }

  // MARK: Members

  var condition: ClientCondition { .working }

  func add(_ member: ClientMember) { queue.withLock { $0.members.add(member) } }
  func remove(_ member: ClientMember) -> Bool { queue.withLock { $0.members.remove(member).isEmpty } }

  func close() {
    queue.withLock { $0.isClosing = true }
    wakeup.signal()
  }

  /// Why there is no connection; nil: there is one, or none yet.
  var trouble: String? { state.trouble.map { "nats \(settings.name): \($0)" } }
  var isReachable: Bool { state.isConnected }

  /// Has a job done; it wakes its sink.
  func submit(_ job: NatsJob) {
    queue.withLock { $0.jobs.append(job) }
    wakeup.signal()
  }

  // MARK: The thread

  private func run() {
    let count = Self.threads + (settings.usesJetStream ? Self.streamThreads : 0)
    for _ in 0..<count { threads.started() }
    defer { for _ in 0..<count { threads.ended() } }
    var connection: NatsConnection?
    var triedAt: Int64 = 0
    connect(&connection, &triedAt)
    while let job = next() {
      if job.isCancelled {
        job.finish(.failed("called off"))
        continue
      }
      if connection?.isClosed == true { connection = nil }
      connect(&connection, &triedAt)
      if let connection, connection.isConnected {
        job.finish(connection.publish(job))
      } else {
        job.finish(.failed(trouble ?? "nats \(settings.name): there is no connection"))
      }
    }
  }

  private func connect(_ connection: inout NatsConnection?, _ triedAt: inout Int64) {
    let now = MonotonicTime.now().nanoseconds
    guard connection == nil, triedAt == 0 || now - triedAt > Self.pause else { return }
    do throws(ClientError) {
      connection = try NatsConnection(library, settings, state)
    } catch {
      state.trouble = error.description
    }
    triedAt = MonotonicTime.now().nanoseconds
  }

  /// The next job, waited for; nil: there is none any more.
  private func next() -> NatsJob? {
    while true {
      let (job, isClosing) = queue.withLock { queue in
        (queue.jobs.isEmpty ? nil : queue.jobs.removeFirst(), queue.isClosing)
      }
      if let job { return job }
      if isClosing { return nil }
      var wait = pollfd(fd: wakeup.pollable, events: Int16(POLLIN), revents: 0)
      _ = poll(&wait, 1, -1)
      wakeup.drain()
    }
  }

  /// What a thread found out.
  private final class Answer: Sendable {
    private let refusal = Mutex<ClientError?>(nil)

    var error: ClientError? { refusal.withLock { $0 } }
    func set(_ error: ClientError) { refusal.withLock { $0 = error } }
  }
}
