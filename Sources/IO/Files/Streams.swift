import Glibc

/// Plain, blocking reading and writing, for commands. The daemon's own I/O goes through ports.
public enum Streams {
  /// The content of a file, a pipe or a device, to its end; `-` is standard input.
  ///
  /// It is read, not mapped: a file that somebody truncates meanwhile would end the process with SIGBUS.
  public static func readAll(path: String) throws(SystemError) -> [UInt8] {
    if path == "-" { return try readAll(STDIN_FILENO, context: "standard input") }
    let file = try Descriptor(open(path, O_RDONLY | O_CLOEXEC), "open", context: path)
    return try readAll(file.raw, context: path)
  }

  static func readAll(_ descriptor: Int32, context: String) throws(SystemError) -> [UInt8] {
    var bytes: [UInt8] = []
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_size > 0 { bytes.reserveCapacity(min(Int(status.st_size), 1 << 30)) }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 1)
    defer { chunk.deallocate() }
    while true {
      let count = retryingOnInterrupt { read(descriptor, chunk.baseAddress, chunk.count) }
      guard count >= 0 else { throw SystemError.last("read", context: context) }
      if count == 0 { return bytes }
      bytes.append(contentsOf: chunk[..<count])
    }
  }

  /// Writes all bytes, however many calls that takes. Fails with EPIPE when the reader has gone, provided SIGPIPE is ignored.
  public static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws(SystemError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = UnsafeRawBufferPointer(rebasing: rest)
      let count = retryingOnInterrupt { write(descriptor, piece.baseAddress, piece.count) }
      guard count >= 0 else { throw SystemError.last("write") }
      rest = rest.dropFirst(count)
    }
  }
}
