import Config
import Glibc
import IO
import Logging
import Testing

@testable import Pipelines

/// The scout on the real kernel; it sees at least the namespaces of this host's processes.
@Suite(.serialized) struct NamespaceScoutTests {
  private static func scout(
    _ board: NamespaceBoard, interval: Int64 = 3_600_000_000_000, pids: [Int32] = []
  ) throws -> NamespaceScout {
    let selection = NamespaceSelection(include: pids.map(NamespaceSelector.pid))
    return try NamespaceScout(
      board: board, paths: NamespacePaths(), maxNamespaces: 4_096, interval: interval,
      needs: NamespaceScout.Needs([selection]), log: Logger(label: "test"))
  }

  private static func now() -> Int64 { MonotonicTime.now().nanoseconds }

  @Test func turnsAddUpToAScanAndNothingNewIsTheSameTable() throws {
    let board = NamespaceBoard(wakeup: try Wakeup())
    let scout = try Self.scout(board)
    #expect(board.isBlind)
    let start = Self.now()
    while let next = scout.turn(now: start), next <= start {}
    let first = board.table
    #expect(first.generation == 1 && !first.namespaces.isEmpty)
    board.markMountsChanged()
    let later = start + 1_000_000_000
    while let next = scout.turn(now: later), next <= later {}
    #expect(board.table.generation == 1 || !board.table.says(first.namespaces, inodeOfProcess: [:]))
  }

  @Test func processesAreResolvedForTheTable() throws {
    let board = NamespaceBoard(wakeup: try Wakeup())
    let scout = try Self.scout(board, pids: [getpid(), 4_194_303])
    scout.scanWhole()
    let own = try NamespaceDoor().homeNode
    #expect(board.table.inodeOfProcess == [getpid(): own.inode])
    #expect(board.table.namespaces.contains { $0.inode == own.inode })
    #expect(scout.failure == nil && board.error == nil)
  }

  @Test func otherSettingsAreTakenOverWhileItRuns() throws {
    let board = NamespaceBoard(wakeup: try Wakeup())
    let scout = try Self.scout(board)
    scout.scanWhole()
    let pollable = scout.mountsPollable
    try scout.configure(
      paths: NamespacePaths(netns: []), maxNamespaces: 1, interval: 1_000_000_000,
      needs: NamespaceScout.Needs([NamespaceSelection(include: [.pid(getpid())])]))
    let start = Self.now()
    while let next = scout.turn(now: start), next <= start {}
    #expect(board.table.namespaces.count == 1 && board.table.inodeOfProcess.count == 1)
    #expect(board.table.generation == 2 && scout.mountsPollable == pollable)
    #expect(throws: SystemError.self) {
      try scout.configure(
        paths: NamespacePaths(proc: "/nowhere"), maxNamespaces: 2, interval: 1, needs: NamespaceScout.Needs([]))
    }
  }

  @Test func onlyANewMarkWakes() throws {
    let wakeup = try Wakeup()
    let board = NamespaceBoard(wakeup: wakeup)
    let key = NamespaceKey(node: NamespaceNode(device: 4, inode: 1), cookie: 1)
    let mounted = Namespace(name: "a", key: key, isHost: false, paths: ["/a"], mounts: ["/a"])
    let unmounted = Namespace(name: "b", key: key, isHost: false, paths: ["/b"], mounts: [])
    #expect(board.takeMarks().isEmpty && !wakeup.drain())
    board.markStale(mounted)
    board.markStale(mounted)
    #expect(wakeup.drain() && !wakeup.drain())
    board.markStale(mounted)
    #expect(!wakeup.drain(), "it is still waiting to be taken")
    board.markStale(unmounted)
    board.markMountsChanged()
    #expect(wakeup.drain())
    #expect(board.takeMarks() == [.mountsChanged, .vanished, .unmountedVanished])
    #expect(board.takeMarks().isEmpty)
  }

  @Test func needsAreWhatSelectionsSelectBy() throws {
    let cgroup = NamespaceSelector.cgroup(try #require(Glob("/kubepods/*")))
    let none = NamespaceScout.Needs([NamespaceSelection(include: [.all, .rest], exclude: [.host])])
    #expect(none.processes.isEmpty && !none.cgroups)
    let both = NamespaceScout.Needs([
      NamespaceSelection(include: [.pid(5)]), NamespaceSelection(include: [.all], exclude: [cgroup, .pid(6)]),
    ])
    #expect(both.processes == [5, 6] && both.cgroups)
  }
}
