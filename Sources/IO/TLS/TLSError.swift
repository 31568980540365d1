/// What is wrong with a TLS connection, or with what it was configured with, in words for those who run it.
public enum TLSError: Error, Equatable, Sendable, CustomStringConvertible {
  // What was configured.

  /// A file cannot be opened.
  case unreadable(path: String, errno: Int32)
  /// A file does not hold what it should: `expected` in PEM.
  case malformed(path: String, expected: String, reason: String)
  /// A private key that needs a passphrase, for which nobody can be asked.
  case encryptedKey(path: String)
  /// The private key belongs to another certificate.
  case keyMismatch(certificate: String, key: String)
  /// Nothing to check the peer's certificate by: a Unix socket has no host name.
  case noServerName

  // The peer's certificate.

  case expired(subject: String, on: String)
  case notYetValid(subject: String, from: String)
  /// Signed by itself and not among the authorities.
  case selfSigned(subject: String)
  /// Signed by somebody who is not among the authorities.
  case unknownAuthority(issuer: String)
  /// Good for other hosts.
  case nameMismatch(wanted: String, offered: String)
  /// Whatever else X509_verify_cert_error_string(3) says.
  case untrusted(subject: String, reason: String)

  // The conversation.

  /// What came is not TLS.
  case notTLS
  /// The peer has nothing newer than TLS 1.1.
  case protocolTooOld
  /// The peer ended it with an alert (RFC 8446, section 6).
  case refused(alert: String)
  /// The peer wants a certificate of ours and there is none, or not the right one.
  case certificateWanted(alert: String)
  /// Anything else, as the library says it.
  case failed(reason: String)

  public var description: String {
    switch self {
    case .unreadable(let path, let errno): "\(path): \(SystemError.message(of: errno))"
    case .malformed(let path, let expected, let reason): "\(path) holds no \(expected) in PEM form (\(reason))"
    case .encryptedKey(let path):
      "\(path): the private key needs a passphrase; store it without one, readable by xtcpd only"
    case .keyMismatch(let certificate, let key):
      "the private key \(key) does not belong to the certificate \(certificate)"
    case .noServerName: "no name to check the server's certificate by; set tls.server_name"
    case .expired(let subject, let on): "the server's certificate (\(subject)) expired on \(on)"
    case .notYetValid(let subject, let from):
      "the server's certificate (\(subject)) is not valid before \(from); is this host's clock right?"
    case .selfSigned(let subject):
      "the server's certificate (\(subject)) is self-signed and not among the trusted authorities; name it in tls.ca_file"
    case .unknownAuthority(let issuer):
      "the server's certificate was issued by \(issuer), which is not among the trusted authorities; name it in tls.ca_file"
    case .nameMismatch(let wanted, let offered): "the server's certificate is for \(offered), not for \(wanted)"
    case .untrusted(let subject, let reason): "the server's certificate (\(subject)) is not trusted: \(reason)"
    case .notTLS: "the server does not speak TLS on this port"
    case .protocolTooOld: "the server speaks nothing newer than TLS 1.1; at least 1.2 is needed"
    case .refused(let alert): "the server refused the TLS connection: \(alert)"
    case .certificateWanted(let alert):
      "the server did not accept our certificate, or we have none (\(alert)); see tls.cert_file and tls.key_file"
    case .failed(let reason): "TLS: \(reason)"
    }
  }
}
