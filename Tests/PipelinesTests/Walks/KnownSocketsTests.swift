import IO
import Testing

@testable import Pipelines
@testable import Records

extension SocketID {
  /// A connection like no other: of IPv6 if its number is divisible by three.
  static func numbered(_ number: Int, state: UInt8 = 1) -> SocketID {
    let isIPv6 = number % 3 == 0
    return SocketID(
      family: isIPv6 ? 10 : 2, state: state, sourcePort: UInt16(number % 60_000), destinationPort: 443,
      source: isIPv6 ? [UInt64(number) << 40, 7] : [UInt64(number), 0],
      destination: isIPv6 ? [9, UInt64(number)] : [0x0100_007f, 0], interface: UInt32(number % 5),
      cookie: UInt64(number) << 33 | 5)
  }
}

@Suite struct KnownSocketsTests {
  private func all(_ list: KnownSockets.List, in sockets: borrowing KnownSockets) -> [SocketID] {
    var cursor = sockets.start(of: list)
    var found: [SocketID] = []
    while let socket = sockets.next(&cursor) { found.append(socket) }
    return found
  }

  @Test func whatIsRememberedComesBackInItsOrder() {
    var sockets = KnownSockets(connections: 4_000)
    var lists = [KnownSockets.List(), KnownSockets.List(), KnownSockets.List()]
    for number in 0..<1_000 {
      let isKept = sockets.append(.numbered(number), to: &lists[number % 2])
      #expect(isKept)
    }
    for (which, list) in lists.enumerated() {
      let expected = which == 2 ? [] : (0..<1_000).filter { $0 % 2 == which }.map { SocketID.numbered($0, state: 0) }
      let found = all(list, in: sockets)
      #expect(found == expected && list.count == expected.count)
    }
  }

  @Test func itsMemoryHasAnEndAndComesBack() {
    var sockets = KnownSockets(connections: 200)
    let size = sockets.gauges.size
    #expect(size >= 200 && KnownSockets.memory(connections: 200) <= 200 * 26 + 512)
    var (one, other) = (KnownSockets.List(), KnownSockets.List())
    for _ in 0..<3 {
      var kept = 0
      while sockets.append(.numbered(1), to: &one) { kept += 1 }
      #expect(kept == size && sockets.gauges.inUse == size)
      let isKept = sockets.append(.numbered(1), to: &other)
      #expect(!isKept && other == KnownSockets.List())
      sockets.removeAll(of: &one)
      #expect(one == KnownSockets.List() && sockets.gauges.inUse == 0)
    }
    #expect(sockets.gauges.highWater == size && sockets.gauges.waits == 6)
    var none = KnownSockets(connections: 0)
    let isKept = none.append(.numbered(1), to: &one)
    #expect(!isKept && KnownSockets.memory(connections: 0) == 0)
    #expect(all(one, in: none).isEmpty)
  }

  /// The number of an interface shares its place with marks.
  @Test func anInterfaceThatCannotBeKeptIsNot() {
    var sockets = KnownSockets(connections: 10)
    var list = KnownSockets.List()
    var socket = SocketID.numbered(1)
    socket.interface = 1 << 30
    let isKept = sockets.append(socket, to: &list)
    #expect(!isKept)
    socket.interface = 1 << 30 - 1
    let isKeptNow = sockets.append(socket, to: &list)
    #expect(isKeptNow && all(list, in: sockets).first?.interface == socket.interface)
  }

  /// At every place, also between two chunks, where one place has two spellings.
  @Test func whatIsBeforeAPlaceAndNotGoneIsFound() {
    var sockets = KnownSockets(connections: 400)
    var list = KnownSockets.List()
    for number in 0..<100 { _ = sockets.append(.numbered(number), to: &list) }
    var cursor = sockets.start(of: list)
    var near = cursor
    for place in 0...100 {
      for number in [0, place - 1, place, place + 1, 99] where number >= 0 {
        let isFound = sockets.contains(
          cookie: SocketID.numbered(number).cookie, in: list, before: cursor, near: &near)
        #expect(isFound == (number < place), "\(number) before \(place)")
      }
      _ = sockets.next(&cursor)
    }
    var third = sockets.start(of: list)
    for _ in 0..<3 { _ = sockets.next(&third) }
    sockets.markGone(at: third)
    let isFound = sockets.contains(cookie: SocketID.numbered(3).cookie, in: list, before: cursor, near: &near)
    #expect(!isFound)
    // In the order of the list, and in any other.
    for number in Array(4..<100) + (0..<100).map({ $0 * 37 % 100 }) where number != 3 {
      let isThere = sockets.contains(cookie: SocketID.numbered(number).cookie, in: list, before: cursor, near: &near)
      #expect(isThere, "\(number)")
    }
    #expect(all(list, in: sockets).count == 100)
  }
}

@Suite struct KnownReadTests {
  private let choice = WalkChoice(states: .all)

  /// Sequence number, then what `ask` wrote: the cookies that are asked for.
  private func ask(_ read: inout KnownRead, _ sockets: borrowing KnownSockets, batch: Int) -> [UInt64] {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: KnownRead.requestBytes, alignment: 8)
    defer { memory.deallocate() }
    guard let base = memory.baseAddress else { return [] }
    let length = read.ask(sockets, batch: batch, extensions: 0xfe, sequence: 9, into: base)
    let count = (length - ExactRequest.endByteCount) / ExactRequest.byteCount
    #expect(length == count * ExactRequest.byteCount + ExactRequest.endByteCount)
    return (0..<count).map { memory.loadUnaligned(fromByteOffset: $0 * 72 + 64, as: UInt64.self) }
  }

  private func known(_ count: Int, _ sockets: inout KnownSockets) -> KnownRead {
    var list = KnownSockets.List()
    for number in 0..<count { _ = sockets.append(.numbered(number), to: &list) }
    return KnownRead(list, in: sockets)
  }

  @Test func allAreAskedForInBatchesAndCountedAsTheyAnswer() {
    var sockets = KnownSockets(connections: 1_000)
    var read = known(150, &sockets)
    var answered = 0
    for expected in [90, 60] {
      let cookies = ask(&read, sockets, batch: KnownRead.batch(receiveBuffer: 212_992))
      #expect(cookies == (answered..<answered + expected).map { SocketID.numbered($0).cookie })
      for _ in 0..<expected {
        let isEnd = read.take(.end, in: sockets, choice)
        let isExpected = read.take(.socket(.numbered(answered)), in: sockets, choice)
        #expect(!isEnd && isExpected)
        answered += 1
      }
      let isEnd = read.take(.end, in: sockets, choice)
      #expect(isEnd && read.isThrough == (answered == 150))
    }
    #expect(read.answered == 150 && !read.hasGone)
  }

  @Test func whatIsGoneIsNotReported() {
    var sockets = KnownSockets(connections: 1_000)
    var read = known(3, &sockets)
    _ = ask(&read, sockets, batch: 2)
    let answers = [
      read.take(.none, in: sockets, choice), read.take(.socket(.numbered(1)), in: sockets, choice),
      read.take(.end, in: sockets, choice),
    ]
    #expect(answers == [true, true, true] && read.hasGone && read.answered == 1 && !read.isThrough)
    #expect((0..<3).map { read.hasReported(.numbered($0), in: sockets) } == [false, true, false])
  }

  /// Another socket than the one that was asked for, more answers than questions, an end before its time.
  @Test func whatWasNotAskedForIsNoAnswer() {
    var sockets = KnownSockets(connections: 1_000)
    var read = known(2, &sockets)
    _ = ask(&read, sockets, batch: 1)
    var other = read
    let isAnswer = other.take(.socket(.numbered(1)), in: sockets, choice)
    #expect(!isAnswer)
    let answers = [
      read.take(.other, in: sockets, choice), read.take(.socket(.numbered(0)), in: sockets, choice),
      read.take(.socket(.numbered(1)), in: sockets, choice),
    ]
    #expect(answers == [true, true, false])
  }

  /// The table of listeners has it as well.
  @Test func whatListensByNowIsNoAnswer() {
    var sockets = KnownSockets(connections: 1_000)
    var read = known(2, &sockets)
    _ = ask(&read, sockets, batch: 2)
    let isAnswer = read.take(.socket(.numbered(0, state: 10)), in: sockets, choice)
    #expect(!isAnswer)
  }

  /// They may not be what sockstat counts any more.
  @Test func whatSockstatDoesNotCountIsNotCounted() {
    var sockets = KnownSockets(connections: 1_000)
    var read = known(4, &sockets)
    _ = ask(&read, sockets, batch: 64)
    let established = WalkChoice(states: SocketStates(rawValue: 1 << 1))
    for (number, state) in [1, 6, 8, 3].enumerated() {
      _ = read.take(.socket(.numbered(number, state: UInt8(state))), in: sockets, established)
    }
    #expect(read.answered == 2)
    #expect([1, 5, 6, 8].allSatisfy { choice.counts(.numbered(1, state: $0)) })
    #expect([3, 10].allSatisfy { !choice.counts(.numbered(1, state: $0)) })
  }

  @Test func aSocketWithoutRoomIsAskedForOneByOne() {
    #expect(KnownRead.batch(receiveBuffer: 2 * KnownRead.answerBytes) == 1 && KnownRead.batch(receiveBuffer: 0) == 1)
    #expect(KnownRead.batch(receiveBuffer: 1 << 30) == KnownRead.most)
  }
}
