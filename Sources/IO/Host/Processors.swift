internal import CLinux
import Glibc

/// How many cores this process may keep busy: what its affinity mask has, and what its cgroup grants time for.
public enum Processors {
  /// At least 1. A quota of one and a half cores counts as two: two loops share it better than one leaves half of it.
  public static func usable(proc: String = "/proc", cgroups: String = "/sys/fs/cgroup") -> Int {
    let affinity = Int(clinux_affinity_count())
    let cores = affinity > 0 ? affinity : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    guard let quota = quota(membership: readSmallFile("\(proc)/self/cgroup") ?? "", cgroups: cgroups) else {
      return cores
    }
    return max(1, min(cores, Int(quota.rounded(.up))))
  }

  /// The least CPU quota of this process's cgroup and those above it, in cores; nil if none has one. Version 2 is mounted at
  /// `cgroups` or, beside version 1, at its `unified`; version 1 has a hierarchy for the controller `cpu`. cgroups(7).
  ///
  /// - Parameter membership: /proc/self/cgroup. In a container its paths may be the host's: what is not below `cgroups` is passed over.
  static func quota(membership: String, cgroups: String) -> Double? {
    var least: Double?
    for line in membership.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let controllers = fields[1].split(separator: ",")
      let isUnified = fields[0] == "0" && controllers.isEmpty
      guard isUnified || controllers.contains("cpu") else { continue }
      let roots = isUnified ? [cgroups, "\(cgroups)/unified"] : ["\(cgroups)/\(fields[1])", "\(cgroups)/cpu"]
      for directory in roots.flatMap({ directories(from: $0, to: fields[2]) }) {
        let quota = isUnified ? unifiedQuota(directory) : legacyQuota(directory)
        if let quota { least = min(least ?? quota, quota) }
      }
    }
    return least
  }

  /// `root` and every directory on the way down to `path`.
  private static func directories(from root: String, to path: Substring) -> [String] {
    path.split(separator: "/").reduce(into: [root]) { found, name in found.append("\(found[found.count - 1])/\(name)") }
  }

  /// cpu.max: `QUOTA PERIOD` in microseconds, or `max PERIOD`.
  private static func unifiedQuota(_ directory: String) -> Double? {
    guard let text = readSmallFile("\(directory)/cpu.max", limit: 64) else { return nil }
    let fields = text.split { $0 == " " || $0 == "\n" }
    guard fields.count == 2 else { return nil }
    return cores(quota: Double(fields[0]), period: Double(fields[1]))
  }

  /// cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us.
  private static func legacyQuota(_ directory: String) -> Double? {
    func number(_ name: String) -> Double? {
      readSmallFile("\(directory)/\(name)", limit: 64).flatMap { Double($0.prefix { $0 != "\n" }) }
    }
    return cores(quota: number("cpu.cfs_quota_us"), period: number("cpu.cfs_period_us"))
  }

  private static func cores(quota: Double?, period: Double?) -> Double? {
    guard let quota, let period, quota > 0, period > 0 else { return nil }
    return quota / period
  }
}
