/// What a pool tells about itself.
public struct PoolGauges: Equatable, Sendable {
  /// Slots that the pool has; it never grows.
  public var size: Int
  /// Slots lent out at this moment.
  public var inUse: Int
  /// The most slots ever lent out at once.
  public var highWater: Int
  /// How often somebody asked and none was free.
  public var waits: UInt64

  /// Gauges of a pool of another kind.
  public init(size: Int, inUse: Int, highWater: Int, waits: UInt64) {
    self.size = size
    self.inUse = inUse
    self.highWater = highWater
    self.waits = waits
  }
}

/// A fixed number of elements, made once and lent out as leases.
///
/// The pool has one owner and belongs to that owner's thread: nothing here is locked. An element keeps its state from
/// one lease to the next, so buffers stay mapped; whoever borrows one resets it. Exhaustion is an answer (`nil`,
/// counted in `waits`), never growth. Memory: one slot an element and 8 bytes more. The memory lives until both the
/// pool and its last lease are gone, so a lease may outlive the pool.
@frozen
public struct Pool<Element: ~Copyable>: ~Copyable {
  @usableFromInline let storage: PoolStorage<Element>

  /// Makes all elements; `make` is called with 0 ..< count. If it throws, those already made are destroyed.
  public init<Failure: Error>(count: Int, _ make: (Int) throws(Failure) -> Element) throws(Failure) {
    storage = try PoolStorage.make(count: count, make)
  }

  deinit { storage.abandon() }

  /// Borrows a free element, or `nil` (counted in `waits`) if all are lent out.
  @inlinable
  public borrowing func lease() -> Lease<Element>? {
    guard let index = storage.take() else { return nil }
    return Lease(storage: storage, index: index)
  }

  /// The lease of an element that was entrusted to somebody else; the caller vouches that it came back, once.
  func reclaim(_ index: UInt32) -> Lease<Element> { Lease(storage: storage, index: index) }

  /// Whether `lease()` would succeed; asking counts nothing.
  @inlinable
  public var hasFree: Bool { storage.header.pointee.free > 0 }

  /// Size, use and pressure of the pool.
  public var gauges: PoolGauges { storage.gauges }
}

/// The exclusive right to one element of a pool; the element returns to the pool when the lease ends.
///
/// It cannot be copied, returned twice, used after its return, or forgotten: the compiler sees to that.
@frozen
public struct Lease<Element: ~Copyable>: ~Copyable {
  @usableFromInline let storage: PoolStorage<Element>
  @usableFromInline let index: UInt32

  @usableFromInline
  init(storage: PoolStorage<Element>, index: UInt32) {
    self.storage = storage
    self.index = index
  }

  @inlinable
  deinit { storage.give(index) }

  /// The borrowed element.
  @inlinable
  public var value: Element {
    _read { yield storage.elements[Int(index)] }
    _modify { yield &storage.elements[Int(index)] }
  }

  /// Returns the element now instead of at the end of the scope.
  @inlinable
  public consuming func giveBack() {}

  /// Leaves the element lent out without a lease: somebody who cannot hold one (the kernel) has it now.
  /// `Pool.reclaim` makes the lease anew.
  consuming func entrust() -> UInt32 {
    let index = index
    discard self
    return index
  }

  /// Turns the exclusive right into a shared one; see `SharedLease`.
  @inlinable
  public consuming func shared() -> SharedLease<Element> {
    let (storage, index) = (storage, index)
    discard self
    storage.holders[Int(index)] = 1
    return SharedLease(storage: storage, index: index)
  }
}

/// One of several rights to read the same element; the last one to end returns the element to the pool.
///
/// Confined to the pool's thread as everything of the pool, so counting holders needs no atomics.
@frozen
public struct SharedLease<Element: ~Copyable>: ~Copyable {
  @usableFromInline let storage: PoolStorage<Element>
  @usableFromInline let index: UInt32

  @usableFromInline
  init(storage: PoolStorage<Element>, index: UInt32) {
    self.storage = storage
    self.index = index
  }

  @inlinable
  deinit {
    storage.holders[Int(index)] &-= 1
    if storage.holders[Int(index)] == 0 { storage.give(index) }
  }

  /// The shared element, to be read only.
  @inlinable
  public var value: Element {
    _read { yield storage.elements[Int(index)] }
  }

  /// One more right to the same element.
  @inlinable
  public borrowing func share() -> SharedLease<Element> {
    storage.holders[Int(index)] &+= 1
    return SharedLease(storage: storage, index: index)
  }

  /// Never lets go of the element: somebody who cannot be asked (the kernel, in a write that is stuck) may still read it.
  public consuming func leak() { discard self }

  /// Elements of its pool that are free.
  @inlinable
  public var freeBeside: Int { storage.header.pointee.free }

  /// How many rights to the element exist, this one included.
  @inlinable
  public var holderCount: Int { Int(storage.holders[Int(index)]) }
}
