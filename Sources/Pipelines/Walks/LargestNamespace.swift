import IO
import Records

/// Which namespace is read in parts, and in which: the one with the most sockets, cut by what was sampled of its ports. A poll
/// finds it, the next one samples it, and from the third on it is read in parts, each cut by the sample of the poll before.
struct LargestNamespace: ~Copyable {
  /// Below so many sockets the walks that are more cost more than what is gained.
  static let leastToSplit: UInt64 = 8192

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

  init(mostParts: Int) { self.mostParts = mostParts }

  /// Decides by what the poll before has seen.
  mutating func beginPoll(_ table: NamespaceTable) {
    split = .whole
    guard mostParts > 1 else { return }
    if let other, other.sockets > sockets {
      namespace = other.sockets >= Self.leastToSplit ? other.namespace : nil
    } else if sockets >= Self.leastToSplit {
      split = PortSplit(of: &sample, parts: mostParts)
    } else {
      namespace = nil
    }
    // A namespace that is what it was is the same object in all tables.
    index = namespace.flatMap { namespace in table.namespaces.firstIndex { $0 === namespace } }
    (sockets, other) = (0, nil)
    sample.removeAll()
  }

  /// In how many parts the namespace at `index` of the table is read.
  func parts(of index: Int) -> Int { index == self.index ? split.parts : 1 }

  /// The ports of a part; nil: all of the namespace is read at once.
  func interval(of index: Int, part: Int) -> PortInterval? { index == self.index ? split.interval(part) : nil }

  /// Takes a sample of a datagram from the namespace at `index`.
  mutating func received(_ datagram: UnsafeRawBufferPointer, of index: Int) {
    guard index == self.index else { return }
    InetDiag.forEachPorts(ofFirst: 4, in: datagram) { sample.add(source: $0, destination: $1) }
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
