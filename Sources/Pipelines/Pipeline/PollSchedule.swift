/// When a pipeline polls. A value: it is told both clocks and answers with a deadline on the monotonic one.
///
/// Polls never overlap and are never caught up: ticks that pass while a poll runs, or while the process was stopped, are skipped
/// and counted.
struct PollSchedule {
  enum Alignment: Equatable {
    /// The first poll at once, the next an interval later.
    case none
    /// At wall clock times that are `offset` nanoseconds past a multiple of the interval.
    case wall(offset: Int64)
  }

  /// Nanoseconds between polls.
  let interval: Int64
  let alignment: Alignment
  /// The tick that is waited for, monotonic nanoseconds.
  private(set) var nextTick: Int64
  /// Ticks that passed without a poll.
  private(set) var skipped: UInt64 = 0

  init(interval: Int64, alignment: Alignment, monotonic: Int64, wall: Int64) {
    self.interval = interval
    self.alignment = alignment
    switch alignment {
    case .none: nextTick = monotonic
    case .wall: nextTick = monotonic + PollSchedule.wait(interval, alignment, wall: wall)
    }
  }

  /// The tick at `nextTick` has come: chooses the next one, and says whether a poll may begin.
  ///
  /// - Parameter busy: a poll is still running, so that this tick is skipped.
  mutating func tick(monotonic: Int64, wall: Int64, busy: Bool) -> Bool {
    let late = max(0, monotonic - nextTick)
    let missed = UInt64(late / interval)
    skipped += missed + (busy ? 1 : 0)
    switch alignment {
    case .none:
      nextTick += (Int64(missed) + 1) * interval
    case .wall:
      // The wall clock may have been stepped, or read a little early: a tick is never nearer than half an interval.
      var wait = PollSchedule.wait(interval, alignment, wall: wall)
      if wait < interval / 2 {
        wait += interval
        if late >= interval / 2 { skipped += 1 }
      }
      nextTick = monotonic + wait
    }
    return !busy
  }

  /// The schedule that goes on from this one with other settings. Nothing moves if they are the same.
  func changed(interval: Int64, alignment: Alignment, monotonic: Int64, wall: Int64) -> PollSchedule {
    if interval == self.interval, alignment == self.alignment { return self }
    var next = PollSchedule(interval: interval, alignment: alignment, monotonic: monotonic, wall: wall)
    next.skipped = skipped
    if alignment == .none { next.nextTick = min(max(monotonic, nextTick), monotonic + interval) }
    return next
  }

  /// Nanoseconds from `wall` to the next aligned moment: 1 ... interval.
  private static func wait(_ interval: Int64, _ alignment: Alignment, wall: Int64) -> Int64 {
    guard case .wall(let offset) = alignment else { return interval }
    let phase = (wall - offset) % interval
    return interval - (phase < 0 ? phase + interval : phase)
  }
}

extension PollSchedule.Alignment {
  /// The offset of `align: spread`: the same for a host and a pipeline for ever, different between hosts, so that a fleet's polls
  /// do not arrive at a destination all at once.
  static func spread(hostname: String, pipeline: String, interval: Int64) -> PollSchedule.Alignment {
    var hash = StableHash()
    hash.mix(hostname)
    hash.mix("\0")
    hash.mix(pipeline)
    return .wall(offset: Int64(hash.value % UInt64(interval)))
  }
}

/// FNV-1a, 64 bits: the same on every machine, in every version and after every restart, which `Hasher` is not.
struct StableHash {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func mix(_ text: String) {
    for byte in text.utf8 {
      value ^= UInt64(byte)
      value &*= 0x0000_0100_0000_01b3
    }
  }
}
