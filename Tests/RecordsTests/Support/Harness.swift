import Foundation
import Testing

@testable import Records

/// Drives an encoder as a pipeline does: prefix, batches, seal.
struct Harness {
  var format = RecordFormat.jsonl
  var columns: [String]?
  var attributes = AttributeSelection.all
  var host = HostIdentity(
    hostname: "host.example", location: "ams1", bootID: "boot-1", machineID: "machine-1", daemonVersion: "0.1",
    kernelRelease: "6.18.0")
  var pipeline = PipelineIdentity(name: "main", label: "edge", tag: "t", sampleEvery: 1)
  var namespace = NamespaceIdentity(name: "host", inode: 4_026_531_840, cookie: 77)
  var selection = RowSelection(states: SocketStates(rawValue: .max), attributes: .all)
  /// Of the selection's filter.
  var bindings: [UInt64] = []
  var rowLimit = Int.max
  var batchBytes = 1 << 20
  var timestamp: Int64 = 1_700_000_000_123_456_789

  struct Output {
    var batches: [Data] = []
    var rows = 0
    var tally = RowTally()
    var stops: [TranscodeStop] = []

    var bytes: Data { batches.reduce(Data(), +) }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    var last: TranscodeStop? { stops.last }
  }

  struct Datagram {
    var bytes: [UInt8]
    var sequence: UInt32
  }

  /// Transcodes `datagrams`, each given in a buffer of exactly its size, and seals batch by batch.
  ///
  /// - Parameter reusesBuffer: every datagram arrives in one buffer, which is overwritten as soon as it was transcoded.
  func run(_ datagrams: [Datagram], reusesBuffer: Bool = false) throws -> Output {
    var encoder = try RecordEncoder(
      format: format, columns: columns, attributes: attributes, host: host, pipeline: pipeline)
    return run(datagrams, with: &encoder, reusesBuffer: reusesBuffer)
  }

  func run(_ datagrams: [Datagram], with encoder: inout RecordEncoder, reusesBuffer: Bool = false) -> Output {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: batchBytes, alignment: 16)
    let prefixMemory = UnsafeMutableRawBufferPointer.allocate(byteCount: encoder.maximumPrefixBytes, alignment: 16)
    let shared = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    defer {
      memory.deallocate()
      prefixMemory.deallocate()
      shared.deallocate()
    }
    let length = encoder.encodePrefix(namespace: namespace, pollSequence: 5, pollStart: 99, into: prefixMemory)
    let prefix = UnsafeRawBufferPointer(rebasing: prefixMemory[..<length])
    var output = Output()
    var end = RecordEncoder.batchHeadroom
    var rows = 0
    func ship() {
      var start = RecordEncoder.batchHeadroom
      encoder.seal(memory, start: &start, end: &end)
      if rows > 0 { output.batches.append(Data(memory[start..<end])) }
      output.rows += rows
      end = RecordEncoder.batchHeadroom
      rows = 0
    }
    for datagram in datagrams {
      let own = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, datagram.bytes.count), alignment: 16)
      defer { own.deallocate() }
      let room = UnsafeMutableRawBufferPointer(rebasing: (reusesBuffer ? shared : own)[..<datagram.bytes.count])
      room.copyBytes(from: datagram.bytes)
      var position = 0
      while true {
        let stop = bindings.withUnsafeBufferPointer { bindings in
          encoder.transcode(
            UnsafeRawBufferPointer(room), position: &position, sequence: datagram.sequence, selection: selection,
            timestamp: timestamp, prefix: prefix, bindings: bindings.baseAddress, into: memory, end: &end, rows: &rows,
            rowLimit: rowLimit, tally: &output.tally)
        }
        output.stops.append(stop)
        guard case .batchFull = stop, rows > 0 else { break }
        ship()
      }
      if reusesBuffer { for index in room.indices { room[index] = 0xee } }
    }
    ship()
    return output
  }

  /// The rows of `datagrams` as parsed JSON lines.
  func rows(_ datagrams: [Datagram], reusesBuffer: Bool = false) throws -> [JSONRow] {
    var copy = self
    copy.format = .jsonl
    return try JSONRow.parse(try copy.run(datagrams, reusesBuffer: reusesBuffer).bytes)
  }
}

/// A row of `jsonl`.
struct JSONRow: Equatable {
  var members: [String: NSObject]

  static func parse(_ lines: Data) throws -> [JSONRow] {
    try lines.split(separator: 0x0a).map { line in
      let object = try JSONSerialization.jsonObject(with: Data(line))
      return JSONRow(members: try #require(object as? [String: NSObject]))
    }
  }

  func number(_ name: String) -> UInt64? { (members[name] as? NSNumber)?.uint64Value }
  func text(_ name: String) -> String? { members[name] as? String }
  func has(_ name: String) -> Bool { members[name] != nil }
}

/// Builds netlink messages byte by byte, as the kernel's structures lay them out.
struct Message {
  var type: UInt16 = 18
  var sequence: UInt32 = 7
  var payload: [UInt8] = []

  static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  static func big<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }

  /// `struct inet_diag_msg`.
  static func socket(
    family: UInt8 = 2, state: UInt8 = 1, source: [UInt8] = [192, 0, 2, 1], destination: [UInt8] = [198, 51, 100, 7],
    sourcePort: UInt16 = 443, destinationPort: UInt16 = 51_234, cookie: UInt64 = 0x1234_5678_9abc_def0,
    interface: UInt32 = 9, sequence: UInt32 = 7, type: UInt16 = 18, attributes: [[UInt8]] = []
  ) -> Message {
    func padded(_ address: [UInt8]) -> [UInt8] { address + [UInt8](repeating: 0, count: 16 - address.count) }
    var bytes: [UInt8] = [family, state, 2, 3] + big(sourcePort) + big(destinationPort)
    bytes += padded(source) + padded(destination)
    bytes += little(interface) + little(cookie)
    for value in [1000, 11, 12, 1001, 54321] as [UInt32] { bytes += little(value) }
    for attribute in attributes {
      bytes += attribute
      bytes += [UInt8](repeating: 0, count: (4 - attribute.count % 4) % 4)
    }
    return Message(type: type, sequence: sequence, payload: bytes)
  }

  /// `struct nlattr` and its payload, without padding.
  static func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
    little(UInt16(4 + payload.count)) + little(type) + payload
  }

  static func done(_ number: Int32 = 0, sequence: UInt32 = 7) -> Message {
    Message(type: 3, sequence: sequence, payload: little(number))
  }

  static func error(_ number: Int32, sequence: UInt32 = 7) -> Message {
    Message(type: 2, sequence: sequence, payload: little(number) + [UInt8](repeating: 0, count: 16))
  }

  var bytes: [UInt8] {
    let header =
      Self.little(UInt32(16 + payload.count)) + Self.little(type) + Self.little(UInt16(2)) + Self.little(sequence)
      + Self.little(UInt32(4321))
    return header + payload + [UInt8](repeating: 0, count: (4 - payload.count % 4) % 4)
  }
}

extension Harness.Datagram {
  init(_ messages: Message..., sequence: UInt32 = 7) {
    self.init(bytes: messages.flatMap { $0.bytes }, sequence: sequence)
  }
}

/// `struct tcp_info` of `length` bytes in which every field holds a value of its own that says where it lies.
func patternedInfo(length: Int) -> [UInt8] { (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 1) } }
