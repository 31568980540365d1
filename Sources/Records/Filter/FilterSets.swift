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
    let merged = Self.merged(ranges)
    count = merged.count
    lowers = .allocate(capacity: count)
    uppers = .allocate(capacity: count)
    for (index, range) in merged.enumerated() {
      (lowers + index).initialize(to: range.lowerBound)
      (uppers + index).initialize(to: range.upperBound)
    }
  }

  /// The same numbers in as few ranges as can be, in order.
  static func merged(_ ranges: [ClosedRange<Bound>]) -> [ClosedRange<Bound>] {
    var merged: [ClosedRange<Bound>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = merged.last, last.upperBound == .max || range.lowerBound <= last.upperBound + 1 {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    return merged
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

/// Marks under masks.
struct MarkSet {
  private let marks: UnsafeMutablePointer<RowFilter.Mark>
  private let count: Int

  /// Nil without marks.
  init?(_ terms: [RowFilter.Mark]) {
    if terms.isEmpty { return nil }
    count = terms.count
    marks = .allocate(capacity: count)
    for (index, mark) in terms.enumerated() { (marks + index).initialize(to: mark) }
  }

  func deallocate() { marks.deallocate() }

  func contains(_ mark: UInt32) -> Bool {
    for index in 0..<count where mark & marks[index].mask == marks[index].value { return true }
    return false
  }
}

/// Numbers that are known, and numbers that are among the bindings.
struct NumberSet {
  private let known: UnsafeMutablePointer<UInt64>
  private let knownCount: Int
  private let bound: UnsafeMutablePointer<Int>
  private let boundCount: Int

  /// Nil without numbers.
  ///
  /// - Parameter position: of a name's binding.
  init?(_ numbers: [RowFilter.Number], _ position: (String) -> Int) {
    if numbers.isEmpty { return nil }
    known = .allocate(capacity: numbers.count)
    bound = .allocate(capacity: numbers.count)
    var (knownCount, boundCount) = (0, 0)
    for number in numbers {
      switch number {
      case .known(let value):
        (known + knownCount).initialize(to: value)
        knownCount += 1
      case .named(let name):
        (bound + boundCount).initialize(to: position(name))
        boundCount += 1
      }
    }
    (self.knownCount, self.boundCount) = (knownCount, boundCount)
  }

  func deallocate() {
    known.deallocate()
    bound.deallocate()
  }

  func contains(_ value: UInt64, _ bindings: UnsafePointer<UInt64>?) -> Bool {
    for index in 0..<knownCount where known[index] == value { return true }
    guard let bindings else { return false }
    for index in 0..<boundCount where bindings[bound[index]] == value { return true }
    return false
  }
}
