import Config
import IO
import Testing

@testable import Pipelines

@Suite struct NamespaceChoiceTests {
  static func namespace(_ name: String, inode: UInt64, mounts: [String] = [], isHost: Bool = false) -> Namespace {
    Namespace(
      name: name, key: NamespaceKey(node: NamespaceNode(device: 4, inode: inode), cookie: inode * 10), isHost: isHost,
      paths: mounts + ["/proc/1/ns/net"], mounts: mounts)
  }

  static let table = NamespaceTable(
    namespaces: [
      namespace("host", inode: 1, isHost: true),
      namespace("cni-1", inode: 2, mounts: ["/run/netns/cni-1"]),
      namespace("cni-test-1", inode: 3, mounts: ["/run/netns/cni-test-1"]),
      namespace("web", inode: 4, mounts: ["/run/docker/netns/web", "/var/lib/other/web"]),
      namespace("net:[5]", inode: 5),
    ], generation: 1)

  static func glob(_ pattern: String) throws -> Glob { try #require(Glob(pattern)) }

  static func chosen(include: [NamespaceSelector], exclude: [NamespaceSelector] = []) -> [UInt64] {
    var choice = NamespaceChoice(selection: NamespaceSelection(include: include, exclude: exclude))
    choice.update(for: table) { $0 == 77 ? 4 : nil }
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
    choice.update(for: Self.table) { _ in nil }
    #expect(choice.indices.count == 5)
    let next = NamespaceTable(namespaces: [Self.namespace("host", inode: 1, isHost: true)], generation: 2)
    choice.update(for: next) { _ in nil }
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
