/// What time a dump has used up, of its own and of ours.
///
/// A dump's timeout runs only while it waits for the kernel. While it waits for our own buffers or batches (back-pressure) the
/// clock stands still; a dump that is held open by back-pressure for longer than the timeout is given up for that reason.
struct DumpClock {
  enum Verdict: Equatable {
    case inTime
    /// The kernel has taken longer than the timeout.
    case timedOut
    /// Our own sinks have held the dump open for longer than the timeout.
    case heldTooLong
  }

  /// A time, and how long the pipeline had been held up by back-pressure until then since it began, both in nanoseconds.
  struct Moment {
    let now: Int64
    let held: Int64
  }

  private var started: Int64
  private var heldBefore: Int64

  /// - Parameters:
  ///   - now: monotonic nanoseconds.
  ///   - held: how long the pipeline has been held up by back-pressure since it began, in nanoseconds.
  init(now: Int64, held: Int64) {
    started = now
    heldBefore = held
  }

  /// What was between two moments does not count, whoever was the cause.
  mutating func leaveOut(from begin: Moment, to end: Moment) {
    started += end.now - begin.now
    heldBefore += end.held - begin.held
  }

  func verdict(now: Int64, held: Int64, timeout: Int64) -> Verdict {
    let ours = held - heldBefore
    if ours > timeout { return .heldTooLong }
    return now - started - ours > timeout ? .timedOut : .inTime
  }
}

/// When the kernel filled the datagrams of a dump.
///
/// It fills one when the receive before it returns (`netlink_recvmsg` in net/netlink/af_netlink.c calls `netlink_dump`), however
/// much later it is received. The first one is filled when the request is sent.
struct FillClock {
  /// Wall clock, nanoseconds: when the previous receive completed, or when the request was sent.
  private var filledAt: Int64
  /// All were filled when the request was sent: it was for single sockets (`ExactRequest`).
  private let isAnsweredAtOnce: Bool

  init(sentAt: Int64, isAnsweredAtOnce: Bool = false) {
    filledAt = sentAt
    self.isAnsweredAtOnce = isAnsweredAtOnce
  }

  /// A datagram has been received; says when it was filled.
  ///
  /// One submission to a ring may receive several, all of which completed at the same time as far as can be told: then all but
  /// the first were filled during that submission.
  ///
  /// - Parameters:
  ///   - submitted: wall clock right before the last submission.
  ///   - completed: wall clock when the system call that received it returned.
  mutating func datagramReceived(submitted: Int64, completed: Int64) -> Int64 {
    if isAnsweredAtOnce { return filledAt }
    defer { filledAt = completed }
    // What completed in an earlier submission may be taken in after a later one.
    return filledAt == completed ? min(submitted, completed) : filledAt
  }
}

/// Adds up how long a pipeline has been held up by its own sinks.
struct HoldMeter {
  private var total: Int64 = 0
  private var since: Int64?

  /// Nanoseconds held up until `now`.
  func held(now: Int64) -> Int64 { total + (since.map { now - $0 } ?? 0) }

  mutating func update(isHeld: Bool, now: Int64) {
    switch (since, isHeld) {
    case (.none, true): since = now
    case (.some(let begin), false):
      total += now - begin
      since = nil
    default: break
    }
  }
}
