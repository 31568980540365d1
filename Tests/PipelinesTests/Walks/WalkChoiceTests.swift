import IO
import Testing

@testable import Pipelines
@testable import Records

@Suite struct WalkChoiceTests {
  private static let key = NamespaceKey(node: NamespaceNode(device: 4, inode: 4_026_532_000), cookie: 17)

  /// A namespace that has been walked, at a poll at which no full walk is due.
  private static func known(listeners: UInt64?) -> NamespaceKnowledge {
    var known = NamespaceKnowledge(key)
    known.hasBeenWalked = true
    known.listeners = listeners
    return known
  }

  private static var quietPoll: UInt64 { (1...6).first { ($0 + UInt64(known(listeners: nil).phase)) % 6 == 1 } ?? 1 }

  private func walk(
    _ choice: WalkChoice = WalkChoice(states: .all), listeners: UInt64? = 3, inUse: UInt64, timeWait: UInt64 = 0
  ) -> Walk {
    choice.walk(
      of: Self.known(listeners: listeners), poll: Self.quietPoll, present: Sockstat(inUse: inUse, timeWait: timeWait))
  }

  @Test func nothingInUseIsNotReadAndListenersAloneAreReadAlone() {
    #expect(walk(inUse: 0) == .none)
    #expect(walk(inUse: 3) == .listeners)
    #expect(walk(inUse: 4) == .full)
    #expect(walk(inUse: 2) == .full)
    #expect(walk(listeners: nil, inUse: 400) == .listeners)
  }

  @Test func socketsInTimeWaitAreReadIfTheyAreWanted() {
    #expect(walk(inUse: 0, timeWait: 1) == .full)
    #expect(walk(inUse: 3, timeWait: 1) == .full)
    let established = WalkChoice(states: SocketStates(rawValue: 1 << 1))
    #expect(walk(established, inUse: 0, timeWait: 1) == .none)
    #expect(walk(established, inUse: 3, timeWait: 1) == .listeners)
    // The kernel keeps what waits for the peer's FIN in the same form.
    let waiting = WalkChoice(states: SocketStates(rawValue: 1 << 5))
    #expect(walk(waiting, inUse: 0, timeWait: 1) == .full)
  }

  @Test func eachShortcutCanBeTurnedOff() {
    let noEmpty = WalkChoice(sparesEmpty: false, states: .all)
    #expect(walk(noEmpty, listeners: 0, inUse: 0) == .listeners && walk(noEmpty, inUse: 0) == .full)
    #expect(noEmpty.needsSockstat)
    let noListeners = WalkChoice(sparesConnections: false, asksForKnown: false, states: .all)
    #expect(walk(noListeners, inUse: 0) == .none && walk(noListeners, inUse: 3) == .full)
    let neither = WalkChoice(sparesEmpty: false, sparesConnections: false, asksForKnown: false, states: .all)
    #expect(walk(neither, inUse: 0) == .full && walk(neither, inUse: 3) == .full && !neither.needsSockstat)
  }

  /// The kernel walks nothing else for a request of that state.
  @Test func listenersAloneAreAskedForOnce() {
    #expect(walk(WalkChoice(states: .listen), inUse: 3) == .full)
    #expect(walk(WalkChoice(states: .listen), inUse: 0) == .none)
  }

  @Test func whatWasNeverWalkedOrCannotBeToldIsReadWhole() {
    let choice = WalkChoice(states: .all)
    let none = Sockstat(inUse: 0, timeWait: 0)
    #expect(choice.walk(of: NamespaceKnowledge(Self.key), poll: Self.quietPoll, present: none) == .full)
    #expect(choice.walk(of: Self.known(listeners: 3), poll: Self.quietPoll, present: nil) == .full)
  }

  @Test func eachNamespaceIsWalkedOnceInSoManyPollsAndTheyAreSpread() {
    let choice = WalkChoice(states: .all)
    var byPoll = [UInt64: Int]()
    for inode in 0..<600 {
      var known = NamespaceKnowledge(
        NamespaceKey(node: NamespaceNode(device: 4, inode: UInt64(4_026_532_000 + inode)), cookie: UInt64(inode)))
      known.hasBeenWalked = true
      let due = (1...12).filter { choice.isFullWalkDue(known, poll: $0) }
      #expect(due.count == 2 && due[1] - due[0] == 6)
      byPoll[due[0], default: 0] += 1
    }
    #expect(byPoll.count == 6 && byPoll.values.allSatisfy { $0 > 60 && $0 < 140 })
    let always = WalkChoice(fullWalkEvery: 1, states: .all)
    #expect(always.isFullWalkDue(Self.known(listeners: 0), poll: 4))
  }

  // MARK: Connections that are known

  private func known(_ connections: Int, listeners: UInt64?) -> NamespaceKnowledge {
    var known = Self.known(listeners: listeners)
    var sockets = KnownSockets(connections: 100)
    for number in 0..<connections { _ = sockets.append(.numbered(number), to: &known.connections) }
    return known
  }

  private func walk(
    _ known: NamespaceKnowledge, _ choice: WalkChoice = WalkChoice(states: .all), inUse: UInt64, timeWait: UInt64 = 0,
    onHost: UInt64 = 1_000
  ) -> Walk {
    choice.walk(
      of: known, poll: Self.quietPoll, present: Sockstat(inUse: inUse, timeWait: timeWait, allocated: onHost))
  }

  @Test func connectionsThatAreKnownAreAskedForIfTheyAndListenersAreAll() {
    let some = known(10, listeners: 3)
    #expect(walk(some, inUse: 13) == .listeners)
    #expect(walk(some, inUse: 12) == .full && walk(some, inUse: 14) == .full)
    #expect(walk(some, inUse: 3) == .listeners, "the connections have gone")
    #expect(walk(known(10, listeners: 0), inUse: 10) == .known)
    #expect(walk(known(10, listeners: nil), inUse: 13) == .listeners, "how many listen is to be found out")
    #expect(walk(known(0, listeners: 3), inUse: 13) == .full)
    let choice = WalkChoice(states: .all)
    let due = (1...6).first { choice.isFullWalkDue(some, poll: $0) } ?? 0
    #expect(choice.walk(of: some, poll: due, present: Sockstat(inUse: 13, timeWait: 0, allocated: 1_000)) == .full)
  }

  @Test func afterListenersTheyAreAskedForIfTheNumbersStillAgree() {
    let choice = WalkChoice(states: .all)
    func may(_ listeners: UInt64, inUse: UInt64, onHost: UInt64 = 1_000) -> Bool {
      choice.mayKnowRest(
        known(10, listeners: listeners), before: Sockstat(inUse: inUse, timeWait: 0, allocated: onHost))
    }
    #expect(may(3, inUse: 13) && !may(2, inUse: 13) && !may(3, inUse: 14) && !may(3, inUse: 13, onHost: 159))
  }

  @Test func socketsInTimeWaitAreKnownAsWell() {
    let some = known(10, listeners: 3)
    #expect(walk(some, inUse: 11, timeWait: 2) == .listeners && walk(some, inUse: 13, timeWait: 1) == .full)
    let established = WalkChoice(states: SocketStates(rawValue: 1 << 1))
    #expect(walk(some, established, inUse: 13, timeWait: 1) == .listeners)
    #expect(walk(some, established, inUse: 11, timeWait: 2) == .full)
    // One of the two states that are counted in one number.
    let one = WalkChoice(states: SocketStates(rawValue: 1 << 1 | 1 << 6))
    #expect(walk(some, one, inUse: 13) == .full)
  }

  @Test func askingForManyCostsMoreThanAWalk() {
    let some = known(10, listeners: 0)
    #expect(walk(some, inUse: 10, onHost: 160) == .known && walk(some, inUse: 10, onHost: 159) == .full)
    let choice = WalkChoice(states: .all)
    func remembers(_ inUse: UInt64, listeners: UInt64?, _ choice: WalkChoice) -> Bool {
      choice.remembersConnections(
        Self.known(listeners: listeners), present: Sockstat(inUse: inUse, timeWait: 0, allocated: 160))
    }
    #expect(remembers(10, listeners: nil, choice) && !remembers(11, listeners: nil, choice))
    #expect(remembers(13, listeners: 3, choice) && !remembers(3, listeners: 3, choice))
    #expect(!remembers(10, listeners: 0, WalkChoice(asksForKnown: false, states: .all)))
    #expect(!choice.remembersConnections(some, present: nil))
  }

  /// A list that cannot be all is not kept: it would be asked for when the numbers agree by chance.
  @Test func whatWasFoundIsHeldAgainstSockstat() {
    let choice = WalkChoice(states: .all)
    func mayBeAll(_ connections: UInt64, listeners: UInt64?) -> Bool {
      choice.mayBeAll(
        Self.known(listeners: listeners), connections: connections,
        Sockstat(inUse: 12, timeWait: 1, allocated: 1_000))
    }
    #expect(mayBeAll(10, listeners: 3) && !mayBeAll(9, listeners: 3) && !mayBeAll(11, listeners: 3))
    #expect(mayBeAll(10, listeners: nil) && mayBeAll(13, listeners: nil) && !mayBeAll(14, listeners: nil))
  }

  @Test func whoDoesNotAskForKnownConnectionsWalks() {
    let some = known(10, listeners: 3)
    #expect(walk(some, WalkChoice(asksForKnown: false, states: .all), inUse: 13) == .full)
    let nothingElse = WalkChoice(sparesEmpty: false, sparesConnections: false, states: .all)
    #expect(nothingElse.needsSockstat && walk(some, nothingElse, inUse: 13) == .listeners)
    #expect(walk(some, nothingElse, inUse: 3) == .full)
    #expect(walk(some, WalkChoice(states: .listen), inUse: 13) == .full)
    #expect(walk(some, WalkChoice(states: [.listen, .requests]), inUse: 13) == .full)
  }

  /// One listener has gone and one connection has come between the first look and the walk, or between the walk and the second.
  @Test func whatChangesMeanwhileIsNoProof() {
    let choice = WalkChoice(states: .all)
    func isAll(_ before: UInt64, _ listeners: UInt64, _ after: UInt64, timeWait: UInt64 = 0) -> Bool {
      choice.isAll(
        read: listeners, before: Sockstat(inUse: before, timeWait: 0),
        after: Sockstat(inUse: after, timeWait: timeWait))
    }
    #expect(isAll(4, 4, 4))
    #expect(!isAll(5, 4, 4) && !isAll(4, 4, 5) && !isAll(4, 3, 4) && !isAll(4, 4, 4, timeWait: 1))
  }

  @Test func memoryFollowsTheTable() {
    let (a, b, c) = (Namespace.numbered(1), Namespace.numbered(2), Namespace.numbered(3))
    var memory = NamespaceMemory(connections: 100)
    memory.follow(NamespaceTable(namespaces: [a, b], generation: 1))
    memory[1].listeners = 7
    memory[0].hasBeenWalked = true
    memory.follow(NamespaceTable(namespaces: [b, c, Namespace.numbered(1)], generation: 2))
    let listeners = [memory[0].listeners, memory[1].listeners]
    #expect(listeners == [7, nil])
    // By its numbers it might be another one.
    let hasBeenWalked = memory[2].hasBeenWalked
    #expect(!hasBeenWalked)
    #expect(MemoryLayout<NamespaceKnowledge>.stride <= 24)
  }

  @Test func connectionsOfNamespacesThatGoAreLetGoOf() {
    let (a, b) = (Namespace.numbered(1), Namespace.numbered(2))
    var memory = NamespaceMemory(connections: 100)
    memory.follow(NamespaceTable(namespaces: [a, b], generation: 1))
    for index in 0..<2 {
      var list = KnownSockets.List()
      _ = memory.sockets.append(.numbered(index), to: &list)
      memory.setConnections(&list, of: index)
    }
    let chunk = memory.sockets.gauges.inUse / 2
    memory.follow(NamespaceTable(namespaces: [b], generation: 2))
    let (count, inUse) = (memory[0].connections.count, memory.sockets.gauges.inUse)
    #expect(count == 1 && inUse == chunk)
    memory.forgetConnections(of: 0)
    let left = memory.sockets.gauges.inUse
    #expect(left == 0)
  }
}
