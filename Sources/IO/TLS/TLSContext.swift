internal import COpenSSL
import Glibc

/// Everything about TLS that one configuration says, read from its files once. Made for each configuration, shared by all its
/// connections on all threads: it does not change (SSL_CTX is counted and locked by OpenSSL 3).
public final class TLSContext: Sendable {
  /// What a configuration says.
  public struct Settings: Hashable, Sendable {
    /// Whom to trust, a file of certificates in PEM; nil: the authorities of the system.
    public var authorities: String?
    /// Our certificate, and those between it and its authority, in PEM.
    public var certificate: String?
    /// Its private key in PEM; nil: it is in the file of the certificate.
    public var key: String?
    /// The name, or address in numbers, by which the server's certificate is checked; nil: the host that is connected to.
    public var serverName: String?
    /// The server's certificate must be good. Without it anybody in between can read and change everything.
    public var verifiesPeer = true

    public init(
      authorities: String? = nil, certificate: String? = nil, key: String? = nil, serverName: String? = nil,
      verifiesPeer: Bool = true
    ) {
      self.authorities = authorities
      self.certificate = certificate
      self.key = key
      self.serverName = serverName
      self.verifiesPeer = verifiesPeer
    }
  }

  public let settings: Settings
  nonisolated(unsafe) let raw: OpaquePointer

  /// Reads the files.
  public init(_ settings: Settings) throws(TLSError) {
    try Self.loadLibrary()
    OpenSSLErrors.clear()
    guard let raw = openssl.pointee.SSL_CTX_new(openssl.pointee.TLS_client_method()) else {
      throw .failed(reason: OpenSSLErrors.take().text)
    }
    self.settings = settings
    self.raw = raw
    guard copenssl_require_tls12(raw) == 1 else { throw .failed(reason: OpenSSLErrors.take().text) }
    copenssl_set_modes(raw)
    // Nobody is there to be asked for a passphrase.
    openssl.pointee.SSL_CTX_set_default_passwd_cb(raw) { _, _, _, _ in -1 }
    try trustAuthorities()
    try useCertificate()
    openssl.pointee.SSL_CTX_set_verify(
      raw, settings.verifiesPeer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, TLSSession.verify)
  }

  private static func loadLibrary() throws(TLSError) {
    var text = [CChar](repeating: 0, count: 256)
    guard copenssl_load(&text, text.count) == 0 else { return }
    let why = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    throw .failed(reason: "libssl cannot be loaded (\(why)); install the Debian package libssl3")
  }

  deinit { openssl.pointee.SSL_CTX_free(raw) }

  private func trustAuthorities() throws(TLSError) {
    guard settings.verifiesPeer else { return }
    guard let path = settings.authorities else {
      guard openssl.pointee.SSL_CTX_set_default_verify_paths(raw) == 1 else {
        throw .failed(reason: OpenSSLErrors.take().text)
      }
      return
    }
    try Self.checkReadable(path)
    guard openssl.pointee.SSL_CTX_load_verify_file(raw, path) == 1 else { throw Self.malformed(path) }
  }

  private func useCertificate() throws(TLSError) {
    guard let certificate = settings.certificate else { return }
    let key = settings.key ?? certificate
    try Self.checkReadable(certificate)
    guard openssl.pointee.SSL_CTX_use_certificate_chain_file(raw, certificate) == 1 else {
      throw Self.malformed(certificate)
    }
    try Self.checkReadable(key)
    guard openssl.pointee.SSL_CTX_use_PrivateKey_file(raw, key, SSL_FILETYPE_PEM) == 1 else {
      let errors = OpenSSLErrors.take()
      if errors.isKeyMismatch { throw .keyMismatch(certificate: certificate, key: key) }
      if errors.isPassphraseMissing { throw .encryptedKey(path: key) }
      throw .malformed(path: key, expected: "private key", reason: errors.text)
    }
  }

  private static func malformed(_ path: String) -> TLSError {
    .malformed(path: path, expected: "certificate", reason: OpenSSLErrors.take().text)
  }

  /// The library's errors do not tell a file that is not there from one without a certificate.
  private static func checkReadable(_ path: String) throws(TLSError) {
    let raw = retryingOnInterrupt { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard raw >= 0 else { throw .unreadable(path: path, errno: errno) }
    let file = Descriptor(owning: raw)
    var status = stat()
    guard fstat(file.raw, &status) == 0 else { throw .unreadable(path: path, errno: errno) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return
    case S_IFDIR: throw .unreadable(path: path, errno: EISDIR)
    default: throw .unreadable(path: path, errno: EINVAL)
    }
  }
}
