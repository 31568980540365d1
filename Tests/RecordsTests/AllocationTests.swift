import CMeasure
import Foundation
import Testing

@testable import Records

/// Nothing is allocated once an encoder is made. Only optimised code is free of allocations: unspecialised generics of a
/// debug build box values. `EncodeBenchmark` checks the same in every release build and fails if it is not so.
@Suite(.serialized) struct AllocationTests {
  fileprivate static let canCount: Bool = {
    #if DEBUG
      false
    #else
      measure_counts_allocations() == 1
    #endif
  }()

  /// Other tests run beside this one and allocate, so the quietest of many runs counts.
  @Test(
    .enabled(if: AllocationTests.canCount, "needs a release build without a sanitizer"),
    arguments: RecordFormat.allCases)
  func aPollAllocatesNothing(format: RecordFormat) throws {
    let messages = FormatTests.messages.flatMap { $0.bytes }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { memory.deallocate() }
    let host = HostIdentity(hostname: "a host whose name is on the heap", kernelRelease: "6.18.0")
    var encoder = try RecordEncoder(
      format: format, columns: nil, attributes: .all, host: host, pipeline: PipelineIdentity(name: "main"))
    let prefix = UnsafeMutableRawBufferPointer.allocate(byteCount: encoder.maximumPrefixBytes, alignment: 16)
    defer { prefix.deallocate() }
    let namespaces = [
      NamespaceIdentity(name: "short", inode: 1, cookie: 2),
      NamespaceIdentity(name: "a namespace whose name is too long for a small string", inode: 1, cookie: 2),
    ]
    var terms = RowFilter.Terms()
    terms.sourcePorts = [1...65_535]
    terms.destinations = [
      RowFilter.Prefix(bytes: [0, 0, 0, 0], length: 0),
      RowFilter.Prefix(bytes: [UInt8](repeating: 0, count: 16), length: 0),
    ]
    let selection = RowSelection(filter: RowFilter(keep: terms, drop: RowFilter.Terms()))
    var fewest = UInt64.max
    var tally = RowTally()
    messages.withUnsafeBytes { datagram in
      for _ in 0..<2000 where fewest > 0 {
        let before = measure_allocations()
        for namespace in namespaces {
          let length = encoder.encodePrefix(namespace: namespace, pollSequence: 1, pollStart: 1, into: prefix)
          var start = RecordEncoder.batchHeadroom
          var end = start
          var rows = 0
          var position = 0
          _ = encoder.transcode(
            datagram, position: &position, sequence: 7, selection: selection, timestamp: 1,
            prefix: UnsafeRawBufferPointer(rebasing: prefix[..<length]), into: memory, end: &end, rows: &rows,
            rowLimit: 100, tally: &tally)
          encoder.seal(memory, start: &start, end: &end)
        }
        fewest = min(fewest, measure_allocations() - before)
      }
    }
    #expect(fewest == 0)
    #expect(tally.encoded > 0)
  }
}
