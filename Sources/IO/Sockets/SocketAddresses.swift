import Glibc

/// Addresses as the socket calls take them.
enum SocketAddresses {
  /// Bytes of a path that fit into `sun_path` with the zero byte at its end, unix(7).
  static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  /// Calls `body` with the address of a Unix socket. A path that begins with `@` is in the abstract namespace.
  static func withUnixAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) throws(SystemError) -> Result {
    var bytes = Array(path.utf8)
    guard !bytes.isEmpty, bytes.count <= longestPath else {
      throw SystemError("socket address", errno: ENAMETOOLONG, context: path)
    }
    let isAbstract = bytes[0] == UInt8(ascii: "@")
    if isAbstract { bytes[0] = 0 }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    // An abstract name is as long as the address says: the zero byte at the end would be part of it.
    let pathOffset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? MemoryLayout<sa_family_t>.size
    let length = socklen_t(pathOffset + bytes.count + (isAbstract ? 0 : 1))
    return withPointer(to: &address, length, body)
  }

  /// Calls `body` with an address and port to listen on. The host is an address in numbers: no name is looked up.
  static func withInternetAddress<Result>(
    host: String, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) throws(SystemError) -> Result {
    var v4 = sockaddr_in()
    v4.sin_family = sa_family_t(AF_INET)
    v4.sin_port = port.bigEndian
    if inet_pton(AF_INET, host, &v4.sin_addr) == 1 {
      return withPointer(to: &v4, socklen_t(MemoryLayout<sockaddr_in>.size), body)
    }
    var v6 = sockaddr_in6()
    v6.sin6_family = sa_family_t(AF_INET6)
    v6.sin6_port = port.bigEndian
    guard inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 else {
      throw SystemError("inet_pton", errno: EINVAL, context: host)
    }
    return withPointer(to: &v6, socklen_t(MemoryLayout<sockaddr_in6>.size), body)
  }

  private static func withPointer<Address, Result>(
    to address: inout Address, _ length: socklen_t, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }
}

// Glibc's module has these as an enumeration; socket(2) takes integers.
let sockStream = Int32(bitPattern: SOCK_STREAM.rawValue)
let sockDatagram = Int32(bitPattern: SOCK_DGRAM.rawValue)
let sockCloseOnExec = Int32(bitPattern: SOCK_CLOEXEC.rawValue)
let sockNonBlocking = Int32(bitPattern: SOCK_NONBLOCK.rawValue)
