import IO

/// When to look for namespaces, and how thoroughly. A value: it is told the monotonic time and answers with a deadline.
///
/// All processes are looked at once an interval. What is reported in between costs a pass over the mounts, which are few;
/// all processes are looked at early only for a namespace that mounts say nothing about. Both are paced by the CPU time that
/// the last one took, so that a host on which namespaces come and go all the time is not scanned all the time.
struct ScanPacer {
  /// Nanoseconds between two passes over the mounts, at least.
  static let shortest: Int64 = 200_000_000
  /// Nanoseconds between two passes over the mounts, at most: what is mounted is to be seen within a second.
  static let longest: Int64 = 700_000_000
  /// An early scan waits for so many times the CPU time of the last one: 2% of a core.
  static let share: Int64 = 50
  /// Nanoseconds before a whole scan that failed is tried again, at least.
  static let retry: Int64 = 1_000_000_000

  /// Nanoseconds from one whole scan to the next.
  var interval: Int64
  private var wantsMounts = false
  private var wantsWhole = false
  private var running: (scope: DiscoveryScope, began: Int64)?
  private var earliestMounts = Int64.min
  private var earliestWhole = Int64.min
  private var lastWhole: Int64?

  init(interval: Int64) { self.interval = interval }

  /// Something was reported that a scan of this scope shows.
  mutating func request(_ scope: DiscoveryScope) {
    // Until a whole scan's turn has come, a pass over the mounts takes out at least what has gone.
    wantsMounts = true
    if scope == .whole { wantsWhole = true }
  }

  /// When the next scan is due.
  var deadline: Int64 { min(wholeDue, wantsMounts ? earliestMounts : .max) }

  private var wholeDue: Int64 {
    guard let lastWhole else { return earliestWhole }
    let early = wantsWhole ? max(earliestWhole, earliestMounts) : .max
    return min(early, lastWhole + interval)
  }

  /// The scan that is due, which begins now; nil if none is.
  mutating func begin(now: Int64) -> DiscoveryScope? {
    let scope: DiscoveryScope
    if wholeDue <= now {
      scope = .whole
      wantsWhole = false
      lastWhole = now
    } else if wantsMounts, earliestMounts <= now {
      scope = .mounts
    } else {
      return nil
    }
    // What is reported from here on may have happened behind the scan's back.
    wantsMounts = false
    running = (scope, now)
    return scope
  }

  /// The scan that was begun is complete, or has failed.
  ///
  /// - Parameter cost: nanoseconds of CPU time that it took.
  mutating func end(cost: Int64, failed: Bool = false) {
    guard let (scope, began) = running else { return }
    running = nil
    if scope == .whole {
      // Mounts cost much less than this did.
      earliestMounts = began + ScanPacer.shortest
      earliestWhole = began + ScanPacer.share * cost
    } else {
      earliestMounts = began + min(ScanPacer.longest, max(ScanPacer.shortest, ScanPacer.share * cost))
    }
    guard failed else { return }
    request(scope)
    earliestMounts = max(earliestMounts, began + ScanPacer.retry)
    if scope == .whole { earliestWhole = max(earliestWhole, began + ScanPacer.retry) }
  }
}
