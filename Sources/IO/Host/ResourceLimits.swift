internal import CLinux
import Glibc

/// The limits of this process that bound rings and descriptors, getrlimit(2).
public struct ResourceLimits: Equatable, Sendable {
  /// A soft limit, which counts, and the hard one, up to which it may be raised; `UInt64.max` is none.
  public struct Limit: Equatable, Sendable {
    /// The limit that counts.
    public var soft: UInt64
    /// Up to where the soft limit may be raised.
    public var hard: UInt64
  }

  /// RLIMIT_MEMLOCK in bytes: what rings may pin without CAP_IPC_LOCK.
  public var lockedMemory: Limit
  /// RLIMIT_NOFILE: one above the highest descriptor.
  public var openFiles: Limit

  /// The limits at this moment.
  public static func current() -> ResourceLimits {
    ResourceLimits(lockedMemory: read(clinux_memlock_limit), openFiles: read(clinux_nofile_limit))
  }

  /// Raises RLIMIT_MEMLOCK to at least `bytes`, beyond the hard limit if CAP_SYS_RESOURCE permits. Lowers nothing.
  public static func raiseLockedMemory(to bytes: UInt64) throws(SystemError) {
    let limit = current().lockedMemory
    guard limit.soft < bytes else { return }
    guard clinux_set_memlock_limit(bytes, max(bytes, limit.hard)) == 0 else {
      throw SystemError.last("setrlimit", context: "RLIMIT_MEMLOCK \(bytes)")
    }
  }

  /// Raises RLIMIT_NOFILE to its hard limit: the soft one is low for the sake of select(2), which nobody here calls.
  public static func raiseOpenFiles() throws(SystemError) {
    let limit = current().openFiles
    guard limit.soft < limit.hard else { return }
    guard clinux_set_nofile_limit(limit.hard, limit.hard) == 0 else {
      throw SystemError.last("setrlimit", context: "RLIMIT_NOFILE \(limit.hard)")
    }
  }

  private static func read(
    _ call: (UnsafeMutablePointer<UInt64>, UnsafeMutablePointer<UInt64>) -> Int32
  ) -> Limit {
    var (soft, hard): (UInt64, UInt64) = (0, 0)
    return call(&soft, &hard) == 0 ? Limit(soft: soft, hard: hard) : Limit(soft: .max, hard: .max)
  }
}
