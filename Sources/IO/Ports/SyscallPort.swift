import Glibc

/// The port over epoll and plain calls. Operations wait in a list of those that may be tried and are tried in turn by
/// `reap`, one call each, so that no descriptor starves another; what would block waits in epoll.
public final class SyscallPort: Port {
  private let operations: OperationTable
  private let buffers: ReceiveBufferPool
  private let readiness: Readiness
  private let timers: Timers
  private let ready: UnsafeMutablePointer<OperationList>

  /// Opens the epoll sets and the timer, maps the buffers.
  public init(_ options: PortOptions) throws(PortError) {
    do throws(SystemError) {
      buffers = try ReceiveBufferPool(count: options.receiveBuffers, providesToKernel: false)
      timers = try Timers()
      readiness = try Readiness(timer: timers.descriptor)
    } catch {
      throw PortError.explaining(error)
    }
    operations = OperationTable(count: options.operations)
    ready = .allocate(capacity: 1)
    ready.initialize(to: OperationList())
  }

  deinit { ready.deallocate() }

  public var mode: PortMode { .syscall }
  public var pollable: Int32 { readiness.descriptor }
  public var hasPending: Bool { !ready.pointee.isEmpty }
  public var receiveBufferGauges: PoolGauges { buffers.gauges }
  public var operationGauges: PoolGauges { operations.gauges }

  // MARK: Starting operations

  public func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken? {
    start(.send, descriptor, owner: owner) { $0.bytes = bytes }
  }

  public func send(_ descriptor: Int32, _ pieces: UnsafeBufferPointer<iovec>, owner: UInt32) -> OperationToken? {
    start(.send, descriptor, owner: owner) { $0.setMessage(pieces) }
  }

  public func sendDatagrams(
    _ descriptor: Int32, _ datagrams: UnsafeBufferPointer<iovec>, owner: UInt32
  ) -> OperationToken? {
    start(.sendDatagrams, descriptor, owner: owner) { $0.datagrams = datagrams }
  }

  public func connect(_ descriptor: Int32, _ address: SocketAddress, owner: UInt32) -> OperationToken? {
    start(.connect, descriptor, owner: owner) { $0.beginConnect(address) }
  }

  public func receive(_ descriptor: Int32, owner: UInt32) -> OperationToken? {
    start(.receive, descriptor, owner: owner) { _ in }
  }

  public func receive(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, owner: UInt32
  ) -> OperationToken? {
    start(.receiveInto, descriptor, owner: owner) { $0.memory = memory }
  }

  public func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken? {
    start(.write, descriptor, owner: owner) { operation in
      operation.bytes = bytes
      operation.target = WriteTarget(of: descriptor)
    }
  }

  public func read(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, offset: Int64, owner: UInt32
  ) -> OperationToken? {
    start(.read, descriptor, owner: owner) { operation in
      operation.memory = memory
      operation.offset = offset
    }
  }

  public func synchronize(_ descriptor: Int32, owner: UInt32) -> OperationToken? {
    start(.synchronize, descriptor, owner: owner) { _ in }
  }

  public func poll(_ descriptor: Int32, _ interest: Poller.Interest, owner: UInt32) -> OperationToken? {
    start(.poll, descriptor, owner: owner) { $0.interest = interest }
  }

  public func timer(at deadline: MonotonicTime, owner: UInt32) -> OperationToken? {
    guard let index = operations.begin(.timer, -1, owner: owner) else { return nil }
    timers.insert(index, deadline, in: operations)
    return operations.token(of: index)
  }

  public func cancel(_ token: OperationToken) {
    guard let operation = operations.find(token), !operation.pointee.isCancelled else { return }
    operation.pointee.isCancelled = true
    if operation.pointee.place == .timer { timers.remove(token.index, in: operations) }
    if operation.pointee.place != .ready { makeReady(token.index) }
  }

  @inline(__always)
  private func start(
    _ kind: OperationKind, _ descriptor: Int32, owner: UInt32, _ prepare: (inout Operation) -> Void
  ) -> OperationToken? {
    guard let index = operations.begin(kind, descriptor, owner: owner) else { return nil }
    prepare(&operations[index].pointee)
    makeReady(index)
    return operations.token(of: index)
  }

  private func makeReady(_ index: UInt32) {
    operations[index].pointee.place = .ready
    ready.pointee.append(index, in: operations)
  }

  // MARK: Reaping

  /// Nothing to do: operations are tried by `reap`, so that each result is dated by the call that brought it.
  public func submit() throws(SystemError) {}

  public func reap(limit: Int, _ body: (consuming Completion) -> Void) throws(SystemError) -> Int {
    try collectReady()
    var delivered = 0
    while delivered < limit, !ready.pointee.isEmpty {
      let index = ready.pointee.first
      ready.pointee.remove(index, in: operations)
      operations[index].pointee.place = .none
      if attempt(index, body) { delivered += 1 }
    }
    return delivered
  }

  /// Moves what epoll and the timer report to the list of those that may be tried.
  private func collectReady() throws(SystemError) {
    guard operations.inFlight > 0 else { return }
    let timeIsUp = try readiness.collect { packed, found in
      let token = OperationToken(packed: packed)
      guard let operation = operations.find(token) else { return }
      switch operation.pointee.place {
      case .readable, .writable: operation.pointee.wasWoken = true
      case .polled: operation.pointee.found = found
      case .none, .ready, .timer: return
      }
      makeReady(token.index)
    }
    if timeIsUp { timers.expire(in: operations) { makeReady($0) } }
  }

  /// Makes one call for an operation; true if that completed something.
  private func attempt(_ index: UInt32, _ body: (consuming Completion) -> Void) -> Bool {
    let operation = operations[index]
    if operation.pointee.isCancelled {
      finish(index, result: -ECANCELED, body)
      return true
    }
    switch operation.pointee.kind {
    case .timer:
      finish(index, result: 0, body)
      return true
    case .receive: return attemptReceive(index, body)
    case .receiveInto:
      let result = operation.pointee.receive()
      if result == -EAGAIN { return wait(index, for: .readable, body) }
      finish(index, result: result, body)
      return true
    case .poll:
      guard operation.pointee.found != [] else { return wait(index, for: .polled, body) }
      finish(index, result: Int32(bitPattern: operation.pointee.found.rawValue), body)
      return true
    case .read, .synchronize:
      finish(index, result: operation.pointee.accessFile(), body)
      return true
    case .sendDatagrams: return attemptDatagrams(index, body)
    case .send, .write, .connect:
      let result = operation.pointee.transmit()
      operation.pointee.wasWoken = false
      // A Unix socket that cannot connect now gives no sign when it can.
      let mayWait = operation.pointee.kind != .connect || operation.pointee.isConnecting
      if result == -EAGAIN, mayWait { return wait(index, for: .writable, body) }
      finish(index, result: result, body)
      return true
    }
  }

  /// Sends some; the rest in a later turn, so that no descriptor starves another.
  private func attemptDatagrams(_ index: UInt32, _ body: (consuming Completion) -> Void) -> Bool {
    let operation = operations[index]
    let result = operation.pointee.transmit()
    if result == -EAGAIN { return wait(index, for: .writable, body) }
    if result >= 0, Int(result) < operation.pointee.datagrams.count {
      makeReady(index)
      return false
    }
    finish(index, result: result, body)
    return true
  }

  private func attemptReceive(_ index: UInt32, _ body: (consuming Completion) -> Void) -> Bool {
    guard let buffer = buffers.take() else {
      buffers.countWait()
      finish(index, result: -ENOBUFS, body)
      return true
    }
    let operation = operations[index]
    let flags = KernelConstant.MSG_DONTWAIT | KernelConstant.MSG_TRUNC
    let length = retryingOnInterrupt {
      recv(operation.pointee.descriptor, buffers.address(of: buffer), ReceiveBuffer.capacity, flags)
    }
    let code = errno
    guard length > 0 else {
      buffers.release(buffer)
      if length < 0, code == EAGAIN { return wait(index, for: .readable, body) }
      finish(index, result: length < 0 ? -code : 0, body)
      return true
    }
    makeReady(index)
    body(
      Completion(
        kind: .receive, token: operations.token(of: index), owner: operation.pointee.owner, result: Int32(length),
        isFinal: false, completedAt: wallClockNanoseconds(), buffer: buffers.lend(buffer, length: length)))
    return true
  }

  /// Lets an operation wait in epoll. What epoll does not know (EPERM: /dev/null and its like) never blocks and is
  /// tried as it is.
  private func wait(_ index: UInt32, for place: Operation.Place, _ body: (consuming Completion) -> Void) -> Bool {
    let operation = operations[index]
    let code = readiness.await(place, operation, data: operations.token(of: index).packed)
    if code == 0 {
      operation.pointee.place = place
      return false
    }
    if code == EPERM, operation.pointee.kind == .write, operation.pointee.target == .stream {
      operation.pointee.target = .plain
      makeReady(index)
      return false
    }
    if code == EPERM, operation.pointee.kind == .poll {
      finish(index, result: Int32(bitPattern: operation.pointee.interest.readyOfFile.rawValue), body)
      return true
    }
    finish(index, result: -code, body)
    return true
  }

  private func finish(_ index: UInt32, result: Int32, _ body: (consuming Completion) -> Void) {
    let operation = operations[index]
    readiness.forget(operation)
    let (kind, owner, token) = (operation.pointee.kind, operation.pointee.owner, operations.token(of: index))
    // Datagrams that were taken count more than what kept the rest back.
    let sent = kind == .sendDatagrams && operation.pointee.sent > 0 ? operation.pointee.sent : nil
    operations.end(index)
    body(
      Completion(
        kind: kind, token: token, owner: owner, result: sent ?? result,
        stoppedBy: sent == nil ? 0 : max(0, -result), isFinal: true, completedAt: wallClockNanoseconds()))
  }

  @discardableResult
  public func tearDown() -> Int {
    for index in 0..<UInt32(operations.count) where operations[index].pointee.isInFlight {
      cancel(operations.token(of: index))
    }
    while !ready.pointee.isEmpty {
      let index = ready.pointee.first
      ready.pointee.remove(index, in: operations)
      finish(index, result: -ECANCELED) { _ in }
    }
    return 0
  }
}
