import Config
import Records
import Testing

@testable import Pipelines

/// The execution is a value: these tests play the loops.
@Suite struct PlanExecutionTests {
  private static func plan(_ name: String) -> PipelinePlan {
    PipelinePlan(PipelineSettings(name: name), host: HostIdentity(), RunOptions(version: "test"))
  }

  private static func step(
    _ name: String, _ action: ExecutionStep.Action, from present: Int? = nil, on loop: Int? = 0
  ) -> ExecutionStep {
    ExecutionStep(
      pipeline: name, action: action, presentLoop: present, loop: loop, board: PipelineBoard(name: name, sinks: []))
  }

  /// What is sent, in words: `0 prepare 1 web`.
  private static func words(_ moves: [PlanExecution.Move]) -> [String] {
    moves.map { move in
      switch move {
      case .done: "done"
      case .failed(let error): "failed \(error)"
      case .send(let loop, let command): "\(loop) \(words(command))"
      }
    }
  }

  private static func words(_ command: LoopCommand) -> String {
    switch command {
    case .prepare(let ticket, let plan, _, let isHeir): "prepare \(ticket) \(plan.name)\(isHeir ? " heir" : "")"
    case .prepareAdjustment(let ticket, let plan): "prepareAdjustment \(ticket) \(plan.name)"
    case .discard(let ticket): "discard \(ticket)"
    case .start(let ticket): "start \(ticket)"
    case .adjust(let ticket, let name): "adjust \(ticket) \(name)"
    case .replace(let ticket, let name): "replace \(ticket) \(name)"
    case .rebuildInPlace(let ticket, let name, _, _): "rebuildInPlace \(ticket) \(name)"
    case .move(let name, let ticket, let loop): "move \(name) \(ticket) to \(loop)"
    case .remove(let name): "remove \(name)"
    default: "something else"
    }
  }

  @Test func everythingIsPreparedBeforeAnythingIsSwitched() {
    let steps = [
      Self.step("new", .add(Self.plan("new")), on: 1),
      Self.step("live", .adjust(Self.plan("live")), from: 0),
      Self.step("web", .rebuild(Self.plan("web")), from: 0),
      Self.step("old", .remove, from: 1, on: nil),
    ]
    var execution = PlanExecution(steps, firstTicket: 10)
    var moves = execution.begin()
    #expect(Self.words(moves) == ["1 prepare 10 new", "0 prepareAdjustment 11 live", "0 prepare 12 web heir"])
    #expect(execution.prepared(12, nil).isEmpty)
    #expect(execution.prepared(10, nil).isEmpty)
    moves = execution.prepared(11, nil)
    #expect(Self.words(moves) == ["1 start 10", "0 adjust 11 live", "0 replace 12 web", "1 remove old"])
    for name in ["web", "old", "new"] { #expect(execution.switched(name).isEmpty) }
    #expect(Self.words(execution.switched("live")) == ["done"])
  }

  @Test func whatCannotBeBuiltUndoesEverything() {
    let steps = [
      Self.step("a", .add(Self.plan("a"))), Self.step("b", .rebuild(Self.plan("b")), from: 1, on: 1),
      Self.step("c", .remove, from: 0, on: nil),
    ]
    var execution = PlanExecution(steps, firstTicket: 1)
    _ = execution.begin()
    #expect(execution.prepared(1, .system("no ring")).isEmpty, "the others have not answered yet")
    #expect(Self.words(execution.prepared(2, nil)) == ["0 discard 1", "1 discard 2", "failed no ring"])
    #expect(execution.switched("b").isEmpty, "nothing was switched")
  }

  @Test func whatHasNoRoomBesideIsRebuiltOneAfterTheOther() {
    let steps = ["a", "b"].map {
      Self.step($0, .rebuildInPlace(Self.plan($0), restoring: Self.plan($0)), from: 0)
    }
    var execution = PlanExecution(steps, firstTicket: 1)
    #expect(Self.words(execution.begin()) == ["0 rebuildInPlace 1 a"])
    #expect(Self.words(execution.prepared(1, nil)) == ["0 rebuildInPlace 2 b"])
    #expect(Self.words(execution.prepared(2, nil)) == ["done"])
  }

  @Test func aFailureInPlaceTurnsBackWhatWasRebuiltBefore() {
    var steps = ["a", "b"].map {
      Self.step($0, .rebuildInPlace(Self.plan($0), restoring: Self.plan($0)), from: 0)
    }
    steps.append(Self.step("c", .add(Self.plan("c"))))
    var execution = PlanExecution(steps, firstTicket: 1)
    #expect(Self.words(execution.begin()) == ["0 prepare 3 c"])
    #expect(Self.words(execution.prepared(3, nil)) == ["0 rebuildInPlace 1 a"])
    #expect(Self.words(execution.prepared(1, nil)) == ["0 rebuildInPlace 2 b"])
    #expect(Self.words(execution.prepared(2, .system("gone"))) == ["0 rebuildInPlace 4 a"], "a is turned back")
    #expect(Self.words(execution.prepared(4, nil)) == ["0 discard 3", "failed gone"])
  }

  @Test func aPipelineMovesToAnotherLoop() {
    var execution = PlanExecution(
      [Self.step("a", .rebuild(Self.plan("a")), from: 1, on: 0)], firstTicket: 1)
    #expect(Self.words(execution.begin()) == ["0 prepare 1 a heir"])
    #expect(Self.words(execution.prepared(1, nil)) == ["1 move a 1 to 0"])
    #expect(Self.words(execution.switched("a")) == ["done"])
  }

  @Test func nothingToDoIsDoneAtOnce() {
    var execution = PlanExecution([], firstTicket: 1)
    #expect(Self.words(execution.begin()) == ["done"])
  }
}
