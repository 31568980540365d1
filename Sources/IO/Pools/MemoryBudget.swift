import Synchronization

/// The memory that all queues of the process share. Every queue has a reserve that is its own; what is left is lent to whoever asks first.
///
/// When nothing is left, the queue that is furthest over its reserve gives way: if it is another than the one that asks, it is told
/// to shed, and does so by its own policy in its own next turn. Locked, not lock-free: who is furthest is a question about all
/// accounts at once, and it is asked once for a batch that has to be copied, never for a row.
public final class MemoryBudget: Sendable {
  /// What came of asking for memory.
  public enum Answer: Equatable, Sendable {
    case granted
    /// There is none, but a queue that is further over its reserve was told to shed: ask again later.
    case awaited
    /// There is none, and the one that asks has to give way: by so many bytes, unless it does without.
    case refused(needed: Int)
  }

  /// What the budget tells about itself.
  public struct Gauges: Equatable, Sendable {
    /// Bytes of all queues.
    public var limit = 0
    /// Of these, bytes that belong to single queues.
    public var reserved = 0
    /// Bytes in use.
    public var held = 0
    /// Of these, bytes beyond the reserves of their queues.
    public var excess = 0
  }

  fileprivate struct Slot {
    var isOpen = true
    var held = 0
    var reserve: Int
    var sheds: Bool
    /// Bytes that it was told to shed and has not yet.
    var demand = 0
    let notice: Notice

    var excess: Int { max(0, held - reserve) }
  }

  fileprivate struct State {
    var gauges: Gauges
    var demanded = 0
    var slots: [Slot] = []
    var free: [Int] = []
  }

  /// How an account learns that it shall shed.
  fileprivate final class Notice: Sendable {
    let isAsked = Atomic(false)
    let wake: @Sendable () -> Void

    init(_ wake: @escaping @Sendable () -> Void) { self.wake = wake }
  }

  private let state: Mutex<State>

  /// - Parameter limit: bytes of all queues together, reserves included.
  public init(limit: Int) { state = Mutex(State(gauges: Gauges(limit: limit))) }

  public var gauges: Gauges { state.withLock { $0.gauges } }

  /// More is there at once; less takes effect as queues drain: nothing is dropped for it.
  public func resize(limit: Int) { state.withLock { $0.gauges.limit = limit } }

  /// Opens the account of a queue.
  ///
  /// - Parameters:
  ///   - reserve: bytes that are its own, whatever the others hold.
  ///   - sheds: it drops when it is told to; false for a queue that makes its pipeline wait instead.
  ///   - wake: called, from any thread, when it shall look at `isAsked` soon.
  public func openAccount(reserve: Int, sheds: Bool, wake: @escaping @Sendable () -> Void = {}) -> Account {
    let notice = Notice(wake)
    let index = state.withLock { state in
      let slot = Slot(reserve: reserve, sheds: sheds, notice: notice)
      state.gauges.reserved += reserve
      if let index = state.free.popLast() {
        state.slots[index] = slot
        return index
      }
      state.slots.append(slot)
      return state.slots.count - 1
    }
    return Account(self, index, notice)
  }

  /// What one queue holds. Closed, and what it holds given back, when it goes.
  public final class Account: Sendable {
    private let budget: MemoryBudget
    private let index: Int
    private let notice: Notice

    fileprivate init(_ budget: MemoryBudget, _ index: Int, _ notice: Notice) {
      self.budget = budget
      self.index = index
      self.notice = notice
    }

    deinit { budget.close(index) }

    /// It was told to shed `demand` bytes. Asking costs no lock.
    public var isAsked: Bool { notice.isAsked.load(ordering: .relaxed) }

    /// Bytes to shed, never of its reserve.
    public var demand: Int { budget.state.withLock { min($0.slots[index].demand, $0.slots[index].excess) } }

    /// It has shed what it could.
    public func answerDemand() {
      notice.isAsked.store(false, ordering: .relaxed)
      budget.state.withLock { $0.reduceDemand(index, by: .max) }
    }

    public var held: Int { budget.state.withLock { $0.slots[index].held } }

    /// Asks for memory.
    public func take(_ bytes: Int) -> Answer { budget.take(bytes, index) }

    /// Takes memory that is in use already, whether or not there is any.
    public func force(_ bytes: Int) { budget.state.withLock { $0.change(index, by: bytes) } }

    /// Gives memory back.
    public func give(_ bytes: Int) {
      budget.state.withLock { state in
        state.change(index, by: -bytes)
        state.reduceDemand(index, by: bytes)
      }
    }

    /// Another reserve and policy from now on.
    public func configure(reserve: Int, sheds: Bool) {
      budget.state.withLock { state in
        let before = state.slots[index].excess
        state.gauges.reserved += reserve - state.slots[index].reserve
        state.slots[index].reserve = reserve
        state.slots[index].sheds = sheds
        state.gauges.excess += state.slots[index].excess - before
      }
    }

    /// Takes over what another account of the same budget holds, in one step.
    public func absorb(_ other: Account) {
      budget.state.withLock { state in
        let bytes = state.slots[other.index].held
        state.change(other.index, by: -bytes)
        state.change(index, by: bytes)
      }
    }

    /// Opens a further account of the same budget.
    public func openAnother(reserve: Int, sheds: Bool) -> Account {
      budget.openAccount(reserve: reserve, sheds: sheds, wake: notice.wake)
    }
  }

  private func take(_ bytes: Int, _ index: Int) -> Answer {
    let (answer, asked) = state.withLock { $0.take(bytes, index) }
    if let asked {
      asked.isAsked.store(true, ordering: .relaxed)
      asked.wake()
    }
    return answer
  }

  private func close(_ index: Int) {
    state.withLock { state in
      state.change(index, by: -state.slots[index].held)
      state.reduceDemand(index, by: .max)
      state.gauges.reserved -= state.slots[index].reserve
      state.slots[index].isOpen = false
      state.free.append(index)
    }
  }
}

extension MemoryBudget.State {
  fileprivate mutating func change(_ index: Int, by bytes: Int) {
    let before = slots[index].excess
    slots[index].held += bytes
    gauges.held += bytes
    gauges.excess += slots[index].excess - before
  }

  fileprivate mutating func reduceDemand(_ index: Int, by bytes: Int) {
    let part = min(slots[index].demand, bytes)
    slots[index].demand -= part
    demanded -= part
  }

  fileprivate mutating func take(
    _ bytes: Int, _ index: Int
  ) -> (MemoryBudget.Answer, asked: MemoryBudget.Notice?) {
    let excess = max(0, slots[index].held + bytes - slots[index].reserve)
    let shortfall = gauges.excess + excess - slots[index].excess - max(0, gauges.limit - gauges.reserved)
    // What stays within its reserve is granted even while others hold too much.
    guard excess > 0, shortfall > 0 else {
      change(index, by: bytes)
      return (.granted, nil)
    }
    let refusal = MemoryBudget.Answer.refused(needed: min(shortfall, excess))
    // Who waits instead of dropping makes nobody else drop.
    guard slots[index].sheds, let furthest = furthest(beyond: excess, besides: index) else { return (refusal, nil) }
    let missing = shortfall - demanded
    if missing > 0 {
      slots[furthest].demand += missing
      demanded += missing
    }
    return (.awaited, missing > 0 ? slots[furthest].notice : nil)
  }

  /// The queue that would be furthest over its reserve once it has shed what it was told to, if that is further than `excess`.
  private func furthest(beyond excess: Int, besides index: Int) -> Int? {
    var (found, most): (Int?, Int) = (nil, excess)
    for other in slots.indices where other != index && slots[other].isOpen && slots[other].sheds {
      let rest = slots[other].excess - slots[other].demand
      if rest > most { (found, most) = (other, rest) }
    }
    return found
  }
}
