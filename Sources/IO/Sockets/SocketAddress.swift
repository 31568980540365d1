import Glibc

/// Where a socket connects to: an IPv4 or IPv6 address with a port, or a Unix path.
public struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
  private var storage = sockaddr_storage()
  let length: socklen_t

  /// What the C library or the kernel returned; cut to what an address can be.
  init(_ address: UnsafePointer<sockaddr>, length: socklen_t) {
    self.length = min(length, socklen_t(MemoryLayout<sockaddr_storage>.size))
    let bytes = UnsafeRawBufferPointer(start: address, count: Int(self.length))
    withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: bytes) }
  }

  /// An address in numbers, an IPv6 one also with a scope (`fe80::1%eth0`); nil for a name, which a `Resolver` looks up.
  public init?(host: String, port: UInt16) {
    let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    let made = try? SocketAddresses.withInternetAddress(host: String(parts[0]), port: port) {
      SocketAddress($0, length: $1)
    }
    guard var address = made ?? nil else { return nil }
    if parts.count == 2 {
      guard address.family == AF_INET6, let scope = Self.scope(parts[1]) else { return nil }
      address.withInternet6 { $0.sin6_scope_id = scope }
    }
    self = address
  }

  /// The path of a Unix socket, at most 107 bytes, else ENAMETOOLONG; a name in the abstract namespace behind an `@`.
  public init(path: String) throws(SystemError) {
    self = try SocketAddresses.withUnixAddress(path) { SocketAddress($0, length: $1) }
  }

  /// AF_INET, AF_INET6, AF_UNIX; what socket(2) takes.
  public var family: Int32 { Int32(storage.ss_family) }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafeBytes(of: storage) { bytes in
      // The storage of a C structure is never empty.
      guard let base = bytes.baseAddress else { return withUnsafePointer(to: sockaddr()) { body($0, 0) } }
      return body(base.assumingMemoryBound(to: sockaddr.self), length)
    }
  }

  private mutating func withInternet6(_ body: (inout sockaddr_in6) -> Void) {
    withUnsafeMutableBytes(of: &storage) { bytes in
      var address = bytes.loadUnaligned(as: sockaddr_in6.self)
      body(&address)
      bytes.storeBytes(of: address, as: sockaddr_in6.self)
    }
  }

  /// An interface's number, or its name.
  private static func scope(_ text: Substring) -> UInt32? {
    if let number = UInt32(text) { return number }
    let number = if_nametoindex(String(text))
    return number == 0 ? nil : number
  }

  /// `127.0.0.1:80`, `[::1]:80`, `/run/socket`, `@abstract`.
  public var description: String {
    switch family {
    case AF_INET, AF_INET6: internetDescription
    case AF_UNIX: unixDescription
    default: "no address"
    }
  }

  private var internetDescription: String {
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
    let flags = NI_NUMERICHOST | NI_NUMERICSERV
    let code = withPointer {
      getnameinfo($0, $1, &host, socklen_t(host.count), &port, socklen_t(port.count), flags)
    }
    guard code == 0 else { return "an address of family \(family)" }
    let (hostText, portText) = (Self.text(host), Self.text(port))
    return family == AF_INET6 ? "[\(hostText)]:\(portText)" : "\(hostText):\(portText)"
  }

  private var unixDescription: String {
    let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? MemoryLayout<sa_family_t>.size
    return withUnsafeBytes(of: storage) { bytes in
      let name = bytes[start..<max(start, Int(length))]
      guard let first = name.first else { return "an unnamed Unix socket" }
      if first == 0 { return "@" + String(decoding: name.dropFirst(), as: UTF8.self) }
      return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  private static func text(_ bytes: [CChar]) -> String {
    String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  public static func == (a: SocketAddress, b: SocketAddress) -> Bool {
    a.withBytes { left in b.withBytes { left.elementsEqual($0) } }
  }

  public func hash(into hasher: inout Hasher) { withBytes { hasher.combine(bytes: $0) } }

  private func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    withUnsafeBytes(of: storage) { body(UnsafeRawBufferPointer(rebasing: $0[..<Int(length)])) }
  }
}
