import IO
import Records

/// Looks up what a filter calls by name.
final class FilterLookup: Sendable {
  private let interfaces: InterfaceNames
  fileprivate let cgroups: CgroupPaths
  private let interfaceCount: Int
  let count: Int

  /// - Parameter cgroupRoot: `global.paths.cgroup`.
  init(_ filter: RowFilter?, cgroupRoot: String) {
    interfaces = InterfaceNames(filter?.interfaceNames ?? [])
    cgroups = CgroupPaths(filter?.cgroupPaths ?? [], root: cgroupRoot)
    interfaceCount = filter?.interfaceNames.count ?? 0
    count = filter?.bindingCount ?? 0
  }

  /// Directories of the control groups.
  var cgroupPaths: [String] { cgroups.paths }

  /// Finds what makes it impossible to tell whether the control groups are there.
  func check() throws(SystemError) {
    for index in cgroups.paths.indices { _ = try cgroups.number(index) }
  }

  /// Writes the filter's bindings for the namespace that the calling thread is in.
  func bind(
    _ cgroups: borrowing CgroupNumbers, into bindings: UnsafeMutablePointer<UInt64>
  ) throws(SystemError) {
    if let failure = cgroups.failure { throw failure }
    for index in 0..<interfaceCount {
      (bindings + index).initialize(to: try interfaces.index(index).map(UInt64.init) ?? RowFilter.unbound)
    }
    for index in 0..<count - interfaceCount {
      (bindings + interfaceCount + index).initialize(to: cgroups.numbers[index])
    }
  }
}

/// The numbers of the control groups that a filter names: the same in every namespace, looked up once a poll.
struct CgroupNumbers: ~Copyable {
  fileprivate var numbers: [UInt64] = []
  /// Whether they are there cannot be told.
  fileprivate var failure: SystemError?

  /// - Parameter changed: is told the directory of each that is not there at first, and of each that comes or goes.
  mutating func update(_ lookup: FilterLookup, changed: (_ directory: String, _ isThere: Bool) -> Void) {
    let paths = lookup.cgroups.paths
    do throws(SystemError) {
      for index in paths.indices {
        let number = try lookup.cgroups.number(index) ?? RowFilter.unbound
        let (before, isThere) = (index < numbers.count ? numbers[index] : 0, number != RowFilter.unbound)
        if index == numbers.count { numbers.append(number) } else { numbers[index] = number }
        if isThere != (before != RowFilter.unbound) { changed(paths[index], isThere) }
      }
      failure = nil
    } catch {
      failure = error
    }
  }
}
