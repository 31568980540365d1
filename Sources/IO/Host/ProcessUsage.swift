import Glibc

/// What this process uses of the host, as /proc/self tells it.
public struct ProcessUsage: Equatable, Sendable {
  /// Threads, workers that the kernel runs for this process included.
  public var threads = 0
  /// Seconds in user and kernel mode, of all threads.
  public var cpuSeconds = 0.0
  public var residentBytes = 0
  public var openDescriptors = 0

  public init() {}

  /// The user that this process runs as.
  public static var userID: UInt32 { geteuid() }

  /// The values of this moment; what cannot be read is 0.
  public static func current() -> ProcessUsage {
    var usage = ProcessUsage()
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    usage.cpuSeconds = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    usage.threads = count(of: "/proc/self/task")
    // The directory that is being read is a descriptor, too.
    usage.openDescriptors = max(0, count(of: "/proc/self/fd") - 1)
    let pages = (readSmallFile("/proc/self/statm") ?? "").split(separator: " ").dropFirst().first.flatMap { Int($0) }
    usage.residentBytes = (pages ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    return usage
  }

  private static func count(of directory: String) -> Int {
    guard let stream = opendir(directory) else { return 0 }
    defer { closedir(stream) }
    var count = 0
    while let entry = readdir(stream) {
      if entry.pointee.d_name.0 != CChar(bitPattern: UInt8(ascii: ".")) { count += 1 }
    }
    return count
  }
}
