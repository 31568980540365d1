internal import CLiburing
import Glibc

/// The port over io_uring: one ring, multishot receives into provided buffers, everything started at one
/// io_uring_enter(2).
public final class RingPort: Port {
  /// `user_data` of cancellations. They have no slot: what they achieve shows in the operation they end.
  private static let cancellation = UInt64.max - 1
  private static let scratchSize = 128

  let ring: Ring
  let operations: OperationTable
  private let buffers: ReceiveBufferPool
  private let scratch: UnsafeMutableBufferPointer<Ring.Event>
  /// Cancellations that found no SQE and are still owed.
  private var owedCancellations = 0
  /// A failure inside a start, told by the next `submit()`.
  private var failure: SystemError?
  private(set) var isTornDown = false

  /// Sets up the ring, its buffers and its slots on the calling thread.
  public init(_ options: PortOptions) throws(PortError) {
    ring = try Ring(submissions: options.ringSubmissions, completions: options.ringCompletions)
    buffers = try Self.makeBuffers(options.receiveBuffers)
    operations = OperationTable(count: options.operations)
    scratch = .allocate(capacity: Self.scratchSize)
    scratch.initialize(repeating: Ring.Event(userData: 0, result: 0, flags: 0, completedAt: 0))
    try ring.register(buffers)
  }

  deinit {
    tearDown()
    scratch.deallocate()
  }

  private static func makeBuffers(_ count: Int) throws(PortError) -> ReceiveBufferPool {
    do throws(SystemError) {
      return try ReceiveBufferPool(count: count, providesToKernel: true)
    } catch {
      throw PortError.explaining(error)
    }
  }

  public var mode: PortMode { .ioUring }
  public var pollable: Int32 { ring.descriptor }
  public var hasPending: Bool { ring.hasPending || ring.unsubmitted > 0 }
  public var receiveBufferGauges: PoolGauges { buffers.gauges }
  public var operationGauges: PoolGauges { operations.gauges }

  /// Bounds the kernel worker threads (io-wq) that this thread's rings may start: `files` for regular files, `others`
  /// for what cannot be polled; 0 leaves a limit as it is. The last call on a thread holds for all its rings.
  public func limitWorkers(files: UInt32, others: UInt32) throws(SystemError) {
    try ring.limitWorkers(bounded: files, unbounded: others)
  }

  // MARK: Starting and cancelling; the operations themselves are in RingPort+Operations.swift

  public func cancel(_ token: OperationToken) {
    guard let operation = operations.find(token), !operation.pointee.isCancelled else { return }
    operation.pointee.isCancelled = true
    if !enqueueCancellation(of: token) {
      operation.pointee.owesCancellation = true
      owedCancellations += 1
    }
  }

  @inline(__always)
  func start(
    _ kind: OperationKind, _ descriptor: Int32, owner: UInt32,
    _ prepare: (UnsafeMutablePointer<io_uring_sqe>, UnsafeMutablePointer<Operation>) -> Void
  ) -> OperationToken? {
    guard let index = operations.begin(kind, descriptor, owner: owner) else { return nil }
    guard let entry = nextEntry() else {
      operations.end(index)
      return nil
    }
    let token = operations.token(of: index)
    prepare(entry, operations[index])
    entry.pointee.user_data = token.packed
    return token
  }

  /// An SQE; if the queue is full, what is in it is submitted first.
  func nextEntry() -> UnsafeMutablePointer<io_uring_sqe>? {
    if let entry = ring.nextEntry() { return entry }
    flush()
    return ring.nextEntry()
  }

  private func enqueueCancellation(of token: OperationToken) -> Bool {
    guard let entry = nextEntry() else { return false }
    io_uring_prep_cancel64(entry, token.packed, 0)
    entry.pointee.flags |= UInt8(1 << IOSQE_CQE_SKIP_SUCCESS_BIT)
    entry.pointee.user_data = Self.cancellation
    return true
  }

  // MARK: Submitting and reaping

  public func submit() throws(SystemError) {
    if owedCancellations > 0 { payCancellations() }
    flush()
    if let failure { throw failure }
  }

  /// Submits. What passes (a signal, memory pressure, completions that must be reaped first) leaves the SQEs queued for
  /// the next time.
  func flush() {
    let code = -ring.submit()
    if code > 0, code != EINTR, code != EAGAIN, code != EBUSY { failure = SystemError("io_uring_enter", errno: code) }
  }

  private func payCancellations() {
    for index in 0..<UInt32(operations.count) where operations[index].pointee.owesCancellation {
      guard enqueueCancellation(of: operations.token(of: index)) else { return }
      operations[index].pointee.owesCancellation = false
      owedCancellations -= 1
    }
  }

  public func reap(limit: Int, _ body: (consuming Completion) -> Void) throws(SystemError) -> Int {
    var delivered = 0
    while delivered < limit {
      let room = min(limit - delivered, Self.scratchSize)
      let count = ring.take(into: UnsafeMutableBufferPointer(rebasing: scratch[..<room]))
      if count < 0 {
        if -count == EINTR || -count == EAGAIN || -count == EBUSY { return delivered }
        throw SystemError("io_uring_enter", errno: -count)
      }
      if count == 0 { break }
      for position in 0..<Int(count) where deliver(scratch[position], body) { delivered += 1 }
    }
    return delivered
  }

  /// Makes a completion of a CQE; false if it concerns no operation.
  private func deliver(_ event: Ring.Event, _ body: (consuming Completion) -> Void) -> Bool {
    guard event.userData != Self.cancellation else { return false }
    let token = OperationToken(packed: event.userData)
    guard let operation = operations.find(token) else {
      // The kernel does not name an operation after its final CQE; if it ever did, its buffer must still come back.
      if let index = event.bufferIndex { buffers.release(index) }
      return false
    }
    if operation.pointee.kind == .sendDatagrams, goesOn(token.index, after: event) { return false }
    let (kind, owner, result) = (operation.pointee.kind, operation.pointee.owner, operation.pointee.result(of: event))
    let stoppedBy = kind == .sendDatagrams && result >= 0 ? operation.pointee.stoppedBy : 0
    if !event.hasMore {
      if operation.pointee.owesCancellation { owedCancellations -= 1 }
      operations.end(token.index)
    }
    if kind == .receive, result == -ENOBUFS { buffers.countWait() }
    body(
      Completion(
        kind: kind, token: token, owner: owner, result: result, stoppedBy: stoppedBy, isFinal: !event.hasMore,
        completedAt: event.completedAt, buffer: datagram(of: event)))
    return true
  }

  /// The buffer that the kernel picked, if it also put something in.
  private func datagram(of event: Ring.Event) -> ReceiveBuffer? {
    guard let index = event.bufferIndex else { return nil }
    if event.result > 0 { return buffers.lend(index, length: Int(event.result)) }
    buffers.release(index)
    return nil
  }

  // MARK: Tear-down

  @discardableResult
  public func tearDown() -> Int {
    if isTornDown { return 0 }
    isTornDown = true
    let deadline = MonotonicTime.now().advanced(by: .seconds(1))
    var isCancelled = false
    while operations.inFlight > 0, failure == nil, MonotonicTime.now() < deadline {
      if !isCancelled { isCancelled = enqueueCancellationOfAll() }
      flush()
      guard let count = try? reap(limit: .max, { _ in }) else { break }
      if count == 0 { waitForCompletions(milliseconds: 10) }
    }
    // The kernel may still write to the memory of what it has not let go of: that memory is never given back.
    if operations.inFlight > 0 { _ = Unmanaged.passRetained(buffers) }
    return operations.inFlight
  }

  private func enqueueCancellationOfAll() -> Bool {
    guard let entry = nextEntry() else { return false }
    io_uring_prep_cancel64(entry, 0, Int32(IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL))
    entry.pointee.user_data = Self.cancellation
    return true
  }

  private func waitForCompletions(milliseconds: Int32) {
    var poll = pollfd(fd: ring.descriptor, events: Int16(POLLIN), revents: 0)
    _ = Glibc.poll(&poll, 1, milliseconds)
  }
}
