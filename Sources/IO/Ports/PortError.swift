import Glibc

/// Why a port could not be opened: what is forbidden or missing, and what to do about it.
public enum PortError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The sysctl kernel.io_uring_disabled is 1 (only for io_uring_group and CAP_SYS_ADMIN) or 2 (for everybody).
  case disabledBySysctl(value: Int)
  /// The call is refused although the sysctl allows it: a seccomp filter (container runtimes' default) or a security
  /// module.
  case refusedByFilter(errno: Int32, seccomp: Bool)
  /// RLIMIT_MEMLOCK (bytes) is too small for the ring and CAP_IPC_LOCK is missing.
  case lockedMemory(limit: UInt64)
  /// The kernel lacks what the ring needs: Linux 6.0, for multishot receive and single-issuer rings.
  case kernelTooOld(release: String, errno: Int32)
  /// No descriptor is left: RLIMIT_NOFILE of the process, or the system's limit (ENFILE).
  case descriptorsExhausted(limit: UInt64, operation: String)
  /// Anything else.
  case system(SystemError)

  public var description: String {
    switch self {
    case .disabledBySysctl(let value):
      let whom = value == 1 ? "for processes outside kernel.io_uring_group without CAP_SYS_ADMIN" : "for all processes"
      return "io_uring is disabled \(whom): sysctl kernel.io_uring_disabled = \(value); \(Self.remedy("set it to 0"))"
    case .refusedByFilter(let errno, let seccomp):
      let who = seccomp ? "a seccomp filter" : "a security policy of this host"
      let call = "io_uring_setup: \(SystemError.message(of: errno))"
      return "io_uring is forbidden by \(who) (\(call)); \(Self.remedy("allow the io_uring_* system calls"))"
    case .lockedMemory(let limit):
      let limitText = "RLIMIT_MEMLOCK is \(limit) bytes and CAP_IPC_LOCK is missing"
      let remedy = Self.remedy("raise it (LimitMEMLOCK=8M, ulimit -l 8192), grant CAP_IPC_LOCK, use smaller pools")
      return "too little locked memory for an io_uring ring: \(limitText); \(remedy)"
    case .kernelTooOld(let release, let errno):
      let call = "io_uring_setup: \(SystemError.message(of: errno))"
      return "kernel \(release) is too old for the ring, which needs Linux 6.0 (\(call)); \(Self.remedy("upgrade it"))"
    case .descriptorsExhausted(let limit, let operation):
      return "no file descriptor left for \(operation): RLIMIT_NOFILE is \(limit); raise it (LimitNOFILE=, ulimit -n)"
    case .system(let error): return error.description
    }
  }

  private static func remedy(_ action: String) -> String { "\(action), or choose reader.mode: syscall" }

  /// What stands behind a failed call that both ports make.
  static func explaining(_ error: SystemError) -> PortError {
    guard error.errno == EMFILE || error.errno == ENFILE else { return .system(error) }
    let limit = ResourceLimits.current().openFiles.soft
    return .descriptorsExhausted(limit: limit, operation: error.operation.description)
  }

  /// What stands behind a failed call that sets up a ring: the errno alone does not tell.
  static func explainingRing(_ operation: StaticString, errno code: Int32) -> PortError {
    switch code {
    case ENOMEM:
      let limit = ResourceLimits.current().lockedMemory.soft
      let isBound = limit != .max && !Capabilities.current().contains(.ipcLock)
      return isBound ? .lockedMemory(limit: limit) : .system(SystemError(operation, errno: code))
    case EPERM, EACCES:
      let sysctl = readInteger("/proc/sys/kernel/io_uring_disabled") ?? 0
      if sysctl > 0 { return .disabledBySysctl(value: sysctl) }
      return .refusedByFilter(errno: code, seccomp: ProcessStatus.isFiltered)
    case ENOSYS where ProcessStatus.isFiltered: return .refusedByFilter(errno: code, seccomp: true)
    case ENOSYS, EINVAL: return unsupported(operation, errno: code, release: HostFacts.kernelRelease())
    default: return explaining(SystemError(operation, errno: code))
    }
  }

  /// A call or a flag that the kernel does not know: too old, unless it is not.
  static func unsupported(_ operation: StaticString, errno code: Int32, release: String) -> PortError {
    let major = Int(release.prefix { $0.isNumber }) ?? 0
    return major < 6
      ? .kernelTooOld(release: release, errno: code) : .system(SystemError(operation, errno: code))
  }
}
