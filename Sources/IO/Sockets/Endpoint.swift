/// Where somebody else listens, as the configuration names it: a host and a port, or the path of a Unix socket.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
  enum Place: Hashable, Sendable {
    case host(String, port: UInt16)
    case path(String)
  }

  let place: Place

  /// - Parameter host: a name, or an IPv4 or IPv6 address in numbers, without brackets.
  public init(host: String, port: UInt16) { place = .host(host, port: port) }

  /// - Parameter path: of a Unix socket; behind an `@` a name in the abstract namespace.
  public init(path: String) { place = .path(path) }

  /// The host, by which a certificate is checked; nil for a Unix socket.
  public var host: String? {
    if case .host(let host, _) = place { host } else { nil }
  }

  /// `collector:514`, `[::1]:443`, `/run/collector.sock`.
  public var description: String {
    switch place {
    case .host(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .path(let path): path
    }
  }
}
