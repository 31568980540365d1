import Synchronization

/// Counts what client libraries have started, against `resources.library_threads`. Told by the libraries' own threads.
public final class LibraryThreads: Sendable {
  private let limitWord: Atomic<Int>
  private let runningWord = Atomic<Int>(0)
  private let sharedWord = Atomic<Int>(0)
  private let shared = Mutex<Set<String>>([])

  public init(limit: Int) { limitWord = Atomic(limit) }

  /// Threads at most. What runs beyond a lowered limit is found out when the next one starts.
  public var limit: Int {
    get { limitWord.load(ordering: .relaxed) }
    set { limitWord.store(newValue, ordering: .relaxed) }
  }

  /// Threads that run.
  public var running: Int { runningWord.load(ordering: .relaxed) }

  /// Of these, threads that clients have and that end with them.
  var ofClients: Int { running - sharedWord.load(ordering: .relaxed) }

  /// What a library starts once, with its first client, and keeps.
  func startedShared(_ library: String, _ count: Int) {
    let isFirst = shared.withLock { $0.insert(library).inserted }
    guard isFirst else { return }
    runningWord.add(count, ordering: .relaxed)
    sharedWord.add(count, ordering: .relaxed)
  }

  /// One of a client's.
  func started() { runningWord.add(1, ordering: .relaxed) }
  func ended() { runningWord.subtract(1, ordering: .relaxed) }
}

/// The share of one client.
final class ClientThreads: Sendable {
  let all: LibraryThreads
  private let runningWord = Atomic<Int>(0)
  /// Monotonic nanoseconds; 0: never.
  private let overdrawnWord = Atomic<Int64>(0)

  init(_ all: LibraryThreads) { self.all = all }

  var running: Int { runningWord.load(ordering: .relaxed) }

  /// When it started more than there were left; nil: it has not.
  var overdrawnAt: Int64? {
    let time = overdrawnWord.load(ordering: .acquiring)
    return time == 0 ? nil : time
  }

  /// What the other clients leave to it.
  var left: Int { max(0, all.limit - (all.running - running)) }

  /// True if it is the first that is too many.
  func started(now: Int64) -> Bool {
    runningWord.add(1, ordering: .relaxed)
    all.started()
    guard all.running > all.limit else { return false }
    return overdrawnWord.compareExchange(expected: 0, desired: max(1, now), ordering: .acquiringAndReleasing).exchanged
  }

  func ended() {
    runningWord.subtract(1, ordering: .relaxed)
    all.ended()
  }
}
