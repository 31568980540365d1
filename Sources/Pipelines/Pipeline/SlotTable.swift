/// A fixed number of numbered slots for values that cannot be copied. The number of a slot is what travels through the kernel as
/// the owner of an operation, and leads back to the value. One owner, no growth.
struct SlotTable<Value: ~Copyable>: ~Copyable {
  private let slots: UnsafeMutablePointer<Value>
  private let used: UnsafeMutablePointer<Bool>
  private let free: UnsafeMutablePointer<Int>
  private var freeCount: Int
  let capacity: Int

  init(capacity: Int) {
    self.capacity = capacity
    slots = .allocate(capacity: capacity)
    used = .allocate(capacity: capacity)
    free = .allocate(capacity: capacity)
    for index in 0..<capacity {
      (used + index).initialize(to: false)
      (free + index).initialize(to: capacity - 1 - index)
    }
    freeCount = capacity
  }

  deinit {
    for index in 0..<capacity where used[index] { (slots + index).deinitialize(count: 1) }
    slots.deallocate()
    used.deallocate()
    free.deallocate()
  }

  /// Slots in use.
  var count: Int { capacity - freeCount }

  var isFull: Bool { freeCount == 0 }

  /// Puts a value into a free slot and says which. Nil, and the value is gone, when there is none: ask `isFull` first.
  mutating func insert(_ value: consuming Value) -> Int? {
    if freeCount == 0 { return nil }
    freeCount -= 1
    let index = free[freeCount]
    (slots + index).initialize(to: value)
    used[index] = true
    return index
  }

  /// Takes the value out of a slot, which is free afterwards. Nil if it was free.
  mutating func remove(_ index: Int) -> Value? {
    guard index >= 0, index < capacity, used[index] else { return nil }
    let value = (slots + index).move()
    used[index] = false
    free[freeCount] = index
    freeCount += 1
    return value
  }

  /// Where the value of a slot in use is, or nil. The pointer is good until the slot is freed; the table is never moved.
  subscript(index: Int) -> UnsafeMutablePointer<Value>? {
    guard index >= 0, index < capacity, used[index] else { return nil }
    return slots + index
  }
}
