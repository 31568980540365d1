import Config
import IO

extension HostCapacity {
  /// What this process may use on this machine. Opens nothing.
  ///
  /// - Parameter ioUring: whether rings are to be had; nil: not known.
  public static func current(ioUring: Bool? = nil) -> HostCapacity {
    let limits = ResourceLimits.current()
    // The daemon raises the soft limit of descriptors to the hard one, and that of locked memory if it may.
    let isFree = !Capabilities.current().isDisjoint(with: [.ipcLock, .sysResource])
    return HostCapacity(
      cores: Processors.usable(), openFiles: Int(clamping: limits.openFiles.hard),
      lockedMemory: isFree ? nil : bytes(limits.lockedMemory.hard), ioUring: ioUring)
  }

  private static func bytes(_ limit: UInt64) -> Int? { limit == .max ? nil : Int(clamping: limit) }
}
