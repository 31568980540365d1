import IO
import Records

/// Looks up what a filter calls by name.
final class FilterLookup: Sendable {
  private let interfaces: InterfaceNames
  private let cgroups: CgroupPaths
  private let interfaceCount: Int
  let count: Int

  /// - Parameter cgroupRoot: `global.paths.cgroup`.
  init(_ filter: RowFilter?, cgroupRoot: String) {
    interfaces = InterfaceNames(filter?.interfaceNames ?? [])
    cgroups = CgroupPaths(filter?.cgroupPaths ?? [], root: cgroupRoot)
    interfaceCount = filter?.interfaceNames.count ?? 0
    count = filter?.bindingCount ?? 0
  }

  /// Writes those of the filter's bindings that are the same in every namespace.
  func bindHere(into bindings: UnsafeMutablePointer<UInt64>) {
    for index in interfaceCount..<count {
      (bindings + index).initialize(to: cgroups.number(index - interfaceCount) ?? RowFilter.unbound)
    }
  }

  /// Writes the others, for the namespace that the calling thread is in.
  func bind(into bindings: UnsafeMutablePointer<UInt64>) {
    for index in 0..<interfaceCount {
      (bindings + index).initialize(to: interfaces.index(index).map(UInt64.init) ?? RowFilter.unbound)
    }
  }
}
