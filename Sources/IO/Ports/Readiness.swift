internal import CLinux
import Glibc

/// The epoll side of a `SyscallPort`. Three sets, since a descriptor can be in a set once only and may have one reader,
/// one writer and one poll waiting: the readers' set is what the loop polls, and holds the other sets and the timer.
struct Readiness: ~Copyable {
  private static let timerData = UInt64.max
  private static let writersData = UInt64.max - 1
  private static let pollsData = UInt64.max - 2
  private static let eventsAtOnce: Int32 = 64

  private let readers: Descriptor
  private let writers: Descriptor
  private let polls: Descriptor
  private let events: UnsafeMutablePointer<epoll_event>

  init(timer: Int32) throws(SystemError) {
    let readers = try Descriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
    let writers = try Descriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
    let polls = try Descriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
    try Self.add(timer, data: Self.timerData, to: readers)
    try Self.add(writers.raw, data: Self.writersData, to: readers)
    try Self.add(polls.raw, data: Self.pollsData, to: readers)
    self.readers = readers
    self.writers = writers
    self.polls = polls
    events = .allocate(capacity: Int(Self.eventsAtOnce))
    events.initialize(repeating: epoll_event(), count: Int(Self.eventsAtOnce))
  }

  deinit { events.deallocate() }

  var descriptor: Int32 { readers.raw }

  /// What is to be looked at beside the operations of a set.
  private struct Harvest {
    var timeIsUp = false
    var hasWriters = false
    var hasPolls = false
  }

  /// Reports, without waiting, the data of each operation that may go on, and what its descriptor is ready for; true if
  /// the timer fired.
  func collect(_ body: (UInt64, Poller.Interest) -> Void) throws(SystemError) -> Bool {
    let harvest = try drain(readers.raw, body)
    if harvest.hasWriters { _ = try drain(writers.raw, body) }
    if harvest.hasPolls { _ = try drain(polls.raw, body) }
    return harvest.timeIsUp
  }

  private func drain(_ set: Int32, _ body: (UInt64, Poller.Interest) -> Void) throws(SystemError) -> Harvest {
    var harvest = Harvest()
    while true {
      let count = retryingOnInterrupt { epoll_wait(set, events, Self.eventsAtOnce, 0) }
      guard count >= 0 else { throw SystemError.last("epoll_wait") }
      for position in 0..<Int(count) {
        switch events[position].data.u64 {
        case Self.timerData: harvest.timeIsUp = true
        case Self.writersData: harvest.hasWriters = true
        case Self.pollsData: harvest.hasPolls = true
        case let data: body(data, Poller.Interest(rawValue: events[position].events))
        }
      }
      // Operations are reported once each (EPOLLONESHOT): a full harvest may have left some behind.
      if count < Self.eventsAtOnce { return harvest }
    }
  }

  /// Waits once for an operation's descriptor. Returns 0, or the errno value with which epoll refused it.
  func await(_ place: Operation.Place, _ operation: UnsafeMutablePointer<Operation>, data: UInt64) -> Int32 {
    let interest: Poller.Interest =
      switch place {
      case .polled: operation.pointee.interest
      case .readable: .readable
      default: .writable
      }
    var event = epoll_event(events: interest.rawValue | EPOLLONESHOT.rawValue, data: epoll_data_t(u64: data))
    let action = operation.pointee.isRegistered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD
    guard epoll_ctl(set(for: operation), action, operation.pointee.descriptor, &event) == 0 else { return errno }
    operation.pointee.isRegistered = true
    return 0
  }

  /// The operation is over: its descriptor may be closed, or wait for another one.
  func forget(_ operation: UnsafeMutablePointer<Operation>) {
    guard operation.pointee.isRegistered else { return }
    epoll_ctl(set(for: operation), EPOLL_CTL_DEL, operation.pointee.descriptor, nil)
    operation.pointee.isRegistered = false
  }

  private func set(for operation: UnsafeMutablePointer<Operation>) -> Int32 {
    switch operation.pointee.kind {
    case .receive, .receiveInto: readers.raw
    case .poll: polls.raw
    default: writers.raw
    }
  }

  private static func add(_ descriptor: Int32, data: UInt64, to set: borrowing Descriptor) throws(SystemError) {
    var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: data))
    guard epoll_ctl(set.raw, EPOLL_CTL_ADD, descriptor, &event) == 0 else { throw SystemError.last("epoll_ctl") }
  }
}
