import Synchronization
import Testing

@testable import Sinks

/// A client whose condition a test sets.
private final class FakeClient: SharedClient {
  private let members = Mutex<ClientMembers>(ClientMembers())
  private let conditionNow = Mutex<ClientCondition>(.working)
  private let closings = Atomic<Int>(0)

  var condition: ClientCondition { conditionNow.withLock { $0 } }
  var closed: Int { closings.load(ordering: .relaxed) }

  func become(_ condition: ClientCondition) { conditionNow.withLock { $0 = condition } }
  func add(_ member: ClientMember) { members.withLock { $0.add(member) } }
  func remove(_ member: ClientMember) -> Bool { members.withLock { $0.remove(member).isEmpty } }
  func close() { closings.add(1, ordering: .relaxed) }
}

@Suite struct ClientRegistryTests {
  private let registry = ClientRegistry(libraryThreads: 10)
  private let first = ClientMember(sink: "a") {}
  private let second = ClientMember(sink: "b") {}

  private func join(_ key: String, _ member: ClientMember) throws -> FakeClient {
    try registry.join(key, member) { () throws(ClientError) in FakeClient() }
  }

  @Test func equalSettingsShareAClientAndOthersDoNot() throws {
    let client = try join("one", first)
    #expect(try join("one", second) === client)
    #expect(try join("two", second) !== client)
    #expect(registry.count == 2)
  }

  @Test func theLastMemberClosesIt() throws {
    let client = try join("one", first)
    _ = try join("one", second)
    registry.leave("one", client, first)
    #expect(client.closed == 0 && registry.count == 1)
    registry.leave("one", client, second)
    #expect(client.closed == 1 && registry.count == 0)
    #expect(try join("one", first) !== client)
  }

  @Test func aBrokenClientIsReplacedForAll() throws {
    let client = try join("one", first)
    _ = try join("one", second)
    client.become(.broken("why"))
    let successor = try join("one", first)
    #expect(successor !== client && client.closed > 0)
    #expect(try join("one", second) === successor)
    // Those that leave the old one do not take the new one with them.
    registry.leave("one", client, first)
    registry.leave("one", client, second)
    #expect(registry.count == 1 && successor.closed == 0)
  }

  @Test func anOverdrawnClientStaysStoppedUntilThereIsRoom() throws {
    let client = try join("one", first)
    client.become(.overdrawn(needed: 12, "too many"))
    let refusal = #expect(throws: ClientError.self) { try join("one", first) }
    #expect(refusal?.description == "too many" && refusal?.isLocal == false)
    registry.threads.limit = 12
    #expect(try join("one", first) !== client)
  }

  @Test func whatCannotBeMadeIsNotKept() throws {
    #expect(throws: ClientError.self) {
      try registry.join("one", first) { () throws(ClientError) -> FakeClient in throw ClientError("no") }
    }
    #expect(registry.count == 0)
  }
}

@Suite struct ClientMembersTests {
  @Test func theDutyPassesOn() {
    let members = (0..<3).map { ClientMember(sink: $0 == 2 ? "a" : "\($0)") {} }
    var list = ClientMembers()
    for member in members { list.add(member) }
    list.add(members[1])
    #expect(list.first === members[0] && list.sinks == ["0", "1", "a"])
    #expect(list.remove(members[1]).successor == nil)
    #expect(list.remove(members[0]).successor === members[2])
    let last = list.remove(members[2])
    #expect(last.successor == nil && last.isEmpty)
  }
}

@Suite struct LibraryThreadsTests {
  @Test func theThreadThatIsTooManySaysSoOnce() {
    let all = LibraryThreads(limit: 5)
    let (one, other) = (ClientThreads(all), ClientThreads(all))
    for _ in 0..<3 { #expect(!one.started(now: 1)) }
    for _ in 0..<2 { #expect(!other.started(now: 2)) }
    #expect(other.started(now: 3))
    #expect(!other.started(now: 4))
    #expect(other.overdrawnAt == 3 && one.overdrawnAt == nil)
    #expect(other.left == 2 && other.running == 4 && all.running == 7)
    for _ in 0..<4 { other.ended() }
    #expect(all.running == 3 && one.left == 5)
  }

  @Test func whatALibraryStartsOnceCountsOnce() {
    let all = LibraryThreads(limit: 5)
    all.startedShared("cnats", 3)
    all.startedShared("cnats", 3)
    #expect(all.running == 3)
  }
}
