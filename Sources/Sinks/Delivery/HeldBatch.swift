import IO

/// A batch that a sink holds.
enum HeldBatch: ~Copyable {
  /// Still in its pool: it is being written from there, or makes the pipeline wait.
  case pooled(SharedLease<Batch>)
  /// In memory of its own, charged to the queue.
  case own(BatchCopy)

  var rows: Int {
    switch self {
    case .pooled(let lease): lease.value.rows
    case .own(let copy): copy.rows
    }
  }

  var bytes: UnsafeRawBufferPointer {
    switch self {
    case .pooled(let lease): lease.value.bytes
    case .own(let copy): copy.bytes
    }
  }

  var facts: BatchFacts {
    switch self {
    case .pooled(let lease): lease.value.facts
    case .own(let copy): copy.facts
    }
  }

  /// One mark a row, or none.
  var marks: UnsafeBufferPointer<RowMark> {
    switch self {
    case .pooled(let lease): lease.value.rowMarks
    case .own(let copy): copy.rowMarks
    }
  }

  /// The number of the file that it came back from; 0: none.
  var origin: UInt64 {
    switch self {
    case .pooled: 0
    case .own(let copy): copy.origin
    }
  }

  /// What a copy of it counts.
  var copyCharge: Int {
    switch self {
    case .pooled(let lease):
      BatchCopy.charge(
        for: BatchCopy.contentBytes(byteCount: lease.value.bytes.count, markCount: lease.value.rowMarks.count))
    case .own(let copy): copy.charge
    }
  }

  var isPooled: Bool {
    switch self {
    case .pooled: true
    case .own: false
    }
  }

  /// What it counts in its queue.
  var charge: Int {
    switch self {
    case .pooled: 0
    case .own(let copy): copy.charge
    }
  }

  /// Itself, or a copy of what is in the pool.
  borrowing func owned() -> BatchCopy? {
    switch self {
    case .pooled(let lease): BatchCopy(of: lease.value)
    case .own(let copy): copy
    }
  }

  /// One more right to it.
  borrowing func share() -> HeldBatch {
    switch self {
    case .pooled(let lease): .pooled(lease.share())
    case .own(let copy): .own(copy)
    }
  }

  /// Keeps its memory for the life of the process: the kernel may still read it.
  consuming func leak() {
    switch consume self {
    case .pooled(let lease): lease.leak()
    case .own(let copy): _ = Unmanaged.passRetained(copy)
    }
  }
}

/// Batches in the order in which they are written: a ring that takes more memory only when more wait than ever before.
struct HeldBatches: ~Copyable {
  private var slots: UnsafeMutablePointer<HeldBatch>
  private var capacity: Int
  private var head = 0
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = max(1, capacity)
    slots = .allocate(capacity: self.capacity)
  }

  deinit {
    for index in 0..<count { (slots + (head + index) % capacity).deinitialize(count: 1) }
    slots.deallocate()
  }

  var isEmpty: Bool { count == 0 }

  var rows: UInt64 {
    var sum: UInt64 = 0
    for index in 0..<count { sum += UInt64(slots[slot(index)].rows) }
    return sum
  }

  subscript(index: Int) -> HeldBatch {
    _read { yield slots[slot(index)] }
    _modify { yield &slots[slot(index)] }
  }

  mutating func append(_ batch: consuming HeldBatch) {
    if count == capacity { grow() }
    (slots + slot(count)).initialize(to: batch)
    count += 1
  }

  mutating func prepend(_ batch: consuming HeldBatch) {
    if count == capacity { grow() }
    head = (head + capacity - 1) % capacity
    (slots + head).initialize(to: batch)
    count += 1
  }

  /// Takes one out; those before it move up, which are few: what is dropped is at the front.
  mutating func remove(at index: Int) -> HeldBatch {
    let batch = (slots + slot(index)).move()
    for position in stride(from: index, to: 0, by: -1) {
      (slots + slot(position)).moveInitialize(from: slots + slot(position - 1), count: 1)
    }
    head = (head + 1) % capacity
    count -= 1
    return batch
  }

  private func slot(_ index: Int) -> Int { (head + index) % capacity }

  private mutating func grow() {
    let bigger = UnsafeMutablePointer<HeldBatch>.allocate(capacity: capacity * 2)
    for index in 0..<count { (bigger + index).moveInitialize(from: slots + slot(index), count: 1) }
    slots.deallocate()
    (slots, capacity, head) = (bigger, capacity * 2, 0)
  }
}
