internal import CLinux
import Glibc

/// Names of network interfaces whose indices are looked up, which differ from namespace to namespace.
public final class InterfaceNames: Sendable {
  private let names: CStrings

  public init(_ names: [String]) { self.names = CStrings(names.map { Array($0.utf8) }) }

  /// The index in the namespace that the calling thread is in (RTM_GETLINK, rtnetlink(7)); nil if no interface has the name there. Does
  /// not allocate.
  public func index(_ position: Int) -> UInt32? {
    let index = clinux_interface_index(names[position])
    return index > 0 ? UInt32(index) : nil
  }
}

/// Paths of control groups whose numbers are looked up.
public final class CgroupPaths: Sendable {
  private let directories: CStrings

  /// - Parameter root: where control groups are mounted. Where that is the directory of version 1 hierarchies, version 2 is mounted at
  ///   `unified` in it (systemd's hybrid layout).
  public init(_ paths: [String], root: String) {
    let unified = CgroupFile.isUnified(root) ? root : "\(root)/unified"
    directories = CStrings(paths.map { Array("\(unified)\($0)".utf8) })
  }

  /// The number that the kernel knows the group by, `cgroup_id` (include/linux/cgroup.h): that of its directory's inode. Nil if
  /// there is none. Does not allocate.
  public func number(_ position: Int) -> UInt64? {
    var status = stat()
    return stat(directories[position], &status) == 0 ? UInt64(status.st_ino) : nil
  }
}
