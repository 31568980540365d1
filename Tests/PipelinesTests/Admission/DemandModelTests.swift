import Config
import Foundation
import IO
import Records
import Testing

@testable import Pipelines

/// What admission adds up is what pools and ports take.
@Suite struct DemandModelTests {
  private static func plan(_ edit: (inout PipelineSettings) -> Void) -> PipelinePlan {
    var settings = PipelineSettings(name: "p")
    settings.sinks = [
      SinkSettings(name: "a", kind: .blackhole), SinkSettings(name: "b", kind: .blackhole, format: .csv),
    ]
    edit(&settings)
    return PipelinePlan(settings, host: HostIdentity(hostname: "h"), RunOptions(version: "test"))
  }

  /// Bytes of address space of this process.
  private static func mapped() throws -> Int {
    let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    return try #require(text.split(separator: " ").first.flatMap { Int($0) }) * Int(getpagesize())
  }

  private static func descriptors() throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
  }

  /// A pipeline with large pools, as `Pipeline` and its port make them. What is mapped is compared with what was announced; the
  /// rest of the process maps little meanwhile: two megabytes of 190 are the slack.
  @Test(arguments: [true, false]) func mappedMemory(_ mayUseRing: Bool) throws {
    let plan = Self.plan {
      $0.reader.mode = mayUseRing ? .ioUring : .syscall
      $0.pools.receiveBuffers = 4096
      $0.reader.recvBatch = 4096
      $0.pools.batches = 16
      $0.batch.bytes = 4 << 20
    }
    let footprint = PipelineFootprint(plan, mayUseRing: mayUseRing)
    // What is allocated is not mapped for that.
    let allocated = PipelineFootprint.dumps(plan) + KnownSockets.memory(connections: plan.knownSockets)
    let announced = footprint.pools - allocated
    let (before, descriptors) = (try Self.mapped(), try Self.descriptors())
    let port = try openPort(plan.mode, plan.portOptions).port
    let batches = try BatchPool(count: plan.batches, byteCount: plan.batchBytes)
    let taken = try Self.mapped() - before
    #expect(abs(taken - announced) <= 2 << 20, "\(taken) taken, \(announced) announced")
    #expect(try Self.descriptors() - descriptors + plan.recvBatch <= footprint.descriptors)
    #expect(batches.gauges.size == 16)
    port.tearDown()
  }

  /// What is allocated for dumps; the allocator's own bytes are at most a tenth of the sum.
  @Test(arguments: [1, 8, 512]) func dumpMemory(_ recvBatch: Int) {
    let plan = Self.plan { $0.reader.recvBatch = recvBatch }
    let pool = Pool(count: recvBatch) { _ in
      DumpMemory(
        requestBytes: plan.requestBytes, bindings: plan.lookup.count, prefixBytes: plan.prefixBytes)
    }
    guard let lease = pool.lease() else {
      Issue.record("a new pool has elements")
      return
    }
    let each =
      lease.value.request.count + lease.value.prefixes.count + MemoryLayout<DumpMemory>.stride
      + MemoryLayout<Dump>.stride
    let taken = recvBatch * each + plan.receiveBuffers * MemoryLayout<ReceivedDatagram>.stride
    let announced = PipelineFootprint.dumps(plan)
    #expect(announced >= taken && announced * 9 <= taken * 10, "\(taken) taken, \(announced) announced")
  }

  /// The sizes are those of the plan, whatever it is.
  @Test func everySizeCounts() {
    func footprint(_ edit: (inout PipelineSettings) -> Void = { _ in }) -> PipelineFootprint {
      PipelineFootprint(Self.plan(edit), mayUseRing: true)
    }
    let plain = footprint()
    #expect(footprint { $0.pools.receiveBuffers += 1 }.pools - plain.pools >= ReceiveBuffer.capacity)
    #expect(footprint { $0.pools.batches += 1 }.pools - plain.pools == 768 << 10)
    #expect(footprint { $0.pools.knownSockets += 10 }.pools - plain.pools == 256)
    #expect(footprint { $0.batch.bytes *= 2 }.pools - plain.pools == 4 * 768 << 10)
    #expect(footprint { $0.reader.recvBatch += 1 }.descriptors == plain.descriptors + 1)
    #expect(footprint { $0.reader.recvBatch += 4 }.pools > plain.pools)
    let file = SinkSettings(name: "c", kind: .file(FileSinkSettings(path: "/f")))
    #expect(footprint { $0.sinks.append(file) }.descriptors == plain.descriptors + 4)
    #expect(PipelineFootprint(Self.plan { _ in }, mayUseRing: false).lockedMemory == 0)
    #expect(plain.lockedMemory > 0)
  }

  /// Forty pipelines that say nothing of sizes fit the default budget.
  @Test func defaultsAreSmall() {
    let settings = (0..<40).map { index in
      var pipeline = PipelineSettings(name: "tenant\(index)")
      pipeline.sinks = [SinkSettings(name: "out", kind: .blackhole)]
      return pipeline
    }
    let result = Admission(
      Settings(global: GlobalSettings(), pipelines: settings), on: HostCapacity(cores: 2, openFiles: 1024), .pipelines
    ).admit()
    #expect(result.refusals == [])
    #expect(result.threads.total == 3)
  }

  @Test func thisMachine() {
    let capacity = HostCapacity.current(ioUring: true)
    #expect(capacity.cores >= 1 && capacity.openFiles > 64 && capacity.ioUring == true)
    #expect(capacity.lockedMemory == nil, "these tests run as root")
  }
}
