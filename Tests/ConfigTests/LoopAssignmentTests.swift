import Testing

@testable import Config

/// Which pipeline is on which loop, and that nobody is moved without need.
@Suite struct LoopAssignmentTests {
  typealias Member = LoopAssignment.Member

  private static func assign(
    _ members: [Member], limit: Int, threads: Int? = nil, isExact: Bool = false, spreads: Bool = false
  ) -> [String: Int]? {
    LoopAssignment(members: members, limit: limit, isExact: isExact, threads: threads, spreads: spreads).assign()
  }

  @Test func newOnesGoWhereFewestAre() {
    let members = [
      Member(name: "a", needsFileWorker: false, loop: 0), Member(name: "b", needsFileWorker: false, loop: 0),
      Member(name: "c", needsFileWorker: false, loop: 2), Member(name: "d", needsFileWorker: false),
      Member(name: "e", needsFileWorker: false),
    ]
    #expect(Self.assign(members, limit: 3) == ["a": 0, "b": 0, "c": 2, "d": 1, "e": 1])
    #expect(Self.assign(members, limit: 2) == ["a": 0, "b": 0, "c": 2, "d": 2, "e": 0])
  }

  @Test func theEmptiestLoopGoes() {
    let members = [
      Member(name: "a", needsFileWorker: false, loop: 0), Member(name: "b", needsFileWorker: false, loop: 1),
      Member(name: "c", needsFileWorker: false, loop: 1), Member(name: "d", needsFileWorker: false, loop: 2),
      Member(name: "e", needsFileWorker: false, loop: 2),
    ]
    #expect(Self.assign(members, limit: 2) == ["a": 1, "b": 1, "c": 1, "d": 2, "e": 2])
  }

  /// A pipeline that begins to write a file joins those that do; it is made anew, they are not.
  @Test(arguments: [(0, 1), (1, 0)]) func aNewWriterJoinsTheOthers(_ writer: Int, _ joiner: Int) {
    let members = [
      Member(name: "a", needsFileWorker: true, loop: writer),
      Member(name: "b", needsFileWorker: true, loop: joiner, isFree: true),
      Member(name: "c", needsFileWorker: false, loop: joiner),
    ]
    #expect(Self.assign(members, limit: 2, threads: 3) == ["a": writer, "b": writer, "c": joiner])
    #expect(Self.assign(members, limit: 2, threads: 4) == ["a": writer, "b": joiner, "c": joiner])
  }

  /// More loops would be allowed, but only if somebody moved.
  @Test func nobodyMovesForTheSakeOfMoreLoops() {
    let members = [
      Member(name: "a", needsFileWorker: true, loop: 0), Member(name: "b", needsFileWorker: true, loop: 1),
      Member(name: "c", needsFileWorker: false), Member(name: "d", needsFileWorker: false),
    ]
    #expect(Self.assign(members, limit: 4, threads: 4) == ["a": 0, "b": 1, "c": 0, "d": 1])
  }

  @Test func loadsAreEvenedOutOnRequest() {
    let members = (0..<6).map { Member(name: "p\($0)", needsFileWorker: $0 == 5, loop: 0) }
    #expect(Set(Self.assign(members, limit: 2)?.values.map(\.self) ?? []) == [0])
    let spread = Self.assign(members, limit: 3, threads: 4, spreads: true) ?? [:]
    #expect([0, 1, 2].map { loop in spread.values.count { $0 == loop } } == [2, 2, 2])
  }

  /// Pipelines come and go, limits change: the budget is kept, and who stays is moved only when there may be fewer loops.
  @Test(arguments: 0..<200) func nobodyMovesWithoutNeed(_ seed: Int) {
    var random = Lehmer(seed: UInt64(seed) + 1)
    var members: [Member] = []
    var limit = random.next(4) + 1
    var threads: Int? = random.next(3) == 0 ? nil : random.next(8) + 2
    var serial = 0
    for _ in 0..<40 {
      let isShrunk: Bool
      switch random.next(4) {
      case 0 where members.count > 1:
        members.remove(at: random.next(members.count))
        isShrunk = false
      case 1:
        let (oldLimit, oldThreads) = (limit, threads)
        limit = random.next(5) + 1
        threads = random.next(3) == 0 ? nil : random.next(8) + 2
        isShrunk = limit < oldLimit || threads ?? .max < oldThreads ?? .max
      default:
        serial += 1
        members.append(Member(name: "p\(serial)", needsFileWorker: random.next(3) == 0))
        isShrunk = false
      }
      guard !members.isEmpty else { continue }
      guard let assignment = Self.assign(members, limit: limit, threads: threads) else {
        Issue.record("two threads are enough for one loop with files")
        return
      }
      let present = Set(members.compactMap(\.loop)).count
      let moved = members.filter { $0.loop != nil && assignment[$0.name] != $0.loop }
      let writers = Set(members.filter(\.needsFileWorker).compactMap { assignment[$0.name] })
      let loops = Set(assignment.values)
      #expect(assignment.count == members.count)
      #expect(loops.count <= limit && loops.count <= members.count)
      #expect(loops.count + writers.count <= threads ?? .max)
      // A first writer on a machine without a thread to spare needs a worker in place of a loop.
      let needsWorker = threads.map { present + max(1, writers.count) > $0 } ?? false
      if !isShrunk, !needsWorker { #expect(moved.isEmpty, "\(moved.map(\.name))") }
      #expect(assignment == Self.assign(members, limit: limit, threads: threads))
      for index in members.indices { members[index].loop = assignment[members[index].name] }
    }
  }
}

/// A small generator, so that a failure can be repeated by its seed.
struct Lehmer {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  /// A number from 0 up to, but not including, `bound`.
  mutating func next(_ bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % bound
  }
}
