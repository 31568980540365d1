import IO
import Records

/// The namespaces of the host as of one scan. Immutable: a poll works through the table it began with.
final class NamespaceTable: Sendable {
  let namespaces: [Namespace]
  /// What rows say of each namespace, in the same order.
  let identities: [NamespaceIdentity]
  /// The namespaces of the processes that some pipeline selects by; those that have gone are not there.
  let inodeOfProcess: [Int32: UInt64]
  /// Counts tables, 1 is the first; what was chosen from one holds for it alone. 0: nothing has been found out yet.
  let generation: UInt64

  init(namespaces: [Namespace], generation: UInt64, inodeOfProcess: [Int32: UInt64] = [:]) {
    self.namespaces = namespaces
    self.generation = generation
    self.inodeOfProcess = inodeOfProcess
    identities = namespaces.map { NamespaceIdentity(name: $0.name, inode: $0.inode, cookie: $0.cookie) }
  }

  /// Whether a scan that found this would say nothing new. The discoverer returns the same objects for what has not changed.
  func says(_ namespaces: [Namespace], inodeOfProcess: [Int32: UInt64]) -> Bool {
    inodeOfProcess == self.inodeOfProcess && namespaces.count == self.namespaces.count
      && zip(namespaces, self.namespaces).allSatisfy { $0 === $1 }
  }
}
