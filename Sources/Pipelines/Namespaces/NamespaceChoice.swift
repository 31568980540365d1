import Config
import IO

/// Which namespaces of a table a pipeline reads; worked out once for each table.
struct NamespaceChoice {
  private let selection: NamespaceSelection
  /// What the other pipelines select: `rest` is what none of these does.
  private let others: [NamespaceSelection]
  private var generation: UInt64 = 0
  /// Indices into the table's namespaces.
  private(set) var indices: [Int] = []

  /// - Parameter others: the selections of the other enabled pipelines; those that use `rest` themselves do not count.
  init(selection: NamespaceSelection, others: [NamespaceSelection] = []) {
    self.selection = selection
    self.others = selection.usesRest ? others.filter { !$0.usesRest } : []
  }

  mutating func update(for table: NamespaceTable) {
    guard generation != table.generation else { return }
    generation = table.generation
    let mine = selection.resolved(table)
    let others = others.map { $0.resolved(table) }
    indices = table.namespaces.indices.filter { index in
      let namespace = table.namespaces[index]
      return mine.selects(namespace) { !others.contains { $0.selects(namespace) { false } } }
    }
  }
}

extension NamespaceSelection {
  /// With processes resolved to the inodes of their namespaces; a process that has gone selects nothing.
  fileprivate func resolved(_ table: NamespaceTable) -> NamespaceSelection {
    func resolve(_ selector: NamespaceSelector) -> NamespaceSelector? {
      guard case .pid(let process) = selector else { return selector }
      return table.inodeOfProcess[process].map { .inode($0) }
    }
    return NamespaceSelection(include: include.compactMap(resolve), exclude: exclude.compactMap(resolve))
  }

  /// - Parameter isRest: whether no other pipeline selects it.
  fileprivate func selects(_ namespace: Namespace, isRest: () -> Bool) -> Bool {
    func matches(_ selector: NamespaceSelector) -> Bool {
      selector == .rest ? isRest() : selector.matches(namespace)
    }
    return include.contains(where: matches) && !exclude.contains(where: matches)
  }
}

extension NamespaceSelector {
  /// Whether a namespace's own properties match; what `pid` and `rest` mean depends on more than those.
  func matches(_ namespace: Namespace) -> Bool {
    switch self {
    case .host: namespace.isHost
    case .all: true
    case .name(let glob): glob.matches(namespace.name)
    case .path(let glob): namespace.mounts.contains { glob.matches($0) }
    case .inode(let inode): namespace.inode == inode
    case .cgroup(let glob): namespace.cgroups.contains { glob.matches($0) }
    case .pid, .rest: false
    }
  }
}
