// What the fuzzer and the regression test of its findings do with an input. In the fuzzer this file is compiled together
// with the sources of Records; in the tests it sees them as a module.

#if canImport(Records)
  @testable import Records
#endif

/// Input: one byte that chooses what is done, one byte of options, then a datagram or a file.
enum NetlinkWalkTarget {
  /// Returns what went wrong, nil if all is well.
  static func run(_ input: UnsafeRawBufferPointer) -> String? {
    guard input.count >= 2 else { return nil }
    // A copy of exactly the size, so that the sanitizer sees every read behind it.
    let body = UnsafeMutableRawBufferPointer.allocate(byteCount: input.count - 2, alignment: 1)
    defer { body.deallocate() }
    body.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[2...]))
    let formats = RecordFormat.allCases
    let kinds = RecordFileKind.allCases
    let choice = Int(input[0]) % (formats.count + kinds.count)
    let bytes = UnsafeRawBufferPointer(body)
    if choice < formats.count { return transcode(bytes, formats[choice], options: input[1]) }
    return decodeFile(bytes, kinds[choice - formats.count], options: input[1])
  }

  // MARK: A datagram

  /// The rows of a datagram; the numbers must add up, and protobuf read back must give the same lines as jsonl.
  private static func transcode(
    _ datagram: UnsafeRawBufferPointer, _ format: RecordFormat, options: UInt8
  ) -> String? {
    guard let result = encode(datagram, format, options: options) else { return "the encoder could not be made" }
    if let failure = result.failure { return failure }
    guard format == .protobufList || format == .protobuf || format == .msgpack else { return nil }
    guard let lines = encode(datagram, .jsonl, options: options) else { return "the encoder could not be made" }
    let kind: RecordFileKind = format == .protobufList ? .protobufList : format == .protobuf ? .protobuf : .msgpack
    let restored = result.output.withUnsafeBytes { decode($0, kind, rowsPerBatch: 100) }
    if let error = restored.error { return "\(format) cannot be read back: \(error)" }
    return restored.output == lines.output ? nil : "\(format) read back differs from jsonl"
  }

  private static func encode(
    _ datagram: UnsafeRawBufferPointer, _ format: RecordFormat, options: UInt8
  ) -> (output: [UInt8], failure: String?)? {
    let releases = ["6.18.0", "7.0.3", "", "5.10"]
    let host = HostIdentity(hostname: "host \"é\n", kernelRelease: releases[Int(options & 3)])
    guard
      var encoder = try? RecordEncoder(
        format: format, columns: nil, attributes: .all, host: host,
        pipeline: PipelineIdentity(name: "main", sampleEvery: options & 4 == 0 ? 1 : 3))
    else { return nil }
    let selection = RowSelection(
      states: options & 8 == 0 ? SocketStates(rawValue: .max) : .all, sampleEvery: options & 4 == 0 ? 1 : 3,
      attributes: options & 16 == 0 ? .all : [.info, .cong])
    // Room for exactly one row of the longest kind: a row that is longer is found by the sanitizer.
    let room = RecordEncoder.batchHeadroom + encoder.maximumRowBytes + RecordEncoder.batchTailroom
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
    let prefixMemory = UnsafeMutableRawBufferPointer.allocate(byteCount: encoder.maximumPrefixBytes, alignment: 1)
    defer {
      memory.deallocate()
      prefixMemory.deallocate()
    }
    let namespace = NamespaceIdentity(name: "blue,\t", inode: 1, cookie: .max)
    let length = encoder.encodePrefix(namespace: namespace, pollSequence: 1, pollStart: 2, into: prefixMemory)
    let prefix = UnsafeRawBufferPointer(rebasing: prefixMemory[..<length])
    var output: [UInt8] = []
    var tally = RowTally()
    var position = 0
    while true {
      var start = RecordEncoder.batchHeadroom
      var end = start
      var rows = 0
      let before = position
      let stop = encoder.transcode(
        datagram, position: &position, sequence: 7, selection: selection, timestamp: -1, prefix: prefix, into: memory,
        end: &end, rows: &rows, rowLimit: Int(options >> 5) + 1, tally: &tally)
      guard position >= before, position <= datagram.count else { return (output, "position left the datagram") }
      guard end <= memory.count - RecordEncoder.batchTailroom else { return (output, "a row was too long") }
      encoder.seal(memory, start: &start, end: &end)
      output += memory[start..<end]
      guard case .batchFull = stop else { break }
      guard rows > 0 else { return (output, "an empty batch was full") }
    }
    let isBalanced = tally.reported == tally.filtered + tally.sampledOut + tally.encoded
    return (output, isBalanced ? nil : "the tally does not add up: \(tally)")
  }

  // MARK: A file

  /// Any bytes as a file: rows or an error. What was decoded must survive being written and decoded again.
  private static func decodeFile(
    _ file: UnsafeRawBufferPointer, _ kind: RecordFileKind, options: UInt8
  ) -> String? {
    _ = RecordFileKind.detect(file)
    let lines = decode(file, kind, rowsPerBatch: Int(options) + 1)
    if let error = lines.error, error.offset < 0 || error.offset > file.count { return "offset \(error.offset)" }
    switch kind {
    case .protobufList: return write(file, .protobufList, lines, options: options)
    case .protobuf: return write(file, .protobuf, lines, options: options)
    case .msgpack, .capture: return nil
    }
  }

  /// The same bytes as a batch for Parquet, twice: all rows that were decoded or, with an error, none.
  private static func write(
    _ batch: UnsafeRawBufferPointer, _ input: ParquetWriter.Input, _ lines: (output: [UInt8], error: RecordFileError?),
    options: UInt8
  ) -> String? {
    guard
      var writer = try? ParquetWriter(
        columns: nil, compression: options & 1 == 0 ? .none : .zstd(level: 1), pageRows: 3,
        rowGroupRows: Int(options >> 3) + 1, rowGroupBytes: 4096, version: "")
    else { return "the writer could not be made" }
    writer.begin()
    for _ in 0..<2 {
      do throws(ParquetError) {
        try writer.append(batch, input)
        if let error = lines.error { return "Parquet takes what cannot be decoded: \(error)" }
      } catch {
        // The framing of all rows is looked at before the first row, so it may be another error.
        guard lines.error != nil, case .malformed = error else { return "Parquet refuses what is whole: \(error)" }
      }
    }
    let rows = lines.error == nil ? 2 * lines.output.count { $0 == UInt8(ascii: "\n") } : 0
    if writer.rows != rows { return "\(writer.rows) rows instead of \(rows)" }
    guard (try? writer.finish()) != nil else { return "the file could not be finished" }
    return writer.output.count == writer.bytesWritten ? nil : "the bytes of the file do not add up"
  }

  private static func decode(
    _ file: UnsafeRawBufferPointer, _ kind: RecordFileKind, rowsPerBatch: Int
  ) -> (output: [UInt8], error: RecordFileError?) {
    guard
      var encoder = try? RecordEncoder(
        format: .jsonl, columns: nil, attributes: .all, host: HostIdentity(), pipeline: PipelineIdentity())
    else { return ([], RecordFileError(offset: 0, reason: "no encoder")) }
    var decoder = RecordFileDecoder(kind: kind, rowsPerBatch: rowsPerBatch)
    var output: [UInt8] = []
    do throws(RecordFileError) {
      try decoder.decode(file, through: &encoder) { batch in
        output += batch
        return true
      }
      return (output, nil)
    } catch {
      return (output, error)
    }
  }
}
