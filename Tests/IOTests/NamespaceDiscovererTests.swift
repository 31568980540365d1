import CTestSupport
import Glibc
import Testing

@testable import IO

/// Finding namespaces on the real kernel: which there are, what they are called, when they are the same.
@Suite(.serialized)
struct NamespaceDiscovererTests {
  private func discover(
    _ discoverer: NamespaceDiscoverer, _ door: borrowing NamespaceDoor, node: NamespaceNode
  ) throws -> Namespace? {
    try discoverer.discover(through: door).namespaces.first { $0.key.node == node }
  }

  @Test func aMountInAConfiguredDirectoryGivesTheName() throws {
    let directory = try TemporaryDirectory()
    mkdir(directory.file("named"), 0o755)
    let namespace = try TestNamespace(at: directory.file("named/blue"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer(paths: NamespacePaths(netns: ["/none", directory.file("named") + "/"]))
    let found = try #require(try discover(discoverer, door, node: namespace.node))
    #expect(found.name == "blue" && found.cookie == namespace.cookie && !found.isHost)
    #expect(found.paths == [namespace.path] && found.mounts == [namespace.path])
    _ = try door.openDiagSocket(found)
  }

  @Test func aMountElsewhereGivesItsPath() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("with space\\and\ttab"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let found = try #require(try discover(NamespaceDiscoverer(), door, node: namespace.node))
    #expect(found.name == namespace.path)
    _ = try door.openDiagSocket(found)
  }

  @Test func aNameThatIsNotUTF8IsShownRepairedAndEntered() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("plain"))
    defer { namespace.delete() }
    var bytes = Array(directory.file("odd-").utf8CString.dropLast()) + [CChar(bitPattern: 0xFF), 0]
    close(open(&bytes, O_RDONLY | O_CREAT, 0o600))
    defer {
      ctest_unmount(&bytes)
      unlink(&bytes)
    }
    try #require(ctest_bind(namespace.path, &bytes) == 0)
    ctest_unmount(namespace.path)
    let door = try NamespaceDoor()
    let found = try #require(try discover(NamespaceDiscoverer(), door, node: namespace.node))
    #expect(found.name == directory.file("odd-\u{FFFD}"))
    _ = try door.openDiagSocket(found)
  }

  @Test func theBestOfSeveralMountsGivesTheName() throws {
    let directory = try TemporaryDirectory()
    for name in ["first", "second"] { mkdir(directory.file(name), 0o755) }
    let namespace = try TestNamespace(at: directory.file("anywhere"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer(
      paths: NamespacePaths(netns: [directory.file("first"), directory.file("second")]))
    var targets: [String] = []
    defer {
      for target in targets {
        ctest_unmount(target)
        unlink(target)
      }
    }
    for (place, name) in [("second/z", "z"), ("second/a", "a"), ("first/q", "q"), ("first/p", "p")] {
      let target = directory.file(place)
      close(open(target, O_RDONLY | O_CREAT, 0o600))
      try #require(ctest_bind(namespace.path, target) == 0)
      targets.append(target)
      let found = try #require(try discover(discoverer, door, node: namespace.node))
      #expect(found.name == name && found.mounts.count == targets.count + 1)
      #expect(found.mounts.last == namespace.path)
    }
  }

  @Test func aNamespaceOfProcessesAloneIsCalledByItsNumber() throws {
    try withProcessInNamespace { process, node in
      let door = try NamespaceDoor()
      let discoverer = try NamespaceDiscoverer()
      let found = try #require(try discover(discoverer, door, node: node))
      #expect(found.name == "net:[\(node.inode)]" && found.mounts.isEmpty)
      #expect(found.paths == ["/proc/\(process)/ns/net"] && found.cookie != 0)
      #expect(try discoverer.node(ofProcess: process) == node)
      _ = try door.openDiagSocket(found)
    }
  }

  @Test func theHostIsFirstAndCalledSo() throws {
    let door = try NamespaceDoor()
    let discovery = try NamespaceDiscoverer().discover(through: door)
    let host = try #require(discovery.namespaces.first)
    #expect(host.isHost && host.name == "host" && !discovery.tally.isHostUnknown)
    #expect(discovery.namespaces.filter(\.isHost).count == 1)
    #expect(discovery.tally.processes > 1 && discovery.tally.lastProblem == nil)
    #expect(Set(discovery.namespaces.map(\.key)).count == discovery.namespaces.count)
  }

  @Test func nothingNewIsTheSameObject() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer()
    let first = try #require(try discover(discoverer, door, node: namespace.node))
    let second = try #require(try discover(discoverer, door, node: namespace.node))
    #expect(first === second)
  }

  @Test func aRenamedNamespaceKeepsItsIdentity() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("old"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer(paths: NamespacePaths(netns: [directory.path]))
    let before = try #require(try discover(discoverer, door, node: namespace.node))
    let renamed = directory.file("new")
    close(open(renamed, O_RDONLY | O_CREAT, 0o600))
    try #require(ctest_bind(namespace.path, renamed) == 0)
    defer { ctest_unmount(renamed) }
    ctest_unmount(namespace.path)
    let after = try #require(try discover(discoverer, door, node: namespace.node))
    #expect(before.name == "old" && after.name == "new" && before.key == after.key)
  }

  /// The number, name and paths of the last time, but another cookie: the number was used again in between.
  @Test func aReusedNumberIsAnotherNamespace() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer()
    let found = try #require(try discover(discoverer, door, node: namespace.node))
    let gone = Namespace(found, cookie: found.cookie - 1)
    discoverer.previous[namespace.node] = gone
    let again = try #require(try discover(discoverer, door, node: namespace.node))
    #expect(again !== gone && again.key == found.key && again.cookie == namespace.cookie)
  }

  @Test func aDeletedNamespaceIsLetGo() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer()
    weak let found = try discover(discoverer, door, node: namespace.node)
    #expect(found != nil)
    namespace.delete()
    let later = try discoverer.discover(through: door).namespaces
    #expect(later.allSatisfy { $0.cookie != namespace.cookie })
    #expect(found == nil, "no object of it is kept either")
  }

  @Test func slicesAddUpToTheSame() throws {
    let directory = try TemporaryDirectory()
    let namespaces = try (0..<5).map { try TestNamespace(at: directory.file("n\($0)")) }
    defer { for namespace in namespaces { namespace.delete() } }
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer()
    let whole = try discoverer.discover(through: door)
    var slices = 0
    var sliced: Discovery?
    while sliced == nil {
      sliced = try discoverer.advance(through: door, steps: 3)
      slices += 1
    }
    #expect(slices > 5)
    let ours = Set(namespaces.map(\.cookie))
    #expect(Set(whole.namespaces.map(\.cookie)).isSuperset(of: ours))
    let slicedCookies = Set((sliced?.namespaces ?? []).map(\.cookie))
    #expect(slicedCookies.isSuperset(of: ours))
  }

  @Test func aNamespaceThatVanishesDuringADiscoveryIsCounted() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer()
    // One step: the mounts are read, and one process.
    let first = try discoverer.advance(through: door, steps: 1)
    #expect(first == nil)
    namespace.delete()
    var discovery: Discovery?
    while discovery == nil { discovery = try discoverer.advance(through: door, steps: 100) }
    #expect((discovery?.tally.vanished ?? 0) >= 1)
    #expect(discovery?.namespaces.allSatisfy { $0.cookie != namespace.cookie } == true)
  }

  @Test func theLimitHoldsAndIsCounted() throws {
    let directory = try TemporaryDirectory()
    let namespaces = try (0..<5).map { try TestNamespace(at: directory.file("n\($0)")) }
    defer { for namespace in namespaces { namespace.delete() } }
    let discovery = try NamespaceDiscoverer(maxNamespaces: 2).discover(through: try NamespaceDoor())
    // Four more there are at least, and counting stops at the limit, too.
    #expect(discovery.namespaces.count == 2 && discovery.tally.overLimit == 2 && namespaces.count == 5)
    #expect(discovery.namespaces.first?.isHost == true)
  }

  @Test func withoutTheRightToEnterTheyAreListedAndCounted() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let discovery = try onThread {
      let door = try NamespaceDoor()
      try #require(ctest_drop_capabilities(Capabilities.sysAdmin.rawValue) == 0)
      return try NamespaceDiscoverer().discover(through: door)
    }
    let found = try #require(discovery.namespaces.first { $0.key.node == namespace.node })
    #expect(found.cookie == 0 && discovery.tally.deniedNamespaces >= 1)
    guard case .denied(let error) = discovery.tally.lastProblem else {
      throw Unexpected("not denied: \(discovery.tally)")
    }
    #expect(error.errno == EPERM)
  }

  @Test func withoutTheRightToLookProcessesAreCounted() throws {
    try withProcessInNamespace { _, node in
      let discovery = try onThread {
        let door = try NamespaceDoor()
        let mask = Capabilities.sysPtrace.rawValue | Capabilities.sysAdmin.rawValue
        try #require(ctest_drop_capabilities(mask) == 0)
        return try NamespaceDiscoverer().discover(through: door)
      }
      #expect(discovery.tally.deniedProcesses > 0)
      #expect(discovery.namespaces.allSatisfy { $0.key.node != node }, "held by a process that may not be seen")
    }
  }

  @Test func aMissingProcFilesystemIsAnError() {
    #expect(throws: SystemError("opendir", errno: ENOENT, context: "/nowhere")) {
      _ = try NamespaceDiscoverer(paths: NamespacePaths(proc: "/nowhere"))
    }
  }

  @Test func aMountIsNoticed() throws {
    let directory = try TemporaryDirectory()
    let discoverer = try NamespaceDiscoverer()
    let poller = try Poller()
    try poller.add(discoverer.mountsPollable, .exceptional, token: 5)
    while try poller.wait(until: .now(), { _, _ in }) > 0 {}
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    var ready: Poller.Interest = []
    try poller.wait(until: .now().advanced(by: .seconds(1))) { ready = $1 }
    #expect(ready.contains(.exceptional) && namespace.cookie != 0)
  }

  @Test func discoveriesLeaveNothingOpen() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let door = try NamespaceDoor()
      let discoverer = try NamespaceDiscoverer(paths: NamespacePaths(netns: [directory.path]))
      let before = openDescriptors().count
      for round in 0..<100 {
        let namespace = try TestNamespace(at: directory.file("n\(round % 3)"))
        defer { namespace.delete() }
        let found = try discoverer.discover(through: door).namespaces.first { $0.key.node == namespace.node }
        #expect(found?.cookie == namespace.cookie && found?.name == "n\(round % 3)")
      }
      #expect(openDescriptors().count <= before + 2)
    }
  }

  /// Runs `body` while a process lives alone in a namespace of its own.
  private func withProcessInNamespace(_ body: (Int32, NamespaceNode) throws -> Void) throws {
    let process = ctest_spawn_in_namespace()
    guard process > 0 else { throw SystemError.last("fork") }
    defer {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    var status = stat()
    var own = stat()
    try #require(stat("/proc/self/ns/net", &own) == 0)
    let deadline = MonotonicTime.now().advanced(by: .seconds(5))
    repeat {
      try #require(stat("/proc/\(process)/ns/net", &status) == 0 && MonotonicTime.now() < deadline)
    } while status.st_ino == own.st_ino
    try body(process, NamespaceNode(status))
  }
}

@Suite struct MountTableTests {
  @Test func onlyNetworkNamespacesAreTaken() {
    let text = """
      22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
      97 30 0:4 net:[4026532281] /run/netns/a rw shared:5 - nsfs nsfs rw
      98 30 0:4 mnt:[4026532300] /run/snapd/ns/lxd.mnt rw - nsfs nsfs rw
      99 30 259:1048577 net:[7] /odd\\040name\\134x rw - nsfs nsfs rw
      100 30 0:4 net:[x] /bad rw - nsfs nsfs rw
      101 30 zero net:[5] /bad rw - nsfs nsfs rw
      102 30 0:4 net:[6]
      103 30 0:4 net:[8] /tail\\04 rw - nsfs nsfs rw

      """
    let mounts = MountTable(text: text.utf8).mounts
    #expect(mounts.map(\.node.inode) == [4_026_532_281, 7, 8])
    #expect(mounts.map { String(decoding: $0.path, as: UTF8.self) } == ["/run/netns/a", "/odd name\\x", "/tail\\04"])
    #expect(mounts.map(\.node.device) == [4, ctest_device(259, 1_048_577), 4])
  }

  @Test func nothingComesOfNothing() { #expect(MountTable(text: "".utf8).mounts.isEmpty) }

  /// Numbers as stat(2) reports them: glibc's makedev(3) keeps what does not fit into 8 + 8 bits in the upper half.
  @Test(arguments: [(0, 4), (259, 1_048_577), (4_095, 255), (70_000, 3)] as [(UInt64, UInt64)])
  func devicesAreNumberedAsByStat(major: UInt64, minor: UInt64) throws {
    let table = MountTable(text: "1 2 \(major):\(minor) net:[9] /x rw - nsfs nsfs rw\n".utf8)
    let device = try #require(table.mounts.first).node.device
    #expect(device == UInt64(ctest_device(UInt32(major), UInt32(minor))))
  }

  @Test func namesAreRankedByDirectoryThenPath() {
    let ranking = MountRanking(directories: ["/a/", "/nowhere/b"])
    let paths = ["/z/y", "/nowhere/b/x", "/a/q", "/a/b/c", "/a/p"].map { Array($0.utf8) }
    let sorted = paths.sorted { ranking.precedes($0, $1) }
    #expect(sorted.map(ranking.name) == ["p", "q", "x", "/a/b/c", "/z/y"])
  }
}
