/// First in, first out, with a capacity that never changes; may hold what cannot be copied, leases for example.
///
/// One owner, no locks. Elements still inside when it goes are destroyed (leases return to their pool).
@frozen
public struct FixedQueue<Element: ~Copyable>: ~Copyable {
  @usableFromInline let slots: UnsafeMutablePointer<Element>
  /// The most elements that fit.
  public let capacity: Int
  @usableFromInline var head = 0
  @usableFromInline var length = 0
  /// Elements inside at this moment.
  @inlinable
  public var count: Int { length }

  /// Memory for `capacity` elements, allocated once; a negative capacity is none.
  @inlinable
  public init(capacity: Int) {
    self.capacity = max(0, capacity)
    slots = .allocate(capacity: self.capacity)
  }

  @inlinable
  deinit {
    for offset in 0..<count { (slots + (head + offset) % capacity).deinitialize(count: 1) }
    slots.deallocate()
  }

  /// Nothing is inside.
  @inlinable
  public var isEmpty: Bool { count == 0 }
  /// Nothing more fits.
  @inlinable
  public var isFull: Bool { count == capacity }

  /// Puts an element at the end; hands it back if there is no room.
  @inlinable
  public mutating func push(_ element: consuming Element) -> Element? {
    guard count < capacity else { return element }
    (slots + (head + count) % capacity).initialize(to: element)
    length += 1
    return nil
  }

  /// Takes the oldest element, or `nil` if there is none.
  @inlinable
  public mutating func pop() -> Element? {
    guard count > 0 else { return nil }
    let element = (slots + head).move()
    head = (head + 1) % capacity
    length -= 1
    return element
  }

  /// Looks at (and may change) the oldest element where it is; `nil` if there is none.
  @inlinable
  public mutating func withFirst<Result>(_ body: (inout Element) -> Result) -> Result? {
    guard count > 0 else { return nil }
    return body(&slots[head])
  }
}
