import Config
import IO

/// One step of a plan: what becomes of one pipeline, on which loops.
struct ExecutionStep {
  enum Action {
    case add
    case adjust
    /// Built beside the present one, on the same loop or another.
    case rebuild
    /// Built after the present one has gone.
    case rebuildInPlace
    case remove
    /// Gone before anything else is built, to make room for it.
    case removeFirst
  }

  /// A pipeline as it runs or shall run.
  struct Place {
    let plan: PipelinePlan
    let board: PipelineBoard
    let loop: Int
  }

  let pipeline: String
  let action: Action
  /// Nil: it does not run yet.
  let present: Place?
  /// Nil: it goes.
  let future: Place?
}

/// Carries out a plan on the loops so that nothing has changed if any of it fails.
///
///     end what makes room -> prepare beside what runs -> rebuild in place what has no room beside -> switch at poll boundaries
///
/// A value that is told what the loops answer and says what to send them next; the supervisor does the sending. Switching cannot
/// fail: everything it needs has been built by then.
struct PlanExecution {
  /// What to do next.
  enum Move {
    case send(loop: Int, LoopCommand)
    /// Every step is done.
    case done
    /// Nothing has changed; why.
    case failed(StartError)
    /// Nothing has changed but this: what ran before could not be built again.
    case lost(ExecutionStep.Place, Parcel, StartError)
  }

  private enum Phase { case clearing, preparing, rebuilding, switching, undoing, over }

  let steps: [ExecutionStep]
  private let firstTicket: Ticket
  private var phase = Phase.clearing
  private var awaited: Set<Ticket> = []
  private var failure: StartError?
  /// Steps of the present phase that are still to be begun, the next one last.
  private var todo: [Int] = []
  /// What has gone and could be built again, by step; and what runs in its place.
  private var parcels: [Int: Parcel] = [:]
  private var rebuilt: Set<Int> = []

  /// - Parameter firstTicket: tickets from here on are this execution's.
  init(_ steps: [ExecutionStep], firstTicket: Ticket) {
    self.steps = steps
    self.firstTicket = firstTicket
  }

  /// One a step.
  var ticketCount: Int { steps.count }

  private func ticket(_ index: Int) -> Ticket { firstTicket + index }
  private func step(_ ticket: Ticket) -> Int? {
    steps.indices.contains(ticket - firstTicket) ? ticket - firstTicket : nil
  }

  mutating func begin() -> [Move] {
    var moves: [Move] = []
    for (index, step) in steps.enumerated() {
      guard case .removeFirst = step.action, let present = step.present else { continue }
      awaited.insert(ticket(index))
      moves.append(.send(loop: present.loop, .vacate(ticket(index), pipeline: step.pipeline, for: nil)))
    }
    return moves + goOn()
  }

  /// A loop has built something, or could not.
  mutating func prepared(_ ticket: Ticket, _ error: StartError?) -> [Move] {
    guard let index = step(ticket), awaited.remove(ticket) != nil else { return [] }
    var moves: [Move] = []
    switch (phase, error) {
    case (.rebuilding, nil): rebuilt.insert(index)
    case (.undoing, let error?):
      if let place = steps[index].present, let parcel = parcels[index] { moves.append(.lost(place, parcel, error)) }
    case (_, let error?): failure = failure ?? error
    default: break
    }
    return moves + goOn()
  }

  /// A pipeline has let go of its loop; what is left of it is here.
  mutating func parted(_ ticket: Ticket, _ parcel: Parcel) -> [Move] {
    guard let index = step(ticket), awaited.contains(ticket) else { return [] }
    parcels[index] = parcel
    switch (phase, steps[index].present, steps[index].future) {
    case (.rebuilding, _, let future?):
      return [.send(loop: future.loop, .build(ticket, future.plan, future.board, parcel, isChecked: true))]
    case (.switching, _, let future?): return [.send(loop: future.loop, .start(ticket, parcel))]
    case (.undoing, let present?, _):
      return [.send(loop: present.loop, .build(ticket, present.plan, present.board, parcel, isChecked: false))]
    default:
      awaited.remove(ticket)
      return goOn()
    }
  }

  /// A loop that was started for this has ended before anything ran on it: what it was asked for does not come.
  mutating func loopEnded(_ error: StartError) -> [Move] {
    failure = failure ?? error
    awaited.removeAll()
    return goOn()
  }

  /// The step that a ticket belongs to, once its pipeline has been switched or built.
  func successor(_ ticket: Ticket) -> ExecutionStep? {
    guard phase == .switching || phase == .rebuilding, let index = step(ticket) else { return nil }
    return steps[index]
  }

  /// A loop has switched a pipeline.
  mutating func switched(_ ticket: Ticket) -> [Move] {
    guard phase == .switching, awaited.remove(ticket) != nil else { return [] }
    return goOn()
  }

  // MARK: Phases

  private mutating func goOn() -> [Move] {
    guard awaited.isEmpty else { return [] }
    switch phase {
    case .clearing: return prepareAll()
    case .preparing:
      if failure != nil { return undo() }
      phase = .rebuilding
      todo = steps.indices.reversed().filter { if case .rebuildInPlace = steps[$0].action { true } else { false } }
      return rebuildNext()
    case .rebuilding: return failure == nil ? rebuildNext() : undo()
    case .switching:
      phase = .over
      return [.done]
    case .undoing: return undoNext()
    case .over: return []
    }
  }

  private mutating func prepareAll() -> [Move] {
    phase = .preparing
    var moves: [Move] = []
    for (index, step) in steps.enumerated() {
      guard let future = step.future else { continue }
      let ticket = ticket(index)
      switch step.action {
      case .add: moves.append(.send(loop: future.loop, .prepare(ticket, future.plan, future.board, isHeir: false)))
      case .rebuild: moves.append(.send(loop: future.loop, .prepare(ticket, future.plan, future.board, isHeir: true)))
      case .adjust: moves.append(.send(loop: future.loop, .prepareAdjustment(ticket, future.plan)))
      case .rebuildInPlace, .remove, .removeFirst: continue
      }
      awaited.insert(ticket)
    }
    return moves + goOn()
  }

  private mutating func rebuildNext() -> [Move] {
    guard let index = todo.popLast() else { return switchAll() }
    guard let present = steps[index].present, let future = steps[index].future else { return rebuildNext() }
    awaited.insert(ticket(index))
    return [.send(loop: present.loop, .vacate(ticket(index), pipeline: steps[index].pipeline, for: future.plan))]
  }

  private mutating func switchAll() -> [Move] {
    phase = .switching
    var moves: [Move] = []
    for (index, step) in steps.enumerated() {
      let ticket = ticket(index)
      switch (step.action, step.present, step.future) {
      case (.add, _, let future?): moves.append(.send(loop: future.loop, .start(ticket, nil)))
      case (.adjust, _, let future?): moves.append(.send(loop: future.loop, .adjust(ticket, pipeline: step.pipeline)))
      case (.rebuild, let present?, let future?) where present.loop == future.loop:
        moves.append(.send(loop: future.loop, .replace(ticket, pipeline: step.pipeline)))
      case (.rebuild, let present?, let future?):
        moves.append(.send(loop: present.loop, .vacate(ticket, pipeline: step.pipeline, for: future.plan)))
      case (.remove, let present?, _): moves.append(.send(loop: present.loop, .remove(ticket, pipeline: step.pipeline)))
      default: continue
      }
      awaited.insert(ticket)
    }
    return moves + goOn()
  }

  // MARK: Undoing

  /// Lets go of everything that was built, and builds again what has gone.
  private mutating func undo() -> [Move] {
    phase = .undoing
    todo = steps.indices.filter { parcels[$0] != nil }
    var moves: [Move] = []
    for (index, step) in steps.enumerated() {
      switch (step.action, step.future) {
      case (.add, let future?), (.rebuild, let future?), (.adjust, let future?):
        moves.append(.send(loop: future.loop, .discard(ticket(index))))
      default: continue
      }
    }
    return moves + undoNext()
  }

  private mutating func undoNext() -> [Move] {
    guard let index = todo.popLast() else {
      phase = .over
      return [.failed(failure ?? .system("nothing could be built"))]
    }
    guard let present = steps[index].present, let parcel = parcels[index] else { return undoNext() }
    awaited.insert(ticket(index))
    if rebuilt.contains(index), let future = steps[index].future {
      return [.send(loop: future.loop, .vacate(ticket(index), pipeline: steps[index].pipeline, for: present.plan))]
    }
    return [.send(loop: present.loop, .build(ticket(index), present.plan, present.board, parcel, isChecked: false))]
  }
}
