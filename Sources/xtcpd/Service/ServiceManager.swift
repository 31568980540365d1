import Glibc
import IO

/// Tells the service manager how the daemon is: the protocol of sd_notify(3), which is one datagram a message. Without a service
/// manager every call does nothing.
struct ServiceManager {
  private let path: String?
  /// How often the service manager wants to be told that the daemon works; nil: it does not.
  let watchdogInterval: Duration?

  /// - Parameters:
  ///   - socket: NOTIFY_SOCKET: a path, or an abstract name behind an `@`.
  ///   - watchdogMicroseconds: WATCHDOG_USEC.
  ///   - watchdogPID: WATCHDOG_PID: whom that is for, if it is not for everybody.
  init(socket: String?, watchdogMicroseconds: String? = nil, watchdogPID: String? = nil, pid: Int32 = getpid()) {
    path = socket.flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
    let isForUs = watchdogPID.map { Int32($0) == pid } ?? true
    let interval = watchdogMicroseconds.flatMap { Int64($0) }
    watchdogInterval = path != nil && isForUs ? interval.flatMap { $0 > 0 ? .microseconds($0) : nil } : nil
  }

  /// As the environment says. The variables are for this process and not for what it starts: they are removed.
  static func fromEnvironment() -> ServiceManager {
    func take(_ name: String) -> String? {
      defer { unsetenv(name) }
      return getenv(name).map { String(cString: $0) }
    }
    return ServiceManager(
      socket: take("NOTIFY_SOCKET"), watchdogMicroseconds: take("WATCHDOG_USEC"), watchdogPID: take("WATCHDOG_PID"))
  }

  /// Everything runs.
  func ready(_ status: String) { send("READY=1\n" + Self.statusLine(status)) }

  /// A reload has begun; `ready` says that it is over.
  func reloading() {
    send("RELOADING=1\nMONOTONIC_USEC=\(MonotonicTime.now().nanoseconds / 1000)\n" + Self.statusLine("reloading"))
  }

  func stopping() { send("STOPPING=1\n" + Self.statusLine("delivering what has been read")) }

  func status(_ text: String) { send(Self.statusLine(text)) }

  /// The daemon works.
  func watchdog() { send("WATCHDOG=1\n") }

  /// A status is one line.
  private static func statusLine(_ text: String) -> String {
    "STATUS=" + String(text.map { $0.isNewline ? " " : $0 }) + "\n"
  }

  /// A service manager that does not listen is no reason to stop.
  private func send(_ message: String) {
    guard let path, let sender = try? DatagramSender(path: path) else { return }
    try? sender.send(message)
  }
}
