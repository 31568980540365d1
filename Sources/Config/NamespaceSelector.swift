/// Which network namespaces a pipeline reads: those that some `include` selects and no `exclude` does.
public struct NamespaceSelection: Sendable, Equatable {
  public var include: [NamespaceSelector]
  public var exclude: [NamespaceSelector]

  public init(include: [NamespaceSelector] = [], exclude: [NamespaceSelector] = []) {
    self.include = include
    self.exclude = exclude
  }
}

/// One way to say which network namespaces are meant.
public enum NamespaceSelector: Sendable, Hashable {
  /// The namespace of PID 1 under `global.paths.proc`.
  case host
  /// Every namespace that is found.
  case all
  /// The namespaces that no other pipeline selects, apart from pipelines that select by `rest` themselves.
  case rest
  /// Namespaces whose best name matches.
  case name(Glob)
  /// Namespaces that are mounted at a path that matches.
  case path(Glob)
  /// The namespace with this inode number, as `ls -l /proc/PID/ns/net` shows it.
  case inode(UInt64)
  /// The namespace of this process, as `global.paths.proc` numbers it.
  case pid(Int32)
  /// Namespaces whose first process (the one with the lowest PID) is in a control group whose path matches.
  case cgroup(Glob)
}

extension NamespaceSelection {
  /// Whether what it selects depends on what other pipelines select.
  public var usesRest: Bool { include.contains(.rest) || exclude.contains(.rest) }
}
