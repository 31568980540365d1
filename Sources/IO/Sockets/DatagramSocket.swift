import Glibc

/// Sockets for datagrams to one receiver.
public enum DatagramSocket {
  /// A socket that is connected: what is sent on it goes to `address`, and what the network says of that comes back as an error
  /// (udp(7), unix(7)). Connecting takes no time.
  ///
  /// - Parameter sendBuffer: bytes that may wait in the kernel; the host's net.core.wmem_max may make it less.
  public static func connected(to address: SocketAddress, sendBuffer: Int32 = 1 << 20) throws(SystemError) -> Descriptor
  {
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let socket = try Descriptor(Glibc.socket(address.family, type, 0), "socket", context: "\(address)")
    var bytes = sendBuffer
    setsockopt(socket.raw, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
    let code = address.withPointer { connect(socket.raw, $0, $1) }
    guard code == 0 else { throw SystemError.last("connect", context: "\(address)") }
    return socket
  }
}
