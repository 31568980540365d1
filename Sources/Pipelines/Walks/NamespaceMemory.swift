import IO
import Records

/// What a pipeline remembers of a namespace from poll to poll, to read it with the least walking. 24 bytes, and its connections.
struct NamespaceKnowledge: Equatable {
  /// Which hash its connections are in.
  enum Hash: UInt8 {
    case unknown, shared, own
  }

  /// Spreads full walks over the namespaces.
  let phase: UInt32
  private var listenerCount = UInt32.max
  /// All that the last walk of all tables has found; empty: too many, or nobody would ask for them one by one.
  var connections = KnownSockets.List()
  /// It has been read by a full walk.
  var hasBeenWalked = false
  var hash = Hash.unknown

  init(_ key: NamespaceKey) {
    phase = UInt32(
      truncatingIfNeeded: RowSelection.hash(cookie: RowSelection.hash(cookie: key.node.inode) ^ key.cookie))
  }

  /// How many listeners it had when they were counted last; nil: not known.
  var listeners: UInt64? {
    get { listenerCount == .max ? nil : UInt64(listenerCount) }
    set { listenerCount = newValue.map { UInt32(clamping: $0) } ?? .max }
  }
}

/// What is known of each namespace of a table. It allocates when there is another table, and else never.
struct NamespaceMemory: ~Copyable {
  /// The connections of all namespaces.
  var sockets: KnownSockets
  private var table = NamespaceTable(namespaces: [], generation: 0)
  private var known: [NamespaceKnowledge] = []

  /// - Parameter connections: how many are remembered at most.
  init(connections: Int) { sockets = KnownSockets(connections: connections) }

  /// Goes over to another table, and keeps what is known of the namespaces that stay. A namespace that is what it was is the same
  /// object in all tables.
  mutating func follow(_ new: NamespaceTable) {
    guard new.generation != table.generation else { return }
    var left = Dictionary(
      zip(table.namespaces.map(ObjectIdentifier.init), known), uniquingKeysWith: { first, _ in first })
    known = new.namespaces.map { left.removeValue(forKey: ObjectIdentifier($0)) ?? NamespaceKnowledge($0.key) }
    for var gone in left.values { sockets.removeAll(of: &gone.connections) }
    table = new
  }

  /// By index into the table's namespaces.
  subscript(index: Int) -> NamespaceKnowledge {
    get { known[index] }
    set { known[index] = newValue }
  }

  /// Replaces the connections of a namespace, and lets go of what was known.
  mutating func setConnections(_ new: inout KnownSockets.List, of index: Int) {
    sockets.removeAll(of: &known[index].connections)
    swap(&known[index].connections, &new)
  }

  mutating func forgetConnections(of index: Int) { sockets.removeAll(of: &known[index].connections) }
}
