import Glibc

/// The TLS of a `StreamConnection`: its session and the ciphertext on its way, in memory that the kernel may use.
final class TLSCarrier {
  /// What came of decrypting: something or nothing, or the peer's last word.
  enum Decrypted { case some, closed }

  private static let ciphertextBytes = 32 << 10
  private static let outgoingBytes = 128 << 10
  /// A record's plaintext, when it lies in many small pieces.
  private static let stageBytes = TLSSession.recordBytes

  static var memory: Int { ciphertextBytes + outgoingBytes + stageBytes }

  private let context: TLSContext
  private let host: String?
  private var session: TLSSession?
  /// Where the next ciphertext is received.
  let ciphertext: UnsafeMutableRawBufferPointer
  var outgoing: ByteWindow
  private let stage: UnsafeMutableRawBufferPointer
  /// Everything that came has been decrypted.
  private(set) var isDrained = true
  private var isLeaked = false

  init(_ context: TLSContext, host: String?) {
    self.context = context
    self.host = host
    ciphertext = .allocate(byteCount: Self.ciphertextBytes, alignment: 16)
    stage = .allocate(byteCount: Self.stageBytes, alignment: 16)
    outgoing = ByteWindow(capacity: Self.outgoingBytes)
  }

  deinit {
    if isLeaked { return }
    ciphertext.deallocate()
    stage.deallocate()
  }

  /// A new connection is there.
  func begin() throws(TLSError) {
    reset()
    session = try TLSSession(context, host: host)
  }

  func reset() {
    session = nil
    outgoing.clear()
    isDrained = true
  }

  /// The session has more to say than may wait: nothing is received before some of it has gone, so that a peer that asks (KeyUpdate,
  /// RFC 8446, section 4.6.3) and does not read costs no memory.
  var isChoked: Bool { (session?.outputCount ?? 0) >= TLSSession.capacity }

  func leak() {
    isLeaked = true
    outgoing.leak()
  }

  /// So much was received into `ciphertext`. It always fits: no more is received before all of the last was decrypted.
  func feed(_ count: Int) {
    _ = session?.feed(UnsafeRawBufferPointer(rebasing: ciphertext[..<min(count, ciphertext.count)]))
    isDrained = false
  }

  /// True once the handshake is over.
  func handshake() throws(TLSError) -> Bool {
    guard let session else { return false }
    let isOver = try session.handshake()
    // What came behind the handshake is still to be decrypted.
    isDrained = !isOver
    return isOver
  }

  /// Decrypts what has come, as far as there is room.
  func decrypt(into window: inout ByteWindow) throws(TLSError) -> Decrypted {
    guard let session else { return .some }
    while !isDrained, !window.isFull {
      switch try session.read(into: window.free) {
      case .bytes(let count): window.append(count)
      case .nothing: isDrained = true
      case .closed: return .closed
      }
    }
    return .some
  }

  /// Once everything is out, encrypts what comes next: of the handshake, and of the message if there is one.
  func refill(_ message: inout MessageCursor?) throws(TLSError) {
    guard let session, outgoing.isEmpty else { return }
    outgoing.clear()
    collect(session)
    while let rest = message, !rest.isComplete, outgoing.free.count >= Self.mostOfRecord {
      var advanced = rest
      let plaintext: UnsafeRawBufferPointer
      if rest.first.count >= Self.stageBytes {
        plaintext = UnsafeRawBufferPointer(rebasing: rest.first.prefix(Self.stageBytes))
        advanced.advance(by: plaintext.count)
      } else {
        plaintext = UnsafeRawBufferPointer(rebasing: stage[..<advanced.move(into: stage)])
      }
      guard try session.write(plaintext) == plaintext.count else { return }
      message = advanced
      collect(session)
    }
  }

  /// A full record; what else the session has to say is shorter than the reserve.
  private static let mostOfRecord = TLSSession.recordBytes + TLSSession.recordOverhead + 4_096

  private func collect(_ session: TLSSession) {
    while case let count = session.takeOutput(into: outgoing.free), count > 0 { outgoing.append(count) }
  }

  /// Sends what the session has still to say if the kernel takes it at once: an alert, or with `isLast` close_notify. Not through the
  /// port: nobody waits for what comes of it. Behind a part of a record it would be noise.
  func sayGoodbye(_ descriptor: Int32, isLast: Bool) {
    guard let session, outgoing.isEmpty else { return }
    if isLast { session.close() }
    outgoing.clear()
    collect(session)
    let bytes = outgoing.bytes
    let flags = KernelConstant.MSG_DONTWAIT | KernelConstant.MSG_NOSIGNAL
    if !bytes.isEmpty { _ = Glibc.send(descriptor, bytes.baseAddress, bytes.count, flags) }
    outgoing.clear()
  }
}
