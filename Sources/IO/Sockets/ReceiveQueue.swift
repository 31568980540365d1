import Glibc

extension Descriptor {
  /// How many bytes may wait in a socket to be received, as the kernel counts them (SO_RCVBUF, socket(7)); 0: it is no socket.
  public var receiveBufferBytes: Int {
    var bytes: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(raw, SOL_SOCKET, SO_RCVBUF, &bytes, &length) == 0 ? Int(bytes) : 0
  }
}
