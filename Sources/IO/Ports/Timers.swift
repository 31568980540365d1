internal import CLinux
import Glibc

/// All timers of a `SyscallPort` behind one timerfd, set to the earliest. They are few (one a pipeline, one a dump in
/// flight), so they are looked through when it fires instead of being kept sorted.
struct Timers: ~Copyable {
  private struct State {
    var list = OperationList()
    /// What the timerfd is set to; a timer cancelled meanwhile leaves it set, which costs one idle wake-up.
    var armed = Int64.max
  }

  private let timer: Descriptor
  private let state: UnsafeMutablePointer<State>

  init() throws(SystemError) {
    let flags = Int32(TFD_NONBLOCK | TFD_CLOEXEC)
    timer = try Descriptor(timerfd_create(CLOCK_MONOTONIC, flags), "timerfd_create")
    state = .allocate(capacity: 1)
    state.initialize(to: State())
  }

  deinit { state.deallocate() }

  var descriptor: Int32 { timer.raw }

  func insert(_ index: UInt32, _ deadline: MonotonicTime, in operations: borrowing OperationTable) {
    let nanoseconds = max(1, deadline.nanoseconds)
    operations[index].pointee.deadline.tv_sec = nanoseconds / 1_000_000_000
    operations[index].pointee.deadline.tv_nsec = nanoseconds % 1_000_000_000
    operations[index].pointee.place = .timer
    state.pointee.list.append(index, in: operations)
    if nanoseconds < state.pointee.armed { arm(nanoseconds) }
  }

  func remove(_ index: UInt32, in operations: borrowing OperationTable) {
    state.pointee.list.remove(index, in: operations)
    operations[index].pointee.place = .none
  }

  /// The timerfd fired: reports those whose time has come and sets it to the earliest of the rest.
  func expire(in operations: borrowing OperationTable, _ body: (UInt32) -> Void) {
    var expirations: UInt64 = 0
    _ = read(timer.raw, &expirations, MemoryLayout<UInt64>.size)
    let now = MonotonicTime.now().nanoseconds
    var earliest = Int64.max
    var index = state.pointee.list.first
    while index != OperationList.end {
      let next = operations[index].pointee.next
      let deadline = operations[index].pointee.deadline
      let nanoseconds = deadline.tv_sec &* 1_000_000_000 &+ Int64(deadline.tv_nsec)
      if nanoseconds <= now {
        remove(index, in: operations)
        body(index)
      } else {
        earliest = min(earliest, nanoseconds)
      }
      index = next
    }
    state.pointee.armed = .max
    if earliest != .max { arm(earliest) }
  }

  private func arm(_ nanoseconds: Int64) {
    state.pointee.armed = nanoseconds
    var setting = itimerspec()
    setting.it_value = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    timerfd_settime(timer.raw, Int32(TFD_TIMER_ABSTIME), &setting, nil)
  }
}
