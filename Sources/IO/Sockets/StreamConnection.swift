import Glibc
import Synchronization

/// One connection to one endpoint, TCP or a Unix socket, with TLS or without, carried by a port. Used on one loop's thread.
///
/// It is opened again and again: `open` ... `.opened` ... `send`, `.sent`, `.received`, `consume` ... `.ended`, `open` ... What happens
/// comes as what `handle` and `resume` return; nothing calls back. With TLS no payload is sent before the peer's certificate was
/// found good.
///
/// What the kernel reads and writes is memory of the connection's own and the message being sent. Before the connection goes, it must be
/// idle, or its port torn down and `abandon` called; else its memory is never given back.
public final class StreamConnection {
  /// What has happened.
  public struct Events: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Messages can be sent.
    public static let opened = Events(rawValue: 1)
    /// The kernel has taken the whole message: its memory may be used again.
    public static let sent = Events(rawValue: 2)
    /// There is more in `received`. It may come together with `ended`, and is read first.
    public static let received = Events(rawValue: 4)
    /// The connection is over, `error` says why, and nothing is in flight any more. A message that was not sent has gone in part, or
    /// not at all; its memory may be used again.
    public static let ended = Events(rawValue: 8)
  }

  /// Sizes and patience.
  public struct Limits: Sendable, Equatable {
    /// Bytes received and not yet consumed; when there are as many, nothing more is received.
    public var receiveBytes = 64 << 10
    /// For how long what was sent may stay unacknowledged (TCP_USER_TIMEOUT, tcp(7)), also by a peer that does not read.
    public var unacknowledged = Duration.seconds(60)
    /// For how long `close` waits for the peer to have read everything.
    public var linger = Duration.seconds(1)

    public init(
      receiveBytes: Int = 64 << 10, unacknowledged: Duration = .seconds(60), linger: Duration = .seconds(1)
    ) {
      self.receiveBytes = receiveBytes
      self.unacknowledged = unacknowledged
      self.linger = linger
    }
  }

  /// Where it is on its way. `lingering`: this side has ended, and waits for the other. `ending`: it is over, and what is in
  /// flight has been cancelled.
  enum Phase { case closed, resolving, connecting, handshaking, open, lingering, ending }

  /// Operations in flight at most: one that connects or sends, one that receives.
  public static let operationsNeeded = 2

  /// Bytes of memory that one connection takes for its buffers.
  public static func memory(tls: Bool, _ limits: Limits) -> Int {
    limits.receiveBytes + vectorCount * MemoryLayout<iovec>.stride + (tls ? TLSCarrier.memory : 0)
  }

  public let endpoint: Endpoint
  /// Why the connection ended; nil: by `close`. Kept until `open`.
  public internal(set) var error: ConnectionError?

  let port: any Port
  let owner: UInt32
  let limits: Limits
  private let resolver: Resolver
  private let wake: @Sendable () -> Void

  var phase = Phase.closed
  var events: Events = []
  var descriptor: Int32 = -1
  private var openDeadline: MonotonicTime?
  private var attemptDeadline: MonotonicTime?
  private var messageDeadline: MonotonicTime?
  private var lingerDeadline: MonotonicTime?
  /// The peer has been told that nothing more comes.
  private var isShutDown = false
  private var question: (box: AnswerBox, ticket: Resolver.Ticket)?
  /// The addresses still to be tried, the next one last.
  private var addresses: [SocketAddress] = []
  private var address: SocketAddress?

  private var connecting: OperationToken?
  private var sending: OperationToken?
  private var receiving: OperationToken?

  var incoming: ByteWindow
  private var message: MessageCursor?
  /// A message of one piece, and what is listed for sendmsg(2).
  private let single: UnsafeMutablePointer<iovec>
  private let vectors: UnsafeMutableBufferPointer<iovec>
  private static let vectorCount = 256
  let carrier: TLSCarrier?
  private var isLeaked = false

  /// - Parameters:
  ///   - owner: comes back in completions; one that also has other owners' operations is asked by `handle` which are its own.
  ///   - wake: called on another thread when `resume` has something to do.
  ///   - tls: nil: none.
  public init(
    port: any Port, owner: UInt32, wake: @escaping @Sendable () -> Void, resolver: Resolver = .shared,
    endpoint: Endpoint, tls: TLSContext? = nil, limits: Limits = Limits()
  ) {
    self.port = port
    self.owner = owner
    self.wake = wake
    self.resolver = resolver
    self.endpoint = endpoint
    self.limits = limits
    incoming = ByteWindow(capacity: limits.receiveBytes)
    single = .allocate(capacity: 1)
    single.initialize(to: iovec())
    vectors = .allocate(capacity: Self.vectorCount)
    vectors.initialize(repeating: iovec())
    carrier = tls.map { TLSCarrier($0, host: endpoint.host) }
  }

  deinit {
    if !isIdle { leak() }
    if isLeaked { return }
    single.deallocate()
    vectors.deallocate()
  }

  /// Nothing is open or in flight: `open` may be called.
  public var isIdle: Bool { phase == .closed }
  /// Messages can be sent, one at a time.
  public var isOpen: Bool { phase == .open }
  /// A message is on its way.
  public var isSending: Bool { message != nil }
  /// When `resume` has something to do although no completion comes.
  public var nextDeadline: MonotonicTime? {
    if !events.isEmpty { return MonotonicTime(nanoseconds: 0) }
    switch phase {
    case .closed, .ending: return nil
    case .connecting: return attemptDeadline ?? openDeadline
    case .resolving, .handshaking: return openDeadline
    case .open: return messageDeadline
    case .lingering: return lingerDeadline
    }
  }

  // MARK: Opening

  /// Begins to connect; ignored unless it is idle.
  ///
  /// - Parameter timeout: for everything: the name, the connection, the handshake.
  public func open(timeout: Duration) {
    guard isIdle else { return }
    (error, events) = (nil, [])
    incoming.clear()
    let deadline = MonotonicTime.now().advanced(by: timeout)
    openDeadline = deadline
    phase = .resolving
    let box = AnswerBox()
    let reply = resolver.resolve(endpoint) { [wake] answer in
      box.put(answer)
      wake()
    }
    switch reply {
    case .answered(let answer): resolved(answer)
    case .asked(let ticket): question = (box, ticket)
    }
  }

  private func resolved(_ answer: Resolver.Answer) {
    question = nil
    switch answer {
    case .failure(let error): end(.resolution(error))
    case .success(let found):
      addresses = found.reversed()
      phase = .connecting
      tryNextAddress()
    }
  }

  /// Every address gets its share of the time that is left, so that one that does not answer leaves some to the others.
  private func tryNextAddress() {
    guard let next = addresses.popLast() else { return }
    address = next
    let now = MonotonicTime.now()
    let left = openDeadline.map { $0.since(now) } ?? .zero
    attemptDeadline = now.advanced(by: left / (addresses.count + 1))
    do throws(SystemError) {
      descriptor = try ConnectionSocket.open(next, limits).release()
    } catch {
      return attemptFailed(error)
    }
    pump()
  }

  private func connected(_ result: Int32) {
    if result < 0 {
      let isLate = result == -ECANCELED
      return attemptFailed(
        SystemError("connect", errno: isLate ? ETIMEDOUT : -result, context: address?.description ?? ""))
    }
    attemptDeadline = nil
    addresses = []
    if let carrier {
      phase = .handshaking
      do throws(TLSError) {
        try carrier.begin()
      } catch {
        return end(.tls(error))
      }
    } else {
      opened()
    }
    pump()
  }

  private func attemptFailed(_ error: SystemError) {
    closeDescriptor()
    if addresses.isEmpty { end(.connect(error)) } else { tryNextAddress() }
  }

  private func opened() {
    phase = .open
    openDeadline = nil
    events.insert(.opened)
  }

  // MARK: Sending

  /// Begins to send a message, whose bytes stay valid and unchanged until `.sent` or `.ended`, or until `isIdle` after `close`.
  ///
  /// - Parameter timeout: the connection is ended when the message is not out by then.
  /// - Returns: false if it is not open, or a message is on its way.
  @discardableResult
  public func send(_ bytes: UnsafeRawBufferPointer, timeout: Duration? = nil) -> Bool {
    guard isOpen, message == nil else { return false }
    single.pointee = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    return send(UnsafeBufferPointer(start: single, count: 1), timeout: timeout)
  }

  /// The same with a message in several pieces; their list stays valid as well.
  @discardableResult
  public func send(_ pieces: UnsafeBufferPointer<iovec>, timeout: Duration? = nil) -> Bool {
    guard isOpen, message == nil else { return false }
    message = MessageCursor(pieces)
    messageDeadline = timeout.map { MonotonicTime.now().advanced(by: $0) }
    // Nothing else: `received` stays where it is.
    pumpSend()
    return true
  }

  private func pumpSend() {
    guard sending == nil else { return }
    if let carrier {
      do throws(TLSError) {
        try carrier.refill(&message)
      } catch {
        return end(.tls(error))
      }
      if !carrier.outgoing.isEmpty {
        sending = port.send(descriptor, carrier.outgoing.bytes, owner: owner)
        return
      }
    } else if let message, !message.isComplete {
      let count = message.list(into: vectors)
      sending =
        count == 1
        ? port.send(descriptor, message.first, owner: owner)
        : port.send(descriptor, UnsafeBufferPointer(rebasing: vectors[..<count]), owner: owner)
      return
    }
    finishMessage()
  }

  private func finishMessage() {
    guard phase == .open, let message, message.isComplete else { return }
    self.message = nil
    messageDeadline = nil
    events.insert(.sent)
  }

  private func sent(_ result: Int32) {
    // Ended early by nobody who knows, or interrupted: what is left is sent again.
    if result < 0, result != -EAGAIN, result != -EINTR {
      return end(.broken(SystemError("send", errno: -result, context: endpoint.description)))
    }
    if let carrier { carrier.outgoing.consume(Int(max(0, result))) } else { message?.advance(by: Int(max(0, result))) }
    pump()
  }

  // MARK: Receiving

  /// What was received and not yet consumed; valid until `consume`, `handle`, `resume` or `open`.
  public var received: UnsafeRawBufferPointer { incoming.bytes }
  /// No more is received before something is consumed.
  public var isReceiveBufferFull: Bool { incoming.isFull }

  /// So many bytes of `received` are done with. More may stand there afterwards, without an event.
  public func consume(_ count: Int) {
    incoming.consume(count)
    pump()
  }

  private func pumpReceive() {
    guard receiving == nil, phase == .open || phase == .handshaking else { return }
    if let carrier {
      decrypt(carrier)
      // It may have found the end, or no room for all that has come.
      guard phase == .open || phase == .handshaking, carrier.isDrained, !carrier.isChoked else { return }
      receiving = port.receive(descriptor, into: carrier.ciphertext, owner: owner)
    } else {
      incoming.compact()
      if !incoming.isFull { receiving = port.receive(descriptor, into: incoming.free, owner: owner) }
    }
  }

  private func decrypt(_ carrier: TLSCarrier) {
    do throws(TLSError) {
      if phase == .handshaking {
        guard try carrier.handshake() else { return }
        opened()
      }
      incoming.compact()
      let before = incoming.count
      defer { if incoming.count > before { events.insert(.received) } }
      if try carrier.decrypt(into: &incoming) == .closed { end(.closedByPeer) }
    } catch {
      end(.tls(error))
    }
  }

  private func received(_ result: Int32) {
    if result == 0 { return end(phase == .handshaking ? .closedInHandshake : .closedByPeer) }
    if result < 0, result != -EAGAIN, result != -EINTR {
      return end(.broken(SystemError("recv", errno: -result, context: endpoint.description)))
    }
    if result > 0 {
      if let carrier {
        carrier.feed(Int(result))
      } else {
        incoming.append(Int(result))
        events.insert(.received)
      }
    }
    pump()
  }

  // MARK: Turns

  /// Takes in a completion of its owner's; what is not its own it leaves alone. To be called until nothing is in flight.
  public func handle(_ completion: borrowing Completion) -> Events {
    let (token, result) = (completion.token, completion.result)
    switch token {
    case connecting:
      connecting = nil
      if phase == .connecting { connected(result) } else { finishEnding() }
    case sending:
      sending = nil
      if phase == .open || phase == .handshaking { sent(result) } else { pump() }
    case receiving:
      receiving = nil
      switch phase {
      case .open, .handshaking: received(result)
      // What comes now is not wanted; the end of it is.
      case .lingering where result <= 0 && result != -EAGAIN && result != -EINTR: end(nil)
      default: pump()
      }
    default: break
    }
    return takeEvents()
  }

  /// Does what is due: an answer of the resolver's, a time-out, an operation for which there was no room. Called once a turn.
  public func resume(now: MonotonicTime = .now()) -> Events {
    if let question, let answer = question.box.take() { resolved(answer) }
    checkDeadlines(now)
    pump()
    return takeEvents()
  }

  private func checkDeadlines(_ now: MonotonicTime) {
    switch phase {
    case .closed, .ending: break
    case .resolving: if let openDeadline, now >= openDeadline { end(.timedOut(.resolving)) }
    case .handshaking: if let openDeadline, now >= openDeadline { end(.timedOut(.handshaking)) }
    case .open: if let messageDeadline, now >= messageDeadline { end(.timedOut(.sending)) }
    case .lingering: if let lingerDeadline, now >= lingerDeadline { end(nil) }
    case .connecting:
      if let openDeadline, now >= openDeadline { return end(.timedOut(.connecting)) }
      guard let attempt = attemptDeadline, now >= attempt else { return }
      attemptDeadline = nil
      // The next address follows the completion; without one in flight at once.
      if let connecting { port.cancel(connecting) } else { connected(-ECANCELED) }
    }
  }

  /// Starts what should be in flight and is not.
  func pump() {
    switch phase {
    case .closed, .resolving: break
    case .connecting:
      guard connecting == nil, descriptor >= 0, let address else { return }
      connecting = port.connect(descriptor, address, owner: owner)
    case .handshaking, .open:
      pumpReceive()
      if phase == .handshaking || phase == .open { pumpSend() }
    case .lingering: pumpLinger()
    case .ending: finishEnding()
    }
  }

  private func takeEvents() -> Events {
    defer { events = [] }
    return events
  }

  // MARK: Ending

  /// Ends it from this side; told by no event: it is over when `isIdle`. A message on its way is given up, and what is received is thrown
  /// away.
  ///
  /// - Parameter lingers: waits, for `Limits.linger` at most, until the peer has closed too. Without it what was sent last may be lost,
  ///   although the kernel had taken it: what comes from the peer after close(2), be it a session ticket of TLS, resets the
  ///   connection, and the peer reads nothing more (RFC 2525, section 2.17).
  public func close(lingers: Bool = true) {
    guard phase != .closed, phase != .ending, phase != .lingering || !lingers else { return }
    events = []
    guard lingers, phase == .open else {
      end(nil)
      events = []
      return
    }
    phase = .lingering
    (message, messageDeadline) = (nil, nil)
    lingerDeadline = MonotonicTime.now().advanced(by: limits.linger)
    isShutDown = false
    if let sending { port.cancel(sending) }
    pump()
  }

  /// Says goodbye once nothing is being sent any more, and reads until the peer does so too.
  private func pumpLinger() {
    if sending == nil, !isShutDown {
      isShutDown = true
      carrier?.sayGoodbye(descriptor, isLast: true)
      shutdown(descriptor, Int32(SHUT_WR))
    }
    guard receiving == nil else { return }
    incoming.clear()
    receiving = port.receive(descriptor, into: carrier?.ciphertext ?? incoming.free, owner: owner)
  }

  func end(_ reason: ConnectionError?) {
    guard phase != .closed, phase != .ending else { return }
    error = reason
    phase = .ending
    message = nil
    addresses = []
    (openDeadline, attemptDeadline, messageDeadline, lingerDeadline) = (nil, nil, nil, nil)
    if let question { resolver.forget(question.ticket) }
    question = nil
    // Of a handshake that failed the peer is told why (an alert).
    if sending == nil, descriptor >= 0 { carrier?.sayGoodbye(descriptor, isLast: false) }
    for token in [connecting, sending, receiving] { if let token { port.cancel(token) } }
    finishEnding()
  }

  private func finishEnding() {
    guard phase == .ending, connecting == nil, sending == nil, receiving == nil else { return }
    closeDescriptor()
    carrier?.reset()
    phase = .closed
    if error != nil { events.insert(.ended) }
  }

  private func closeDescriptor() {
    if descriptor >= 0 { ConnectionSocket.close(descriptor) }
    descriptor = -1
  }

  /// The port was torn down: nothing is in flight any more, or, if it is stuck, for ever.
  ///
  /// - Parameter isStuck: the kernel has not let go of all operations (`Port.tearDown`): the buffers are never given back.
  public func abandon(isStuck: Bool) {
    guard !isIdle else { return }
    if isStuck, connecting != nil || sending != nil || receiving != nil { leak() }
    (connecting, sending, receiving) = (nil, nil, nil)
    end(nil)
    finishEnding()
    events = []
  }

  private func leak() {
    isLeaked = true
    incoming.leak()
    carrier?.leak()
  }
}

/// Where the resolver's thread leaves an answer.
private final class AnswerBox: Sendable {
  private let answer = Mutex<Resolver.Answer?>(nil)
  func put(_ answer: Resolver.Answer) { self.answer.withLock { $0 = answer } }
  func take() -> Resolver.Answer? { answer.withLock { $0.take() } }
}
