/// What /proc/thread-self/status says of the calling thread, proc_pid_status(5).
enum ProcessStatus {
  /// A field's text, or `nil` if the kernel does not have it.
  static func field(_ name: String, in status: String) -> Substring? {
    for line in status.split(separator: "\n") where line.hasPrefix(name) && line.dropFirst(name.count).first == ":" {
      return line.dropFirst(name.count + 1).drop { $0 == " " || $0 == "\t" }
    }
    return nil
  }

  static func read() -> String { readSmallFile("/proc/thread-self/status", limit: 8_192) ?? "" }

  /// A seccomp filter is in force (seccomp(2), mode 2).
  static var isFiltered: Bool { field("Seccomp", in: read()) == "2" }

  /// The effective capabilities as a bit mask, capabilities(7).
  static func effectiveCapabilities(in status: String) -> UInt64? {
    field("CapEff", in: status).flatMap { UInt64($0, radix: 16) }
  }
}
