import Glibc

/// Which file it was and in what state, to tell whether another one is there now.
public struct FileIdentity: Sendable, Hashable {
  public let device: UInt64
  public let inode: UInt64
  /// Wall clock.
  public let modifiedNanoseconds: Int64
  /// Wall clock; that of the inode, which nobody can set.
  public let changedNanoseconds: Int64
  public let size: Int64

  init(_ status: stat) {
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    modifiedNanoseconds = Self.nanoseconds(status.st_mtim)
    changedNanoseconds = Self.nanoseconds(status.st_ctim)
    size = Int64(status.st_size)
  }

  /// Anybody may set a file's time to anything (utimensat(2)): what an Int64 cannot hold is the end of what it can.
  private static func nanoseconds(_ time: timespec) -> Int64 {
    let (scaled, overflow) = Int64(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return time.tv_sec < 0 ? .min : .max }
    return scaled.addingReportingOverflow(Int64(time.tv_nsec)).overflow ? .max : scaled + Int64(time.tv_nsec)
  }

  /// What is at a path now, symbolic links followed; nil if nothing is.
  init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  /// When it was last changed in any way.
  var youngest: Int64 { max(modifiedNanoseconds, changedNanoseconds) }

  /// Whether both are the same file, in whatever state.
  func isSameFile(as other: FileIdentity) -> Bool { device == other.device && inode == other.inode }
}

/// Gets at the bytes of a configuration file, and of nothing that is not a file of sensible size.
enum FileReading {
  struct Refusal: Error {
    var message: String
    /// Another host may have the file.
    var isOfThisHost = false
  }

  static func tooLarge(_ size: Int64, limit: Int = ConfigurationFile.maximumBytes, what: String = "a configuration")
    -> String
  {
    "the file is \(size) bytes long; \(what) has at most \(limit)"
  }

  /// The whole file and what it was when it was opened. What is no file is not opened, because opening a device may do
  /// something; should it become one in between, O_NONBLOCK lets the open of a FIFO without a writer return at once.
  static func contents(
    of path: String, limit: Int = ConfigurationFile.maximumBytes, what: String = "a configuration"
  ) throws(Refusal) -> (bytes: [UInt8], identity: FileIdentity) {
    var status = stat()
    if stat(path, &status) == 0 { try checkKind(status.st_mode) }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw Refusal(message: "cannot open: \(errorText())", isOfThisHost: true) }
    defer { close(descriptor) }
    guard fstat(descriptor, &status) == 0 else { throw Refusal(message: "cannot stat: \(errorText())") }
    try checkKind(status.st_mode)
    guard status.st_size <= limit else {
      throw Refusal(message: tooLarge(Int64(status.st_size), limit: limit, what: what))
    }
    return (try bytes(from: descriptor, limit: limit, what: what), FileIdentity(status))
  }

  /// Reads to the end, or one chunk beyond the limit if the file grows meanwhile.
  private static func bytes(from descriptor: Int32, limit: Int, what: String) throws(Refusal) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw Refusal(message: "cannot read: \(errorText())")
      }
      bytes += chunk[..<count]
      guard bytes.count <= limit else {
        throw Refusal(message: tooLarge(Int64(bytes.count), limit: limit, what: what))
      }
    }
  }

  private static func checkKind(_ mode: mode_t) throws(Refusal) {
    guard mode & S_IFMT == S_IFREG else {
      throw Refusal(message: "is \(kind(of: mode)), not a file; give the path of a regular file")
    }
  }

  private static func kind(of mode: mode_t) -> String {
    switch mode & S_IFMT {
    case S_IFDIR: "a directory"
    case S_IFIFO: "a FIFO or pipe"
    case S_IFSOCK: "a socket"
    case S_IFCHR, S_IFBLK: "a device"
    default: "something else"
    }
  }

  /// What errno says, with its number for searches.
  static func errorText() -> String {
    let code = errno
    return "\(String(cString: strerror(code))) (errno \(code))"
  }
}
