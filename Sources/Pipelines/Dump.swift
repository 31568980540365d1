import IO

/// What a dump in flight needs in memory that does not move: its request, and what is constant in its rows. An element of the pool
/// `dumps`.
struct DumpMemory: ~Copyable {
  /// `DumpRequest.byteCount` bytes, read by the kernel until the send has completed.
  let request: UnsafeMutableRawBufferPointer
  /// The constant part of the rows, one region for each encoding, each with its own room.
  let prefixes: UnsafeMutableRawBufferPointer

  init(requestBytes: Int, prefixBytes: Int) {
    request = .allocate(byteCount: requestBytes, alignment: 8)
    prefixes = .allocate(byteCount: prefixBytes, alignment: 8)
  }

  deinit {
    request.deallocate()
    prefixes.deallocate()
  }
}

/// One sock_diag dump of one namespace, from its request to the last completion that mentions it.
///
/// A dump has ended when the kernel said so or it was given up. It is free when, besides, its socket's operations have completed
/// for good and no datagram of it waits in the pipeline's queue.
struct Dump: ~Copyable {
  let memory: Lease<DumpMemory>
  /// Index into the namespaces of the poll's table.
  let namespace: Int
  /// The netlink socket inside the namespace. It goes with the dump: an open one keeps a deleted namespace alive.
  let socket: Descriptor
  /// nlmsg_seq of the request; what carries another belongs to another dump.
  let sequence: UInt32
  let clock: DumpClock
  /// Wall clock at which the kernel filled the datagram that is received next: when the previous receive of this dump completed,
  /// or when the request was sent.
  private var fillTime: Int64
  /// The turn in which a datagram was received last.
  private var lastTurn: UInt64 = 0
  /// The send has not completed yet.
  var isSending = true
  /// The receive that is armed; nil while none is: before the first, after it ran out of buffers, after its last completion.
  var receive: OperationToken?
  /// Datagrams in the pipeline's queue.
  var queued = 0
  /// Sockets that the kernel has reported.
  var reported: UInt64 = 0
  /// How it ended; nil while it runs.
  var end: DumpEnd?

  init(
    memory: consuming Lease<DumpMemory>, namespace: Int, socket: consuming Descriptor, sequence: UInt32,
    clock: DumpClock,
    sentAt: Int64
  ) {
    self.memory = memory
    self.namespace = namespace
    self.socket = socket
    self.sequence = sequence
    self.clock = clock
    fillTime = sentAt
  }

  /// Nothing refers to the dump any more.
  var isFree: Bool { end != nil && !isSending && receive == nil && queued == 0 }

  /// A receive has to be armed as soon as there are buffers.
  var needsReceive: Bool { end == nil && receive == nil }

  /// Notes that a datagram has been received, and says when the kernel filled it.
  ///
  /// The kernel fills a datagram when the previous receive returns (`netlink_recvmsg` calls `netlink_dump`). So the first one
  /// received in a turn was filled when the last one of an earlier turn was received, and those after it during the submission
  /// that returned them all.
  ///
  /// - Parameters:
  ///   - turn: the number of the pipeline's turn.
  ///   - submitted: wall clock right before the submission that received it.
  ///   - completed: wall clock when the receive had completed.
  mutating func datagramArrived(turn: UInt64, submitted: Int64, completed: Int64) -> Int64 {
    let filled = lastTurn == turn ? submitted : fillTime
    lastTurn = turn
    fillTime = completed
    queued += 1
    return filled
  }
}

/// A datagram that waits to be encoded.
struct ReceivedDatagram: ~Copyable {
  let buffer: ReceiveBuffer
  /// The slot of its dump.
  let slot: Int
  /// Wall clock at which the kernel filled it.
  let timestamp: Int64
  /// Some encoding has taken rows of it: it is encoded to its end, whatever becomes of its dump, so that all encodings agree.
  var isStarted = false

  init(buffer: consuming ReceiveBuffer, slot: Int, timestamp: Int64) {
    self.buffer = buffer
    self.slot = slot
    self.timestamp = timestamp
  }
}
