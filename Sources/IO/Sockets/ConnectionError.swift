import Glibc

/// Why a connection could not be made, or ended.
public enum ConnectionError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What took longer than it may.
  public enum Stage: String, Sendable {
    case resolving, connecting, handshaking, sending
  }

  /// The name has no addresses.
  case resolution(ResolutionError)
  /// None of the addresses took the connection; this is what the last one said.
  case connect(SystemError)
  case timedOut(Stage)
  /// The peer is not who it should be, or does not speak TLS as it should.
  case tls(TLSError)
  /// The peer closed in the middle of the TLS handshake.
  case closedInHandshake
  /// The peer closed, in order.
  case closedByPeer
  /// recv(2) or send(2) failed: the connection was reset, or nothing was acknowledged for too long (ETIMEDOUT).
  case broken(SystemError)

  public var description: String {
    switch self {
    case .resolution(let error): error.description
    // TCP_USER_TIMEOUT has passed, which is what a sink allows for sending.
    case .broken(let error) where error.errno == ETIMEDOUT: "the server did not take what was sent in time (\(error))"
    case .connect(let error), .broken(let error): error.description
    case .timedOut(.resolving): "the name server did not answer in time"
    case .timedOut(.connecting): "no connection in time; is the address right, and no firewall in between?"
    case .timedOut(.handshaking): "the server took the connection but did not answer the TLS handshake in time"
    case .timedOut(.sending): "the server did not take the message in time"
    case .tls(let error): error.description
    case .closedInHandshake:
      "the server closed the connection during the TLS handshake; does it speak TLS on this port?"
    case .closedByPeer: "the server closed the connection"
    }
  }
}
