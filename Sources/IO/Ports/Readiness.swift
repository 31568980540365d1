internal import CLinux
import Glibc

/// The epoll side of a `SyscallPort`. Two sets, since a descriptor can be in a set once only and may have one reader
/// and one writer waiting: the readers' set is what the loop polls, and holds the writers' set and the timer.
struct Readiness: ~Copyable {
  private static let timerData = UInt64.max
  private static let writersData = UInt64.max - 1
  private static let eventsAtOnce: Int32 = 64

  private let readers: Descriptor
  private let writers: Descriptor
  private let events: UnsafeMutablePointer<epoll_event>

  init(timer: Int32) throws(SystemError) {
    let readers = try Descriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
    let writers = try Descriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
    try Self.add(timer, data: Self.timerData, to: readers)
    try Self.add(writers.raw, data: Self.writersData, to: readers)
    self.readers = readers
    self.writers = writers
    events = .allocate(capacity: Int(Self.eventsAtOnce))
    events.initialize(repeating: epoll_event(), count: Int(Self.eventsAtOnce))
  }

  deinit { events.deallocate() }

  var descriptor: Int32 { readers.raw }

  /// Reports, without waiting, the data of each operation that may go on; true if the timer fired.
  func collect(_ body: (UInt64) -> Void) throws(SystemError) -> Bool {
    let (timeIsUp, hasWriters) = try drain(readers.raw, body)
    if hasWriters { _ = try drain(writers.raw, body) }
    return timeIsUp
  }

  private func drain(_ set: Int32, _ body: (UInt64) -> Void) throws(SystemError) -> (timer: Bool, writers: Bool) {
    var (timeIsUp, hasWriters) = (false, false)
    while true {
      let count = retryingOnInterrupt { epoll_wait(set, events, Self.eventsAtOnce, 0) }
      guard count >= 0 else { throw SystemError.last("epoll_wait") }
      for position in 0..<Int(count) {
        switch events[position].data.u64 {
        case Self.timerData: timeIsUp = true
        case Self.writersData: hasWriters = true
        case let data: body(data)
        }
      }
      // Operations are reported once each (EPOLLONESHOT): a full harvest may have left some behind.
      if count < Self.eventsAtOnce { return (timeIsUp, hasWriters) }
    }
  }

  /// Waits once for an operation's descriptor. Returns 0, or the errno value with which epoll refused it.
  func await(_ place: Operation.Place, _ operation: UnsafeMutablePointer<Operation>, data: UInt64) -> Int32 {
    let interest = place == .readable ? EPOLLIN.rawValue : EPOLLOUT.rawValue
    var event = epoll_event(events: interest | EPOLLONESHOT.rawValue, data: epoll_data_t(u64: data))
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
    operation.pointee.kind == .receive ? readers.raw : writers.raw
  }

  private static func add(_ descriptor: Int32, data: UInt64, to set: borrowing Descriptor) throws(SystemError) {
    var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: data))
    guard epoll_ctl(set.raw, EPOLL_CTL_ADD, descriptor, &event) == 0 else { throw SystemError.last("epoll_ctl") }
  }
}
