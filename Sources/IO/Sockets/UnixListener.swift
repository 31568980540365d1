import Glibc

/// Why nobody can listen at a path.
public enum ListenError: Error, CustomStringConvertible, Sendable {
  case system(SystemError)
  /// Another process listens there.
  case inUse(path: String, pid: Int32)
  /// Something that is not a socket is there.
  case notASocket(path: String)

  public var description: String {
    switch self {
    case .system(let error): error.description
    case .inUse(let path, let pid): "\(path): process \(pid) listens there already; is another xtcpd running?"
    case .notASocket(let path): "\(path) exists and is not a socket; remove it or choose another path"
    }
  }
}

/// A Unix stream socket that listens, with the group and mode it was asked to have, and is not at its path yet.
///
/// It is bound under another name beside the path; `publish` renames it. So at no moment can somebody connect whom the mode keeps
/// out, at no moment is the path missing while one socket takes the place of another, and until then nothing has changed.
public struct UnixListener: ~Copyable {
  private let socket: Descriptor
  private let temporary: SocketFile
  private let path: String
  /// What is at the path and may be replaced; nil: nothing.
  private let replaced: SocketFile?

  /// Makes the directory (0755) if it is missing. Takes the path over from a process that has gone, but not from one that lives.
  ///
  /// - Parameter own: what this process listens at already, and may be replaced.
  public init(
    path: String, group: UInt32, mode: UInt32, replacing own: SocketFile? = nil, backlog: Int32 = 16
  ) throws(ListenError) {
    try Self.makeDirectory(of: path)
    let present = SocketFile(at: path)
    // The path may have become somebody else's since.
    if present != own { try Self.refuseIfAlive(path) }
    do throws(SystemError) {
      let socket = try Descriptor(Glibc.socket(AF_UNIX, sockStream | sockCloseOnExec | sockNonBlocking, 0), "socket")
      temporary = try Self.bind(socket.raw, beside: path, group, mode, backlog)
      self.socket = socket
      self.path = path
      replaced = present
    } catch {
      throw .system(error)
    }
  }

  /// Puts the socket where it belongs. What is to be done with the descriptor comes from `release`. EEXIST if something else is
  /// there than what was found at first.
  public func publish() throws(SystemError) -> SocketFile {
    if let present = SocketFile(at: path), present != replaced {
      throw SystemError("rename", errno: EEXIST, context: path)
    }
    guard rename(temporary.path, path) == 0 else { throw SystemError.last("rename", context: path) }
    return temporary.moved(to: path)
  }

  /// Gives the descriptor away; the new owner closes it.
  public consuming func release() -> Int32 { socket.release() }

  /// Removes what was bound, for a socket that is not published.
  public consuming func discard() { temporary.remove() }

  private static func bind(
    _ socket: Int32, beside path: String, _ group: UInt32, _ mode: UInt32, _ backlog: Int32
  ) throws(SystemError) -> SocketFile {
    // The path itself has to fit as well, for those who connect.
    try SocketAddresses.withUnixAddress(path) { _, _ in }
    // The mode of an unbound socket is that of the file it will be bound to.
    fchmod(socket, 0o600)
    let temporary = try bind(socket, beside: path)
    do throws(SystemError) {
      // Not through a symbolic link that somebody may have put there.
      var status = stat()
      guard lstat(temporary.path, &status) == 0 else { throw SystemError.last("lstat", context: path) }
      // Whom the file belongs to anyway need not be permitted to give it away.
      let isGroupRight = status.st_gid == group
      guard isGroupRight || fchownat(AT_FDCWD, temporary.path, uid_t.max, group, AT_SYMLINK_NOFOLLOW) == 0 else {
        throw SystemError.last("chown", context: path)
      }
      guard fchmodat(AT_FDCWD, temporary.path, mode, AT_SYMLINK_NOFOLLOW) == 0 else {
        throw SystemError.last("chmod", context: path)
      }
      guard listen(socket, backlog) == 0 else { throw SystemError.last("listen", context: path) }
      return temporary
    } catch {
      temporary.remove()
      throw error
    }
  }

  /// Under a name that nothing has: what is there already is not ours to remove.
  private static func bind(_ socket: Int32, beside path: String) throws(SystemError) -> SocketFile {
    for _ in 0..<8 {
      let name = temporaryName(beside: path)
      let bound = try SocketAddresses.withUnixAddress(name) { Glibc.bind(socket, $0, $1) }
      if bound != 0, errno == EADDRINUSE { continue }
      guard bound == 0 else { throw SystemError.last("bind", context: path) }
      guard let file = SocketFile(at: name) else { throw SystemError.last("lstat", context: path) }
      return file
    }
    throw SystemError("bind", errno: EADDRINUSE, context: path)
  }

  private static func makeDirectory(of path: String) throws(ListenError) {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
    let directory = String(path[..<slash])
    if mkdir(directory, 0o755) == 0 {
      chmod(directory, 0o755)  // mkdir's mode is cut by the umask.
    } else if errno != EEXIST {
      throw .system(SystemError.last("mkdir", context: directory))
    }
  }

  /// A socket that nobody listens on any more refuses the connection; one that lives takes it or is busy.
  private static func refuseIfAlive(_ path: String) throws(ListenError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
    let pid: Int32
    do throws(SystemError) {
      let probe = try UnixConnection(path: path, timeout: .seconds(1))
      pid = try probe.peer().pid
    } catch {
      if error.errno == ECONNREFUSED || error.errno == ENOENT { return }
      throw .system(SystemError("connect", errno: error.errno, context: path))
    }
    throw .inUse(path: path, pid: pid)
  }

  /// A short name: `sun_path` has room for 107 bytes.
  private static func temporaryName(beside path: String) -> String {
    let directory = path.lastIndex(of: "/").map { path[...$0] } ?? ""
    return "\(directory)." + String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 36)
  }
}

/// The file of a socket in the file system.
public struct SocketFile: Sendable, Equatable {
  public let path: String
  private let device: dev_t
  private let inode: ino_t

  init(path: String, device: dev_t, inode: ino_t) {
    self.path = path
    self.device = device
    self.inode = inode
  }

  /// What is at a path; nil: nothing.
  init?(at path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    self.init(path: path, device: status.st_dev, inode: status.st_ino)
  }

  func moved(to path: String) -> SocketFile { SocketFile(path: path, device: device, inode: inode) }

  /// Removes the file, unless another process has put its own in its place.
  public func remove() {
    if SocketFile(at: path) == self { unlink(path) }
  }
}
