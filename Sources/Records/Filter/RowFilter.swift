/// Which sockets are kept by address and port: those that satisfy all terms of `keep` and no term of `drop`.
///
/// Made once, when settings are taken over: the terms are compiled into tables in raw memory, sorted ranges of addresses
/// and a bit for each port, which the walk reads through a pointer. A row costs neither an allocation nor a reference count.
public final class RowFilter: Sendable, Hashable {
  /// Addresses that begin with the same bits.
  public struct Prefix: Sendable, Hashable {
    /// 4 or 16, in network byte order.
    public let bytes: [UInt8]
    /// Bits that count.
    public let length: Int

    public init(bytes: [UInt8], length: Int) {
      self.bytes = bytes
      self.length = length
    }
  }

  /// Properties of a socket. A term is satisfied if one of its elements matches; an empty one is no term.
  public struct Terms: Sendable, Hashable {
    public var sources: [Prefix] = []
    public var destinations: [Prefix] = []
    public var sourcePorts: [ClosedRange<UInt16>] = []
    public var destinationPorts: [ClosedRange<UInt16>] = []

    public init() {}
  }

  public let keep: Terms
  public let drop: Terms
  /// What the walk reads; valid as long as this object.
  nonisolated(unsafe) let program: UnsafePointer<FilterProgram>

  /// Nil if there is no term at all: the walk then has nothing to do.
  public init?(keep: Terms, drop: Terms) {
    if keep == Terms(), drop == Terms() { return nil }
    self.keep = keep
    self.drop = drop
    let program = UnsafeMutablePointer<FilterProgram>.allocate(capacity: 1)
    program.initialize(to: FilterProgram(keep: FilterProgram.Terms(keep), drop: FilterProgram.Terms(drop)))
    self.program = UnsafePointer(program)
  }

  deinit {
    program.pointee.keep.deallocate()
    program.pointee.drop.deallocate()
    program.deallocate()
  }

  public static func == (left: RowFilter, right: RowFilter) -> Bool {
    left === right || (left.keep == right.keep && left.drop == right.drop)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(keep)
    hasher.combine(drop)
  }
}

/// A compiled filter: plain pointers, so that evaluating it touches no object.
struct FilterProgram {
  /// Terms in the order of how cheap they are; nil is no term.
  struct Terms {
    let sourcePorts: PortSet?
    let destinationPorts: PortSet?
    let sources: AddressSet?
    let destinations: AddressSet?

    init(_ terms: RowFilter.Terms) {
      sourcePorts = PortSet(terms.sourcePorts)
      destinationPorts = PortSet(terms.destinationPorts)
      sources = AddressSet(terms.sources)
      destinations = AddressSet(terms.destinations)
    }

    func deallocate() {
      sourcePorts?.deallocate()
      destinationPorts?.deallocate()
      sources?.deallocate()
      destinations?.deallocate()
    }
  }

  // Offsets in struct inet_diag_msg.
  private static let sourcePort = 4  // id.idiag_sport
  private static let destinationPort = 6  // id.idiag_dport
  private static let source = 8  // id.idiag_src
  private static let destination = 24  // id.idiag_dst

  let keep: Terms
  let drop: Terms

  /// Whether a socket becomes a row.
  ///
  /// - Parameter message: a whole `struct inet_diag_msg`.
  func keeps(_ message: UnsafeRawPointer) -> Bool {
    func port(_ offset: Int) -> UInt16 {
      UInt16(bigEndian: message.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
    let isIPv6 = message.load(as: UInt8.self) == 10
    func isIn(_ set: AddressSet, _ offset: Int) -> Bool { set.contains(message + offset, isIPv6: isIPv6) }
    if let set = keep.sourcePorts, !set.contains(port(Self.sourcePort)) { return false }
    if let set = keep.destinationPorts, !set.contains(port(Self.destinationPort)) { return false }
    if let set = keep.sources, !isIn(set, Self.source) { return false }
    if let set = keep.destinations, !isIn(set, Self.destination) { return false }
    if let set = drop.sourcePorts, set.contains(port(Self.sourcePort)) { return false }
    if let set = drop.destinationPorts, set.contains(port(Self.destinationPort)) { return false }
    if let set = drop.sources, isIn(set, Self.source) { return false }
    if let set = drop.destinations, isIn(set, Self.destination) { return false }
    return true
  }
}

/// A bit for each of the 65,536 ports.
struct PortSet {
  private static let wordCount = 1_024
  private let words: UnsafeMutablePointer<UInt64>

  /// Nil without ranges.
  init?(_ ranges: [ClosedRange<UInt16>]) {
    if ranges.isEmpty { return nil }
    words = .allocate(capacity: Self.wordCount)
    words.initialize(repeating: 0, count: Self.wordCount)
    for range in ranges { for port in range { words[Int(port >> 6)] |= 1 << UInt64(port & 63) } }
  }

  func deallocate() { words.deallocate() }

  func contains(_ port: UInt16) -> Bool { words[Int(port >> 6)] & 1 &<< UInt64(port & 63) != 0 }
}

/// Addresses of both families. A v4-mapped IPv6 address (`::ffff:10.1.2.3`) is in IPv4 networks, too.
struct AddressSet {
  private let v4: SortedRanges<UInt32>
  private let v6: SortedRanges<UInt128>

  /// Nil without prefixes.
  init?(_ prefixes: [RowFilter.Prefix]) {
    if prefixes.isEmpty { return nil }
    v4 = SortedRanges(prefixes.filter { $0.bytes.count == 4 }.map(Self.range))
    v6 = SortedRanges(prefixes.filter { $0.bytes.count == 16 }.map(Self.range))
  }

  func deallocate() {
    v4.deallocate()
    v6.deallocate()
  }

  /// - Parameter address: 4 or 16 bytes in network byte order.
  func contains(_ address: UnsafeRawPointer, isIPv6: Bool) -> Bool {
    guard isIPv6 else { return v4.contains(Self.word(address)) }
    let high = UInt64(bigEndian: address.loadUnaligned(as: UInt64.self))
    let low = UInt64(bigEndian: address.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    if high == 0, low >> 32 == 0xffff, v4.contains(UInt32(truncatingIfNeeded: low)) { return true }
    return v6.contains(UInt128(high) << 64 | UInt128(low))
  }

  private static func word(_ address: UnsafeRawPointer) -> UInt32 {
    UInt32(bigEndian: address.loadUnaligned(as: UInt32.self))
  }

  private static func range<Bound: FixedWidthInteger & UnsignedInteger>(_ prefix: RowFilter.Prefix) -> ClosedRange<
    Bound
  > {
    let address = prefix.bytes.reduce(0 as Bound) { $0 << 8 | Bound($1) }
    let rest = Bound.max >> Bound(min(prefix.length, Bound.bitWidth))
    return address & ~rest...address | rest
  }
}

/// Ranges that neither overlap nor touch, in order: one of them is found in log2 of their number of steps.
struct SortedRanges<Bound: FixedWidthInteger> {
  private let lowers: UnsafeMutablePointer<Bound>
  private let uppers: UnsafeMutablePointer<Bound>
  private let count: Int

  init(_ ranges: [ClosedRange<Bound>]) {
    var merged: [ClosedRange<Bound>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = merged.last, last.upperBound == .max || range.lowerBound <= last.upperBound + 1 {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    count = merged.count
    lowers = .allocate(capacity: count)
    uppers = .allocate(capacity: count)
    for (index, range) in merged.enumerated() {
      (lowers + index).initialize(to: range.lowerBound)
      (uppers + index).initialize(to: range.upperBound)
    }
  }

  func deallocate() {
    lowers.deallocate()
    uppers.deallocate()
  }

  @inline(__always)
  func contains(_ value: Bound) -> Bool {
    var low = 0
    var high = count
    // The ranges before `low` begin at or below the value, those from `high` on above it.
    while low < high {
      let middle = (low &+ high) &>> 1
      if lowers[middle] <= value { low = middle &+ 1 } else { high = middle }
    }
    return low > 0 && value <= uppers[low &- 1]
  }
}
