import Testing

@testable import Records

/// What the walk makes of a datagram: ends, errors, other people's messages, and bytes that are no messages.
@Suite struct NetlinkWalkTests {
  @Test func bothMessageTypesOfSocketsAreRows() throws {
    let output = try Harness().run([
      .init(.socket(cookie: 1, type: 18), .socket(cookie: 2, type: 20), .done())
    ])
    #expect(try JSONRow.parse(output.bytes).map { $0.number("inet_diag_msg_socket_cookie") } == [1, 2])
    #expect(output.stops == [.dumpDone(errno: 0)])
  }

  @Test func messagesOfAnotherDumpAreSkippedAndCounted() throws {
    let output = try Harness().run([
      .init(
        .socket(cookie: 1), .socket(cookie: 2, sequence: 6), .error(-16, sequence: 8), .done(0, sequence: 6),
        .socket(cookie: 3))
    ])
    #expect(try JSONRow.parse(output.bytes).map { $0.number("inet_diag_msg_socket_cookie") } == [1, 3])
    #expect(output.tally.foreignMessages == 3)
    #expect(output.tally.reported == 2)
    #expect(output.stops == [.datagramEnd])
  }

  @Test(arguments: [0, -2, -16, Int32.min])
  func doneCarriesAnErrorNumber(number: Int32) throws {
    let output = try Harness().run([.init(.socket(), .done(number))])
    #expect(output.rows == 1)
    #expect(output.last == .dumpDone(errno: number == .min ? .max : -number))
  }

  @Test func doneWithoutANumberIsComplete() throws {
    #expect(try Harness().run([.init(Message(type: 3, payload: []))]).last == .dumpDone(errno: 0))
  }

  @Test func errorsComeBackAtOnce() throws {
    let output = try Harness().run([.init(.socket(), .error(-22), .socket())])
    #expect(output.rows == 1)
    #expect(output.last == .dumpError(errno: 22))
  }

  @Test func anAcknowledgementIsTheEndOfExactRequests() throws {
    let output = try Harness().run([.init(.socket(), .error(0), .socket())])
    #expect(output.rows == 1 && output.last == .acknowledged)
  }

  @Test func noopsAreNothing() throws {
    let output = try Harness().run([.init(Message(type: 1), .socket(), Message(type: 99, payload: [1]))])
    #expect(output.rows == 1)
    #expect(output.last == .datagramEnd)
    #expect(output.tally.foreignMessages == 1)
  }

  @Test func positionIsBehindTheLastMessageDealtWith() throws {
    var encoder = try RecordEncoder(
      format: .jsonl, columns: nil, attributes: .all, host: HostIdentity(), pipeline: PipelineIdentity())
    let bytes = Message.socket().bytes + Message.done().bytes + Message.socket().bytes
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    defer { memory.deallocate() }
    var position = 0
    var end = RecordEncoder.batchHeadroom
    var rows = 0
    var tally = RowTally()
    let stop = bytes.withUnsafeBytes { datagram in
      encoder.transcode(
        datagram, position: &position, sequence: 7, selection: RowSelection(), timestamp: 1,
        prefix: UnsafeRawBufferPointer(start: nil, count: 0), into: memory, end: &end, rows: &rows, rowLimit: 10,
        tally: &tally)
    }
    #expect(stop == .dumpDone(errno: 0))
    #expect(position == 88 + 20)
  }

  @Test func truncatedAtEveryByteIsNeverARowThatWasNotThere() throws {
    let info = Message.attribute(2, patternedInfo(length: 280))
    let whole =
      Message.socket(cookie: 1, attributes: [info, Message.attribute(4, Array("cubic\0".utf8))]).bytes
      + Message.socket(family: 10, cookie: 2, attributes: [Message.attribute(8, [3])]).bytes + Message.done().bytes
    let complete = try Harness().rows([.init(bytes: whole, sequence: 7)])
    #expect(complete.count == 2)
    for count in 0..<whole.count {
      let output = try Harness().run([.init(bytes: Array(whole[..<count]), sequence: 7)])
      let rows = try JSONRow.parse(output.bytes)
      #expect(rows == Array(complete[..<rows.count]), "after \(count) bytes")
      if count < whole.count - 20 && rows.count < 2 && count > 0 {
        let isAtMessage = [88 + 284 + 12].contains(count)
        #expect(isAtMessage ? output.last == .datagramEnd : output.last != .datagramEnd, "after \(count) bytes")
      }
    }
  }

  @Test func malformedMessagesAreNamed() throws {
    func stop(_ bytes: [UInt8]) throws -> TranscodeStop? {
      try Harness().run([.init(bytes: bytes, sequence: 7)]).last
    }
    var short = Message.socket().bytes
    short[0] = 8
    #expect(try stop(short) == .malformed(.messageLength))
    var long = Message.socket().bytes
    long[0] = 89
    #expect(try stop(long) == .malformed(.messageLength))
    #expect(try stop([1, 2, 3]) == .malformed(.truncatedHeader))
    #expect(try stop(Message(type: 18, payload: [UInt8](repeating: 2, count: 71)).bytes) == .malformed(.socketMessage))
    #expect(try stop(Message.socket(family: 1).bytes) == .malformed(.addressFamily))
    #expect(try stop(Message(type: 2, payload: [1, 2]).bytes) == .malformed(.errorMessage))
    #expect(try stop(Message(type: 4, payload: []).bytes) == .malformed(.overrun))
    for length in [0, 3, 200] as [UInt16] {
      let attribute = Message.little(length) + Message.little(UInt16(5)) + [1, 0, 0, 0]
      #expect(try stop(Message.socket(attributes: [attribute]).bytes) == .malformed(.attributeLength))
    }
  }

  @Test func aMalformedMessageGivesNoRowAndIsNotCounted() throws {
    let bad = Message.socket(attributes: [Message.little(UInt16(400)) + Message.little(UInt16(2))])
    let output = try Harness().run([.init(.socket(), bad)])
    #expect(output.rows == 1)
    #expect(output.tally.reported == 1)
    #expect(output.tally.encoded == 1)
  }

  @Test(arguments: [1, 2, 3, 7, 100])
  func aFullBatchLosesNoRow(rowLimit: Int) throws {
    var harness = Harness()
    harness.rowLimit = rowLimit
    let datagrams = (0..<5).map { part in
      Harness.Datagram(bytes: (0..<9).flatMap { Message.socket(cookie: UInt64(part * 9 + $0)).bytes }, sequence: 7)
    }
    let output = try harness.run(datagrams)
    let rows = try JSONRow.parse(output.bytes)
    #expect(rows.compactMap { $0.number("inet_diag_msg_socket_cookie") } == (0..<45).map { UInt64($0) })
    #expect(rows.compactMap { $0.number("record_counter") } == (1...45).map { UInt64($0) })
    #expect(output.batches.count == (45 + rowLimit - 1) / rowLimit)
    #expect(output.tally.reported == 45)
  }

  @Test func aBatchWithTooLittleMemoryIsFull() throws {
    var harness = Harness()
    harness.batchBytes = 100
    let output = try harness.run([.init(.socket())])
    #expect(output.stops == [.batchFull])
    #expect(output.tally.reported == 0)
  }

  @Test func statesAreFiltered() throws {
    var harness = Harness()
    harness.selection.states = try #require(SocketStates(name: "syn-recv"))
    let output = try harness.run([
      .init(
        .socket(state: 1, cookie: 1), .socket(state: 3, cookie: 2), .socket(state: 12, cookie: 3),
        .socket(state: 200, cookie: 4))
    ])
    let rows = try JSONRow.parse(output.bytes)
    #expect(rows.map { $0.text("inet_diag_msg_state") } == ["SYN_RECV", "NEW_SYN_RECV"])
    #expect(output.tally.reported == 4)
    #expect(output.tally.filtered == 2)
    #expect(output.tally.encoded == 2)
  }

  @Test func samplingKeepsTheSameSocketsEveryTime() throws {
    var harness = Harness()
    harness.selection.sampleEvery = 10
    let datagrams = (0..<20).map { part in
      Harness.Datagram(bytes: (0..<60).flatMap { Message.socket(cookie: UInt64(part * 60 + $0)).bytes }, sequence: 7)
    }
    let first = try harness.run(datagrams)
    let kept = try JSONRow.parse(first.bytes).compactMap { $0.number("inet_diag_msg_socket_cookie") }
    #expect(kept == (0..<1200).filter { RowSelection.hash(cookie: $0) % 10 == 0 })
    #expect((80...160).contains(kept.count))
    #expect(first.tally.encoded + first.tally.sampledOut == 1200)
    let again = try harness.run(datagrams.reversed()).bytes
    let keptAgain = try JSONRow.parse(again).compactMap { $0.number("inet_diag_msg_socket_cookie") }
    #expect(Set(keptAgain) == Set(kept))
  }

  /// The hash is part of the product: rows sampled by different versions must be the same sockets.
  @Test func theSamplingHashIsSplitMix64() {
    #expect(RowSelection.hash(cookie: 0) == 0)
    #expect(RowSelection.hash(cookie: 0x9e37_79b9_7f4a_7c15) == 0xe220_a839_7b1d_cdaf)
  }
}
