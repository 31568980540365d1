import Config
import Records
import Testing

@testable import Pipelines

/// The execution is a value: these tests play the loops.
@Suite struct PlanExecutionTests {
  private static func plan(_ name: String) -> PipelinePlan {
    PipelinePlan(PipelineSettings(name: name), host: HostIdentity(), RunOptions(version: "test"))
  }

  private static func place(_ name: String, _ loop: Int?) -> ExecutionStep.Place? {
    loop.map { ExecutionStep.Place(plan: plan(name), board: PipelineBoard(name: name, sinks: []), loop: $0) }
  }

  private static func step(
    _ name: String, _ action: ExecutionStep.Action, from present: Int? = nil, to future: Int? = 0
  ) -> ExecutionStep {
    ExecutionStep(pipeline: name, action: action, present: place(name, present), future: place(name, future))
  }

  private static func parcel(_ name: String) -> Parcel {
    Parcel(
      legacy: Legacy(
        counters: PipelineCounters(),
        schedule: PollSchedule(interval: 1, alignment: .none, monotonic: 0, wall: 0),
        pollDurations: DurationHistogram(), pollSequence: 0, lastPoll: 0, lastCompletePoll: 0,
        complaints: Complaints(), encodedBefore: [], plan: plan(name)),
      estates: [])
  }

  /// What is sent, in words: `0 prepare 1 web`.
  private static func words(_ moves: [PlanExecution.Move]) -> [String] {
    moves.map { move in
      switch move {
      case .done: "done"
      case .failed(let error): "failed \(error)"
      case .lost(let place, _, let error): "lost \(place.plan.name) \(error)"
      case .send(let loop, let command): "\(loop) \(words(command))"
      }
    }
  }

  private static func words(_ command: LoopCommand) -> String {
    switch command {
    case .prepare(let ticket, let plan, _, let isHeir): "prepare \(ticket) \(plan.name)\(isHeir ? " heir" : "")"
    case .prepareAdjustment(let ticket, let plan): "prepareAdjustment \(ticket) \(plan.name)"
    case .discard(let ticket): "discard \(ticket)"
    case .start(let ticket, let parcel): "start \(ticket)\(parcel == nil ? "" : " with parcel")"
    case .build(let ticket, let plan, _, _, let isChecked):
      "build \(ticket) \(plan.name)\(isChecked ? "" : " unchecked")"
    case .adjust(let ticket, let name): "adjust \(ticket) \(name)"
    case .replace(let ticket, let name): "replace \(ticket) \(name)"
    case .vacate(let ticket, let name, let plan): "vacate \(ticket) \(name)\(plan == nil ? "" : " for an heir")"
    case .remove(let ticket, let name): "remove \(ticket) \(name)"
    default: "something else"
    }
  }

  @Test func everythingIsPreparedBeforeAnythingIsSwitched() {
    let steps = [
      Self.step("new", .add, to: 1), Self.step("live", .adjust, from: 0), Self.step("web", .rebuild, from: 0),
      Self.step("old", .remove, from: 1, to: nil),
    ]
    var execution = PlanExecution(steps, firstTicket: 10)
    var moves = execution.begin()
    #expect(Self.words(moves) == ["1 prepare 10 new", "0 prepareAdjustment 11 live", "0 prepare 12 web heir"])
    moves = execution.prepared(12, nil)
    #expect(moves.isEmpty)
    moves = execution.prepared(10, nil)
    #expect(moves.isEmpty)
    moves = execution.prepared(11, nil)
    #expect(Self.words(moves) == ["1 start 10", "0 adjust 11 live", "0 replace 12 web", "1 remove 13 old"])
    for ticket in [12, 13, 10] {
      moves = execution.switched(ticket)
      #expect(moves.isEmpty)
    }
    moves = execution.switched(11)
    #expect(Self.words(moves) == ["done"])
  }

  @Test func whatCannotBeBuiltUndoesEverything() {
    let steps = [
      Self.step("a", .add), Self.step("b", .rebuild, from: 1, to: 1), Self.step("c", .remove, from: 0, to: nil),
    ]
    var execution = PlanExecution(steps, firstTicket: 1)
    _ = execution.begin()
    var moves = execution.prepared(1, .system("no ring"))
    #expect(moves.isEmpty, "the others have not answered yet")
    moves = execution.prepared(2, nil)
    #expect(Self.words(moves) == ["0 discard 1", "1 discard 2", "failed no ring"])
    moves = execution.switched(2)
    #expect(moves.isEmpty, "nothing was switched")
  }

  @Test func whatHasNoRoomBesideIsRebuiltOneAfterTheOther() {
    let steps = [Self.step("a", .rebuildInPlace, from: 0), Self.step("b", .rebuildInPlace, from: 1, to: 0)]
    var execution = PlanExecution(steps, firstTicket: 1)
    var moves = execution.begin()
    #expect(Self.words(moves) == ["0 vacate 1 a for an heir"])
    moves = execution.parted(1, Self.parcel("a"))
    #expect(Self.words(moves) == ["0 build 1 a"])
    moves = execution.prepared(1, nil)
    #expect(Self.words(moves) == ["1 vacate 2 b for an heir"])
    moves = execution.parted(2, Self.parcel("b"))
    #expect(Self.words(moves) == ["0 build 2 b"], "on its new loop")
    moves = execution.prepared(2, nil)
    #expect(Self.words(moves) == ["done"])
  }

  @Test func aFailureInPlaceTurnsBackWhatWasRebuiltBefore() {
    let steps = [
      Self.step("a", .rebuildInPlace, from: 0), Self.step("b", .rebuildInPlace, from: 0), Self.step("c", .add),
    ]
    var execution = PlanExecution(steps, firstTicket: 1)
    var moves = execution.begin()
    #expect(Self.words(moves) == ["0 prepare 3 c"])
    moves = execution.prepared(3, nil)
    #expect(Self.words(moves) == ["0 vacate 1 a for an heir"])
    _ = execution.parted(1, Self.parcel("a"))
    _ = execution.prepared(1, nil)
    _ = execution.parted(2, Self.parcel("b"))
    moves = execution.prepared(2, .system("gone"))
    #expect(Self.words(moves) == ["0 discard 3", "0 build 2 b unchecked"], "b is built again as it was")
    moves = execution.prepared(2, nil)
    #expect(Self.words(moves) == ["0 vacate 1 a for an heir"], "a is turned back")
    moves = execution.parted(1, Self.parcel("a"))
    #expect(Self.words(moves) == ["0 build 1 a unchecked"])
    moves = execution.prepared(1, .system("still gone"))
    #expect(Self.words(moves) == ["lost a still gone", "failed gone"], "the supervisor goes on trying")
  }

  @Test func whatMakesRoomEndsFirstAndComesBackIfTheRestFails() {
    let steps = [Self.step("fat", .removeFirst, from: 0, to: nil), Self.step("new", .add)]
    var execution = PlanExecution(steps, firstTicket: 1)
    var moves = execution.begin()
    #expect(Self.words(moves) == ["0 vacate 1 fat"])
    moves = execution.parted(1, Self.parcel("fat"))
    #expect(Self.words(moves) == ["0 prepare 2 new"])
    moves = execution.prepared(2, .system("no room"))
    #expect(Self.words(moves) == ["0 discard 2", "0 build 1 fat unchecked"])
    moves = execution.prepared(1, nil)
    #expect(Self.words(moves) == ["failed no room"])
  }

  @Test func aPipelineMovesToAnotherLoop() {
    var execution = PlanExecution([Self.step("a", .rebuild, from: 1, to: 0)], firstTicket: 1)
    var moves = execution.begin()
    #expect(Self.words(moves) == ["0 prepare 1 a heir"])
    moves = execution.prepared(1, nil)
    #expect(Self.words(moves) == ["1 vacate 1 a for an heir"])
    moves = execution.parted(1, Self.parcel("a"))
    #expect(Self.words(moves) == ["0 start 1 with parcel"])
    moves = execution.switched(1)
    #expect(Self.words(moves) == ["done"])
  }

  @Test func nothingToDoIsDoneAtOnce() {
    var execution = PlanExecution([], firstTicket: 1)
    let moves = execution.begin()
    #expect(Self.words(moves) == ["done"])
  }
}
