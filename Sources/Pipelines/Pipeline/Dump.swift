import IO
import Records

/// What a dump in flight needs in memory that does not move: its request, and what is constant in its rows. An element of the pool
/// `dumps`.
struct DumpMemory: ~Copyable {
  /// As long as the longest request, read by the kernel until the send has completed.
  let request: UnsafeMutableRawBufferPointer
  /// Of the filter, in the dump's namespace.
  let bindings: UnsafeMutablePointer<UInt64>
  /// The constant part of the rows, one region for each encoding, each with its own room.
  let prefixes: UnsafeMutableRawBufferPointer

  init(requestBytes: Int, bindings: Int, prefixBytes: Int) {
    self.bindings = .allocate(capacity: bindings)
    request = .allocate(byteCount: requestBytes, alignment: 8)
    prefixes = .allocate(byteCount: prefixBytes, alignment: 8)
  }

  deinit {
    request.deallocate()
    bindings.deallocate()
    prefixes.deallocate()
  }
}

/// One read of one namespace through sock_diag, from its first request to the last completion that mentions it. More than one
/// request, if the walk of the listeners alone turns out not to be enough, or connections are asked for one by one.
///
/// A dump has ended when the kernel said so or it was given up. It is free when, besides, its socket's operations have completed
/// for good and no datagram of it waits in the pipeline's queue.
struct Dump: ~Copyable {
  let memory: Lease<DumpMemory>
  /// Index into the namespaces of the poll's table.
  let namespace: Int
  /// The netlink socket inside the namespace. It goes with the dump: an open one keeps a deleted namespace alive.
  let socket: Descriptor
  /// Of the namespace's sockets; nil: all of them.
  let ports: PortInterval?
  /// What it walks at present.
  var walk: Walk
  /// What sockstat said right before the first walk, if it was asked.
  let present: Sockstat?
  /// nlmsg_seq of the request; what carries another belongs to another walk or dump.
  var sequence: UInt32 = 0
  var clock: DumpClock
  /// How old the datagrams are.
  var fill: FillClock
  /// A reader performs it, or how one ended; nil: none did.
  var isWithReader = false
  /// When it was handed over to one that has not begun with it yet: its clock stands still.
  var inLine: DumpClock.Moment?
  var readerError: Int32?
  /// A request is to be sent as soon as may be.
  var isWaiting = true
  /// The last request was sent without the filter's program, which had been refused.
  var isRepeated = false
  /// Sends that have not completed yet: the answer to one may be seen sooner than its completion, and the next be sent.
  var sends = 0
  /// The receive that is armed; nil while none is: before the first, after it ran out of buffers, after its last completion.
  var receive: OperationToken?
  /// Datagrams in the pipeline's queue.
  var queued = 0
  /// Sockets that the kernel has reported, and those of them that listen.
  var reported: UInt64 = 0
  var listening: UInt64 = 0
  /// As many had been reported when the last request was sent.
  var reportedBefore: UInt64 = 0
  /// The table of listeners has been walked by itself.
  var hasReadListeners = false
  /// How far it is with connections that are asked for one by one; nil: none have been.
  var known: KnownRead?
  /// Connections that its walk of all tables finds are remembered, and those found so far.
  var remembers: Bool
  var remembered = KnownSockets.List()
  /// How it ended; nil while it runs.
  var end: DumpEnd?

  init(
    memory: consuming Lease<DumpMemory>, namespace: Int, socket: consuming Descriptor, entry: NamespaceEntry,
    ports: PortInterval?, clock: DumpClock
  ) {
    self.ports = ports
    self.memory = memory
    self.namespace = namespace
    self.socket = socket
    walk = entry.walk
    present = entry.present
    remembers = entry.remembersConnections
    self.clock = clock
    fill = FillClock(sentAt: 0)
  }

  /// Nothing refers to the dump any more.
  var isFree: Bool { end != nil && sends == 0 && receive == nil && queued == 0 && !isWithReader }

  /// A receive has to be armed as soon as there are buffers.
  var needsReceive: Bool { end == nil && receive == nil && !isWaiting && !isWithReader }
}

/// What was decided inside a namespace before anything was asked for.
struct NamespaceEntry {
  var walk = Walk.full
  /// Nil: sockstat was not asked, or does not tell.
  var present: Sockstat?
  var remembersConnections = false
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
