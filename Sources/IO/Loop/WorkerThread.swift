internal import CLinux
import Glibc

/// A thread of our own: named, with a small stack, waited for exactly once.
public struct WorkerThread: ~Copyable {
  private let thread: pthread_t

  /// Starts `body` on a new thread. `name` shows in /proc/PID/task/TID/comm, clipped to 15 bytes. Pages of the stack
  /// count when touched.
  public init(
    name: String, stackBytes: Int = 512 * 1024, _ body: @escaping @Sendable () -> Void
  ) throws(SystemError) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackBytes)
    let start = Unmanaged.passRetained(Start(name: name, body: body))
    var thread = pthread_t()
    let code = pthread_create(&thread, &attributes, { Start.run($0) }, start.toOpaque())
    guard code == 0 else {
      start.release()
      throw SystemError("pthread_create", errno: code, context: name)
    }
    self.thread = thread
  }

  /// Not joined: the thread goes on and cleans up after itself.
  deinit { pthread_detach(thread) }

  /// Waits until the thread's body has returned.
  public consuming func join() {
    let thread = thread
    discard self
    pthread_join(thread, nil)
  }

  private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }

    static func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
      guard let context else { return nil }
      let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
      _ = clinux_name_thread(String(decoding: start.name.utf8.prefix(15), as: UTF8.self))
      start.body()
      return nil
    }
  }
}
