internal import COpenSSL

/// The functions of libssl and libcrypto. Nothing calls them before `TLSContext.init` has loaded the library.
nonisolated(unsafe) let openssl = copenssl_functions()

/// What OpenSSL's calls on this thread have complained of, err(7): it keeps a queue for each thread.
struct OpenSSLErrors {
  private let codes: [UInt]

  /// Nobody else's complaints are taken for those of the call that follows.
  static func clear() { openssl.pointee.ERR_clear_error() }

  /// Empties the queue.
  static func take() -> OpenSSLErrors {
    var codes: [UInt] = []
    while case let code = openssl.pointee.ERR_get_error(), code != 0 { codes.append(code) }
    return OpenSSLErrors(codes: codes)
  }

  /// The first complaint, which is nearest to the cause.
  var text: String {
    guard let code = codes.first else { return "no reason was given" }
    guard let text = openssl.pointee.ERR_reason_error_string(code) else { return "error \(code)" }
    return String(cString: text)
  }

  var isKeyMismatch: Bool {
    contains(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH) || contains(ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH)
  }

  var isPassphraseMissing: Bool {
    contains(ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ) || contains(ERR_LIB_PEM, PEM_R_PROBLEMS_GETTING_PASSWORD)
  }

  /// What it means that a handshake or a connection failed so.
  var connectionFailure: TLSError {
    if let alert = codes.lazy.compactMap(Self.alert).first { return Self.meaning(ofAlert: alert, text) }
    if contains(ERR_LIB_SSL, SSL_R_UNSUPPORTED_PROTOCOL) { return .protocolTooOld }
    let strangers = [SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_PACKET_LENGTH_TOO_LONG]
    if strangers.contains(where: { contains(ERR_LIB_SSL, $0) }) { return .notTLS }
    return .failed(reason: text)
  }

  private func contains(_ library: Int32, _ reason: Int32) -> Bool {
    codes.contains { ERR_GET_LIB($0) == library && ERR_GET_REASON($0) == reason }
  }

  /// The number of an alert that the peer sent (RFC 8446, section 6); nil for what is none.
  private static func alert(_ code: UInt) -> Int32? {
    let reason = ERR_GET_REASON(code)
    guard ERR_GET_LIB(code) == ERR_LIB_SSL, (SSL_AD_REASON_OFFSET..<SSL_AD_REASON_OFFSET + 256).contains(reason) else {
      return nil
    }
    return reason - SSL_AD_REASON_OFFSET
  }

  private static func meaning(ofAlert alert: Int32, _ text: String) -> TLSError {
    switch alert {
    case SSL_AD_PROTOCOL_VERSION: .protocolTooOld
    case SSL3_AD_NO_CERTIFICATE, SSL_AD_BAD_CERTIFICATE...SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA,
      SSL_AD_CERTIFICATE_REQUIRED:
      .certificateWanted(alert: text)
    default: .refused(alert: text)
    }
  }
}
