import Glibc

/// A small file that is replaced as a whole: after a crash at any moment it is the old one or the new one.
public enum DurableFile {
  /// Writes beside it, fsync(2), then rename(2) over it, with `mode` whatever the umask. The directory is made (0750) if its parent
  /// is there.
  public static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(SystemError) {
    let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    if !directory.isEmpty, mkdir(directory, 0o750) != 0, errno != EEXIST {
      throw SystemError.last("mkdir", context: directory)
    }
    let temporary = "\(path).new"
    do throws(SystemError) {
      try write(bytes, to: temporary, mode)
      guard rename(temporary, path) == 0 else { throw SystemError.last("rename", context: path) }
    } catch {
      unlink(temporary)
      throw error
    }
    // The name is durable when its directory is.
    let raw = open(directory.isEmpty ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else { return }
    fsync(raw)
    close(raw)
  }

  private static func write(_ bytes: [UInt8], to path: String, _ mode: UInt32) throws(SystemError) {
    unlink(path)
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    let file = try Descriptor(open(path, flags, mode_t(mode)), "open", context: path)
    guard fchmod(file.raw, mode_t(mode)) == 0 else { throw SystemError.last("fchmod", context: path) }
    var failure: SystemError?
    bytes.withUnsafeBytes { bytes in
      do throws(SystemError) { try Streams.writeAll(bytes, to: file.raw) } catch { failure = error }
    }
    if let failure { throw failure }
    guard fsync(file.raw) == 0 else { throw SystemError.last("fsync", context: path) }
  }

  /// The whole of it; nil if it is not there. Refuses what is no regular file (EINVAL) and more than `limit` bytes (EFBIG).
  public static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8]? {
    let raw = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    if raw < 0, errno == ENOENT || errno == ENOTDIR { return nil }
    let file = try Descriptor(raw, "open", context: path)
    var status = stat()
    guard fstat(file.raw, &status) == 0 else { throw SystemError.last("fstat", context: path) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError("open", errno: EINVAL, context: path) }
    guard status.st_size <= limit else { throw SystemError("read", errno: EFBIG, context: path) }
    return try Streams.readAll(file.raw, context: path)
  }
}
