/// The network namespaces among the mounts of /proc/self/mountinfo (proc_pid_mountinfo(5)): nsfs mounts whose root is
/// `net:[inode]`. They tell device and inode without touching the mount, and may be anywhere.
struct MountTable {
  struct Mount: Equatable {
    var node: NamespaceNode
    /// As the kernel has it; need not be UTF-8.
    var path: [UInt8]
  }

  /// In the order of mounting.
  private(set) var mounts: [Mount] = []

  /// Reads the text of a mountinfo file; lines that are not what proc_pid_mountinfo(5) says are skipped.
  init(text: some Collection<UInt8>) {
    for line in text.split(separator: UInt8(ascii: "\n")) {
      if let mount = Self.mount(line) { mounts.append(mount) }
    }
  }

  /// One line without its end: `36 35 0:4 net:[4026532281] /run/netns/a rw shared:5 - nsfs nsfs rw`. Nil if it is not the
  /// mount of a network namespace.
  static func mount(_ line: some Collection<UInt8>) -> Mount? {
    let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
    guard fields.count == 6, let inode = inode(fields[3]), let device = device(fields[2]) else { return nil }
    return Mount(node: NamespaceNode(device: device, inode: inode), path: unescaped(fields[4]))
  }

  private static func inode(_ root: some Collection<UInt8>) -> UInt64? {
    let text = String(decoding: root, as: UTF8.self)
    guard text.hasPrefix("net:["), text.hasSuffix("]") else { return nil }
    return UInt64(text.dropFirst(5).dropLast())
  }

  /// `major:minor` as stat(2) gives it in st_dev: glibc's makedev(3).
  private static func device(_ field: some Collection<UInt8>) -> UInt64? {
    let parts = field.split(separator: UInt8(ascii: ":"))
    guard parts.count == 2, let major = UInt64(String(decoding: parts[0], as: UTF8.self)),
      let minor = UInt64(String(decoding: parts[1], as: UTF8.self))
    else { return nil }
    return (major & 0xFFFF_F000) << 32 | (major & 0xFFF) << 8 | (minor & 0xFFFF_FF00) << 12 | minor & 0xFF
  }

  /// Undoes `\040` and its like: space, tab, newline and backslash come as three octal digits (fs/seq_file.c,
  /// mangle_path).
  private static func unescaped(_ field: some Collection<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = Array(field)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return bytes
  }
}
