import CTestSupport
import Glibc
import Testing

@testable import IO

/// Discoveries of mounts alone, and what discoveries tell of control groups.
@Suite(.serialized) struct NamespaceMountPassTests {
  private func find(
    _ node: NamespaceNode, _ discoverer: NamespaceDiscoverer, _ door: borrowing NamespaceDoor, _ scope: DiscoveryScope
  ) throws -> Namespace? {
    try discoverer.discover(through: door, scope).namespaces.first { $0.key.node == node }
  }

  @Test func whatIsMountedAndUnmountedIsSeen() throws {
    let directory = try TemporaryDirectory()
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer(paths: NamespacePaths(netns: [directory.path]))
    let whole = try discoverer.discover(through: door)
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let found = try #require(try find(namespace.node, discoverer, door, .mounts))
    #expect(found.name == "a" && found.cookie == namespace.cookie)
    let pass = try discoverer.discover(through: door, .mounts)
    #expect(pass.namespaces.contains { $0 === found }, "nothing new is the same object")
    #expect(pass.tally.processes == whole.tally.processes, "those of the last whole scan")
    #expect(pass.namespaces.first === whole.namespaces.first, "the host's is known by its processes")
    namespace.delete()
    #expect(try find(namespace.node, discoverer, door, .mounts) == nil)
  }

  @Test func processesAreKnownFromTheLastWholeScan() throws {
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer()
    _ = try discoverer.discover(through: door)
    let process = ctest_spawn_in_namespace()
    try #require(process > 0)
    defer {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    let deadline = MonotonicTime.now().advanced(by: .seconds(5))
    var node = try discoverer.node(ofProcess: process)
    while node == door.homeNode, MonotonicTime.now() < deadline { node = try discoverer.node(ofProcess: process) }
    #expect(try find(node, discoverer, door, .mounts) == nil)
    let found = try #require(try find(node, discoverer, door, .whole))
    #expect(try find(node, discoverer, door, .mounts) === found)
    #expect(found.cgroups.isEmpty, "not asked for")
    try discoverer.configure(paths: NamespacePaths(), maxNamespaces: 4_096, readsCgroups: true)
    let known = try #require(try find(node, discoverer, door, .whole))
    #expect(!known.cgroups.isEmpty && known.cgroups.allSatisfy { $0.hasPrefix("/") })
    #expect(Set(known.cgroups).count == known.cgroups.count)
  }

  @Test func anotherProcessDirectoryThatIsNotThereChangesNothing() throws {
    let door = try NamespaceDoor()
    let discoverer = try NamespaceDiscoverer()
    #expect(throws: SystemError("opendir", errno: ENOENT, context: "/nowhere")) {
      try discoverer.configure(paths: NamespacePaths(proc: "/nowhere"), maxNamespaces: 1, readsCgroups: true)
    }
    #expect(try discoverer.discover(through: door).namespaces.contains { $0.key.node == door.homeNode })
  }
}

@Suite struct CgroupFileTests {
  private static let hybrid = """
    9:name=systemd:/kubepods/pod1/init.scope
    8:cpu,cpuacct:/kubepods/pod1
    4:memory:/kubepods/pod1
    0::/odd:name

    """

  @Test func version2IsOneLine() {
    #expect(CgroupFile.paths(Self.hybrid, unifiedOnly: true) == ["/odd:name"])
    #expect(CgroupFile.paths("4:memory:/a\n", unifiedOnly: true) == [])
  }

  @Test func withVersion1EveryLineCountsAndEachPathOnce() {
    #expect(
      CgroupFile.paths(Self.hybrid, unifiedOnly: false) == ["/kubepods/pod1/init.scope", "/kubepods/pod1", "/odd:name"])
  }

  /// How the kernel shows groups above the root of the reader's own control group namespace.
  @Test(arguments: [
    ("/", "/"), ("/a", "/a"), ("/../a", "/a"), ("/../../kubepods/b", "/kubepods/b"), ("/..", "/"), ("/../..", "/"),
    ("/..a/b", "/..a/b"), ("/a/../b", "/a/../b"), ("", "/"),
  ]) func pathsAreThoseOfTheHost(shown: String, path: String) {
    #expect(CgroupFile.paths("0::\(shown)\n", unifiedOnly: true) == [path])
  }

  @Test func linesThatAreNoneAreSkipped() { #expect(CgroupFile.paths("\n0\n0:\n:", unifiedOnly: false) == []) }
}
