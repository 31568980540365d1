import Config
import IO
import Logging
import Records

/// The namespaces of the host as of one scan. Immutable: a poll works through the table it began with.
final class NamespaceTable: Sendable {
  let namespaces: [Namespace]
  /// What rows say of each namespace, in the same order.
  let identities: [NamespaceIdentity]
  /// Counts scans; what was chosen from one table holds for it alone.
  let generation: UInt64

  init(namespaces: [Namespace], generation: UInt64) {
    self.namespaces = namespaces
    self.generation = generation
    identities = namespaces.map { NamespaceIdentity(name: $0.name, inode: $0.inode, cookie: $0.cookie) }
  }
}

/// Keeps the table of namespaces fresh for all pipelines of a loop: scanned once an interval, and sooner after a namespace was
/// found to have gone.
final class NamespaceDirectory {
  private(set) var table = NamespaceTable(namespaces: [], generation: 0)

  private let discoverer: NamespaceDiscoverer
  private let door: NamespaceDoor
  private let interval: Int64
  private let log: Logger
  private var lastScan: Int64?
  private var lastTally: DiscoveryTally?

  /// - Parameters:
  ///   - door: entered once for each namespace and scan, to read its cookie.
  ///   - interval: nanoseconds between scans.
  init(discoverer: NamespaceDiscoverer, door: consuming NamespaceDoor, interval: Int64, log: Logger) {
    self.discoverer = discoverer
    self.door = door
    self.interval = interval
    self.log = log
  }

  /// Scans if the table is older than the interval, or stale.
  func refreshIfDue(now: Int64) throws(EntryError) {
    if let lastScan, now - lastScan < interval { return }
    let discovery = try discoverer.discover(through: door)
    lastScan = now
    table = NamespaceTable(namespaces: discovery.namespaces, generation: table.generation + 1)
    report(discovery.tally)
  }

  /// For the loop's poller: exceptional after a change of any mount, with which namespaces get and lose names.
  var mountsPollable: Int32 { discoverer.mountsPollable }

  /// A namespace of the table has gone, its path means another one, or mounts have changed: the next poll scans first.
  func markStale() { lastScan = nil }

  /// The inode of the namespace that a process is in; nil if there is no such process or it may not be looked at.
  func inode(ofProcess pid: Int32) -> UInt64? {
    do throws(SystemError) {
      return try discoverer.node(ofProcess: pid).inode
    } catch {
      return nil
    }
  }

  /// Says what a scan could not see, once for as long as it stays so.
  private func report(_ tally: DiscoveryTally) {
    let last = lastTally
    lastTally = tally
    if tally.deniedProcesses > 0, (last?.deniedProcesses ?? 0) == 0 {
      // Even root may not look at a process that has more capabilities than itself.
      log.notice(
        "namespaces held only by processes that may not be looked at are not read; such processes: \(tally.deniedProcesses)"
      )
    }
    if tally.deniedNamespaces > 0, (last?.deniedNamespaces ?? 0) == 0 {
      log.warning("\(tally.deniedNamespaces) network namespaces may not be entered and are not read (CAP_SYS_ADMIN)")
    }
    if tally.failed > 0, (last?.failed ?? 0) == 0, let problem = tally.lastProblem {
      log.warning("\(tally.failed) namespaces could not be looked at and are not read: \(problem)")
    }
    if tally.overLimit > 0, (last?.overLimit ?? 0) == 0 {
      log.warning("\(tally.overLimit) namespaces beyond discovery.max_namespaces are not read; raise it")
    }
    if tally.isHostUnknown, last?.isHostUnknown != true {
      log.warning("the network namespace of PID 1 may not be looked at; none is called \"host\" (CAP_SYS_PTRACE)")
    }
  }
}

/// Which namespaces of a table a pipeline reads; worked out once for each table.
struct NamespaceChoice {
  private let selection: NamespaceSelection
  private var generation: UInt64 = 0
  /// Indices into the table's namespaces.
  private(set) var indices: [Int] = []

  init(selection: NamespaceSelection) { self.selection = selection }

  /// - Parameter inodeOfProcess: what `pid` selects by; a process that has gone selects nothing.
  mutating func update(for table: NamespaceTable, inodeOfProcess: (Int32) -> UInt64?) {
    guard generation != table.generation else { return }
    generation = table.generation
    func resolve(_ selector: NamespaceSelector) -> NamespaceSelector? {
      guard case .pid(let pid) = selector else { return selector }
      return inodeOfProcess(pid).map { .inode($0) }
    }
    let include = selection.include.compactMap(resolve)
    let exclude = selection.exclude.compactMap(resolve)
    indices = table.namespaces.indices.filter { index in
      let namespace = table.namespaces[index]
      return include.contains { $0.matches(namespace) } && !exclude.contains { $0.matches(namespace) }
    }
  }
}

extension NamespaceSelector {
  func matches(_ namespace: Namespace) -> Bool {
    switch self {
    case .host: namespace.isHost
    case .all: true
    case .name(let glob): glob.matches(namespace.name)
    case .path(let glob): namespace.mounts.contains { glob.matches($0) }
    case .inode(let inode): namespace.inode == inode
    case .pid: false  // A process is resolved to the inode of its namespace first.
    }
  }
}
