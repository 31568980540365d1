internal import CLinux
import Glibc

/// What a loop sleeps on: an epoll(7) set of the pollables of ports, wake-ups, signals, sockets. Belongs to one thread.
public struct Poller: ~Copyable {
  /// What to be told about a descriptor.
  public struct Interest: OptionSet, Sendable {
    /// The EPOLL* bits of epoll_ctl(2).
    public let rawValue: UInt32
    /// A set by its EPOLL* bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Something can be read, or the other side is gone.
    public static let readable = Interest(rawValue: EPOLLIN.rawValue)
    /// Something can be written.
    public static let writable = Interest(rawValue: EPOLLOUT.rawValue)
    /// Something exceptional: how /proc/self/mountinfo tells that mounts changed (proc_pid_mountinfo(5)).
    public static let exceptional = Interest(rawValue: EPOLLPRI.rawValue)
    /// The other side is gone, or an error is pending; reported without being asked for.
    public static let failure = Interest(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)
  }

  private static let eventsAtOnce: Int32 = 64

  private let epoll: Descriptor
  private let events: UnsafeMutablePointer<epoll_event>

  /// An empty set, epoll_create1(2); fails as that does (EMFILE, ENFILE, ENOMEM).
  public init() throws(SystemError) {
    epoll = try Descriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
    events = .allocate(capacity: Int(Self.eventsAtOnce))
    events.initialize(repeating: epoll_event(), count: Int(Self.eventsAtOnce))
  }

  deinit { events.deallocate() }

  /// Watches a descriptor, level-triggered; `token` comes back with its events. EEXIST if it is watched already.
  public func add(_ descriptor: Int32, _ interest: Interest = .readable, token: UInt64) throws(SystemError) {
    var event = epoll_event(events: interest.rawValue, data: epoll_data_t(u64: token))
    guard epoll_ctl(epoll.raw, EPOLL_CTL_ADD, descriptor, &event) == 0 else { throw SystemError.last("epoll_ctl") }
  }

  /// Stops watching; must be called before the descriptor is closed if a copy of it (dup, another process) stays open.
  public func remove(_ descriptor: Int32) { epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor, nil) }

  /// Sleeps until something happens or `deadline` has passed (`nil`: for as long as it takes; one in the past: not at
  /// all), then hands each event to `body`. Returns how many there were, 0 after the deadline.
  ///
  /// A completion of a ring interrupts the sleep like a signal would (EINTR, task work runs): the sleep goes on, and
  /// ends at once because the ring is readable then.
  @discardableResult
  public func wait(
    until deadline: MonotonicTime?, _ body: (_ token: UInt64, _ ready: Interest) -> Void
  ) throws(SystemError) -> Int {
    while true {
      let count = epoll_wait(epoll.raw, events, Self.eventsAtOnce, Self.milliseconds(until: deadline))
      if count < 0 {
        if errno == EINTR { continue }
        throw SystemError.last("epoll_wait")
      }
      // epoll counts in milliseconds and may be early; a longer sleep than it can express comes in parts.
      if count == 0, let deadline, deadline > MonotonicTime.now() { continue }
      for position in 0..<Int(count) {
        body(events[position].data.u64, Interest(rawValue: events[position].events))
      }
      return Int(count)
    }
  }

  private static func milliseconds(until deadline: MonotonicTime?) -> Int32 {
    guard let deadline else { return -1 }
    let nanoseconds = deadline.nanoseconds &- MonotonicTime.now().nanoseconds
    return nanoseconds <= 0 ? 0 : Int32(clamping: (nanoseconds &+ 999_999) / 1_000_000)
  }
}
