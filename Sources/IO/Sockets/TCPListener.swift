import Glibc

/// A TCP socket that listens at an address.
public struct TCPListener: ~Copyable {
  private let socket: Descriptor
  /// The port; what the kernel chose if 0 was asked for.
  public let port: Int

  /// - Parameter host: an IPv4 or IPv6 address in numbers.
  public init(host: String, port: Int, backlog: Int32 = 32) throws(SystemError) {
    let place = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    let family = host.contains(":") ? AF_INET6 : AF_INET
    let socket = try Descriptor(
      Glibc.socket(family, sockStream | sockCloseOnExec | sockNonBlocking, 0), "socket")
    var on: Int32 = 1
    // Connections of the daemon before that still linger in TIME_WAIT do not hold the port.
    setsockopt(socket.raw, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    let bound = try SocketAddresses.withInternetAddress(host: host, port: UInt16(clamping: port)) {
      bind(socket.raw, $0, $1)
    }
    guard bound == 0 else { throw SystemError.last("bind", context: place) }
    guard listen(socket.raw, backlog) == 0 else { throw SystemError.last("listen", context: place) }
    self.port = try Self.port(of: socket.raw, place)
    self.socket = socket
  }

  /// Gives the descriptor away; the new owner closes it.
  public consuming func release() -> Int32 { socket.release() }

  /// The port lies at the same place in both families' addresses.
  private static func port(of socket: Int32, _ place: String) throws(SystemError) -> Int {
    var address = sockaddr_in6()
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
    }
    guard code == 0 else { throw SystemError.last("getsockname", context: place) }
    return Int(UInt16(bigEndian: address.sin6_port))
  }
}
