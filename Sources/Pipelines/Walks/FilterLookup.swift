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

  /// Looks up the control groups, which are the same in every namespace.
  func findCgroups(_ numbers: inout [UInt64]) {
    numbers.removeAll(keepingCapacity: true)
    for index in 0..<count - interfaceCount { numbers.append(cgroups.number(index) ?? RowFilter.unbound) }
  }

  /// Writes the filter's bindings for the namespace that the calling thread is in.
  ///
  /// - Parameter cgroups: what `findCgroups` found.
  func bind(_ cgroups: [UInt64], into bindings: UnsafeMutablePointer<UInt64>) {
    for index in 0..<interfaceCount {
      (bindings + index).initialize(to: interfaces.index(index).map(UInt64.init) ?? RowFilter.unbound)
    }
    for (index, number) in cgroups.enumerated() { (bindings + interfaceCount + index).initialize(to: number) }
  }
}
