/// The raw memory behind a pool: a header, the stack of free indices, the holders of shared slots, the elements.
///
/// Raw pointers instead of a class: a class costs a reference count a lease and an exclusivity check an access. All
/// copies of this value name the same memory; it is freed by whichever goes last of the pool and its leases.
@usableFromInline
struct PoolStorage<Element: ~Copyable> {
  @usableFromInline
  struct Header {
    @usableFromInline let size: Int
    /// Free slots, which is also the height of the stack of free indices.
    @usableFromInline var free: Int
    @usableFromInline var highWater = 0
    @usableFromInline var waits: UInt64 = 0
    /// The pool itself is gone; the last lease frees the memory.
    @usableFromInline var isAbandoned = false

    init(size: Int) {
      self.size = size
      free = size
    }
  }

  @usableFromInline let header: UnsafeMutablePointer<Header>
  @usableFromInline let freeIndices: UnsafeMutablePointer<UInt32>
  @usableFromInline let holders: UnsafeMutablePointer<UInt32>
  @usableFromInline let elements: UnsafeMutablePointer<Element>

  static func make<Failure: Error>(
    count: Int, _ make: (Int) throws(Failure) -> Element
  ) throws(Failure) -> PoolStorage {
    let storage = PoolStorage(allocating: max(0, count))
    var made = 0
    do throws(Failure) {
      while made < storage.header.pointee.size {
        let element = try make(made)
        (storage.elements + made).initialize(to: element)
        made += 1
      }
    } catch {
      storage.elements.deinitialize(count: made)
      storage.deallocate()
      throw error
    }
    return storage
  }

  private init(allocating count: Int) {
    header = .allocate(capacity: 1)
    header.initialize(to: Header(size: count))
    freeIndices = .allocate(capacity: count)
    holders = .allocate(capacity: count)
    elements = .allocate(capacity: count)
    for index in 0..<count {
      // The lowest index on top: a pool that is never full touches the memory of its first elements only.
      (freeIndices + index).initialize(to: UInt32(count - 1 - index))
      (holders + index).initialize(to: 0)
    }
  }

  @inlinable @inline(__always)
  func take() -> UInt32? {
    let free = header.pointee.free &- 1
    guard free >= 0 else {
      header.pointee.waits &+= 1
      return nil
    }
    header.pointee.free = free
    let inUse = header.pointee.size &- free
    if inUse > header.pointee.highWater { header.pointee.highWater = inUse }
    return freeIndices[free]
  }

  @inlinable @inline(__always)
  func give(_ index: UInt32) {
    freeIndices[header.pointee.free] = index
    header.pointee.free &+= 1
    if header.pointee.isAbandoned { destroyIfUnused() }
  }

  func abandon() {
    header.pointee.isAbandoned = true
    destroyIfUnused()
  }

  @usableFromInline
  func destroyIfUnused() {
    guard header.pointee.free == header.pointee.size else { return }
    elements.deinitialize(count: header.pointee.size)
    deallocate()
  }

  private func deallocate() {
    elements.deallocate()
    holders.deallocate()
    freeIndices.deallocate()
    header.deallocate()
  }

  var gauges: PoolGauges {
    let header = header.pointee
    return PoolGauges(
      size: header.size, inUse: header.size - header.free, highWater: header.highWater, waits: header.waits)
  }
}
