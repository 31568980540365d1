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

  /// Writes the filter's bindings, `count` of them, for the namespace of a socket.
  func bind(in socket: borrowing Descriptor, into bindings: UnsafeMutablePointer<UInt64>) {
    for index in 0..<count {
      let number =
        index < interfaceCount
        ? interfaces.index(index, in: socket).map(UInt64.init) : cgroups.number(index - interfaceCount)
      (bindings + index).initialize(to: number ?? RowFilter.unbound)
    }
  }
}
