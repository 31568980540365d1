internal import CLinux

/// The text of /proc/PID/cgroup: a line `ID:CONTROLLERS:PATH` for each hierarchy (cgroups(7)).
enum CgroupFile {
  /// The paths of the lines that count, each once. A path outside the reader's own cgroup namespace begins with `/..`
  /// components (cgroup_namespaces(7)); what is behind them is how the host names it.
  ///
  /// - Parameter unifiedOnly: only the version 2 hierarchy counts (`0::`), not those of version 1.
  static func paths(_ text: String, unifiedOnly: Bool) -> [String] {
    var paths: [String] = []
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3, !unifiedOnly || (fields[0] == "0" && fields[1].isEmpty) else { continue }
      let path = absolute(fields[2])
      if !paths.contains(path) { paths.append(path) }
    }
    return paths
  }

  private static func absolute(_ path: Substring) -> String {
    var rest = path
    while rest.hasPrefix("/../") { rest = rest.dropFirst(3) }
    return rest == "/.." || rest.isEmpty ? "/" : String(rest)
  }

  /// Whether a directory is in a mounted version 2 hierarchy: statfs(2) says CGROUP2_SUPER_MAGIC (linux/magic.h).
  static func isUnified(_ directory: String) -> Bool { clinux_filesystem_type(directory) == 0x6367_7270 }
}
