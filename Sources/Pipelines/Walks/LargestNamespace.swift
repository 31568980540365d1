import IO
import Records

/// Which namespace is read in parts, and in which: the one with the most sockets, cut by what was sampled of its ports. A poll
/// finds it, the next one samples it, and from the third on it is read in parts, each cut by the sample of the poll before.
///
/// Each part walks the whole hash, with the sockets of other namespaces in it: there are as many as are worth it.
struct LargestNamespace: ~Copyable {
  /// Below so many sockets the walks that are more cost more than what is gained.
  static let leastToSplit: UInt64 = 8192

  /// What it costs the kernel to fill in one socket, in walks past one (docs/performance.md).
  static let fillCost: UInt64 = 12

  /// How many parts at most; 1: none is cut.
  private let mostParts: Int
  private var namespace: Namespace?
  /// Where it is in the table of the poll that runs.
  private var index: Int?
  private var split = PortSplit.whole
  private var sample = PortSample()
  /// Its sockets in this poll.
  private var sockets: UInt64 = 0
  /// The largest of the others, as far as this poll has seen.
  private var other: (namespace: Namespace, sockets: UInt64)?
  /// Parts whose end has not been seen in this poll, and what came of the others.
  private var partsLeft = 0
  private var outcome = DumpEnd.complete

  init(mostParts: Int) { self.mostParts = mostParts }

  /// Decides by what the poll before has seen.
  ///
  /// - Parameter hostSockets: TCP sockets of all namespaces of the host; nil: not known. Asked for only where there is something
  ///   to cut.
  mutating func beginPoll(_ table: NamespaceTable, hostSockets: @autoclosure () -> UInt64?) {
    split = .whole
    guard mostParts > 1 else { return }
    if let other, other.sockets > sockets {
      namespace = other.sockets >= Self.leastToSplit ? other.namespace : nil
    } else if sockets >= Self.leastToSplit {
      split = PortSplit(of: &sample, parts: worthwhileParts(hostSockets() ?? sockets))
    } else {
      namespace = nil
    }
    // A namespace that is what it was is the same object in all tables.
    index = namespace.flatMap { namespace in table.namespaces.firstIndex { $0 === namespace } }
    (sockets, other) = (0, nil)
    (partsLeft, outcome) = (split.parts, .complete)
    sample.removeAll()
  }

  /// With `n` sockets of `h` on the host, a part takes the time of `h + fillCost * n / k` steps. One part more than `k - 1` takes
  /// `fillCost * n / (k * (k - 1))` off it and costs `h`: it is worth it while it does not cost more than it saves.
  private func worthwhileParts(_ hostSockets: UInt64) -> Int {
    let (filled, walked) = (Self.fillCost * sockets, max(hostSockets, sockets))
    var parts = 1
    while parts < mostParts, UInt64(parts * (parts + 1)) * walked <= filled { parts += 1 }
    return parts
  }

  /// In how many parts the namespace at `index` of the table is read.
  func parts(of index: Int) -> Int { index == self.index ? split.parts : 1 }

  /// The ports of a part; nil: all of the namespace is read at once.
  func interval(of index: Int, part: Int) -> PortInterval? { index == self.index ? split.interval(part) : nil }

  /// One of the parts is over, or will not be read. What came of all of them once it is the last: the first failure, if one failed.
  mutating func partEnded(_ end: DumpEnd) -> DumpEnd? {
    if outcome == .complete { outcome = end }
    partsLeft -= 1
    return partsLeft == 0 ? outcome : nil
  }

  /// Takes a sample of a datagram from the namespace at `index`.
  mutating func received(_ datagram: UnsafeRawBufferPointer, of index: Int) {
    guard index == self.index else { return }
    var sockets = ReportedSockets(in: datagram)
    for _ in 0..<4 {
      guard let socket = sockets.next() else { return }
      sample.add(source: socket.sourcePort, destination: socket.destinationPort)
    }
  }

  /// A dump of the namespace at `index` is over, of all or of a part of it.
  mutating func ended(_ namespace: Namespace, at index: Int, reported: UInt64) {
    guard mostParts > 1 else { return }
    if index == self.index {
      sockets += reported
    } else if reported > other?.sockets ?? 0 {
      other = (namespace, reported)
    }
  }
}
