internal import COpenSSL
import Glibc

/// The client's side of one TLS connection, as a thing of memory: ciphertext goes in and comes out, and so does plaintext. Who
/// carries the ciphertext is none of its business. Used by one thread.
///
/// Its buffers are bounded: what it does not take must be offered again.
public final class TLSSession {
  /// What came of reading.
  public enum Reading: Equatable, Sendable {
    /// So much plaintext, at least one byte.
    case bytes(Int)
    /// Nothing without more ciphertext.
    case nothing
    /// The peer has said that it sends no more (close_notify).
    case closed
  }

  /// Ciphertext that waits, for either direction, beyond which no more is taken. A record has at most 16 KiB and 256 bytes.
  static let capacity = 64 << 10
  private static let index = copenssl_new_index()

  private let context: TLSContext
  private let session: OpaquePointer
  /// Ciphertext that has come, and that has to go.
  private let input: OpaquePointer
  private let output: OpaquePointer
  private let wanted: String
  private var verification: TLSError?
  private var hasFailed = false
  /// The peer's certificate was found good, or need not be: plaintext may be sent.
  public private(set) var isEstablished = false

  /// - Parameter host: what the connection goes to, for the name to check; nil for a Unix socket.
  public init(_ context: TLSContext, host: String?) throws(TLSError) {
    OpenSSLErrors.clear()
    let name = context.settings.serverName ?? host ?? ""
    let isNamed = !name.isEmpty && !name.utf8.contains(0)
    guard isNamed || !context.settings.verifiesPeer else { throw .noServerName }
    guard let session = openssl.pointee.SSL_new(context.raw), let input = copenssl_new_memory(),
      let output = copenssl_new_memory()
    else {
      throw .failed(reason: OpenSSLErrors.take().text)
    }
    self.context = context
    self.session = session
    self.input = input
    self.output = output
    wanted = name
    // The session owns both from here on.
    openssl.pointee.SSL_set_bio(session, input, output)
    openssl.pointee.SSL_set_connect_state(session)
    guard openssl.pointee.SSL_set_ex_data(session, Self.index, Unmanaged.passUnretained(self).toOpaque()) == 1 else {
      throw .failed(reason: OpenSSLErrors.take().text)
    }
    if isNamed { try setName(name) }
  }

  deinit { openssl.pointee.SSL_free(session) }

  /// By which name, or address, the certificate is checked, and which name the server is told (SNI has no addresses, RFC 6066).
  private func setName(_ name: String) throws(TLSError) {
    if SocketAddress(host: name, port: 0) != nil {
      // Without a scope, which no certificate has.
      let address = String(name.prefix { $0 != "%" })
      guard openssl.pointee.X509_VERIFY_PARAM_set1_ip_asc(openssl.pointee.SSL_get0_param(session), address) == 1 else {
        throw .failed(reason: OpenSSLErrors.take().text)
      }
      return
    }
    let host = name.hasSuffix(".") ? String(name.dropLast()) : name
    openssl.pointee.SSL_set_hostflags(session, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
    guard openssl.pointee.SSL_set1_host(session, host) == 1, copenssl_set_server_name(session, host) == 1 else {
      throw .failed(reason: OpenSSLErrors.take().text)
    }
  }

  // MARK: Ciphertext

  /// Takes ciphertext that has come; returns how many bytes of it.
  public func feed(_ ciphertext: UnsafeRawBufferPointer) -> Int {
    let count = min(ciphertext.count, max(0, Self.capacity - openssl.pointee.BIO_ctrl_pending(input)))
    guard count > 0 else { return 0 }
    return max(0, Int(openssl.pointee.BIO_write(input, ciphertext.baseAddress, Int32(count))))
  }

  /// Bytes of ciphertext that have to go.
  public var outputCount: Int { openssl.pointee.BIO_ctrl_pending(output) }

  /// Moves ciphertext that has to go; returns how many bytes.
  public func takeOutput(into memory: UnsafeMutableRawBufferPointer) -> Int {
    guard outputCount > 0, !memory.isEmpty else { return 0 }
    return max(0, Int(openssl.pointee.BIO_read(output, memory.baseAddress, Int32(clamping: memory.count))))
  }

  // MARK: Plaintext

  /// Goes on with the handshake; true once it is over and the peer is known to be who it should be.
  public func handshake() throws(TLSError) -> Bool {
    if isEstablished { return true }
    OpenSSLErrors.clear()
    let result = openssl.pointee.SSL_do_handshake(session)
    if result != 1 {
      switch openssl.pointee.SSL_get_error(session, result) {
      case SSL_ERROR_WANT_READ: return false
      case SSL_ERROR_ZERO_RETURN: throw .refused(alert: "close notify")
      default: throw failure()
      }
    }
    // Not only by the callback: a peer without any certificate never calls it.
    if context.settings.verifiesPeer, openssl.pointee.SSL_get_verify_result(session) != X509_V_OK || !hasCertificate {
      throw failure()
    }
    isEstablished = true
    return true
  }

  /// Encrypts plaintext, as one record if it has at most 16 KiB. Returns how many bytes were taken; 0 while too much ciphertext has to
  /// go, or while the handshake is not over.
  public func write(_ plaintext: UnsafeRawBufferPointer) throws(TLSError) -> Int {
    guard isEstablished, !plaintext.isEmpty, outputCount < Self.capacity else { return 0 }
    OpenSSLErrors.clear()
    var count = 0
    let result = openssl.pointee.SSL_write_ex(
      session, plaintext.baseAddress, min(plaintext.count, Self.recordBytes), &count)
    if result == 1 { return count }
    guard openssl.pointee.SSL_get_error(session, result) == SSL_ERROR_WANT_READ else { throw failure() }
    return 0
  }

  /// Decrypts what has come.
  public func read(into memory: UnsafeMutableRawBufferPointer) throws(TLSError) -> Reading {
    guard isEstablished, !memory.isEmpty else { return .nothing }
    OpenSSLErrors.clear()
    var count = 0
    let result = openssl.pointee.SSL_read_ex(session, memory.baseAddress, memory.count, &count)
    if result == 1 { return .bytes(count) }
    switch openssl.pointee.SSL_get_error(session, result) {
    case SSL_ERROR_WANT_READ: return .nothing
    case SSL_ERROR_ZERO_RETURN: return .closed
    default: throw failure()
    }
  }

  /// Says that nothing more will be sent (close_notify), as ciphertext that has to go.
  public func close() {
    guard isEstablished, !hasFailed else { return }
    OpenSSLErrors.clear()
    _ = openssl.pointee.SSL_shutdown(session)
    OpenSSLErrors.clear()
  }

  /// Plaintext of one record, SSL3_RT_MAX_PLAIN_LENGTH.
  public static let recordBytes = 16 << 10
  /// What a record adds to its plaintext, at most.
  public static let recordOverhead = 256 + 5

  private var hasCertificate: Bool { openssl.pointee.SSL_get0_peer_certificate(session) != nil }

  private func failure() -> TLSError {
    hasFailed = true
    let errors = OpenSSLErrors.take()
    // What was found about a certificate that is not looked at is not the cause.
    return (context.settings.verifiesPeer ? verification : nil) ?? errors.connectionFailure
  }

  // MARK: Verifying

  /// Called by OpenSSL for each certificate of the peer's, SSL_set_verify(3): the first error is kept in words and ends the handshake.
  static let verify: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isGood, store in
    if isGood != 1, let store { TLSSession.of(store)?.note(store) }
    return isGood
  }

  private static func of(_ store: OpaquePointer) -> TLSSession? {
    guard
      let session = openssl.pointee.X509_STORE_CTX_get_ex_data(
        store, openssl.pointee.SSL_get_ex_data_X509_STORE_CTX_idx()),
      let owner = openssl.pointee.SSL_get_ex_data(OpaquePointer(session), index)
    else { return nil }
    return Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
  }

  private func note(_ store: OpaquePointer) {
    guard verification == nil else { return }
    let code = openssl.pointee.X509_STORE_CTX_get_error(store)
    let certificate = openssl.pointee.X509_STORE_CTX_get_current_cert(store)
    let subject = Self.text { copenssl_print_name(certificate, 0, $0, $1) }
    verification =
      switch code {
      case X509_V_ERR_CERT_HAS_EXPIRED:
        .expired(subject: subject, on: Self.text { copenssl_print_time(certificate, 1, $0, $1) })
      case X509_V_ERR_CERT_NOT_YET_VALID:
        .notYetValid(subject: subject, from: Self.text { copenssl_print_time(certificate, 0, $0, $1) })
      case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: .selfSigned(subject: subject)
      case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: .unknownAuthority(issuer: subject)
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        .unknownAuthority(issuer: Self.text { copenssl_print_name(certificate, 1, $0, $1) })
      case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
        .nameMismatch(wanted: wanted, offered: Self.text { copenssl_print_hosts(certificate, $0, $1) })
      default:
        .untrusted(
          subject: subject,
          reason: openssl.pointee.X509_verify_cert_error_string(Int(code)).map { String(cString: $0) } ?? "\(code)")
      }
  }

  /// What a peer wrote into its certificate, to be shown: at most 400 bytes, without what could do something to a terminal or a log.
  private static func text(_ print: (UnsafeMutablePointer<CChar>, Int32) -> Int32) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400) { buffer in
      guard let base = buffer.baseAddress else { return "" }
      let count = Int(print(base, Int32(buffer.count)))
      let bytes = buffer.prefix(max(0, min(count, buffer.count))).map(UInt8.init(bitPattern:))
      let isPlain = { (byte: UInt8) in byte >= 0x20 && byte < 0x7F }
      return String(decoding: bytes.map { isPlain($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
  }
}
