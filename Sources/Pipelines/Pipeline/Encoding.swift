import IO
import Records
import Sinks

/// One way of encoding a pipeline's rows, the batch that is being filled, and the sinks that take it.
final class Encoding {
  /// The sinks of this encoding, attached before the first poll.
  private var sinks: [any Sink] = []
  /// Monotonic nanoseconds at which the first row of the open batch was encoded; nil while it has none.
  private(set) var firstRowAt: Int64?
  /// This encoding is through with the datagram at the head of the pipeline's queue.
  var isThrough = false

  /// Bytes of `DumpMemory.prefixes` that hold the constant part of this encoding's rows, behind its length.
  let prefixRange: Range<Int>

  private var encoder: RecordEncoder
  private let selection: RowSelection
  private let rowLimit: Int
  /// Bytes of a batch's memory that may be used: what a page boundary adds is not.
  private let byteLimit: Int
  /// The batch being filled. It is taken before a dump starts, so that rows always have a place to go.
  private var open: Lease<Batch>?
  private let openBatches: OpenBatches
  /// Where this encoding stands in the datagram at the head of the queue.
  private var position = 0
  /// Some sink tells rows apart.
  private let marksRows: Bool
  private var lastBatch: BatchID

  /// - Parameter prefixOffset: where the regions of the encodings before this one end.
  init(
    encoder: consuming RecordEncoder, plan: PipelinePlan, marksRows: Bool = false, prefixOffset: Int,
    openBatches: OpenBatches
  ) {
    self.marksRows = marksRows
    lastBatch = BatchID(series: .random(in: 1 ... .max), number: 0)
    self.openBatches = openBatches
    prefixRange = prefixOffset..<(prefixOffset + Encoding.padded(MemoryLayout<Int>.size + encoder.maximumPrefixBytes))
    rowLimit = plan.batchRows
    byteLimit = plan.batchBytes
    selection = plan.selection
    self.encoder = encoder
  }

  /// What an output of this encoding begins with: the names of CSV columns; empty for most formats.
  var header: [UInt8] {
    let bound = encoder.maximumHeaderBytes
    return [UInt8](unsafeUninitializedCapacity: bound) { buffer, count in
      count = encoder.encodeHeader(into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  /// Batches go to this sink too from now on.
  func attach(_ sink: any Sink) { sinks.append(sink) }

  /// Rows in the open batch.
  var openRows: Int {
    switch open {
    case .some(let batch): batch.value.rows
    case .none: 0
    }
  }

  /// Writes what is constant for all rows of a dump into its memory, behind its length.
  func writePrefix(of namespace: NamespaceIdentity, poll: PollIdentity, into memory: UnsafeMutableRawBufferPointer) {
    let region = UnsafeMutableRawBufferPointer(rebasing: memory[prefixRange])
    let body = UnsafeMutableRawBufferPointer(rebasing: region[MemoryLayout<Int>.size...])
    let length = encoder.encodePrefix(
      namespace: namespace, pollSequence: poll.sequence, pollStart: poll.start, into: body)
    region.storeBytes(of: length, as: Int.self)
  }

  private func prefix(in memory: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
    let body = prefixRange.lowerBound + MemoryLayout<Int>.size
    let length = memory.load(fromByteOffset: prefixRange.lowerBound, as: Int.self)
    return UnsafeRawBufferPointer(rebasing: memory[body..<(body + length)])
  }

  private static func padded(_ bytes: Int) -> Int { (bytes + 7) & ~7 }

  /// Has a batch to write into, taking one from the pool if need be. False: the pool is exhausted.
  func ensureOpen(_ pool: borrowing BatchPool) -> Bool {
    if open != nil { return true }
    guard var lease = pool.lease() else { return false }
    lease.value.reset(headroom: RecordEncoder.batchHeadroom)
    open = consume lease
    openBatches.count += 1
    return true
  }

  /// Encodes the rows of a datagram from where the last call stopped. Full batches go to the sinks.
  ///
  /// - Returns: how the datagram ended, or nil when no batch is free and the rest has to wait.
  func encode(
    _ datagram: UnsafeRawBufferPointer, sequence: UInt32, timestamp: Int64, memory: UnsafeMutableRawBufferPointer,
    bindings: UnsafePointer<UInt64>, pool: borrowing BatchPool, now: Int64, tally: inout RowTally
  ) -> TranscodeStop? {
    let prefix = prefix(in: memory)
    while ensureOpen(pool) {
      let stop = fill(datagram, sequence, timestamp, prefix, bindings, &tally)
      if firstRowAt == nil, openRows > 0 { firstRowAt = now }
      guard case .batchFull = stop else {
        isThrough = true
        position = 0
        return stop
      }
      ship()
    }
    return nil
  }

  private func fill(
    _ datagram: UnsafeRawBufferPointer, _ sequence: UInt32, _ timestamp: Int64, _ prefix: UnsafeRawBufferPointer,
    _ bindings: UnsafePointer<UInt64>, _ tally: inout RowTally
  ) -> TranscodeStop {
    guard var lease = open.take() else { return .batchFull }
    func fill(_ batch: inout Batch) -> TranscodeStop {
      // Copies, because the counts are changed while the rest of the batch is read.
      var (end, rows) = (batch.end, batch.rows)
      defer { (batch.end, batch.rows) = (end, rows) }
      return encoder.transcode(
        datagram, position: &position, sequence: sequence, selection: selection, timestamp: timestamp, prefix: prefix,
        bindings: bindings, into: UnsafeMutableRawBufferPointer(rebasing: batch.memory[..<byteLimit]), end: &end,
        rows: &rows,
        rowLimit: rowLimit, marks: marksRows ? UnsafeMutableRawPointer(batch.marks.baseAddress) : nil, tally: &tally)
    }
    let stop = fill(&lease.value)
    open = consume lease
    return stop
  }

  /// Seals the open batch, if it holds rows, and offers it to every sink.
  func ship() {
    guard openRows > 0, var batch = open.take() else { return }
    openBatches.count -= 1
    lastBatch.number += 1
    let id = lastBatch
    func seal(_ batch: inout Batch) {
      encoder.seal(batch.memory, start: &batch.start, end: &batch.end)
      batch.facts.id = id
      batch.facts.bodyOffset = RecordEncoder.batchHeadroom - batch.start
      batch.facts.sealedAt = wallClockNanoseconds()
    }
    seal(&batch.value)
    firstRowAt = nil
    let shared = batch.shared()
    let canSpare = shared.freeBeside >= openBatches.missing
    var offer = BatchOffer(shared, canSpare: canSpare)
    for sink in sinks { sink.accept(&offer) }
  }
}

/// How many of a pipeline's encodings have a batch to write into. As many batches have to stay free as there are without: then no sink
/// can hold encoding up, unless its queue is to do so.
final class OpenBatches {
  var count = 0
  private let encodings: Int

  init(encodings: Int) { self.encodings = encodings }

  var missing: Int { encodings - count }
}

/// What all rows of a poll have in common.
struct PollIdentity {
  /// 1, 2, 3, ... since the pipeline was created.
  var sequence: UInt64 = 0
  /// Wall clock, nanoseconds since 1970.
  var start: Int64 = 0
}
