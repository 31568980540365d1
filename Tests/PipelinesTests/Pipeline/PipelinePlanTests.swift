import Config
import IO
import Records
import Testing

@testable import Pipelines

@Suite struct PipelinePlanTests {
  static func plan(_ edit: (inout PipelineSettings) -> Void = { _ in }) -> PipelinePlan {
    var settings = PipelineSettings(name: "p")
    settings.interval = .seconds(2)
    settings.sinks = [SinkSettings(name: "a", kind: .blackhole)]
    edit(&settings)
    return PipelinePlan(settings, host: HostIdentity(hostname: "h"), RunOptions(version: "test"))
  }

  @Test func everyFormatOfTheConfigurationIsOneOfTheEncoders() {
    for name in FormatName.streams { #expect(RecordFormat(name).rawValue == name.rawValue) }
  }

  @Test func everyAttributeOfTheConfigurationIsOneOfTheRecords() {
    for name in AttributeName.allCases {
      #expect(AttributeSelection([name]) == AttributeSelection(name: name.rawValue), "\(name)")
      #expect(!AttributeSelection([name]).isEmpty)
    }
    #expect(AttributeSelection(AttributeName.defaultSelection).isSubset(of: .default))
  }

  @Test func everyStateOfTheConfigurationIsOneOfTheKernels() {
    for name in StateName.allCases { #expect(!SocketStates([name]).isEmpty, "\(name)") }
    #expect(SocketStates(Set(StateName.allCases)) == SocketStates.all.subtracting(SocketStates(rawValue: 1)))
  }

  @Test func theKernelIsNeverAskedToWalkTheBindHash() {
    #expect(Self.plan().selection.states.rawValue & ~0xfff == 0)
  }

  @Test func sinksOfOneFormatShareAnEncoding() {
    let plan = Self.plan {
      $0.sinks = [
        SinkSettings(name: "a", kind: .blackhole, format: .jsonl),
        SinkSettings(name: "b", kind: .stdout, format: .csv, columns: ["hostname"]),
        SinkSettings(name: "c", kind: .stderr, format: .jsonl),
        SinkSettings(name: "d", kind: .blackhole, format: .csv),
      ]
    }
    #expect(plan.encodings.count == 3)
    #expect(plan.sinks.map(\.encoding) == [0, 1, 0, 2])
  }

  @Test func alignmentFollowsTheSettings() {
    #expect(Self.plan { $0.align = .none }.alignment == .none)
    #expect(Self.plan { $0.align = .wallclock }.alignment == .wall(offset: 0))
    let spread = Self.plan { $0.align = .spread }.alignment
    #expect(spread == .spread(hostname: "h", pipeline: "p", interval: 2_000_000_000))
  }

  /// A queue opens its account with what admission has set aside for it, and `auto` is room for two full batches.
  @Test(arguments: [nil, 0, 1, 1 << 20, 64 << 20] as [Int?]) func queuesOpenWithWhatAdmissionHasSetAside(
    _ reserve: Int?
  ) {
    #expect(PipelineSettings.queueUnit == BatchCopy.unit)
    for batchBytes in [64 << 10, 100_000, 768 << 10] {
      var settings = PipelineSettings(name: "p")
      settings.batch.bytes = batchBytes
      settings.sinks = [SinkSettings(name: "a", kind: .stdout), SinkSettings(name: "b", kind: .blackhole)]
      settings.sinks[0].queue.reserve = reserve
      let plan = PipelinePlan(settings, host: HostIdentity(), RunOptions(version: "test"))
      let demand = Demand(settings, on: HostCapacity(cores: 1, openFiles: 1024), .pipelines)
      #expect(plan.sinks.map(\.queue.reserve).reduce(0, +) == demand.queueReserve)
      if reserve == nil { #expect(demand.queueReserve == 2 * BatchCopy.charge(for: plan.batchBytes)) }
    }
  }

  @Test func aBatchHoldsAtLeastOneRow() {
    var settings = Settings(global: GlobalSettings(), pipelines: [PipelineSettings(name: "p")])
    settings.pipelines[0].sinks = [SinkSettings(name: "a", kind: .blackhole)]
    settings.pipelines[0].batch.bytes = 1024
    #expect(throws: StartError.self) { try Supervisor.check(settings) }
  }
}
