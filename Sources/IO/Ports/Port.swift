import Glibc

/// Which of the two sets of system calls a port uses.
public enum PortMode: String, Sendable {
  case ioUring = "io_uring"
  case syscall
}

/// What an operation does. Cancelling is not an operation of its own: it only ends another one early.
public enum OperationKind: UInt8, Sendable {
  case send, receive, write, timer
  case connect
  /// `receive(_:into:owner:)`.
  case receiveInto
  case sendDatagrams, read, synchronize, poll
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
  /// most `ReceiveBuffer.capacity` bytes are here. Receive into memory, read: bytes; 0 at the end. Datagrams: how many
  /// were taken. Timer: 0 when its time came. Connect, synchronize: 0. Poll: bits of `Poller.Interest`. Any: the
  /// negative errno value, `-ECANCELED` if cancelled.
  public let result: Int32
  /// Datagrams of which a part was taken: the positive errno value that kept the rest back, which will not be told
  /// again if it came from the network (ECONNREFUSED); ECANCELED if cancelled. Else 0.
  public let stoppedBy: Int32
  /// No further completion of this operation follows; its token is void. A receive that is final without an error
  /// must be armed again to receive more.
  public let isFinal: Bool
  /// Wall clock (CLOCK_REALTIME, nanoseconds) when the system call that completed the operation returned. Not when it
  /// was reaped: a netlink dump's next datagram is filled at that moment, however long the completion then waits here.
  public let completedAt: Int64
  private var buffer: ReceiveBuffer?

  init(
    kind: OperationKind, token: OperationToken, owner: UInt32, result: Int32, stoppedBy: Int32 = 0, isFinal: Bool,
    completedAt: Int64, buffer: consuming ReceiveBuffer? = nil
  ) {
    self.kind = kind
    self.token = token
    self.owner = owner
    self.result = result
    self.stoppedBy = stoppedBy
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
/// - At most one at a time on one descriptor of each of these: what receives or reads; what connects, sends, writes or
///   synchronizes; what polls. The descriptor stays open until their final completions; then the caller simply closes
///   it: close(2) on a netlink socket or a file blocks for nothing, so it needs no operation of its own.
/// - Bytes that are sent or written, and the arrays that list them, stay valid and unchanged until the final completion.
///   So does memory that is read or received into, and nobody else touches it.
///
/// A port belongs to the thread that made it, and so do its buffers and completions. None of its methods allocates.
public protocol Port: AnyObject {
  /// Which system calls it uses.
  var mode: PortMode { get }
  /// For the loop's epoll: readable (EPOLLIN) while completions wait in the kernel. Owned by the port.
  var pollable: Int32 { get }
  /// `reap` has something to do right now: do not sleep.
  var hasPending: Bool { get }

  /// send(2) on a socket. `owner` comes back in the completion. A ring takes all bytes for a stream before it completes,
  /// unless an error or a cancellation comes in between; plain calls complete with what one call took.
  func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken?

  /// sendmsg(2) on a socket: the bytes of all pieces as if they stood one behind the other; of the first 1,024 pieces
  /// (IOV_MAX), that is.
  func send(_ descriptor: Int32, _ pieces: UnsafeBufferPointer<iovec>, owner: UInt32) -> OperationToken?

  /// Sends many datagrams in order on a connected datagram socket; waits while the socket has no room; stops at the first
  /// error. The result is how many were taken, always the first ones, or -errno if none was. `-EAGAIN`: the kernel was
  /// short of memory.
  func sendDatagrams(_ descriptor: Int32, _ datagrams: UnsafeBufferPointer<iovec>, owner: UInt32) -> OperationToken?

  /// connect(2) on a socket that was made with SOCK_NONBLOCK. It begins at once; 0 when it is connected. A Unix socket whose listener's queue
  /// is full is refused at once, `-EAGAIN`. What was cancelled may still connect: the descriptor is good for closing only.
  func connect(_ descriptor: Int32, _ address: SocketAddress, owner: UInt32) -> OperationToken?

  /// recv(2) on a socket, again and again: one completion a datagram, each with a buffer, until it is cancelled or
  /// fails. Without a free buffer it ends with `-ENOBUFS`; the datagrams stay in the socket, arm it again when buffers
  /// are free.
  func receive(_ descriptor: Int32, owner: UInt32) -> OperationToken?

  /// recv(2) on a socket, once, into memory of the caller's. 0: the peer sends nothing any more.
  func receive(_ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, owner: UInt32) -> OperationToken?

  /// write(2) at the current position of a file, or at the end if it was opened with O_APPEND; once, hence possibly in
  /// part. Never blocks the calling thread for a pipe, a terminal or a socket.
  func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken?

  /// pread(2): what a file has from `offset` on, once, hence possibly in part; 0 at its end. Plain calls wait for the disk.
  func read(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, offset: Int64, owner: UInt32
  ) -> OperationToken?

  /// fdatasync(2): all that was written to a file survives a crash. Plain calls wait for the disk, a ring's worker does
  /// else.
  func synchronize(_ descriptor: Int32, owner: UInt32) -> OperationToken?

  /// Completes once with what `descriptor` is ready for, poll(2). Errors and hang-ups (`Interest.failure`) are told without
  /// being asked for. A regular file is ready for reading and writing always. A second poll of one descriptor at the same
  /// time: `-EEXIST` from plain calls.
  func poll(_ descriptor: Int32, _ interest: Poller.Interest, owner: UInt32) -> OperationToken?

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
