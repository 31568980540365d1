import Sinks
import Testing

@testable import Pipelines

@Suite struct HealthCheckTests {
  private func verdict(_ healths: SinkHealth..., isOver: Bool = false) -> HealthCheck.Verdict {
    HealthCheck.verdict(healths.enumerated().map { (name: "s\($0.offset)", health: $0.element) }, isOver: isOver)
  }

  @Test func allHaveToBeGood() {
    #expect(verdict() == .good)
    #expect(verdict(.good, .good) == .good && verdict(.good, isOver: true) == .good)
    #expect(verdict(.good, .unknown) == .undecided)
  }

  @Test func oneThatIsBadIsEnough() {
    #expect(verdict(.unknown, .bad("refused")) == .bad("sink s1 (healthcheck: require): refused"))
  }

  @Test func silenceIsBadInTheEnd() {
    #expect(
      verdict(.good, .unknown, isOver: true)
        == .bad("sink s1 (healthcheck: require): no answer from its destination within 5 s"))
  }
}
