import Glibc

@testable import IO

/// A connection on a loop of its own, as a sink's owner would turn it.
final class ConnectionBed {
  let connection: StreamConnection
  let port: any Port
  /// What has happened, in order.
  private(set) var history: [StreamConnection.Events] = []
  /// Everything received and consumed.
  private(set) var received: [UInt8] = []
  /// Consumes what is received.
  var isReading = true
  private(set) var turns = 0
  /// Whom it is connected to, kept for as long.
  private let peer: PeerProcess?
  private let wakeup: Wakeup
  private let poller: Poller

  init(
    _ choice: PortChoice, _ endpoint: Endpoint, tls: TLSContext.Settings? = nil, resolver: Resolver = .shared,
    limits: StreamConnection.Limits = StreamConnection.Limits(), operations: Int = StreamConnection.operationsNeeded,
    peer: PeerProcess? = nil
  ) throws {
    self.peer = peer
    port = try openPort(choice, PortOptions(receiveBuffers: 1, operations: operations)).port
    let wakeup = try Wakeup()
    self.wakeup = wakeup
    poller = try Poller()
    try poller.add(port.pollable, token: 1)
    try poller.add(wakeup.pollable, token: 2)
    connection = StreamConnection(
      port: port, owner: 7, wake: { wakeup.signal() }, resolver: resolver, endpoint: endpoint,
      tls: try tls.map { try TLSContext($0) }, limits: limits)
  }

  deinit { connection.abandon(isStuck: port.tearDown() > 0) }

  func saw(_ events: StreamConnection.Events) -> Bool { history.contains { $0.isSuperset(of: events) } }
  func count(_ events: StreamConnection.Events) -> Int { history.count { $0.isSuperset(of: events) } }

  private func note(_ events: StreamConnection.Events) {
    if !events.isEmpty { history.append(events) }
    guard isReading else { return }
    received += connection.received
    connection.consume(connection.received.count)
  }

  func forgetReceived() { received = [] }

  /// Turns until something is so.
  func run(timeout: Duration = .seconds(20), until isDone: () -> Bool) throws {
    let deadline = MonotonicTime.now().advanced(by: timeout)
    while true {
      note(connection.resume())
      if isDone() { return }
      guard MonotonicTime.now() < deadline else { throw Unexpected("nothing for \(timeout): \(history)") }
      try port.submit()
      turns += 1
      if !port.hasPending {
        try poller.wait(until: min(deadline, connection.nextDeadline ?? deadline)) { _, _ in }
      }
      wakeup.drain()
      _ = try port.reap(limit: 128) { completion in note(connection.handle(completion)) }
    }
  }

  /// Opens it, and expects that to work.
  func open(timeout: Duration = .seconds(10)) throws {
    let before = count(.opened)
    connection.open(timeout: timeout)
    try run { count(.opened) > before || connection.isIdle }
    guard count(.opened) > before else { throw Unexpected("\(connection.error.map(\.description) ?? "closed")") }
  }

  /// Opens it, and returns why that does not work.
  func refusal(timeout: Duration = .seconds(10)) throws -> ConnectionError? {
    connection.open(timeout: timeout)
    try run { connection.isIdle || connection.isOpen }
    // A server may refuse us after we have accepted it.
    if connection.isOpen { try run { connection.isIdle } }
    return connection.error
  }

  /// Sends a message and waits until it is out, or the connection over.
  func send(_ bytes: [UInt8], timeout: Duration? = nil) throws {
    let before = count(.sent)
    try bytes.withUnsafeBytes { bytes in
      guard connection.send(bytes, timeout: timeout) else { throw Unexpected("not taken") }
      try run { count(.sent) > before || connection.isIdle }
    }
  }

  /// Ends it, and waits until nothing is in flight.
  func close() throws {
    connection.close()
    try run { connection.isIdle }
  }
}
