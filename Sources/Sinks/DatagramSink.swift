import Glibc
import IO

/// Sends whole rows as datagrams, as many in each as fit, all of a batch in one operation of the port.
final class DatagramOutlet: Outlet {
  private let target: Endpoint
  private let maxDatagram: Int
  private let framing: RowFraming
  private let port: any Port
  private let owner: UInt32
  private let resolution: Resolution
  private var socket: Descriptor?
  private var outcomes: Outcome?
  private var trouble: String?

  // The shipment in hand.
  private var datagrams: UnsafeMutableBufferPointer<iovec> = .allocate(capacity: 0)
  /// Rows of the first so many datagrams together.
  private var rowsUpTo: UnsafeMutableBufferPointer<UInt32> = .allocate(capacity: 0)
  /// Envelopes, which are the rows with a length before them.
  private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var count = 0
  private var sent = 0
  /// Rows that are longer than a datagram may be, and those in datagrams that the kernel found too long.
  private var tooLong = 0
  private var refused = 0
  private var shipment: Shipment?
  private var inFlight: OperationToken?
  private var isStarting = false

  init(_ target: Endpoint, maxDatagram: Int, resolver: Resolver, _ output: SinkOutput) {
    self.target = target
    self.maxDatagram = maxDatagram
    framing = output.framing
    port = output.port
    owner = output.owner
    resolution = Resolution(target, resolver, wake: output.wake)
  }

  deinit {
    datagrams.deallocate()
    rowsUpTo.deallocate()
    scratch.deallocate()
  }

  var isReady: Bool { raw != nil }
  var nextDeadline: Int64? { resolution.deadline }
  var reachability: Reachability {
    if let trouble { return .unreachable(trouble) }
    return raw == nil ? .unknown : .reachable
  }

  func probe(now: Int64) { connect(now: now) }

  func takeOutcome() -> Outcome? { outcomes.take() }

  // MARK: Sending

  func send(_ shipment: Shipment, now: Int64) {
    self.shipment = shipment
    if shipment.attempt == 0 { (sent, refused) = (0, 0) }
    // Anew each time: the batch may have been copied meanwhile. The same rows are cut in the same way.
    cut(shipment)
    isStarting = true
    connect(now: now)
    proceed()
  }

  func resume(now: Int64) {
    if isStarting { connect(now: now) }
    proceed()
  }

  private var raw: Int32? {
    switch socket {
    case .some(let socket): socket.raw
    case .none: nil
    }
  }

  /// Lays out the datagrams of a shipment.
  private func cut(_ shipment: Shipment) {
    (count, tooLong) = (0, 0)
    var scratchUsed = 0
    if framing == .envelope { reserveScratch(shipment) }
    for index in 0..<shipment.count {
      let body = shipment.body(of: index)
      var cutter = MessageCutter(framing, bytes: maxDatagram)
      while let message = cutter.next(shipment.marks(of: index)) {
        if message.isTooLong || message.bytes.upperBound > body.count {
          tooLong += message.rows.count
          continue
        }
        append(UnsafeRawBufferPointer(rebasing: body[message.bytes]), message, &scratchUsed)
      }
    }
  }

  private func append(_ rows: UnsafeRawBufferPointer, _ message: MessageCutter.Message, _ scratchUsed: inout Int) {
    if count == datagrams.count { grow() }
    var bytes = rows
    if framing == .envelope, let base = scratch.baseAddress {
      let place = base + scratchUsed
      Uvarint.put(rows.count, at: place)
      if let start = rows.baseAddress { (place + message.prefixBytes).copyMemory(from: start, byteCount: rows.count) }
      bytes = UnsafeRawBufferPointer(start: place, count: message.byteCount)
      scratchUsed += message.byteCount
    }
    datagrams[count] = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    rowsUpTo[count] = (count > 0 ? rowsUpTo[count - 1] : 0) + UInt32(message.rows.count)
    count += 1
  }

  /// As many places as the biggest shipment so far needed: a few times in the life of a sink.
  private func grow() {
    let capacity = max(64, count * 2)
    let bigger = UnsafeMutableBufferPointer<iovec>.allocate(capacity: capacity)
    let sums = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: capacity)
    _ = bigger.initialize(from: datagrams[..<count])
    _ = sums.initialize(from: rowsUpTo[..<count])
    datagrams.deallocate()
    rowsUpTo.deallocate()
    (datagrams, rowsUpTo) = (bigger, sums)
  }

  private func reserveScratch(_ shipment: Shipment) {
    // The length of an envelope takes at most 5 bytes, and each has a row at least.
    let needed = shipment.byteCount + 5 * shipment.rows
    if scratch.count >= needed { return }
    scratch.deallocate()
    scratch = .allocate(byteCount: needed, alignment: 16)
  }

  private func proceed() {
    guard isStarting, inFlight == nil, shipment != nil, let raw else { return }
    if sent == count { return finish() }
    let rest = UnsafeBufferPointer(rebasing: UnsafeBufferPointer(datagrams)[sent..<count])
    inFlight = port.sendDatagrams(raw, rest, owner: owner)
  }

  private func finish() {
    let bytes = datagrams[..<count].reduce(0) { $0 + $1.iov_len }
    let lost = tooLong + refused
    end(.delivered(bytes: bytes, refused: lost > 0 ? Outcome.Refusal(rows: lost, reason: .tooLarge) : nil))
    trouble = nil
  }

  private func end(_ outcome: Outcome) {
    outcomes = outcome
    shipment = nil
    isStarting = false
  }

  func handle(_ completion: consuming Completion) {
    guard completion.token == inFlight else { return }
    inFlight = nil
    let result = completion.result
    if result > 0 { sent += Int(result) }
    let error = result < 0 ? -result : completion.stoppedBy
    switch error {
    case 0, EINTR: break
    case EMSGSIZE where sent < count:
      // Longer than the path or the socket takes: the others may go.
      refused += Int(rowsUpTo[sent] - (sent > 0 ? rowsUpTo[sent - 1] : 0))
      sent += 1
    default: fail("\(SystemError("send", errno: error, context: "\(target)"))")
    }
  }

  private func fail(_ message: String) {
    trouble = message
    // A Unix socket that was made anew is another one, and a name may lead elsewhere by now.
    socket = nil
    resolution.restart()
    guard shipment != nil else { return }
    end(.failed(Failure(message: message, delivered: sent > 0 ? Int(rowsUpTo[sent - 1]) - refused : 0)))
  }

  // MARK: The socket

  private func connect(now: Int64) {
    guard raw == nil else { return }
    switch resolution.state(now: now) {
    case .pending: break
    case .failed(let message): fail(message)
    case .known(let addresses): open(addresses)
    }
  }

  private func open(_ addresses: [SocketAddress]) {
    var last = SystemError("connect", errno: EADDRNOTAVAIL, context: "\(target)")
    for address in addresses {
      do throws(SystemError) {
        socket = try DatagramSocket.connected(to: address)
        trouble = nil
        return
      } catch {
        last = error
      }
    }
    fail("\(last)")
  }

  func cancel() {
    if let inFlight { return port.cancel(inFlight) }
    if shipment != nil { end(.failed(Failure(message: "cancelled"))) }
  }

  func close(isStuck: Bool) {
    // What the kernel may still read lives as long as this object.
    if isStuck, inFlight != nil { _ = Unmanaged.passRetained(self) }
    inFlight = nil
    if shipment != nil { end(.failed(Failure(message: "stopped", reason: .shutdown))) }
    socket = nil
  }
}

extension DeliverySink {
  /// A sink that sends datagrams.
  public static func datagrams(
    name: String, to target: Endpoint, maxDatagram: Int, resolver: Resolver, _ output: SinkOutput
  ) -> DeliverySink {
    DeliverySink(
      name: name, output,
      outlet: DatagramOutlet(target, maxDatagram: maxDatagram, resolver: resolver, output))
  }
}
