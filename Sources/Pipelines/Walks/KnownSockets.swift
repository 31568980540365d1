import IO
import Records

/// Connections that a pipeline remembers from poll to poll, to ask for them one by one where that costs less than a walk: a list for
/// each namespace, all in one piece of memory of a fixed size. What is not used of it is never touched, and takes none.
///
/// A list is a chain of chunks of 256 bytes. A connection of IPv4 takes 24 bytes, one of IPv6 twice as much.
struct KnownSockets: ~Copyable {
  /// The connections of a namespace. Belongs to the memory that it was made with, which has to be told when it is let go of.
  struct List: Equatable {
    fileprivate var first = Chunk.none
    fileprivate var last = Chunk.none
    private(set) var count: UInt32 = 0

    fileprivate mutating func append(chunk: UInt32) {
      if last == Chunk.none { first = chunk }
      last = chunk
    }

    fileprivate mutating func grow() { count += 1 }
  }

  /// A place in a list.
  struct Cursor: Equatable {
    fileprivate var chunk: UInt32
    fileprivate var unit = 0
  }

  /// How chunks and what is in them are laid out.
  fileprivate enum Chunk {
    static let none = UInt32.max
    static let byteCount = 256
    /// The number of the next chunk, and how many units are used in this one: 4 bytes each.
    static let headerBytes = 8
    static let unitBytes = 24
    static let units = (byteCount - headerBytes) / unitBytes
  }

  /// Beside the number of the interface.
  private enum Flag {
    static let ipv6: UInt32 = 1 << 31
    static let gone: UInt32 = 1 << 30
    static let interface = gone - 1
  }

  private let memory: UnsafeMutableRawPointer
  private let chunks: Int
  /// Chunks that have been let go of, linked; none: those from `fresh` on are left.
  private var free = Chunk.none
  private var fresh = 0
  private var inUse = 0
  private var highWater = 0
  private var waits: UInt64 = 0

  /// Bytes of memory.
  static func memory(connections: Int) -> Int { chunks(for: connections) * Chunk.byteCount }

  private static func chunks(for connections: Int) -> Int { (connections + Chunk.units - 1) / Chunk.units }

  /// - Parameter connections: of IPv4; half as many of IPv6.
  init(connections: Int) {
    chunks = Self.chunks(for: connections)
    memory = .allocate(byteCount: chunks * Chunk.byteCount, alignment: 8)
  }

  deinit { memory.deallocate() }

  /// In connections of IPv4. `waits` counts how often there was no room for one.
  var gauges: PoolGauges {
    PoolGauges(
      size: chunks * Chunk.units, inUse: inUse * Chunk.units, highWater: highWater * Chunk.units, waits: waits)
  }

  // MARK: Lists

  /// False: there is no room, or it is a socket that cannot be kept.
  mutating func append(_ socket: SocketID, to list: inout List) -> Bool {
    let isIPv6 = socket.family != 2
    guard socket.interface <= Flag.interface, let unit = unit(isIPv6 ? 2 : 1, in: &list) else {
      waits += 1
      return false
    }
    unit.storeBytes(of: socket.sourcePort, as: UInt16.self)
    unit.storeBytes(of: socket.destinationPort, toByteOffset: 2, as: UInt16.self)
    unit.storeBytes(of: socket.interface | (isIPv6 ? Flag.ipv6 : 0), toByteOffset: 4, as: UInt32.self)
    unit.storeBytes(of: socket.cookie, toByteOffset: 8, as: UInt64.self)
    if isIPv6 {
      unit.storeBytes(of: socket.source[0], toByteOffset: 16, as: UInt64.self)
      unit.storeBytes(of: socket.source[1], toByteOffset: 24, as: UInt64.self)
      unit.storeBytes(of: socket.destination[0], toByteOffset: 32, as: UInt64.self)
      unit.storeBytes(of: socket.destination[1], toByteOffset: 40, as: UInt64.self)
    } else {
      unit.storeBytes(of: UInt32(truncatingIfNeeded: socket.source[0]), toByteOffset: 16, as: UInt32.self)
      unit.storeBytes(of: UInt32(truncatingIfNeeded: socket.destination[0]), toByteOffset: 20, as: UInt32.self)
    }
    list.grow()
    return true
  }

  /// Lets go of a list, which is empty afterwards.
  mutating func removeAll(of list: inout List) {
    var chunk = list.first
    while chunk != Chunk.none {
      let next = next(chunk)
      setNext(chunk, free)
      free = chunk
      inUse -= 1
      chunk = next
    }
    list = List()
  }

  /// Room for so many units in a row at the end of a list.
  private mutating func unit(_ count: Int, in list: inout List) -> UnsafeMutableRawPointer? {
    if list.last == Chunk.none || used(list.last) + count > Chunk.units {
      guard let chunk = takeChunk() else { return nil }
      if list.last != Chunk.none { setNext(list.last, chunk) }
      list.append(chunk: chunk)
    }
    let used = used(list.last)
    setUsed(list.last, used + count)
    return address(list.last, unit: used)
  }

  private mutating func takeChunk() -> UInt32? {
    let chunk: UInt32
    if free != Chunk.none {
      chunk = free
      free = next(chunk)
    } else {
      guard fresh < chunks else { return nil }
      chunk = UInt32(fresh)
      fresh += 1
    }
    setNext(chunk, Chunk.none)
    setUsed(chunk, 0)
    inUse += 1
    highWater = max(highWater, inUse)
    return chunk
  }

  // MARK: Going through a list

  func start(of list: List) -> Cursor { Cursor(chunk: list.first) }

  /// The connection at a place, which goes on to the next one; nil at the end. Its state is not remembered.
  func next(_ cursor: inout Cursor) -> SocketID? {
    guard let unit = unit(at: &cursor) else { return nil }
    let flags = unit.load(fromByteOffset: 4, as: UInt32.self)
    let isIPv6 = flags & Flag.ipv6 != 0
    func address(_ offset4: Int, _ offset6: Int) -> InlineArray<2, UInt64> {
      guard isIPv6 else { return [UInt64(unit.load(fromByteOffset: offset4, as: UInt32.self)), 0] }
      return [
        unit.load(fromByteOffset: offset6, as: UInt64.self), unit.load(fromByteOffset: offset6 + 8, as: UInt64.self),
      ]
    }
    cursor.unit += isIPv6 ? 2 : 1
    return SocketID(
      family: isIPv6 ? 10 : 2, state: 0, sourcePort: unit.load(as: UInt16.self),
      destinationPort: unit.load(fromByteOffset: 2, as: UInt16.self), source: address(16, 16),
      destination: address(20, 32), interface: flags & Flag.interface,
      cookie: unit.load(fromByteOffset: 8, as: UInt64.self))
  }

  /// The connection at a place is not there any more.
  func markGone(at cursor: Cursor) {
    var cursor = cursor
    guard let unit = unit(at: &cursor) else { return }
    unit.storeBytes(of: unit.load(fromByteOffset: 4, as: UInt32.self) | Flag.gone, toByteOffset: 4, as: UInt32.self)
  }

  /// Whether a connection is before a place in a list, and is not gone.
  ///
  /// - Parameter place: where to begin to look; becomes the place behind the connection if it is found.
  func contains(cookie: UInt64, in list: List, before end: Cursor, near place: inout Cursor) -> Bool {
    let begin = place
    return find(cookie, from: begin, before: end, &place) ?? find(cookie, from: start(of: list), before: begin, &place)
      ?? false
  }

  /// Nil if it is not between two places.
  private func find(_ cookie: UInt64, from begin: Cursor, before end: Cursor, _ behind: inout Cursor) -> Bool? {
    var cursor = begin
    // Both are the same place: behind the last one of a chunk, and the first one of the next.
    while cursor != end, let unit = unit(at: &cursor), cursor != end {
      let flags = unit.load(fromByteOffset: 4, as: UInt32.self)
      cursor.unit += flags & Flag.ipv6 != 0 ? 2 : 1
      if unit.load(fromByteOffset: 8, as: UInt64.self) == cookie {
        behind = cursor
        return flags & Flag.gone == 0
      }
    }
    return nil
  }

  /// Nil at the end. A place behind the last one of a chunk becomes the first one of the next.
  private func unit(at cursor: inout Cursor) -> UnsafeMutableRawPointer? {
    guard cursor.chunk != Chunk.none else { return nil }
    if cursor.unit >= used(cursor.chunk) {
      let next = next(cursor.chunk)
      guard next != Chunk.none else { return nil }
      cursor = Cursor(chunk: next)
    }
    return address(cursor.chunk, unit: cursor.unit)
  }

  // MARK: Chunks

  private func base(_ chunk: UInt32) -> UnsafeMutableRawPointer { memory + Int(chunk) * Chunk.byteCount }

  private func address(_ chunk: UInt32, unit: Int) -> UnsafeMutableRawPointer {
    base(chunk) + Chunk.headerBytes + unit * Chunk.unitBytes
  }

  private func next(_ chunk: UInt32) -> UInt32 { base(chunk).load(as: UInt32.self) }
  private func setNext(_ chunk: UInt32, _ next: UInt32) { base(chunk).storeBytes(of: next, as: UInt32.self) }
  private func used(_ chunk: UInt32) -> Int { Int(base(chunk).load(fromByteOffset: 4, as: UInt32.self)) }
  private func setUsed(_ chunk: UInt32, _ used: Int) {
    base(chunk).storeBytes(of: UInt32(used), toByteOffset: 4, as: UInt32.self)
  }
}
