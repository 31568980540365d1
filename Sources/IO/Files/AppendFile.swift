import Glibc

/// A file that is appended to under a path that others may rename, remove or replace, as log rotation does.
public struct AppendFile: ~Copyable {
  public private(set) var path: String
  private let mode: UInt32
  private var descriptor: Descriptor
  /// The path for lstat(2): asking whether the file was replaced allocates nothing.
  private var entrance: CStrings

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

  /// Which file is open, whatever its path names by now.
  public var identity: FileIdentity? { FileIdentity(descriptor.raw) }

  /// The last bytes of a regular file, to be taken back later, even after the file has been left for another.
  public func tornTail(_ byteCount: Int, sizeWhenTorn: Int) -> TornTail? {
    guard byteCount > 0, size != nil else { return nil }
    let copy = fcntl(descriptor.raw, F_DUPFD_CLOEXEC, 0)
    return copy < 0 ? nil : TornTail(Descriptor(owning: copy), byteCount: byteCount, size: sizeWhenTorn)
  }

  /// Goes on with another path, whose folders are made if they are missing. After an error the old file stays open.
  public mutating func move(to path: String) throws(FileError) {
    try FileRotation.makeFolders(for: path)
    descriptor = try openAppend(path: path, mode: mode)
    self.path = path
    entrance = CStrings([Array(path.utf8)])
  }

  /// Goes on with what the path names now, which is created if need be. After an error the old file stays open.
  public mutating func reopen() throws(FileError) { descriptor = try openAppend(path: path, mode: mode) }
}

/// What tells one open file from another: device and inode.
public struct FileIdentity: Equatable, Sendable {
  private let device: UInt64
  private let inode: UInt64

  /// Of an open descriptor, fstat(2).
  init?(_ descriptor: Int32) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
  }
}

/// The end of a regular file that is part of something that was not written whole.
public struct TornTail: ~Copyable, Sendable {
  private let descriptor: Descriptor
  private let byteCount: Int
  private let size: Int

  fileprivate init(_ descriptor: consuming Descriptor, byteCount: Int, size: Int) {
    self.descriptor = descriptor
    self.byteCount = byteCount
    self.size = size
  }

  /// Nobody has appended to the file or emptied it since.
  public var isIntact: Bool {
    var status = stat()
    return fstat(descriptor.raw, &status) == 0 && Int(status.st_size) == size
  }

  /// Takes the bytes back if they are still the last ones.
  public func remove() {
    if isIntact, size >= byteCount { _ = ftruncate(descriptor.raw, size - byteCount) }
  }
}
