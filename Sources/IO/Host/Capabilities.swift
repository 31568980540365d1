/// The capabilities that matter here, capabilities(7). The raw value is the kernel's mask.
public struct Capabilities: OptionSet, Hashable, Sendable {
  /// The kernel's mask: bit n is capability number n of include/uapi/linux/capability.h.
  public let rawValue: UInt64
  /// A set by the kernel's mask.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// CAP_DAC_READ_SEARCH: read and search any directory.
  public static let dacReadSearch = Capabilities(rawValue: 1 << 2)
  /// CAP_NET_ADMIN: see socket marks.
  public static let netAdmin = Capabilities(rawValue: 1 << 12)
  /// CAP_IPC_LOCK: lock memory beyond RLIMIT_MEMLOCK.
  public static let ipcLock = Capabilities(rawValue: 1 << 14)
  /// CAP_SYS_PTRACE: look at the namespaces of any process.
  public static let sysPtrace = Capabilities(rawValue: 1 << 19)
  /// CAP_SYS_ADMIN: enter namespaces.
  public static let sysAdmin = Capabilities(rawValue: 1 << 21)
  /// CAP_SYS_RESOURCE: raise hard limits.
  public static let sysResource = Capabilities(rawValue: 1 << 24)

  /// The effective ones of the calling thread.
  public static func current() -> Capabilities {
    Capabilities(rawValue: ProcessStatus.effectiveCapabilities(in: ProcessStatus.read()) ?? 0)
  }
}

/// Which capabilities are missing and what each costs, for people who run this.
public struct CapabilityReport: Equatable, Sendable {
  /// One missing capability.
  public struct Gap: Equatable, Sendable, CustomStringConvertible {
    /// As capabilities(7) spells it.
    public let name: String
    /// What does not work without it.
    public let cost: String
    /// Both in one line.
    public var description: String { "missing \(name): \(cost)" }
  }

  /// The missing ones, the gravest first; empty if nothing is missing.
  public let gaps: [Gap]

  /// What a thread with these capabilities lacks. CAP_IPC_LOCK and CAP_SYS_RESOURCE are not asked for: they matter only
  /// when RLIMIT_MEMLOCK is too small, which the ring's set-up tells by itself.
  public init(_ capabilities: Capabilities = .current()) {
    gaps = Self.costs.filter { !capabilities.contains($0.capability) }.map { Gap(name: $0.name, cost: $0.cost) }
  }

  private static let costs: [(capability: Capabilities, name: String, cost: String)] = [
    (
      .sysAdmin, "CAP_SYS_ADMIN",
      "other network namespaces cannot be entered; only sockets of this process's own namespace are read"
    ),
    (
      .sysPtrace, "CAP_SYS_PTRACE",
      "namespaces of other users' and of non-dumpable processes stay unseen unless they are mounted, PID 1's included, "
        + "so the host's namespace may not be recognised"
    ),
    (
      .netAdmin, "CAP_NET_ADMIN",
      "the kernel leaves out socket marks (and BPF storage) of every socket"
    ),
    (
      .dacReadSearch, "CAP_DAC_READ_SEARCH",
      "mounted namespaces below directories that this user may not search cannot be opened"
    ),
  ]
}
