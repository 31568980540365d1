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
  /// Namespaces whose best name matches.
  case name(Glob)
  /// Namespaces that are mounted at a path that matches.
  case path(Glob)
  /// The namespace with this inode number, as `ls -l /proc/PID/ns/net` shows it.
  case inode(UInt64)
  /// The namespace of this process, as `global.paths.proc` numbers it.
  case pid(Int32)
}
