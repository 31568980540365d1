internal import CLinux
import Glibc

/// Wakes a loop from another thread: an eventfd(2) in the loop's `Poller`. Wake-ups coalesce, none is lost.
public final class Wakeup: Sendable {
  private let event: Descriptor

  /// Without a wake-up waiting; fails as eventfd(2) does.
  public init() throws(SystemError) {
    event = try Descriptor(eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)), "eventfd")
  }

  /// Readable while a wake-up waits.
  public var pollable: Int32 { event.raw }

  /// Wakes the loop. From any thread, also from a signal handler.
  public func signal() { eventfd_write(event.raw, 1) }

  /// Takes all wake-ups so far; false if there was none.
  @discardableResult
  public func drain() -> Bool {
    var count: eventfd_t = 0
    return eventfd_read(event.raw, &count) == 0
  }
}
