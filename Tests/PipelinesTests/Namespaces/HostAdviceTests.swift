import Testing

@testable import Pipelines

@Suite struct HostAdviceTests {
  private func advice(host: UInt64, others: [(sockets: UInt64, shares: Bool)]) -> HostAdvice {
    var advice = HostAdvice()
    advice.take(sockets: host, shares: false, isOwner: true)
    for other in others { advice.take(sockets: other.sockets, shares: other.shares, isOwner: false) }
    return advice
  }

  @Test func whatIsSharedIsAddedUp() {
    let advice = advice(host: 100, others: [(90_000, true), (10, true), (0, true), (5000, false)])
    #expect((advice.namespaces, advice.sharing, advice.walked) == (5, 3, 3))
    #expect(advice.sockets == 90_110 && advice.largest == 90_000)
    // Each of the three walks passes by all but its own: 2 x 90,110 in all, 100 ns each.
    #expect(advice.waste == 2 * 90_110 * 100 && advice.isWorthIt)
    #expect(advice.suggestedEntries == 262_144)
    #expect(advice.text.hasPrefix("3 of the 5 network namespaces that are read share one hash of 90110 TCP sockets"))
    #expect(advice.text.contains("some 18 ms") && advice.text.contains("tcp_child_ehash_entries=262144"))
  }

  /// Who is not read is passed by all the same.
  @Test func socketsOfNamespacesThatAreNotReadCount() {
    var advice = HostAdvice()
    advice.take(sockets: 50_000, shares: false, isOwner: true, isRead: false)
    advice.take(sockets: 30_000, shares: true, isOwner: false, isRead: false)
    for _ in 0..<20 { advice.take(sockets: 10, shares: true, isOwner: false) }
    #expect((advice.namespaces, advice.sharing, advice.walked) == (20, 20, 20))
    #expect(advice.sockets == 80_200 && advice.largest == 30_000 && advice.isWorthIt)
    #expect(advice.waste == (20 * 80_200 - 200) * 100)
  }

  @Test func whatMayNotBeSeenIsTold() {
    var advice = HostAdvice()
    #expect(advice.unknown.isEmpty)
    advice.deniedProcesses = 3
    #expect(
      advice.unknown
        == "the namespaces of 3 processes may not be looked at; it takes CAP_SYS_ADMIN and CAP_SYS_PTRACE: run as root")
    advice.denied = 2
    #expect(advice.unknown.hasPrefix("2 network namespaces may not be entered, the namespaces of 3"))
  }

  @Test func whatIsSmallIsNotWorthAWord() {
    #expect(!advice(host: 50_000, others: []).isWorthIt)
    #expect(!advice(host: 100, others: [(10, true), (0, true)]).isWorthIt)
    #expect(!advice(host: 100, others: (0..<200).map { _ in (90_000, false) }).isWorthIt)
    #expect(HostAdvice().waste == 0 && HostAdvice().suggestedEntries == 1024)
  }
}
