import Glibc

/// A file descriptor with exactly one owner: it is closed when its owner lets go of it, once, and cannot be used
/// afterwards.
///
/// A descriptor on which a port still has an operation in flight must outlive that operation: cancel first, let go of
/// the descriptor after the operation's final completion. Otherwise its number may be given to a new file while the old
/// operation still names it.
public struct Descriptor: ~Copyable, Sendable {
  /// The number, for system calls and ports. Valid for as long as this value lives.
  public let raw: Int32

  /// Takes ownership of an open descriptor.
  public init(owning raw: Int32) { self.raw = raw }

  /// Takes ownership of what a system call returned, or tells why it returned -1.
  init(_ result: Int32, _ operation: StaticString, context: String = "") throws(SystemError) {
    guard result >= 0 else { throw SystemError.last(operation, context: context) }
    raw = result
  }

  /// A second number for the same open file, dup(2), closed on exec.
  public static func copy(of raw: Int32) throws(SystemError) -> Descriptor {
    try Descriptor(fcntl(raw, F_DUPFD_CLOEXEC, 0), "fcntl", context: "F_DUPFD_CLOEXEC")
  }

  deinit { Self.close(raw) }

  /// Gives the number away; the new owner closes it.
  public consuming func release() -> Int32 {
    let raw = raw
    discard self
    return raw
  }

  /// close(2). An EINTR on Linux means that the descriptor is closed: it is never repeated.
  private static func close(_ raw: Int32) { _ = Glibc.close(raw) }
}
