/// Which of the two sets of system calls a port uses.
public enum PortMode: String, Sendable {
  case ioUring = "io_uring"
  case syscall
}

/// What an operation does. Cancelling is not an operation of its own: it only ends another one early.
public enum OperationKind: UInt8, Sendable {
  case send, receive, write, timer
}

/// Names one operation from its start to its final completion. Slots are used again, names are not: a name kept for too
/// long (slot and generation) matches nothing, so a late `cancel` can never hit somebody else's operation.
public struct OperationToken: Hashable, Sendable {
  let index: UInt32
  let generation: UInt32
}

/// What became of an operation, once or, for a receive, once a datagram.
public struct Completion: ~Copyable {
  /// What the operation does.
  public let kind: OperationKind
  /// The operation, as its start returned it.
  public let token: OperationToken
  /// What the caller passed when it started the operation.
  public let owner: UInt32
  /// Send, write: bytes taken, which may be fewer than offered. Receive: the true length of the datagram, of which at
  /// most `ReceiveBuffer.capacity` bytes are here. Timer: 0 when its time came. Any: the negative errno value,
  /// `-ECANCELED` if cancelled.
  public let result: Int32
  /// No further completion of this operation follows; its token is void. A receive that is final without an error
  /// must be armed again to receive more.
  public let isFinal: Bool
  /// Wall clock (CLOCK_REALTIME, nanoseconds) when the system call that completed the operation returned. Not when it
  /// was reaped: a netlink dump's next datagram is filled at that moment, however long the completion then waits here.
  public let completedAt: Int64
  private var buffer: ReceiveBuffer?

  init(
    kind: OperationKind, token: OperationToken, owner: UInt32, result: Int32, isFinal: Bool, completedAt: Int64,
    buffer: consuming ReceiveBuffer? = nil
  ) {
    self.kind = kind
    self.token = token
    self.owner = owner
    self.result = result
    self.isFinal = isFinal
    self.completedAt = completedAt
    self.buffer = buffer
  }

  /// The received datagram; `nil` for every other kind, for an error, and when it was taken before.
  /// A buffer that nobody takes goes back to the port.
  public mutating func takeBuffer() -> ReceiveBuffer? { buffer.take() }
}

/// The operations of a pipeline, through io_uring (`RingPort`) or through epoll and plain calls (`SyscallPort`), with
/// one meaning:
///
/// - Starting an operation returns its token, or `nil` if the operations pool is exhausted (counted): wait for a
///   completion and try again. Nothing else fails at the start; every error arrives as a completion.
/// - Every started operation has exactly one final completion, also when it is cancelled.
/// - Operations begin at the next `submit()` or `reap()`, in the order in which they were started.
/// - At most one receive and one send or write at a time on one descriptor. The descriptor stays open until their
///   final completions; then the caller simply closes it: close(2) on a netlink socket or a file blocks for nothing, so
///   it needs no operation of its own.
/// - Bytes handed to `send` and `write` stay valid and unchanged until the final completion.
///
/// A port belongs to the thread that made it, and so do its buffers and completions. None of its methods allocates.
public protocol Port: AnyObject {
  /// Which system calls it uses.
  var mode: PortMode { get }
  /// For the loop's epoll: readable (EPOLLIN) while completions wait in the kernel. Owned by the port.
  var pollable: Int32 { get }
  /// `reap` has something to do right now: do not sleep.
  var hasPending: Bool { get }

  /// send(2) on a socket. `owner` comes back in the completion.
  func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken?

  /// recv(2) on a socket, again and again: one completion a datagram, each with a buffer, until it is cancelled or
  /// fails. Without a free buffer it ends with `-ENOBUFS`; the datagrams stay in the socket, arm it again when buffers
  /// are free.
  func receive(_ descriptor: Int32, owner: UInt32) -> OperationToken?

  /// write(2) at the current position of a file, or at the end if it was opened with O_APPEND; once, hence possibly in
  /// part. Never blocks the calling thread for a pipe, a terminal or a socket.
  func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken?

  /// Completes with 0 when CLOCK_MONOTONIC reaches `deadline`.
  func timer(at deadline: MonotonicTime, owner: UInt32) -> OperationToken?

  /// Ends an operation early. Its final completion still comes: `-ECANCELED`, or its true result if that was faster.
  /// A token whose operation is over already does nothing.
  func cancel(_ token: OperationToken)

  /// Hands what was started to the kernel; at most one system call.
  func submit() throws(SystemError)

  /// Hands at most `limit` completions to `body` and returns how many; never waits. `body` may start and cancel
  /// operations, but not reap. Completions that the body does not see (`limit`) stay for the next call.
  func reap(limit: Int, _ body: (consuming Completion) -> Void) throws(SystemError) -> Int

  /// Cancels what is in flight, discards its completions, and lets go of the kernel's side. Returns how many operations
  /// the kernel had not let go of after a second (a write stuck in a disk): their memory is left to it, for the life of
  /// the process. Implied when the port goes; the bytes of sends and writes must stay valid until then.
  @discardableResult
  func tearDown() -> Int

  /// The pool of receive buffers; those that hold datagrams not yet reaped do not count as in use. `waits` counts
  /// `-ENOBUFS`.
  var receiveBufferGauges: PoolGauges { get }
  /// The pool of operations in flight. `waits` counts starts that returned `nil`.
  var operationGauges: PoolGauges { get }
}
