import Records

/// Cuts the sockets of one namespace into parts of about equal size, by source or by destination port, so that several dumps read
/// them at the same time. Every socket is in exactly one part.
struct PortSplit: Equatable {
  private(set) var isDestination = false
  /// The first port of each part but the first; ascending.
  private(set) var bounds = InlineBounds()

  /// The number of parts; 1: nothing is gained by a cut.
  var parts: Int { bounds.count + 1 }

  /// What a part reads; nil: everything.
  func interval(_ part: Int) -> PortInterval? {
    guard bounds.count > 0 else { return nil }
    let lower = part == 0 ? 0 : bounds[part - 1]
    let upper = part == bounds.count ? UInt16.max : bounds[part] - 1
    return PortInterval(isDestination: isDestination, ports: lower...upper)
  }

  /// - Parameters:
  ///   - sample: of the namespace's sockets; is sorted by this.
  ///   - parts: how many at most.
  init(of sample: inout PortSample, parts: Int) {
    guard parts > 1, sample.count >= PortSample.enough else { return }
    let source = Self.cut(sample.sources, parts)
    let destination = Self.cut(sample.destinations, parts)
    let best = min(source.largest, destination.largest)
    // All with one port in common: the walks would be more, and the reading no faster.
    guard best * 10 <= sample.count * 8 else { return }
    isDestination = destination.largest < source.largest
    bounds = isDestination ? destination.bounds : source.bounds
  }

  private init() {}

  static let whole = PortSplit()

  /// At quantiles. `largest` is how much of the sample is in the largest part.
  private static func cut(_ ports: UnsafeMutableBufferPointer<UInt16>, _ parts: Int) -> (
    bounds: InlineBounds, largest: Int
  ) {
    sort(ports)
    var (bounds, largest, start) = (InlineBounds(), 0, 0)
    for part in 1..<parts {
      var index = ports.count * part / parts
      // A port belongs to one part: the cut is before its first or behind its last socket, whichever is nearer.
      let port = ports[index]
      var first = index
      while first > 0, ports[first - 1] == port { first -= 1 }
      var last = index
      while last < ports.count, ports[last] == port { last += 1 }
      index = index - first <= last - index ? first : last
      guard index > start, index < ports.count else { continue }
      largest = max(largest, index - start)
      bounds.append(ports[index])
      start = index
    }
    return (bounds, max(largest, ports.count - start))
  }

  /// In place, without a buffer: the standard library's sort takes one.
  private static func sort(_ ports: UnsafeMutableBufferPointer<UInt16>) {
    for index in ports.indices.dropFirst() {
      let port = ports[index]
      var place = index
      while place > 0, ports[place - 1] > port {
        ports[place] = ports[place - 1]
        place -= 1
      }
      ports[place] = port
    }
  }

  /// Up to 63 ports, without an allocation.
  struct InlineBounds: Equatable {
    private var ports: InlineArray<63, UInt16> = .init(repeating: 0)
    private(set) var count = 0

    subscript(index: Int) -> UInt16 { ports[index] }

    mutating func append(_ port: UInt16) {
      guard count < 63 else { return }
      ports[count] = port
      count += 1
    }

    static func == (left: InlineBounds, right: InlineBounds) -> Bool {
      left.count == right.count && (0..<left.count).allSatisfy { left[$0] == right[$0] }
    }
  }
}

/// Ports of some of the sockets of a namespace: of the first few in each datagram of its dump.
struct PortSample: ~Copyable {
  /// A cut is worth no thought below so many.
  static let enough = 64
  private static let capacity = 256

  private let memory: UnsafeMutablePointer<UInt16>
  private(set) var count = 0
  /// Datagrams seen.
  private var seen: UInt64 = 0

  init() {
    memory = .allocate(capacity: 2 * Self.capacity)
    memory.initialize(repeating: 0, count: 2 * Self.capacity)
  }

  deinit { memory.deallocate() }

  var sources: UnsafeMutableBufferPointer<UInt16> { UnsafeMutableBufferPointer(start: memory, count: count) }
  var destinations: UnsafeMutableBufferPointer<UInt16> {
    UnsafeMutableBufferPointer(start: memory + Self.capacity, count: count)
  }

  mutating func removeAll() { (count, seen) = (0, 0) }

  /// Takes in a socket. When it is full, one that is in there goes for each that is taken, and each seen has had the same chance: a
  /// reservoir.
  mutating func add(source: UInt16, destination: UInt16) {
    seen += 1
    var place = count
    if count < Self.capacity {
      count += 1
    } else {
      let chance = RowSelection.hash(cookie: seen) % seen
      guard chance < UInt64(Self.capacity) else { return }
      place = Int(chance)
    }
    memory[place] = source
    memory[Self.capacity + place] = destination
  }
}
