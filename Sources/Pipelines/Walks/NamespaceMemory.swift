import IO
import Records

/// What a pipeline remembers of a namespace from poll to poll, to read it with the least walking. 12 bytes.
struct NamespaceKnowledge: Equatable {
  /// Spreads full walks over the namespaces.
  let phase: UInt32
  private var listenerCount = UInt32.max
  /// It has been read by a full walk.
  var hasBeenWalked = false

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
struct NamespaceMemory {
  private var table = NamespaceTable(namespaces: [], generation: 0)
  private var known: [NamespaceKnowledge] = []

  /// Goes over to another table, and keeps what is known of the namespaces that stay. A namespace that is what it was is the same
  /// object in all tables.
  mutating func follow(_ new: NamespaceTable) {
    guard new.generation != table.generation else { return }
    let kept = Dictionary(
      zip(table.namespaces.map(ObjectIdentifier.init), known), uniquingKeysWith: { first, _ in first })
    known = new.namespaces.map { kept[ObjectIdentifier($0)] ?? NamespaceKnowledge($0.key) }
    table = new
  }

  /// By index into the table's namespaces.
  subscript(index: Int) -> NamespaceKnowledge {
    get { known[index] }
    set { known[index] = newValue }
  }
}
