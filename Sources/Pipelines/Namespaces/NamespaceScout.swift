import Config
import IO
import Logging

/// Looks for namespaces on behalf of all pipelines, a slice at a time, and hangs out what it finds on the board. Belongs to
/// the main thread, whose other work it must not hold up.
public final class NamespaceScout {
  /// What scans look at beside the namespaces themselves, because some pipeline selects by it.
  struct Needs: Equatable {
    /// `{pid: N}`
    var processes: Set<Int32> = []
    /// `{cgroup: GLOB}`
    var cgroups = false

    init(_ selections: some Sequence<NamespaceSelection>) {
      for selector in selections.lazy.flatMap({ $0.include + $0.exclude }) {
        switch selector {
        case .pid(let process): processes.insert(process)
        case .cgroup: cgroups = true
        case .host, .all, .rest, .name, .path, .inode: break
        }
      }
    }
  }

  /// Nanoseconds of work in one turn, about.
  private static let slice: Int64 = 1_000_000
  /// Steps between two looks at the clock, each about 10 µs.
  private static let stepsAtOnce = 16

  let board: NamespaceBoard
  /// The thread could not return to its own namespace: nothing that it opens can be trusted, the process has to end.
  public private(set) var failure: SystemError?

  private let discoverer: NamespaceDiscoverer
  private let door: NamespaceDoor
  private let log: Logger
  private var needs: Needs
  private var pacer: ScanPacer
  private var scope: DiscoveryScope?
  /// Nanoseconds of CPU time that the scan under way has taken.
  private var cost: Int64 = 0
  private var complaints = DiscoveryComplaints()

  /// - Parameters:
  ///   - interval: nanoseconds between scans of all processes.
  ///   - needs: what the pipelines' selections need.
  init(
    board: NamespaceBoard, paths: NamespacePaths, maxNamespaces: Int, interval: Int64, needs: Needs, log: Logger
  ) throws(SystemError) {
    self.board = board
    self.needs = needs
    self.log = log
    discoverer = try NamespaceDiscoverer(paths: paths, maxNamespaces: maxNamespaces)
    door = try NamespaceDoor()
    pacer = ScanPacer(interval: interval)
    try discoverer.configure(paths: paths, maxNamespaces: maxNamespaces, readsCgroups: needs.cgroups)
  }

  /// Takes over other settings; a whole scan with them follows. On an error nothing has changed. `mountsPollable` stays.
  func configure(paths: NamespacePaths, maxNamespaces: Int, interval: Int64, needs: Needs) throws(SystemError) {
    try discoverer.configure(paths: paths, maxNamespaces: maxNamespaces, readsCgroups: needs.cgroups)
    self.needs = needs
    pacer = ScanPacer(interval: interval)
    scope = nil
  }

  /// For the pollers of event loops: exceptional after a change of any mount; each change is told to one of them, who calls
  /// `NamespaceBoard.markMountsChanged`. Valid as long as this object.
  var mountsPollable: Int32 { discoverer.mountsPollable }

  /// Scans from beginning to end, however long it takes; for the start. What cannot be found out is said and tried again by
  /// `turn`.
  func scanWhole() {
    scope = nil
    pacer = ScanPacer(interval: pacer.interval)
    let now = MonotonicTime.now().nanoseconds
    while scope != nil || pacer.deadline <= now { if !advance(steps: .max, now: now) { return } }
  }

  /// What could be done about this host, by the namespaces found so far. Enters each, those too that none of these pipelines reads:
  /// their sockets are in the same hash. 75 µs each, so nothing urgent should wait for it.
  ///
  /// - Throws: what is fatal for the thread; it is in `failure` too.
  func examineHost(for pipelines: [NamespaceSelection]) throws(SystemError) -> HostAdvice {
    let table = board.table
    var read = Set<Int>()
    for (index, selection) in pipelines.enumerated() {
      var choice = NamespaceChoice(
        selection: selection, others: pipelines.enumerated().filter { $0.offset != index }.map(\.element))
      choice.update(for: table)
      read.formUnion(choice.indices)
    }
    var advice: HostAdvice
    do throws(SystemError) {
      advice = try HostAdvice.examine(table.namespaces, through: door) { read.contains($0) }
    } catch {
      failure = error
      throw error
    }
    // Even who has every right may not look at some; that is no matter of this user's.
    if !Capabilities.current().contains(.sysPtrace) { advice.deniedProcesses = complaints.last.deniedProcesses }
    return advice
  }

  /// Does what is due, for about a millisecond. Call it at the time that it returned, and after the board's wake-up.
  ///
  /// - Returns: when there is more to do, on the monotonic clock; `now` if there is at once. Nil: never again (`failure`).
  public func turn(now: Int64) -> Int64? {
    let marks = board.takeMarks()
    if !marks.isEmpty { pacer.request(marks.contains(.unmountedVanished) ? .whole : .mounts) }
    let end = MonotonicTime.now().nanoseconds + NamespaceScout.slice
    while failure == nil {
      guard advance(steps: NamespaceScout.stepsAtOnce, now: now) else { return pacer.deadline }
      if MonotonicTime.now().nanoseconds >= end { return now }
    }
    return nil
  }

  /// Goes on with the scan under way, or begins the one that is due; false if there is none.
  private func advance(steps: Int, now: Int64) -> Bool {
    if scope == nil {
      scope = pacer.begin(now: now)
      cost = 0
    }
    guard let scope else { return false }
    let before = threadTime()
    do throws(EntryError) {
      let discovery = try discoverer.advance(through: door, steps: steps, scope)
      cost += threadTime() - before
      if let discovery { finish(discovery, scope) }
    } catch {
      cost += threadTime() - before
      fail(error)
    }
    return failure == nil
  }

  private func finish(_ discovery: Discovery, _ scope: DiscoveryScope) {
    self.scope = nil
    pacer.end(cost: cost)
    let last = board.table
    var inodes: [Int32: UInt64] = [:]
    for process in needs.processes { inodes[process] = inode(ofProcess: process) }
    if last.generation == 0 || !last.says(discovery.namespaces, inodeOfProcess: inodes) {
      if scope == .mounts, hasLostUnmounted(last, discovery.namespaces) { pacer.request(.whole) }
      board.publish(
        NamespaceTable(
          namespaces: discovery.namespaces, generation: last.generation + 1, inodeOfProcess: inodes))
    }
    board.note(nil)
    complaints.report(discovery.tally, to: log)
  }

  /// Whether a namespace is missing that processes held which a pass over the mounts does not know.
  private func hasLostUnmounted(_ last: NamespaceTable, _ found: [Namespace]) -> Bool {
    let nodes = Set(found.map(\.key.node))
    return last.namespaces.contains { $0.mounts.isEmpty && !nodes.contains($0.key.node) }
  }

  private func inode(ofProcess process: Int32) -> UInt64? {
    do throws(SystemError) {
      return try discoverer.node(ofProcess: process).inode
    } catch {
      return nil  // There is no such process, or it may not be looked at.
    }
  }

  private func fail(_ error: EntryError) {
    scope = nil
    pacer.end(cost: cost, failed: true)
    if case .lostHome(let reason) = error { failure = reason }
    if board.error == nil {
      let rest = board.isBlind ? "none is known, and nothing can be read" : "those found before are read"
      log.warning("looking for network namespaces: \(error); \(rest)")
    }
    board.note(error)
  }
}

/// Says what scans could not see, once for as long as it stays so.
struct DiscoveryComplaints {
  /// Of the last scan.
  private(set) var last = DiscoveryTally()

  mutating func report(_ tally: DiscoveryTally, to log: Logger) {
    defer { last = tally }
    if tally.deniedProcesses > 0, last.deniedProcesses == 0 {
      // Even root may not look at a process that has more capabilities than itself.
      log.notice(
        "namespaces held only by processes that may not be looked at are not read; such processes: \(tally.deniedProcesses)"
      )
    }
    if tally.deniedNamespaces > 0, last.deniedNamespaces == 0 {
      log.warning("\(tally.deniedNamespaces) network namespaces may not be entered and are not read (CAP_SYS_ADMIN)")
    }
    if tally.failed > 0, last.failed == 0, let problem = tally.lastProblem {
      log.warning("\(tally.failed) namespaces could not be looked at and are not read: \(problem)")
    }
    if tally.overLimit > 0, last.overLimit == 0 {
      log.warning("\(tally.overLimit) namespaces beyond discovery.max_namespaces are not read; raise it")
    }
    if tally.isHostUnknown, !last.isHostUnknown {
      log.warning("the network namespace of PID 1 may not be looked at; none is called \"host\" (CAP_SYS_PTRACE)")
    }
  }
}
