internal import CLinux
import Glibc

/// What identifies this host and this boot in every record.
public struct HostFacts: Equatable, Sendable {
  /// The environment's NODE_NAME; without it the UTS node name of PID 1 under `proc` where it can be had, else of this process (they differ in a container).
  public var hostname: String
  /// Differs after every boot: /proc/sys/kernel/random/boot_id, a UUID.
  public var bootID: String
  /// /etc/machine-id, 32 hexadecimal digits; empty if there is none.
  public var machineID: String
  /// As uname(2) gives it, such as `6.18.44`.
  public var kernelRelease: String
  /// `proc` shows the initial PID namespace, so that its PID 1 is the host's and not only a container's; `nil` if that
  /// cannot be told.
  public var seesHostProcesses: Bool?

  /// Facts from elsewhere, for tests and captures.
  public init(hostname: String, bootID: String, machineID: String, kernelRelease: String, seesHostProcesses: Bool?) {
    self.hostname = hostname
    self.bootID = bootID
    self.machineID = machineID
    self.kernelRelease = kernelRelease
    self.seesHostProcesses = seesHostProcesses
  }

  /// Gathers the facts; what cannot be read is empty. May run a short-lived thread to look into PID 1's UTS namespace.
  public static func current(proc: String = "/proc") -> HostFacts {
    HostFacts(
      hostname: hostname(proc: proc),
      bootID: firstLine("/proc/sys/kernel/random/boot_id"),
      machineID: firstLine("/etc/machine-id"),
      kernelRelease: kernelRelease(),
      seesHostProcesses: seesHostProcesses(proc: proc))
  }

  /// The kernel's release, uname(2).
  public static func kernelRelease() -> String { uname { $0.release } }

  /// The inode number of the initial PID namespace is fixed: PROC_PID_INIT_INO, include/linux/proc_ns.h.
  private static let initialPIDNamespace: UInt64 = 0xEFFF_FFFC

  private static func seesHostProcesses(proc: String) -> Bool? {
    inode("\(proc)/1/ns/pid").map { $0 == initialPIDNamespace }
      // PID 1 of our own PID namespace may be hidden from us while our own namespace is not.
      ?? (proc == "/proc" ? inode("/proc/self/ns/pid").map { $0 == initialPIDNamespace } : nil)
  }

  private static func hostname(proc: String) -> String {
    // What Kubernetes tells a pod of the node it runs on (`fieldRef: spec.nodeName`).
    if let node = getenv("NODE_NAME"), node.pointee != 0 { return String(cString: node) }
    let own = uname { $0.nodename }
    guard let first = inode("\(proc)/1/ns/uts"), let mine = inode("/proc/thread-self/ns/uts"), first != mine else {
      return own
    }
    return hostname(inNamespace: "\(proc)/1/ns/uts") ?? own
  }

  /// Enters the namespace on a thread made for it, which ends with the visit: nothing has to be restored.
  private static func hostname(inNamespace path: String) -> String? {
    let answer = Answer()
    guard
      let thread = try? WorkerThread(
        name: "uts",
        {
          guard let descriptor = try? Descriptor(open(path, O_RDONLY | O_CLOEXEC), "open") else { return }
          if clinux_setns_uts(descriptor.raw) == 0 { answer.text = uname { $0.nodename } }
        })
    else { return nil }
    thread.join()
    return answer.text
  }

  /// Written by one thread, read by another after joining it.
  private final class Answer: @unchecked Sendable {
    var text: String?
  }

  private static func inode(_ path: String) -> UInt64? {
    var status = stat()
    return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
  }

  private static func firstLine(_ path: String) -> String {
    String((readSmallFile(path) ?? "").prefix { !$0.isNewline })
  }

  private static func uname<Field>(_ field: (utsname) -> Field) -> String {
    var names = utsname()
    Glibc.uname(&names)
    return withUnsafeBytes(of: field(names)) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
