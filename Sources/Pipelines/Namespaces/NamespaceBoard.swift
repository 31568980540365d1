import IO
import Synchronization

/// Where the main thread hangs out the latest table of namespaces and the event loops read it, and where they report what
/// makes it out of date. Any thread.
final class NamespaceBoard: Sendable {
  /// What was reported since the last time somebody looked.
  struct Marks: OptionSet, Sendable {
    let rawValue: UInt8
    /// Something was mounted or unmounted.
    static let mountsChanged = Marks(rawValue: 1)
    /// A namespace of the table has gone, or its path means another one.
    static let vanished = Marks(rawValue: 2)
    /// So has one that only processes hold: mounts do not tell whether others hold it still.
    static let unmountedVanished = Marks(rawValue: 4)
  }

  private struct State {
    var table = NamespaceTable(namespaces: [], generation: 0)
    var error: EntryError?
  }

  private let state = Mutex(State())
  private let marks = Atomic<UInt8>(0)
  private let wakeup: Wakeup

  /// - Parameter wakeup: wakes the thread that scans, when there is a mark that was not there.
  init(wakeup: Wakeup) { self.wakeup = wakeup }

  /// What the last scan that found something new found.
  var table: NamespaceTable { state.withLock { $0.table } }

  /// Nothing has ever been found out: looking for namespaces fails, and none are known.
  var isBlind: Bool { table.generation == 0 }

  /// Why the last scan failed; nil if it did not.
  var error: EntryError? { state.withLock { $0.error } }

  func publish(_ table: NamespaceTable) { state.withLock { $0.table = table } }

  func note(_ error: EntryError?) { state.withLock { $0.error = error } }

  /// A namespace could not be entered because it is not what the table says any more.
  func markStale(_ namespace: Namespace) {
    mark(namespace.mounts.isEmpty ? [.vanished, .unmountedVanished] : .vanished)
  }

  /// `NamespaceScout.mountsPollable` was exceptional.
  func markMountsChanged() { mark(.mountsChanged) }

  /// For the thread that scans: what was reported, once.
  func takeMarks() -> Marks { Marks(rawValue: marks.exchange(0, ordering: .acquiring)) }

  private func mark(_ new: Marks) {
    let old = marks.bitwiseOr(new.rawValue, ordering: .releasing).oldValue
    if old | new.rawValue != old { wakeup.signal() }
  }
}
