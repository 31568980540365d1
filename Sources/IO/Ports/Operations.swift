internal import CLiburing

/// What a port remembers of an operation in flight: the context of an SQE, or of a call that is to be made.
struct Operation {
  /// Counts the uses of this slot; part of the token, so that a stale token matches nothing.
  var generation: UInt32 = 1
  var isInFlight = false
  var kind = OperationKind.send
  var owner: UInt32 = 0
  var descriptor: Int32 = -1
  var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
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
  var target = WriteTarget.stream

  enum Place: UInt8 { case none, ready, readable, writable, timer }
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
  /// The token as `user_data` of an SQE, or as `data` of an epoll event.
  var packed: UInt64 { UInt64(generation) << 32 | UInt64(index) }

  init(packed: UInt64) {
    self.init(index: UInt32(truncatingIfNeeded: packed), generation: UInt32(truncatingIfNeeded: packed >> 32))
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
