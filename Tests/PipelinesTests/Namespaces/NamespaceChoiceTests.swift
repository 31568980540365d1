import Config
import IO
import Testing

@testable import Pipelines

@Suite struct NamespaceChoiceTests {
  static func namespace(
    _ name: String, inode: UInt64, mounts: [String] = [], cgroups: [String] = [], isHost: Bool = false
  ) -> Namespace {
    Namespace(
      name: name, key: NamespaceKey(node: NamespaceNode(device: 4, inode: inode), cookie: inode * 10), isHost: isHost,
      paths: mounts + ["/proc/1/ns/net"], mounts: mounts, cgroups: cgroups)
  }

  static let table = NamespaceTable(
    namespaces: [
      namespace("host", inode: 1, isHost: true),
      namespace("cni-1", inode: 2, mounts: ["/run/netns/cni-1"]),
      namespace("cni-test-1", inode: 3, mounts: ["/run/netns/cni-test-1"]),
      namespace("web", inode: 4, mounts: ["/run/docker/netns/web", "/var/lib/other/web"]),
      namespace("net:[5]", inode: 5, cgroups: ["/", "/kubepods/burstable/pod1"]),
    ], generation: 1, inodeOfProcess: [77: 4])

  static func glob(_ pattern: String) throws -> Glob { try #require(Glob(pattern)) }

  static func chosen(
    include: [NamespaceSelector], exclude: [NamespaceSelector] = [], others: [NamespaceSelection] = []
  ) -> [UInt64] {
    var choice = NamespaceChoice(selection: NamespaceSelection(include: include, exclude: exclude), others: others)
    choice.update(for: table)
    return choice.indices.map { table.namespaces[$0].inode }
  }

  @Test func everySelectorSelectsByItsOwnProperty() throws {
    #expect(Self.chosen(include: [.host]) == [1])
    #expect(Self.chosen(include: [.all]) == [1, 2, 3, 4, 5])
    #expect(Self.chosen(include: [.name(try Self.glob("cni-*"))]) == [2, 3])
    #expect(Self.chosen(include: [.path(try Self.glob("/var/lib/*"))]) == [4], "any mount counts, not only the best")
    #expect(Self.chosen(include: [.path(try Self.glob("/proc/*"))]) == [], "a process is no mount")
    #expect(Self.chosen(include: [.inode(5)]) == [5])
    #expect(Self.chosen(include: [.pid(77)]) == [4])
    #expect(Self.chosen(include: [.cgroup(try Self.glob("/kubepods/*"))]) == [5], "any hierarchy counts")
    #expect(Self.chosen(include: [.cgroup(try Self.glob("/kubepods"))]) == [])
  }

  @Test func restIsWhatNoOtherPipelineSelects() throws {
    let named = NamespaceSelection(
      include: [.name(try Self.glob("cni-*"))], exclude: [.name(try Self.glob("cni-test-*"))])
    let process = NamespaceSelection(include: [.pid(77), .pid(78)])
    #expect(Self.chosen(include: [.rest]) == [1, 2, 3, 4, 5], "without others it is all")
    #expect(Self.chosen(include: [.rest], others: [named]) == [1, 3, 4, 5])
    #expect(Self.chosen(include: [.rest], others: [named, process]) == [1, 3, 5])
    #expect(Self.chosen(include: [.rest, .inode(2)], others: [named]) == [1, 2, 3, 4, 5])
    #expect(Self.chosen(include: [.rest], exclude: [.host], others: [named]) == [3, 4, 5])
    #expect(Self.chosen(include: [.all], exclude: [.rest], others: [named, process]) == [2, 4])
  }

  @Test func severalPipelinesMayReadTheRest() throws {
    let rest = NamespaceSelection(include: [.rest, .host])
    #expect(Self.chosen(include: [.rest], others: [rest]) == [1, 2, 3, 4, 5], "those of another rest do not count")
    #expect(Self.chosen(include: [.host], others: [NamespaceSelection(include: [.all])]) == [1])
  }

  @Test func aProcessThatHasGoneSelectsAndExcludesNothing() {
    #expect(Self.chosen(include: [.pid(78)]) == [])
    #expect(Self.chosen(include: [.all], exclude: [.pid(78)]) == [1, 2, 3, 4, 5])
  }

  @Test func excludeWinsAndNothingIsChosenTwice() throws {
    let chosen = Self.chosen(
      include: [.all, .host, .name(try Self.glob("cni-*"))], exclude: [.name(try Self.glob("cni-test-*")), .host])
    #expect(chosen == [2, 4, 5])
    #expect(Self.chosen(include: []) == [])
  }

  @Test func aChoiceIsMadeAnewForEveryTable() {
    var choice = NamespaceChoice(selection: NamespaceSelection(include: [.all]))
    choice.update(for: Self.table)
    #expect(choice.indices.count == 5)
    let next = NamespaceTable(namespaces: [Self.namespace("host", inode: 1, isHost: true)], generation: 2)
    choice.update(for: next)
    #expect(choice.indices == [0])
  }

  @Test func rowsNameTheNamespaceThatTheTableNames() {
    for (namespace, identity) in zip(Self.table.namespaces, Self.table.identities) {
      #expect(identity.name == namespace.name)
      #expect(identity.inode == namespace.inode)
      #expect(identity.cookie == namespace.cookie)
    }
  }
}
