internal import CLinux
import Glibc

/// Which CPUs a thread may run on, sched_setaffinity(2).
public enum Affinity {
  /// Lets the calling thread run on these CPUs only; none: on all that the process was given. Fails with EINVAL if none of them is
  /// there.
  public static func pin(to cpus: [Int]) throws(SystemError) {
    let list = cpus.map { UInt32(clamping: $0) }
    guard clinux_set_affinity(list, list.count) == 0 else {
      throw SystemError.last("sched_setaffinity", context: cpus.map(String.init).joined(separator: ","))
    }
  }
}
