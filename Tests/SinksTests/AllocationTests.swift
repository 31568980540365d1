import CMeasure
import Glibc
import Testing

@testable import IO
@testable import Sinks

/// A sink that keeps up allocates nothing: batches are written from their pool. Only optimised code is free of allocations.
@Suite(.serialized) struct AllocationTests {
  fileprivate static let canCount: Bool = {
    #if DEBUG
      false
    #else
      measure_counts_allocations() == 1
    #endif
  }()

  /// Other tests run beside this one and allocate, so the quietest of many runs counts.
  @Test(.enabled(if: AllocationTests.canCount, "needs a release build without a sanitizer"))
  func aBatchThatIsWrittenAtOnceAllocatesNothing() throws {
    let port = try SyscallPort(PortOptions(receiveBuffers: 1, operations: 4))
    let pool = try BatchPool(count: 4, byteCount: 1 << 16)
    let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
    defer { close(null) }
    let output = SinkOutput(
      port: port, owner: 1, header: [], queue: .roomy, retry: .quick, budget: MemoryBudget(limit: 1 << 30))
    let sink: any Sink = StandardStreamSink(name: "o", descriptor: null, output)
    var fewest = UInt64.max
    for _ in 0..<2_000 where fewest > 0 {
      let before = measure_allocations()
      guard var lease = pool.lease() else { break }
      lease.value.reset()
      lease.value.end = 1_000
      lease.value.rows = 10
      let shared = lease.shared()
      let canSpare = shared.freeBeside >= 1
      hand(BatchOffer(shared, canSpare: canSpare), to: sink)
      while !sink.isIdle { _ = try port.reap(limit: 4) { sink.handle($0) } }
      fewest = min(fewest, measure_allocations() - before)
    }
    #expect(fewest == 0)
    #expect(sink.tally.delivered > 0)
  }

  private func hand(_ offer: consuming BatchOffer, to sink: any Sink) { sink.accept(&offer) }
}
