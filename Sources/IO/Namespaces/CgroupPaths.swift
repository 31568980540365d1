import Glibc

/// Paths of control groups whose numbers are looked up.
public final class CgroupPaths: Sendable {
  private let directories: CStrings
  /// Their directories.
  public let paths: [String]

  /// - Parameter root: where control groups are mounted. Where that is the directory of version 1 hierarchies, version 2 is mounted at
  ///   `unified` in it (systemd's hybrid layout).
  public init(_ paths: [String], root: String) {
    let unified = CgroupFile.isUnified(root) ? root : "\(root)/unified"
    self.paths = paths.map { "\(unified)\($0)" }
    directories = CStrings(self.paths.map { Array($0.utf8) })
  }

  /// The number that the kernel knows the group by, `cgroup_id` (include/linux/cgroup.h): that of its directory's inode. Nil if
  /// there is none. Does not allocate.
  public func number(_ position: Int) throws(SystemError) -> UInt64? {
    var status = stat()
    if stat(directories[position], &status) == 0 { return UInt64(status.st_ino) }
    guard errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG else {
      throw SystemError.last("stat", context: paths[position])
    }
    return nil
  }
}
