internal import CLiburing

import Glibc

/// What a port remembers of an operation in flight: the context of an SQE, or of a call that is to be made.
struct Operation {
  /// Counts the uses of this slot; part of the token, so that a stale token matches nothing.
  var generation: UInt32 = 1
  var isInFlight = false
  var kind = OperationKind.send
  var owner: UInt32 = 0
  var descriptor: Int32 = -1
  var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
  /// Memory that is filled by what is read or received.
  var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  /// Several pieces to send at once; the kernel reads it here.
  var message = msghdr()
  var datagrams = UnsafeBufferPointer<iovec>(start: nil, count: 0)
  /// Datagrams that the kernel has taken.
  var sent: Int32 = 0
  /// The positive errno value that ended a part of the operation.
  var stoppedBy: Int32 = 0
  /// What is polled for, and, from epoll, what was found.
  var interest = Poller.Interest()
  var found = Poller.Interest()
  /// Where in a file.
  var offset: Int64 = 0
  /// A timer's moment, in the form that the kernel reads from the SQE's address at submission.
  var deadline = __kernel_timespec()
  /// Somebody wants it ended.
  var isCancelled = false

  // Ring: the cancellation found no SQE yet.
  var owesCancellation = false

  // Syscall: where the operation waits, its links there, and what epoll knows of it.
  var place = Place.none
  var next = OperationList.end
  var previous = OperationList.end
  var isRegistered = false
  var wasWoken = false
  var isConnecting = false
  var target = WriteTarget.stream

  enum Place: UInt8 { case none, ready, readable, writable, polled, timer }

  /// Datagrams that were taken, or why none was.
  var takenDatagrams: Int32 { sent > 0 ? sent : -stoppedBy }
}

/// The operations pool. While an operation is in flight nobody holds its lease: it is entrusted to the kernel, which
/// knows it by slot and generation (`user_data` of its SQE), and reclaimed with its final completion.
struct OperationTable: ~Copyable {
  private let pool: Pool<Operation>

  init(count: Int) { pool = Pool(count: count) { _ in Operation() } }

  /// A slot for a new operation, or `nil` (counted) if all are in flight.
  func begin(_ kind: OperationKind, _ descriptor: Int32, owner: UInt32) -> UInt32? {
    guard let lease = pool.lease() else { return nil }
    let index = lease.entrust()
    let operation = self[index]
    let generation = operation.pointee.generation
    operation.pointee = Operation(
      generation: generation, isInFlight: true, kind: kind, owner: owner, descriptor: descriptor)
    return index
  }

  /// The final completion is here: voids the token and frees the slot.
  func end(_ index: UInt32) {
    self[index].pointee.generation &+= 1
    self[index].pointee.isInFlight = false
    pool.reclaim(index).giveBack()
  }

  /// The slot of an operation; the index must come from `begin` or `find`.
  subscript(_ index: UInt32) -> UnsafeMutablePointer<Operation> { pool.storage.elements + Int(index) }

  /// The slot that a token names, if its operation is still in flight.
  func find(_ token: OperationToken) -> UnsafeMutablePointer<Operation>? {
    guard token.index < count else { return nil }
    let operation = self[token.index]
    guard operation.pointee.isInFlight, operation.pointee.generation == token.generation else { return nil }
    return operation
  }

  func token(of index: UInt32) -> OperationToken {
    OperationToken(index: index, generation: self[index].pointee.generation)
  }

  var count: Int { gauges.size }
  var inFlight: Int { gauges.inUse }
  var gauges: PoolGauges { pool.gauges }
}

extension OperationToken {
  private static let indexBits = 20
  private static let indexMask = UInt32(1) << indexBits - 1
  /// Slots that a token can name.
  static let mostOperations = 1 << indexBits
  /// Linked SQEs of one operation that can be told apart.
  static let mostSteps = 1 << (32 - indexBits) - 1

  /// The token as `user_data` of an SQE, or as `data` of an epoll event.
  var packed: UInt64 { UInt64(generation) << 32 | UInt64(index) }

  init(packed: UInt64) {
    self.init(
      index: UInt32(truncatingIfNeeded: packed) & Self.indexMask,
      generation: UInt32(truncatingIfNeeded: packed >> 32))
  }

  /// `user_data` of the SQE that is the operation's `step`th, counted from 1; 0 is `packed`.
  func packed(step: Int) -> UInt64 { packed | UInt64(step) << Self.indexBits }

  /// Which SQE of its operation `user_data` names.
  static func step(ofPacked packed: UInt64) -> Int {
    Int(UInt32(truncatingIfNeeded: packed) >> UInt32(indexBits))
  }
}

/// A list of operations, linked through their slots: order without memory of its own. An operation is in one list at
/// most.
struct OperationList {
  static let end = UInt32.max
  private(set) var first = OperationList.end
  private var last = OperationList.end

  var isEmpty: Bool { first == Self.end }

  mutating func append(_ index: UInt32, in table: borrowing OperationTable) {
    table[index].pointee.next = Self.end
    table[index].pointee.previous = last
    if last == Self.end { first = index } else { table[last].pointee.next = index }
    last = index
  }

  mutating func remove(_ index: UInt32, in table: borrowing OperationTable) {
    let (previous, next) = (table[index].pointee.previous, table[index].pointee.next)
    if previous == Self.end { first = next } else { table[previous].pointee.next = next }
    if next == Self.end { last = previous } else { table[next].pointee.previous = previous }
  }
}
