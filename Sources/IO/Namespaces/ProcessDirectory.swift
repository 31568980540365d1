import Glibc

/// The processes of a proc filesystem and the network namespace of each: one readdir(3) and one stat(2) a process, no
/// allocation.
struct ProcessDirectory: ~Copyable {
  private let stream: OpaquePointer
  private let path: String

  init(path: String) throws(SystemError) {
    guard let stream = opendir(path) else { throw SystemError.last("opendir", context: path) }
    self.stream = stream
    self.path = path
  }

  deinit { closedir(stream) }

  /// Begins anew.
  func rewind() { rewinddir(stream) }

  /// The next process, or `nil` after the last one.
  func next() throws(SystemError) -> Int32? {
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        guard errno == 0 else { throw SystemError.last("readdir", context: path) }
        return nil
      }
      if let process = withUnsafeBytes(of: &entry.pointee.d_name, Self.number) { return process }
    }
  }

  /// The namespace of a process's main thread, stat(2) on its ns/net.
  func namespace(of process: Int32) throws(SystemError) -> NamespaceNode {
    var status = stat()
    let result = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer -> Int32 in
      Self.write(process, into: buffer)
      guard let name = buffer.baseAddress else { return -1 }
      return fstatat(dirfd(stream), name, &status, 0)
    }
    guard result == 0 else { throw SystemError.last("stat", context: "ns/net of a process") }
    return NamespaceNode(status)
  }

  /// The control groups that a process is in, /proc/PID/cgroup; empty if it has gone or may not be looked at.
  func cgroups(of process: Int32, unifiedOnly: Bool) -> [String] {
    guard let text = readSmallFile("\(path)/\(process)/cgroup", limit: 16_384) else { return [] }
    return CgroupFile.paths(text, unifiedOnly: unifiedOnly)
  }

  /// Whether a process is kthreadd, the parent of all kernel threads: it exists in the initial PID namespace only.
  func isKthreadd(_ process: Int32) -> Bool { readSmallFile("\(path)/\(process)/comm") == "kthreadd\n" }

  /// The number that a directory entry's name is; `nil` for other names.
  private static func number(_ name: UnsafeRawBufferPointer) -> Int32? {
    var number: Int32 = 0
    for (position, byte) in name.enumerated() {
      if byte == 0 { return position > 0 ? number : nil }
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9"), number < 200_000_000 else { return nil }
      number = number * 10 + Int32(byte - UInt8(ascii: "0"))
    }
    return nil
  }

  /// `123/ns/net`, relative to the directory.
  private static func write(_ process: Int32, into buffer: UnsafeMutableBufferPointer<CChar>) {
    var end = 0
    var divisor: Int32 = 1
    while process / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      buffer[end] = CChar(process / divisor % 10) + CChar(UInt8(ascii: "0"))
      divisor /= 10
      end += 1
    }
    let suffix: StaticString = "/ns/net"
    for offset in 0...suffix.utf8CodeUnitCount { buffer[end + offset] = CChar(suffix.utf8Start[offset]) }
  }
}
