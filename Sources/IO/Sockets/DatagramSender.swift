import Glibc

/// Sends datagrams to a Unix socket. What cannot be sent at once is dropped: nobody waits for a reader that has gone or is slow.
public struct DatagramSender: ~Copyable {
  private let socket: Descriptor
  private let path: String

  /// - Parameter path: a path, or a name in the abstract namespace behind an `@`.
  public init(path: String) throws(SystemError) {
    socket = try Descriptor(
      Glibc.socket(AF_UNIX, sockDatagram | sockCloseOnExec | sockNonBlocking, 0), "socket")
    self.path = path
  }

  public func send(_ text: String) throws(SystemError) {
    let bytes = Array(text.utf8)
    let socket = socket.raw
    let count = try SocketAddresses.withUnixAddress(path) { address, length in
      retryingOnInterrupt { sendto(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL), address, length) }
    }
    guard count == bytes.count else { throw SystemError.last("sendto", context: path) }
  }
}
