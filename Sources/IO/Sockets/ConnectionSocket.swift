import Glibc

/// The socket of a `StreamConnection`.
enum ConnectionSocket {
  /// A socket that does not block, to connect to `address` with. What a TCP one is set to: small messages go at once
  /// (TCP_NODELAY); a peer that has vanished is noticed after two minutes of silence, and while something is unacknowledged
  /// after as long as `limits` says.
  static func open(_ address: SocketAddress, _ limits: StreamConnection.Limits) throws(SystemError) -> Descriptor {
    let type = sockStream | sockCloseOnExec | sockNonBlocking
    let socket = try Descriptor(Glibc.socket(address.family, type, 0), "socket", context: address.description)
    guard address.family != AF_UNIX else { return socket }
    set(socket.raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    set(socket.raw, SOL_SOCKET, SO_KEEPALIVE, 1)
    set(socket.raw, Int32(IPPROTO_TCP), TCP_KEEPIDLE, 60)
    set(socket.raw, Int32(IPPROTO_TCP), TCP_KEEPINTVL, 10)
    set(socket.raw, Int32(IPPROTO_TCP), TCP_KEEPCNT, 6)
    let milliseconds = limits.unacknowledged.nanoseconds / 1_000_000
    set(socket.raw, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Int32(clamping: milliseconds))
    return socket
  }

  /// An option that cannot be set leaves what is usual.
  private static func set(_ socket: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  /// close(2), after what is unread was thrown away: closing a socket that has some resets the connection, and what was sent last
  /// may be lost with it (RFC 2525, section 2.17).
  static func close(_ socket: Int32) {
    shutdown(socket, Int32(SHUT_WR))
    withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { memory in
      for _ in 0..<16 {
        guard recv(socket, memory.baseAddress, memory.count, KernelConstant.MSG_DONTWAIT) > 0 else { break }
      }
    }
    _ = Glibc.close(socket)
  }
}
