import IO
import Testing

@testable import Pipelines

@Suite struct LargestNamespaceTests {
  private let namespaces = (1...3).map(Namespace.numbered)

  /// A datagram of one socket of each source port.
  private func datagram(_ ports: some Sequence<UInt16>) -> [UInt8] {
    ports.flatMap { port -> [UInt8] in
      // struct nlmsghdr: nlmsg_len, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI; then struct inet_diag_msg of 72 bytes.
      let header: [UInt8] = [88, 0, 0, 0, 20, 0, 2, 0] + [UInt8](repeating: 0, count: 8)
      let socket = [2, 1, 0, 0, UInt8(port >> 8), UInt8(port & 255), 1, 187]
      return header + socket + [UInt8](repeating: 0, count: 64)
    }
  }

  /// A poll in which each namespace of the table has as many sockets. They are received by whoever is sampled.
  private func poll(
    _ largest: inout LargestNamespace, _ table: NamespaceTable, _ sockets: [UInt64], onHost: UInt64? = nil
  ) -> [Int] {
    largest.beginPoll(table, hostSockets: onHost)
    let parts = table.namespaces.indices.map { largest.parts(of: $0) }
    for (index, namespace) in table.namespaces.enumerated() {
      for first in stride(from: UInt16(1000), to: 9000, by: 40) {
        datagram(first..<first + 4).withUnsafeBytes { largest.received($0, of: index) }
      }
      let share = sockets[index] / UInt64(parts[index])
      for _ in 0..<parts[index] { largest.ended(namespace, at: index, reported: share) }
    }
    return parts
  }

  @Test func theLargestIsFoundThenSampledThenCut() {
    let table = NamespaceTable(namespaces: namespaces, generation: 1)
    var largest = LargestNamespace(mostParts: 2)
    let sockets: [UInt64] = [100, 20_000, 9000]
    #expect(poll(&largest, table, sockets) == [1, 1, 1])
    #expect(poll(&largest, table, sockets) == [1, 1, 1])
    for _ in 0..<3 { #expect(poll(&largest, table, sockets) == [1, 2, 1]) }
    largest.beginPoll(table, hostSockets: nil)
    let (first, second) = (largest.interval(of: 1, part: 0), largest.interval(of: 1, part: 1))
    #expect(first?.isDestination == false && first?.ports.lowerBound == 0 && second?.ports.upperBound == .max)
    #expect(first.map { $0.ports.upperBound + 1 } == second?.ports.lowerBound)
    #expect(largest.interval(of: 0, part: 0) == nil)
  }

  @Test func itIsFollowedWhenTheTableChangesAndLetGoWithIt() {
    var largest = LargestNamespace(mostParts: 2)
    let sockets: [UInt64] = [100, 20_000, 9000]
    for _ in 0..<3 { _ = poll(&largest, NamespaceTable(namespaces: namespaces, generation: 1), sockets) }
    let shorter = NamespaceTable(namespaces: [namespaces[1], namespaces[2]], generation: 2)
    #expect(poll(&largest, shorter, [20_000, 9000]) == [2, 1])
    let without = NamespaceTable(namespaces: [namespaces[2]], generation: 3)
    #expect(poll(&largest, without, [9000]) == [1])
    // The one that is left is sampled in the next poll and cut in the one after.
    #expect(poll(&largest, without, [9000]) == [1])
    #expect(poll(&largest, without, [9000]) == [2])
  }

  @Test func whatGrowsTakesOver() {
    let table = NamespaceTable(namespaces: namespaces, generation: 1)
    var largest = LargestNamespace(mostParts: 4)
    for _ in 0..<3 { _ = poll(&largest, table, [100, 20_000, 9000]) }
    #expect(poll(&largest, table, [100, 20_000, 40_000]) == [1, 4, 1])
    #expect(poll(&largest, table, [100, 20_000, 40_000]) == [1, 1, 1])
    #expect(poll(&largest, table, [100, 20_000, 40_000]) == [1, 1, 4])
  }

  @Test func smallOnesAreNotCut() {
    let table = NamespaceTable(namespaces: namespaces, generation: 1)
    var largest = LargestNamespace(mostParts: 2)
    let most = LargestNamespace.leastToSplit - 1
    for _ in 0..<4 { #expect(poll(&largest, table, [100, most, 5]) == [1, 1, 1]) }
    for _ in 0..<3 { _ = poll(&largest, table, [100, most + 1, 5]) }
    #expect(poll(&largest, table, [100, most + 1, 5]) == [1, 2, 1])
    // It shrinks: the poll in which that is seen is the last one that cuts.
    _ = poll(&largest, table, [100, most - 1, 5])
    #expect(poll(&largest, table, [100, most - 1, 5]) == [1, 1, 1])
  }

  @Test func oneReaderCutsNothing() {
    let table = NamespaceTable(namespaces: namespaces, generation: 1)
    var largest = LargestNamespace(mostParts: 1)
    for _ in 0..<4 { #expect(poll(&largest, table, [100, 200_000, 9000]) == [1, 1, 1]) }
  }

  /// Each part passes by all sockets of the host.
  @Test(arguments: [
    (most: 2, sockets: 100_000, onHost: 100_000, parts: 2), (2, 10_000, 60_000, 2), (2, 10_000, 60_001, 1),
    (8, 100_000, 100_000, 4), (8, 100_000, 190_000, 3), (8, 9_000, 89_000, 1), (3, 100_000, 100, 3),
  ])
  func partsAreAsManyAsAreWorthIt(most: Int, sockets: UInt64, onHost: UInt64, parts: Int) {
    let table = NamespaceTable(namespaces: [namespaces[0]], generation: 1)
    var largest = LargestNamespace(mostParts: most)
    for _ in 0..<2 { _ = poll(&largest, table, [sockets], onHost: onHost) }
    #expect(poll(&largest, table, [sockets], onHost: onHost) == [parts])
  }

  @Test func partsCountOnce() {
    let table = NamespaceTable(namespaces: [namespaces[0]], generation: 1)
    var largest = LargestNamespace(mostParts: 3)
    for _ in 0..<2 { _ = poll(&largest, table, [20_000]) }
    largest.beginPoll(table, hostSockets: nil)
    #expect(largest.parts(of: 0) == 3)
    #expect(largest.partEnded(.complete) == nil && largest.partEnded(.timedOut) == nil)
    #expect(largest.partEnded(.interrupted) == .timedOut)
    largest.ended(namespaces[0], at: 0, reported: 20_000)
    largest.beginPoll(table, hostSockets: nil)
    #expect(largest.parts(of: 0) == 1, "nothing was sampled in that poll")
    #expect(largest.partEnded(.complete) == .complete)
  }
}
