import Synchronization

/// When a loop last turned: how the supervisor tells that one hangs.
final class TurnClock: Sendable {
  private let last = Atomic<Int64>(0)

  /// Monotonic nanoseconds.
  func turned(at now: Int64) { last.store(now, ordering: .relaxed) }

  var lastTurn: Int64 { last.load(ordering: .relaxed) }
}
