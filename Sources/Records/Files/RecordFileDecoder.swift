/// What kind of file `decode` reads.
public enum RecordFileKind: String, CaseIterable, Sendable {
  /// Envelopes, each behind its length (uvarint).
  case protobufList = "protobuf_list"
  /// `XtcpFlatRecord`s, each behind its length (uvarint).
  case protobuf
  /// MessagePack maps.
  case msgpack
  /// A capture of netlink messages (`CaptureFile`).
  case capture = "pcap"

  /// What `bytes` look like; nil if like none of these. Looks at the first bytes only.
  public static func detect(_ bytes: UnsafeRawBufferPointer) -> RecordFileKind? {
    if CaptureFile.isCapture(bytes) { return .capture }
    if bytes.starts(with: "{\"".utf8) { return nil }  // JSON, which looks like a protobuf row of 123 bytes
    if let body = bodyOfShortestLength(bytes) {
      if body == ProtobufFormat.envelopeTag { return .protobufList }
      if body & 7 == 0 || body & 7 == 2, body >= 8 { return .protobuf }
    }
    switch bytes.first ?? 0 {
    case 0x80...0x8f, 0xde, 0xdf: return .msgpack
    default: return nil
    }
  }

  /// The byte after a uvarint that is written as short as possible; a map's head never looks like one.
  private static func bodyOfShortestLength(_ bytes: UnsafeRawBufferPointer) -> UInt8? {
    for (index, byte) in bytes.prefix(5).enumerated() where byte < 0x80 {
      guard byte != 0, index + 1 < bytes.count else { return nil }
      return bytes[index + 1]
    }
    return nil
  }
}

/// Reads files of records and captures, and encodes their rows anew: `xtcpd decode`.
///
/// Rows of a file come out with the identity and the numbers they have in it. Rows of a capture get the encoder's host and
/// pipeline, the time of the packet, one poll for each dump, and no namespace, which a capture does not tell.
/// No input crashes it: what does not hold together is a `RecordFileError` with its offset.
public struct RecordFileDecoder: ~Copyable {
  private let kind: RecordFileKind
  private let rowsPerBatch: Int
  private var row = RestoredRow()

  /// - Parameter rowsPerBatch: at most so many rows go into one batch (an Envelope, for example).
  public init(kind: RecordFileKind, rowsPerBatch: Int = 10_000) {
    self.kind = kind
    self.rowsPerBatch = max(1, rowsPerBatch)
  }

  /// Decodes a whole file.
  ///
  /// - Parameters:
  ///   - file: its bytes, read or mapped; not changed meanwhile.
  ///   - encoder: makes the rows of the output.
  ///   - sink: takes the bytes of each sealed batch, valid during the call. False ends the decoding without an error.
  /// - Returns: how many rows went to the sink.
  /// - Throws: at the first thing that does not hold together; the rows before it have gone to the sink.
  @discardableResult
  public mutating func decode(
    _ file: UnsafeRawBufferPointer, through encoder: inout RecordEncoder, sink: (UnsafeRawBufferPointer) -> Bool
  ) throws(RecordFileError) -> Int {
    var batch = DecodedBatch(for: encoder, rowLimit: rowsPerBatch)
    var failure: RecordFileError?
    do throws(RecordFileError) {
      switch kind {
      case .protobufList: try decodeMessages(file, isEnvelope: true, &encoder, &batch, sink)
      case .protobuf: try decodeMessages(file, isEnvelope: false, &encoder, &batch, sink)
      case .msgpack: try decodeMaps(file, &encoder, &batch, sink)
      case .capture: try decodeCapture(file, &encoder, &batch, sink)
      }
    } catch {
      failure = error
    }
    _ = batch.ship(encoder, sink)
    if let failure { throw failure }
    return batch.shipped
  }

  private mutating func decodeMessages(
    _ file: UnsafeRawBufferPointer, isEnvelope: Bool, _ encoder: inout RecordEncoder, _ batch: inout DecodedBatch,
    _ sink: (UnsafeRawBufferPointer) -> Bool
  ) throws(RecordFileError) {
    var rows = ProtobufRows(file, isEnvelope: isEnvelope)
    while let range = try rows.next() {
      try row.read(protobuf: file, range)
      guard batch.append(row, encoder, sink) else { return }
    }
  }

  private mutating func decodeMaps(
    _ file: UnsafeRawBufferPointer, _ encoder: inout RecordEncoder, _ batch: inout DecodedBatch,
    _ sink: (UnsafeRawBufferPointer) -> Bool
  ) throws(RecordFileError) {
    var position = 0
    while position < file.count {
      position = try row.read(messagePack: file, at: position)
      guard batch.append(row, encoder, sink) else { return }
    }
  }

  private func decodeCapture(
    _ file: UnsafeRawBufferPointer, _ encoder: inout RecordEncoder, _ batch: inout DecodedBatch,
    _ sink: (UnsafeRawBufferPointer) -> Bool
  ) throws(RecordFileError) {
    var capture = try CaptureFile(file)
    let prefixMemory = UnsafeMutableRawBufferPointer.allocate(byteCount: encoder.maximumPrefixBytes, alignment: 16)
    defer { prefixMemory.deallocate() }
    var dumps: [UInt64: UInt64] = [:]
    while let datagram = try capture.next() {
      // A dump is one port and one sequence number; dumps of several sockets lie mixed in a capture.
      let key = UInt64(datagram.portID) << 32 | UInt64(datagram.sequence)
      let poll = dumps[key, default: UInt64(dumps.count) + 1]
      dumps[key] = poll
      let length = encoder.encodePrefix(
        namespace: NamespaceIdentity(name: "", inode: 0, cookie: 0), pollSequence: poll,
        pollStart: datagram.timestamp, into: prefixMemory)
      let prefix = UnsafeRawBufferPointer(rebasing: prefixMemory[..<length])
      guard try batch.append(datagram, prefix, &encoder, sink) else { return }
    }
  }
}

/// The batch that decoded rows gather in.
private struct DecodedBatch: ~Copyable {
  private(set) var shipped = 0
  private let memory: UnsafeMutableRawBufferPointer
  private let scratch: UnsafeMutableRawBufferPointer
  private let rowLimit: Int
  private let maximumRowBytes: Int
  private var end = RecordEncoder.batchHeadroom
  private var rows = 0

  init(for encoder: borrowing RecordEncoder, rowLimit: Int) {
    self.rowLimit = rowLimit
    maximumRowBytes = encoder.maximumRowBytes
    let room = RecordEncoder.batchHeadroom + RecordEncoder.batchTailroom + maximumRowBytes
    memory = .allocate(byteCount: max(768 << 10, room), alignment: 16)
    scratch = .allocate(byteCount: encoder.maximumPrefixBytes, alignment: 16)
  }

  deinit {
    memory.deallocate()
    scratch.deallocate()
  }

  /// Adds a row; false if the sink wants no more.
  mutating func append(
    _ row: borrowing RestoredRow, _ encoder: borrowing RecordEncoder, _ sink: (UnsafeRawBufferPointer) -> Bool
  ) -> Bool {
    let isFull = rows == rowLimit || memory.count - RecordEncoder.batchTailroom - end < maximumRowBytes
    if isFull && !ship(encoder, sink) { return false }
    guard let base = memory.baseAddress else { return false }
    end = encoder.encodeRow(row.sources, scratch: scratch, at: base + end) - base
    rows += 1
    return true
  }

  /// Adds the rows of a datagram; false if the sink wants no more.
  mutating func append(
    _ datagram: CapturedDatagram, _ prefix: UnsafeRawBufferPointer, _ encoder: inout RecordEncoder,
    _ sink: (UnsafeRawBufferPointer) -> Bool
  ) throws(RecordFileError) -> Bool {
    var position = 0
    var tally = RowTally()
    let selection = RowSelection(states: SocketStates(rawValue: .max), attributes: .all)
    while true {
      let stop = encoder.transcode(
        datagram.bytes, position: &position, sequence: datagram.sequence, selection: selection,
        timestamp: datagram.timestamp, prefix: prefix, into: memory, end: &end, rows: &rows, rowLimit: rowLimit,
        tally: &tally)
      switch stop {
      case .batchFull:
        guard ship(encoder, sink) else { return false }
      case .malformed(let reason):
        throw RecordFileError(offset: datagram.offset + position, reason: reason.rawValue)
      // What was captured may hold acknowledgements of anything; the messages behind it count.
      case .acknowledged: break
      case .datagramEnd, .dumpDone, .dumpError:
        return true
      }
    }
  }

  /// Gives the batch to the sink and starts a new one; false if the sink wants no more.
  mutating func ship(_ encoder: borrowing RecordEncoder, _ sink: (UnsafeRawBufferPointer) -> Bool) -> Bool {
    guard rows > 0 else { return true }
    var start = RecordEncoder.batchHeadroom
    encoder.seal(memory, start: &start, end: &end)
    let wantsMore = sink(UnsafeRawBufferPointer(rebasing: memory[start..<end]))
    shipped += rows
    end = RecordEncoder.batchHeadroom
    rows = 0
    return wantsMore
  }
}
