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
    let noListeners = WalkChoice(sparesConnections: false, states: .all)
    #expect(walk(noListeners, inUse: 0) == .none && walk(noListeners, inUse: 3) == .full)
    let neither = WalkChoice(sparesEmpty: false, sparesConnections: false, states: .all)
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

  /// One listener has gone and one connection has come between the first look and the walk, or between the walk and the second.
  @Test func whatChangesMeanwhileIsNoProof() {
    let choice = WalkChoice(states: .all)
    func isAll(_ before: UInt64, _ listeners: UInt64, _ after: UInt64, timeWait: UInt64 = 0) -> Bool {
      choice.isAll(
        listeners: listeners, before: Sockstat(inUse: before, timeWait: 0),
        after: Sockstat(inUse: after, timeWait: timeWait))
    }
    #expect(isAll(4, 4, 4))
    #expect(!isAll(5, 4, 4) && !isAll(4, 4, 5) && !isAll(4, 3, 4) && !isAll(4, 4, 4, timeWait: 1))
  }

  @Test func memoryFollowsTheTable() {
    let (a, b, c) = (Namespace.numbered(1), Namespace.numbered(2), Namespace.numbered(3))
    var memory = NamespaceMemory()
    memory.follow(NamespaceTable(namespaces: [a, b], generation: 1))
    memory[1].listeners = 7
    memory[0].hasBeenWalked = true
    memory.follow(NamespaceTable(namespaces: [b, c, Namespace.numbered(1)], generation: 2))
    #expect(memory[0].listeners == 7 && memory[1].listeners == nil)
    // By its numbers it might be another one.
    #expect(!memory[2].hasBeenWalked)
    #expect(MemoryLayout<NamespaceKnowledge>.stride <= 12)
  }
}
