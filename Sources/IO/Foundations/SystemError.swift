internal import CLinux
import Glibc

/// A system call that failed: which one, with which errno, on what.
///
/// `description` reads like strace: `setns(/run/netns/a): Operation not permitted (EPERM)`.
/// Making one allocates nothing as long as `context` is a string that exists already, so that a
/// failing namespace costs no allocation per poll.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The call as its manual page names it: `setns`, `socket`, `io_uring_enter`.
  public let operation: StaticString
  /// The positive errno value, see errno(3).
  public let errno: Int32
  /// What the call was made on (a path, a descriptor, a namespace), or empty.
  public let context: String

  /// An error of `operation` with a positive errno value.
  public init(_ operation: StaticString, errno: Int32, context: String = "") {
    self.operation = operation
    self.errno = errno
    self.context = context
  }

  /// The error of the call that has just returned -1 on this thread.
  static func last(_ operation: StaticString, context: String = "") -> SystemError {
    SystemError(operation, errno: Glibc.errno, context: context)
  }

  /// The symbolic name of `errno`, such as `EPERM`; the number if the C library knows none.
  public var errnoName: String { Self.name(of: errno) }

  /// The symbolic name of an errno value, such as `EPERM`; the number if the C library knows none.
  public static func name(of errno: Int32) -> String {
    guard let name = clinux_errno_name(errno) else { return String(errno) }
    return String(cString: name)
  }

  /// `message (ENAME)` of an errno value, strerror(3).
  public static func message(of errno: Int32) -> String {
    "\(String(cString: strerror(errno))) (\(name(of: errno)))"
  }

  public var description: String {
    context.isEmpty
      ? "\(operation): \(Self.message(of: errno))" : "\(operation)(\(context)): \(Self.message(of: errno))"
  }

  /// Equal operation, errno and context; a StaticString compares by its text.
  public static func == (a: SystemError, b: SystemError) -> Bool {
    a.errno == b.errno && a.context == b.context && a.operation.description == b.operation.description
  }
}

/// Repeats a call for as long as a signal interrupts it (EINTR, signal(7)).
@inline(__always)
func retryingOnInterrupt<Result: FixedWidthInteger & SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result != -1 || Glibc.errno != EINTR { return result }
  }
}
