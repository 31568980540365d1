import Glibc

/// A connection to a Unix stream socket, blocking, for commands that ask the daemon something.
public struct UnixConnection: ~Copyable {
  private let socket: Descriptor
  private let path: String
  private var unread: [UInt8] = []

  /// - Parameter timeout: how long a single send or receive may take; nil: as long as it takes.
  public init(path: String, timeout: Duration? = nil) throws(SystemError) {
    let socket = try Descriptor(Glibc.socket(AF_UNIX, sockStream | sockCloseOnExec, 0), "socket")
    if let timeout { Self.limit(socket.raw, timeout) }
    let connected = try SocketAddresses.withUnixAddress(path) { address, length in
      retryingOnInterrupt { connect(socket.raw, address, length) }
    }
    guard connected == 0 else { throw SystemError.last("connect", context: path) }
    self.socket = socket
    self.path = path
  }

  private static func limit(_ socket: Int32, _ timeout: Duration) {
    let (seconds, rest) = timeout.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    var limit = timeval(tv_sec: Int(seconds), tv_usec: Int(rest / 1000))
    for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
      setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  /// Who listens.
  public func peer() throws(SystemError) -> PeerCredentials { try PeerCredentials(ofPeerAt: socket.raw) }

  /// Sends all bytes. A peer that has gone is EPIPE, not a signal.
  public func send(_ bytes: [UInt8]) throws(SystemError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { piece in
        retryingOnInterrupt { Glibc.send(socket.raw, piece.baseAddress, piece.count, Int32(MSG_NOSIGNAL)) }
      }
      guard count >= 0 else { throw SystemError.last("send", context: path) }
      rest = rest.dropFirst(count)
    }
  }

  /// The next line without its newline; nil at the end of the connection. EMSGSIZE if it is longer than `limit`.
  public mutating func readLine(limit: Int = 64 << 20) throws(SystemError) -> [UInt8]? {
    var searched = 0
    while true {
      if let newline = unread[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        let line = Array(unread[..<newline])
        unread.removeFirst(newline + 1)
        return line
      }
      searched = unread.count
      guard searched <= limit else { throw SystemError("recv", errno: EMSGSIZE, context: path) }
      var chunk = [UInt8](repeating: 0, count: 64 << 10)
      let count = chunk.withUnsafeMutableBytes { piece in
        retryingOnInterrupt { recv(socket.raw, piece.baseAddress, piece.count, 0) }
      }
      guard count >= 0 else { throw SystemError.last("recv", context: path) }
      if count == 0 { return nil }
      unread += chunk[..<count]
    }
  }
}
