import Glibc

/// A file that is appended to under a path that others may rename, remove or replace, as log rotation does.
public struct AppendFile: ~Copyable {
  public let path: String
  private let mode: UInt32
  private var descriptor: Descriptor
  /// The path for lstat(2): asking whether the file was replaced allocates nothing.
  private let entrance: CStrings

  /// Opens or creates the file, see `openAppend`.
  public init(path: String, mode: UInt32 = 0o640) throws(FileError) {
    self.path = path
    self.mode = mode
    descriptor = try openAppend(path: path, mode: mode)
    entrance = CStrings([Array(path.utf8)])
  }

  /// For a port. Changes with `reopen`.
  public var raw: Int32 { descriptor.raw }

  /// The path names another file, or none: what is written goes where nobody looks.
  public var isReplaced: Bool {
    var (opened, named) = (stat(), stat())
    guard fstat(descriptor.raw, &opened) == 0, lstat(entrance[0], &named) == 0 else { return true }
    return opened.st_dev != named.st_dev || opened.st_ino != named.st_ino
  }

  /// The length of a regular file in bytes; nil for what has none, a pipe for example.
  public var size: Int? {
    var status = stat()
    guard fstat(descriptor.raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }

  /// Takes back the last bytes written, if it is a regular file that is at least as long. Nobody else may have appended since.
  public func removeTail(_ byteCount: Int) {
    guard let size, size >= byteCount else { return }
    _ = ftruncate(descriptor.raw, size - byteCount)
  }

  /// Goes on with what the path names now, which is created if need be. After an error the old file stays open.
  public mutating func reopen() throws(FileError) { descriptor = try openAppend(path: path, mode: mode) }
}
