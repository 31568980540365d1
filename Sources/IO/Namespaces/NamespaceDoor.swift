internal import CLinux
import Glibc

/// Why a namespace was not entered. In every case nothing was opened, and (but for `lostHome`) the thread is where it
/// was.
public enum EntryError: Error, Equatable, Sendable, CustomStringConvertible {
  /// None of its paths exists any more: it is gone, or about to be discovered anew under another path.
  case vanished
  /// The path leads to another namespace by now (node or cookie differ). Rows read there would carry a false name.
  case replaced
  /// The right is missing: CAP_SYS_PTRACE to look, CAP_SYS_ADMIN to enter.
  case denied(SystemError)
  /// Anything else: no descriptors (EMFILE), no memory.
  case system(SystemError)
  /// The thread could not return to its own namespace. Fatal for the thread: nothing it opens can be trusted.
  case lostHome(SystemError)

  public var description: String {
    switch self {
    case .vanished: "the namespace is gone"
    case .replaced: "its path leads to another namespace by now"
    case .denied(let error), .system(let error): error.description
    case .lostHome(let error): "cannot return to the own network namespace: \(error)"
    }
  }

  static func failed(_ operation: StaticString, errno code: Int32, context: String) -> EntryError {
    let error = SystemError(operation, errno: code, context: context)
    return code == EPERM || code == EACCES ? .denied(error) : .system(error)
  }
}

/// The way into other network namespaces and back, for the thread that made it. Every visit is short: go in, open one
/// thing, return; a socket keeps belonging to the namespace it was opened in. See setns(2), network_namespaces(7).
///
/// Nothing allocates on the way in and out.
public struct NamespaceDoor: ~Copyable {
  private let home: Descriptor
  private let thread: pthread_t
  /// The namespace of the thread, to which it returns after every visit.
  public let homeNode: NamespaceNode

  /// Takes the calling thread's namespace as home.
  public init() throws(SystemError) {
    let path = "/proc/thread-self/ns/net"
    let home = try Descriptor(Glibc.open(path, O_RDONLY | O_CLOEXEC), "open", context: path)
    var status = stat()
    guard fstat(home.raw, &status) == 0 else { throw SystemError.last("fstat", context: path) }
    self.home = home
    homeNode = NamespaceNode(status)
    thread = pthread_self()
  }

  /// Opens a NETLINK_SOCK_DIAG socket in a namespace (sock_diag(7)): blocking, close-on-exec. It keeps the namespace
  /// alive while it is open, so close it after the dump. The namespace entered is verified by node, the socket by
  /// cookie.
  public func openDiagSocket(_ namespace: Namespace) throws(EntryError) -> Descriptor {
    let socket = try visit(namespace) { () throws(EntryError) -> Descriptor in
      try Self.openDiagSocket(context: namespace.name)
    }
    try verify(socket, namespace)
    return socket
  }

  /// The same, if `isWorthIt` says so, which is called inside the namespace and may ask how many sockets there are (nil: that
  /// cannot be told). Nil, and nothing was opened, if it is not.
  ///
  /// Where nothing is opened, the namespace entered was verified by node alone.
  public func openDiagSocket(
    _ namespace: Namespace, if isWorthIt: (_ sockstat: () -> Sockstat?) throws(SystemError) -> Bool
  ) throws(EntryError) -> Descriptor? {
    let socket = try visit(namespace) { () throws(EntryError) -> Descriptor? in
      do throws(SystemError) {
        guard try isWorthIt({ try? Sockstat.read() }) else { return nil }
      } catch {
        throw .system(error)
      }
      return try Self.openDiagSocket(context: namespace.name)
    }
    guard let socket else { return nil }
    try verify(socket, namespace)
    return socket
  }

  private func verify(_ socket: borrowing Descriptor, _ namespace: Namespace) throws(EntryError) {
    guard namespace.cookie != 0 else { return }
    guard try Self.cookie(of: socket, context: namespace.name) == namespace.cookie else { throw .replaced }
  }

  /// The cookie of a namespace as it is now; 0 if the kernel is older than 5.14. Verifies the node only.
  public func cookie(of namespace: Namespace) throws(EntryError) -> UInt64 {
    let socket = try visit(namespace) { () throws(EntryError) -> Descriptor in
      try Self.openDiagSocket(context: namespace.name)
    }
    return try Self.cookie(of: socket, context: namespace.name)
  }

  /// How many TCP sockets a namespace has, to estimate what a dump that was given up has not read.
  public func readSockstat(_ namespace: Namespace) throws(EntryError) -> Sockstat {
    try look(into: namespace) { () throws(SystemError) -> Sockstat in try Sockstat.read() }
  }

  /// The same, and whether its connections are in a hash that is shared with other namespaces.
  public func readSharing(_ namespace: Namespace) throws(EntryError) -> (sockstat: Sockstat, sharesHash: Bool) {
    try look(into: namespace) { () throws(SystemError) -> (sockstat: Sockstat, sharesHash: Bool) in
      (try Sockstat.read(), try Sockstat.sharesHash())
    }
  }

  private func look<Result>(
    into namespace: Namespace, _ body: () throws(SystemError) -> Result
  ) throws(EntryError) -> Result {
    try visit(namespace) { () throws(EntryError) -> Result in
      do throws(SystemError) {
        return try body()
      } catch {
        throw EntryError.failed(error.operation, errno: error.errno, context: namespace.name)
      }
    }
  }

  // MARK: In and out

  /// Runs `body` inside the namespace and returns home in every case.
  func visit<Result: ~Copyable>(
    _ namespace: Namespace, _ body: () throws(EntryError) -> Result
  ) throws(EntryError) -> Result {
    precondition(pthread_equal(thread, pthread_self()) != 0, "a NamespaceDoor belongs to the thread that made it")
    // Our own namespace needs no right to be entered.
    if namespace.key.node == homeNode { return try body() }
    let inside = try open(namespace)
    guard clinux_setns_net(inside.raw) == 0 else {
      throw EntryError.failed("setns", errno: errno, context: namespace.name)
    }
    let outcome: Result
    do throws(EntryError) {
      outcome = try body()
    } catch {
      try goHome()
      throw error
    }
    try goHome()
    return outcome
  }

  private func goHome() throws(EntryError) {
    guard clinux_setns_net(home.raw) == 0 else { throw .lostHome(SystemError.last("setns", context: "own namespace")) }
  }

  /// Opens the first path that leads to the node in question; what is wrong with the last path tried is the error.
  ///
  /// A namespace that is named after its first mount is entered there or not at all: by any other way the rows would go on
  /// carrying a name that may mean another namespace by now.
  private func open(_ namespace: Namespace) throws(EntryError) -> Descriptor {
    var failure = EntryError.vanished
    let isNamedByMount = !namespace.isHost && !namespace.mounts.isEmpty
    // Whoever owns the directory of a mount may have put a pipe there: opening never waits.
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
    for position in 0..<(isNamedByMount ? 1 : namespace.entrances.count) {
      let raw = retryingOnInterrupt { Glibc.open(namespace.entrances[position], flags) }
      guard raw >= 0 else {
        let code = errno
        // A process that is gone is ENOENT, one that is going ESRCH; a path's directory may be gone as well.
        if code == ENOENT || code == ESRCH || code == ENOTDIR { continue }
        failure = EntryError.failed("open", errno: code, context: namespace.paths[position])
        continue
      }
      let descriptor = Descriptor(owning: raw)
      var status = stat()
      guard fstat(raw, &status) == 0 else {
        failure = EntryError.failed("fstat", errno: errno, context: namespace.paths[position])
        continue
      }
      if NamespaceNode(status) == namespace.key.node { return descriptor }
      failure = .replaced
    }
    throw failure
  }

  private static func openDiagSocket(context: String) throws(EntryError) -> Descriptor {
    let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let raw = socket(AF_NETLINK, type, KernelConstant.NETLINK_SOCK_DIAG)
    guard raw >= 0 else { throw EntryError.failed("socket", errno: errno, context: context) }
    return Descriptor(owning: raw)
  }

  private static func cookie(of socket: borrowing Descriptor, context: String) throws(EntryError) -> UInt64 {
    var cookie: UInt64 = 0
    var length = socklen_t(MemoryLayout<UInt64>.size)
    guard getsockopt(socket.raw, SOL_SOCKET, KernelConstant.SO_NETNS_COOKIE, &cookie, &length) == 0 else {
      if errno == ENOPROTOOPT { return 0 }
      throw EntryError.failed("getsockopt", errno: errno, context: context)
    }
    return cookie
  }
}
