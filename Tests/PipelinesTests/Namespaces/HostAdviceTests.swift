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

  @Test func whatIsSmallIsNotWorthAWord() {
    #expect(!advice(host: 50_000, others: []).isWorthIt)
    #expect(!advice(host: 100, others: [(10, true), (0, true)]).isWorthIt)
    #expect(!advice(host: 100, others: (0..<200).map { _ in (90_000, false) }).isWorthIt)
    #expect(HostAdvice().waste == 0 && HostAdvice().suggestedEntries == 1024)
  }
}
