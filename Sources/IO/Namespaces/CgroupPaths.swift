import Glibc

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
