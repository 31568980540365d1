import Glibc

/// Why an output file could not be opened.
public enum FileError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The path names a directory.
  case isDirectory(path: String)
  /// The last component of the path is a symbolic link, which is not followed: whoever may write into its directory
  /// could point it anywhere.
  case isSymbolicLink(path: String)
  /// The path names a named pipe that nobody reads.
  case nobodyReads(path: String)
  case system(SystemError)

  public var description: String {
    switch self {
    case .isDirectory(let path): "\(path) is a directory; name a file in it"
    case .isSymbolicLink(let path): "\(path) is a symbolic link, which is not followed; name the file it points to"
    case .nobodyReads(let path): "\(path) is a named pipe that nobody reads; start its reader first"
    case .system(let error): error.description
    }
  }
}

/// Opens a file to append to, creating it with `mode` (less the umask) if it is not there: open(2) with
/// O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC. Never blocks, also not on a named pipe.
public func openAppend(path: String, mode: UInt32 = 0o640) throws(FileError) -> Descriptor {
  let flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
  let raw = retryingOnInterrupt { open(path, flags, mode_t(mode)) }
  guard raw >= 0 else {
    switch errno {
    case EISDIR: throw .isDirectory(path: path)
    case ELOOP where isSymbolicLink(path): throw .isSymbolicLink(path: path)
    case ENXIO where isNamedPipe(path): throw .nobodyReads(path: path)
    default: throw .system(SystemError.last("open", context: path))
    }
  }
  let descriptor = Descriptor(owning: raw)
  // O_NONBLOCK served the opening only: the ports wait by themselves.
  guard fcntl(raw, F_SETFL, O_APPEND) == 0 else { throw .system(SystemError.last("fcntl", context: path)) }
  return descriptor
}

/// Makes a file that is not there; what is written goes to its end.
public func openNew(path: String, mode: UInt32) throws(FileError) -> Descriptor {
  let flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
  let raw = retryingOnInterrupt { open(path, flags, mode_t(mode)) }
  guard raw >= 0 else { throw .system(SystemError.last("open", context: path)) }
  return Descriptor(owning: raw)
}

private func isSymbolicLink(_ path: String) -> Bool { fileType(path) == S_IFLNK }
private func isNamedPipe(_ path: String) -> Bool { fileType(path) == S_IFIFO }

private func fileType(_ path: String) -> mode_t? {
  var status = stat()
  return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
}

/// The content of a small file of /proc, /sys or /etc, at most `limit` bytes; `nil` if it cannot be read.
func readSmallFile(_ path: String, limit: Int = 4_096) -> String? {
  guard let bytes = try? readBytes(path, limit: limit) else { return nil }
  return String(decoding: bytes, as: UTF8.self)
}

/// The integer that a file of /proc/sys consists of.
func readInteger(_ path: String) -> Int? {
  guard let text = readSmallFile(path, limit: 64) else { return nil }
  return Int(text.prefix { $0 == "-" || $0.isNumber })
}

private func readBytes(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
  let descriptor = try Descriptor(open(path, O_RDONLY | O_CLOEXEC), "open", context: path)
  var bytes = [UInt8](repeating: 0, count: limit)
  let count = retryingOnInterrupt { read(descriptor.raw, &bytes, limit) }
  guard count >= 0 else { throw SystemError.last("read", context: path) }
  return Array(bytes.prefix(count))
}
