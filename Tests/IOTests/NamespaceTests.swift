import CTestSupport
import Glibc
import Testing

@testable import IO

/// Entering namespaces: what is entered is what was meant, and the way home is always taken.
@Suite(.serialized)
struct NamespaceDoorTests {
  private func diagCookie(_ socket: borrowing Descriptor) -> UInt64 {
    var cookie: UInt64 = 0
    var length = socklen_t(8)
    return getsockopt(socket.raw, SOL_SOCKET, 71, &cookie, &length) == 0 ? cookie : 0
  }

  private func expectHome(_ door: borrowing NamespaceDoor, _ location: SourceLocation = #_sourceLocation) {
    var status = stat()
    let node = stat("/proc/thread-self/ns/net", &status) == 0 ? NamespaceNode(status) : nil
    let home = door.homeNode
    #expect(node == home, "the thread is where it was", sourceLocation: location)
  }

  private func failure(_ door: borrowing NamespaceDoor, _ namespace: Namespace) -> EntryError? {
    do throws(EntryError) {
      _ = try door.openDiagSocket(namespace)
      return nil
    } catch {
      return error
    }
  }

  @Test func theSocketBelongsToTheNamespaceAndTheThreadStays() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"), listeners: 3)
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let socket = try door.openDiagSocket(namespace.entry)
    let cookies = (of: namespace.cookie, opened: diagCookie(socket), here: try cookieOfThread())
    #expect(cookies.opened == cookies.of && cookies.here != cookies.of)
    expectHome(door)
    let (cookie, counts) = (try door.cookie(of: namespace.entry), try door.readSockstat(namespace.entry))
    #expect(cookie == namespace.cookie && (counts.inUse, counts.timeWait) == (3, 0))
    expectHome(door)
  }

  @Test func aDeletedNamespaceHasVanished() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let entry = namespace.entry
    namespace.delete()
    do {
      let found = failure(door, entry)
      #expect(found == .vanished)
    }
    do throws(EntryError) {
      _ = try door.readSockstat(entry)
      Issue.record("entered")
    } catch { #expect(error == .vanished) }
    expectHome(door)
  }

  @Test func anotherNamespaceUnderTheSamePathIsReplaced() throws {
    let directory = try TemporaryDirectory()
    let first = try TestNamespace(at: directory.file("a"))
    let keepsFirst = try Descriptor(open(first.path, O_RDONLY | O_CLOEXEC), "open")
    let entry = first.entry
    first.delete()
    let second = try TestNamespace(at: directory.file("a"))
    defer { second.delete() }
    let door = try NamespaceDoor()
    #expect(second.node != entry.key.node)
    do {
      let found = failure(door, entry)
      #expect(found == .replaced)
    }
    expectHome(door)
    _ = consume keepsFirst
  }

  /// An inode number is used again as soon as its namespace is gone: then path and number agree, and only the cookie
  /// tells the two apart. (Which number a new namespace gets cannot be chosen: the entry remembers another cookie.)
  @Test func anotherNamespaceUnderTheSameNumberIsReplaced() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let door = try NamespaceDoor()
    let key = NamespaceKey(node: namespace.node, cookie: namespace.cookie - 1)
    let stale = Namespace(name: "a", key: key, isHost: false, paths: [namespace.path], mounts: [])
    let (staleFailure, freshFailure) = (failure(door, stale), failure(door, namespace.entry))
    #expect(staleFailure == .replaced && freshFailure == nil)
    expectHome(door)
  }

  @Test func aSecondPathIsTriedWhenTheFirstIsGoneOrAnothers() throws {
    let directory = try TemporaryDirectory()
    let wanted = try TestNamespace(at: directory.file("a"))
    defer { wanted.delete() }
    let other = try TestNamespace(at: directory.file("b"))
    defer { other.delete() }
    let paths = [directory.file("missing"), other.path, wanted.path]
    let entry = Namespace(name: "a", key: wanted.entry.key, isHost: false, paths: paths, mounts: [])
    let socket = try NamespaceDoor().openDiagSocket(entry)
    let cookie = diagCookie(socket)
    #expect(cookie == wanted.cookie)
  }

  @Test func whatIsNoNamespaceIsNotEntered() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("file")
    _ = try openAppend(path: path)
    var status = stat()
    try #require(stat(path, &status) == 0)
    let door = try NamespaceDoor()
    for (path, node) in [(path, NamespaceNode(status)), (path, door.homeNode.moved)] {
      let entry = Namespace(
        name: "x", key: NamespaceKey(node: node, cookie: 0), isHost: false, paths: [path], mounts: [])
      let expected: EntryError =
        node == NamespaceNode(status)
        ? .system(SystemError("setns", errno: EINVAL, context: "x")) : .replaced
      do {
        let found = failure(door, entry)
        #expect(found == expected)
      }
    }
  }

  @Test func anUnknownCookieIsNotAsked() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    let entry = Namespace(
      name: "a", key: NamespaceKey(node: namespace.node, cookie: 0), isHost: false, paths: [namespace.path], mounts: [])
    let socket = try NamespaceDoor().openDiagSocket(entry)
    let cookie = diagCookie(socket)
    #expect(cookie == namespace.cookie)
  }

  /// Without CAP_SYS_ADMIN others are denied, by name; our own stays open.
  @Test func withoutTheRightToEnterOthersAreDenied() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    try onThread {
      let door = try NamespaceDoor()
      try #require(ctest_drop_capabilities(Capabilities.sysAdmin.rawValue) == 0)
      let expected = EntryError.denied(SystemError("setns", errno: EPERM, context: "test"))
      do {
        let found = failure(door, namespace.entry)
        #expect(found == expected)
      }
      #expect(expected.description == "setns(test): Operation not permitted (EPERM)")
      let own = Namespace(
        name: "own", key: NamespaceKey(node: door.homeNode, cookie: try cookieOfThread()), isHost: false,
        paths: ["/proc/self/ns/net"], mounts: [])
      do {
        let found = failure(door, own)
        #expect(found == nil)
      }
    }
  }

  /// If the right is lost while inside, the thread cannot return: fatal and named so, never a socket from the wrong
  /// place.
  @Test func aThreadThatCannotReturnSaysSo() throws {
    let directory = try TemporaryDirectory()
    let namespace = try TestNamespace(at: directory.file("a"))
    defer { namespace.delete() }
    try onThread {
      let door = try NamespaceDoor()
      let failure: EntryError?
      do throws(EntryError) {
        try door.visit(namespace.entry) { () throws(EntryError) in
          _ = ctest_drop_capabilities(Capabilities.sysAdmin.rawValue)
        }
        failure = nil
      } catch {
        failure = error
      }
      #expect(failure == .lostHome(SystemError("setns", errno: EPERM, context: "own namespace")))
    }
  }

  @Test func exhaustedDescriptorsAreASystemError() async throws {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let namespace = try TestNamespace(at: directory.file("a"))
      defer { namespace.delete() }
      let door = try NamespaceDoor()
      var taken: [Int32] = []
      try #require(ctest_limit_descriptors(UInt64((openDescriptors().max() ?? 0) + 2)) == 0)
      while case let copy = dup(0), copy >= 0 { taken.append(copy) }
      // With none left the path cannot be opened; with one left it can be, but no socket.
      let none = NamespaceDoorTests().failure(door, namespace.entry)
      close(taken.removeLast())
      let one = NamespaceDoorTests().failure(door, namespace.entry)
      for copy in taken { close(copy) }
      #expect(none == .system(SystemError("open", errno: EMFILE, context: namespace.path)))
      #expect(one == .system(SystemError("socket", errno: EMFILE, context: "test")))
      NamespaceDoorTests().expectHome(door)
    }
  }

  @Test func visitsLeaveNothingOpen() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let door = try NamespaceDoor()
      let before = openDescriptors().count
      for round in 0..<300 {
        let namespace = try TestNamespace(at: directory.file("a"))
        defer { namespace.delete() }
        let entry = namespace.entry
        _ = try door.openDiagSocket(entry)
        _ = try door.readSockstat(entry)
        namespace.delete()
        if round % 2 == 0 {
          let failure = NamespaceDoorTests().failure(door, entry)
          #expect(failure == .vanished)
        }
      }
      #expect(openDescriptors().count <= before + 2)
    }
  }
}

extension NamespaceNode {
  /// A node that no file has.
  fileprivate var moved: NamespaceNode { NamespaceNode(device: device, inode: inode &+ 1_000_000_000_000) }
}

@Suite struct SockstatTests {
  private func value(_ word: StaticString, _ label: StaticString, _ text: String) -> UInt64? {
    var text = text
    return text.withUTF8 { Sockstat.value(of: word, onLine: label, in: UnsafeRawBufferPointer($0)) }
  }

  @Test func numbersAreFoundByLineAndWord() {
    let text = "sockets: used 290\nTCP: inuse 12 orphan 0 tw 345 alloc 13 mem 1\nUDP: inuse 4 mem 0\n"
    #expect(value("inuse", "TCP:", text) == 12 && value("tw", "TCP:", text) == 345)
    #expect(value("inuse", "UDP:", text) == 4 && value("inuse", "TCP6:", text) == nil)
    #expect(value("nothing", "TCP:", text) == nil)
  }

  @Test(arguments: ["", "TCP:", "TCP: inuse", "TCP: inuse x", "TCP:inuse 5", "  \n\n"])
  func textsOfAnotherShapeSayNothing(text: String) { #expect(value("inuse", "TCP:", text) == nil) }

  @Test func theKernelsOwnTextIsUnderstood() throws {
    let counts = try onThread {
      guard ctest_unshare_net() == 0 else { throw SystemError.last("unshare") }
      let sockets = [AF_INET, AF_INET6, AF_INET6].map { socket($0, Int32(SOCK_STREAM.rawValue), 0) }
      defer { for socket in sockets { close(socket) } }
      for socket in sockets { try #require(Glibc.listen(socket, 1) == 0) }
      return try Sockstat.read()
    }
    #expect((counts.inUse, counts.timeWait, counts.total) == (3, 0, 3) && counts.allocated >= 3)
  }
}
