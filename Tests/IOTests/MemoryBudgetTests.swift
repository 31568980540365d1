import Glibc
import Synchronization
import Testing

@testable import IO

/// Counts on several threads.
private final class Done: Sendable {
  let count = Atomic(0)
}

@Suite struct MemoryBudgetTests {
  @Test func aReserveIsGrantedWhateverOthersHold() {
    let budget = MemoryBudget(limit: 100)
    let (a, b) = (budget.openAccount(reserve: 20, sheds: true), budget.openAccount(reserve: 20, sheds: true))
    #expect(a.take(80) == .granted)
    #expect(b.take(20) == .granted)
    #expect(budget.gauges == MemoryBudget.Gauges(limit: 100, reserved: 40, held: 100, excess: 60))
    #expect(a.take(10) == .refused(needed: 10))
  }

  @Test func theFurthestIsAskedOnceAndOnlyForWhatIsMissing() {
    let budget = MemoryBudget(limit: 100)
    let wakes = Done()
    let a = budget.openAccount(reserve: 0, sheds: true) { wakes.count.add(1, ordering: .relaxed) }
    let b = budget.openAccount(reserve: 0, sheds: true)
    #expect(a.take(90) == .granted)
    #expect(b.take(20) == .awaited)
    #expect(a.isAsked && a.demand == 10)
    #expect(b.take(20) == .awaited)
    #expect(a.demand == 10, "the same shortfall is not demanded twice")
    #expect(wakes.count.load(ordering: .relaxed) == 1)
    a.give(30)
    a.answerDemand()
    #expect(!a.isAsked && a.demand == 0)
    #expect(b.take(20) == .granted)
  }

  @Test func whoIsFurthestOrBlocksGivesWayItself() {
    let budget = MemoryBudget(limit: 100)
    let (a, b) = (budget.openAccount(reserve: 0, sheds: true), budget.openAccount(reserve: 0, sheds: false))
    #expect(a.take(60) == .granted)
    #expect(b.take(40) == .granted)
    #expect(a.take(10) == .refused(needed: 10))
    #expect(b.take(10) == .refused(needed: 10))
    #expect(!a.isAsked, "who waits makes nobody drop")
  }

  @Test func lessMemoryTakesEffectAsQueuesDrain() {
    let budget = MemoryBudget(limit: 100)
    let a = budget.openAccount(reserve: 10, sheds: true)
    #expect(a.take(100) == .granted)
    budget.resize(limit: 50)
    #expect(!a.isAsked)
    #expect(a.take(1) == .refused(needed: 51))
    a.give(60)
    #expect(a.take(10) == .granted)
    budget.resize(limit: 200)
    #expect(a.take(100) == .granted)
  }

  @Test func anAccountThatMovesIsNeverChargedTwice() {
    let budget = MemoryBudget(limit: 100)
    var old: MemoryBudget.Account? = budget.openAccount(reserve: 30, sheds: true)
    #expect(old?.take(60) == .granted)
    let new = budget.openAccount(reserve: 30, sheds: true)
    if let old { new.absorb(old) }
    #expect(budget.gauges.held == 60)
    old = nil
    #expect(budget.gauges == MemoryBudget.Gauges(limit: 100, reserved: 30, held: 60, excess: 30))
    new.configure(reserve: 50, sheds: true)
    #expect(budget.gauges.excess == 10)
    let another = budget.openAccount(reserve: 0, sheds: true)
    #expect(another.take(40) == .granted, "the place of the old account is used again, empty")
  }

  @Test func sumsHoldWhateverThreadsDo() throws {
    // The thread sanitizer takes every access for a race and looks it up (scripts/thread-sanitizer.suppressions).
    let steps = getenv("TSAN_OPTIONS") == nil ? 20_000 : 200
    let budget = MemoryBudget(limit: 1_000)
    let done = Done()
    for number in 0..<4 {
      let thread = try WorkerThread(name: "budget\(number)") {
        let account = budget.openAccount(reserve: 50, sheds: true)
        var held = 0
        for step in 0..<steps {
          let bytes = 1 + (step * 7 + number * 13) % 90
          if account.take(bytes) == .granted {
            held += bytes
          } else if held > 0 {
            account.give(held)
            held = 0
          }
          if account.isAsked {
            account.give(held)
            held = 0
            account.answerDemand()
          }
        }
        account.give(held)
        _ = consume account
        done.count.add(1, ordering: .releasing)
      }
      _ = consume thread
    }
    let deadline = MonotonicTime.now().advanced(by: .seconds(20))
    while done.count.load(ordering: .acquiring) < 4, MonotonicTime.now() < deadline { usleep(1_000) }
    #expect(done.count.load(ordering: .acquiring) == 4)
    #expect(budget.gauges == MemoryBudget.Gauges(limit: 1_000))
  }
}
