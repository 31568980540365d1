import Glibc
import IO

/// Writes batches, one after the other and whole, to a connection, which is made again when it breaks. What the peer says is read and
/// ignored. After a break the batch that was under way is sent from its beginning, behind a header if the format has one.
final class StreamOutlet: Outlet {
  /// How long things may take.
  struct Patience: Sendable {
    var connecting: Duration
    var sending: Duration
  }

  private let connection: StreamConnection
  private let patience: Patience
  private let header: UnsafeMutableRawBufferPointer
  /// Header and batch.
  private let pieces: UnsafeMutableBufferPointer<iovec>
  private var headerIsDue = true
  private var shipment: Shipment?
  /// The shipment was begun on the connection that is open.
  private var isUnderWay = false
  private var isCancelled = false
  private var outcome: Outcome?
  private var trouble: String?

  init(to endpoint: Endpoint, tls: TLSContext?, _ patience: Patience, _ output: SinkOutput) {
    connection = StreamConnection(
      port: output.port, owner: output.owner, wake: output.wake, endpoint: endpoint, tls: tls,
      limits: StreamConnection.Limits(receiveBytes: 4 << 10, unacknowledged: patience.sending))
    self.patience = patience
    header = .allocate(byteCount: output.header.count, alignment: 1)
    header.copyBytes(from: output.header)
    pieces = .allocate(capacity: 2)
    pieces.initialize(repeating: iovec())
  }

  deinit {
    // What is in flight at a tear-down that got stuck is never given back.
    guard connection.isIdle else { return }
    header.deallocate()
    pieces.deallocate()
  }

  var isReady: Bool { connection.isOpen }
  var nextDeadline: Int64? { connection.nextDeadline?.nanoseconds }
  var reachability: Reachability {
    if let trouble { return .unreachable(trouble) }
    return connection.isOpen ? .reachable : .unknown
  }

  func probe(now: Int64) { connection.open(timeout: patience.connecting) }

  func takeOutcome() -> Outcome? { outcome.take() }

  func send(_ shipment: Shipment, now: Int64) {
    self.shipment = shipment
    connection.open(timeout: patience.connecting)
    proceed()
  }

  func handle(_ completion: consuming Completion) { take(connection.handle(completion)) }

  func resume(now: Int64) { take(connection.resume(now: MonotonicTime(nanoseconds: now))) }

  private func take(_ events: StreamConnection.Events) {
    if events.contains(.opened) {
      headerIsDue = !header.isEmpty
      trouble = nil
    }
    if !connection.received.isEmpty { connection.consume(connection.received.count) }
    if events.contains(.sent) { delivered() }
    if events.contains(.ended) { broken() }
    if isCancelled, connection.isIdle { fail("cancelled") }
    proceed()
  }

  private func proceed() {
    guard let shipment, !isUnderWay, !isCancelled, connection.isOpen, !connection.isSending else { return }
    let batch = shipment.bytes(of: 0)
    pieces[0] = iovec(iov_base: header.baseAddress, iov_len: headerIsDue ? header.count : 0)
    pieces[1] = iovec(iov_base: UnsafeMutableRawPointer(mutating: batch.baseAddress), iov_len: batch.count)
    isUnderWay = connection.send(UnsafeBufferPointer(pieces), timeout: patience.sending)
  }

  private func delivered() {
    guard let shipment, isUnderWay else { return }
    let bytes = shipment.byteCount + (headerIsDue ? header.count : 0)
    headerIsDue = false
    end(.delivered(bytes: bytes, refused: nil))
  }

  private func broken() {
    let reason = connection.error.map { "\(connection.endpoint): \($0)" } ?? "\(connection.endpoint): closed"
    trouble = reason
    fail(reason)
  }

  private func fail(_ message: String) { if shipment != nil { end(.failed(Failure(message: message))) } }

  private func end(_ outcome: Outcome) {
    self.outcome = outcome
    shipment = nil
    (isUnderWay, isCancelled) = (false, false)
  }

  func cancel() {
    guard shipment != nil else { return }
    isCancelled = true
    // The kernel may still read the batch: its fate is told when nothing is in flight.
    connection.close()
    if connection.isIdle { fail("cancelled") }
  }

  func close(isStuck: Bool) {
    // The list of pieces lives as long as this object.
    if isStuck, !connection.isIdle { _ = Unmanaged.passRetained(self) }
    connection.abandon(isStuck: isStuck)
    if shipment != nil { end(.failed(Failure(message: "stopped", reason: .shutdown))) }
  }
}

extension DeliverySink {
  /// A sink that writes to a connection.
  ///
  /// - Parameter tls: nil: none.
  public static func stream(
    name: String, to endpoint: Endpoint, tls: TLSContext?, connectTimeout: Duration, sendTimeout: Duration,
    _ output: SinkOutput
  ) -> DeliverySink {
    let patience = StreamOutlet.Patience(connecting: connectTimeout, sending: sendTimeout)
    return DeliverySink(name: name, output, outlet: StreamOutlet(to: endpoint, tls: tls, patience, output))
  }
}
