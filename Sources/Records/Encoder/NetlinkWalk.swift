/// A message that describes a socket and is wanted.
struct SocketMessage {
  /// `struct inet_diag_msg`, followed by attributes.
  var payload: UnsafeRawPointer
  /// Bytes of both, at least `NetlinkSize.socketMessage`.
  var length: Int

  /// `idiag_state`.
  var state: UInt8 { payload.load(fromByteOffset: 1, as: UInt8.self) }
}

/// What the walk comes upon.
enum WalkStep {
  case socket(SocketMessage)
  case stop(TranscodeStop)
}

/// Goes through the messages of one datagram and sorts out those that become rows. Never reads outside the datagram.
struct NetlinkWalk {
  let datagram: UnsafeRawBufferPointer
  /// Start of the current message.
  var position: Int
  let sequence: UInt32
  /// States to keep, as bits.
  let states: UInt32
  /// Addresses and ports to keep; nil keeps all. Valid as long as the selection that the walk was made with.
  let filter: UnsafePointer<FilterProgram>?
  /// The filter's bindings.
  let bindings: UnsafePointer<UInt64>?
  let sampleEvery: UInt64
  /// Attributes to keep, as bits.
  let attributes: UInt32
  /// Start of the message after the current one.
  private var nextPosition: Int

  init(
    datagram: UnsafeRawBufferPointer, position: Int, sequence: UInt32, selection: RowSelection,
    bindings: UnsafePointer<UInt64>?, attributes: UInt32
  ) {
    self.bindings = bindings
    self.datagram = datagram
    self.position = max(0, position)
    self.sequence = sequence
    states = selection.states.matchingBits
    filter = selection.filter?.program
    sampleEvery = UInt64(selection.sampleEvery)
    self.attributes = attributes
    nextPosition = position
  }

  /// The message that `next` returned is dealt with.
  @inline(__always)
  mutating func advance() { position = nextPosition }

  /// The next socket that is wanted, or why there is none. `position` stays at a socket until `advance`.
  @inline(__always)
  mutating func next(_ tally: inout RowTally) -> WalkStep {
    guard let base = datagram.baseAddress else { return .stop(.datagramEnd) }
    while position < datagram.count {
      let left = datagram.count &- position
      guard left >= NetlinkSize.messageHeader else { return .stop(.malformed(.truncatedHeader)) }
      let header = base + position
      let length = Int(header.loadUnaligned(as: UInt32.self))
      guard length >= NetlinkSize.messageHeader, length <= left else { return .stop(.malformed(.messageLength)) }
      nextPosition = min(position &+ (length &+ 3) & ~3, datagram.count)
      let type = header.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
      let isOurs = header.loadUnaligned(fromByteOffset: 8, as: UInt32.self) == sequence
      let payload = header + NetlinkSize.messageHeader
      let payloadLength = length &- NetlinkSize.messageHeader
      if !isOurs {
        tally.foreignMessages &+= 1
      } else if type == NetlinkMessageType.legacySocket || type == NetlinkMessageType.socket {
        guard payloadLength >= NetlinkSize.socketMessage else { return .stop(.malformed(.socketMessage)) }
        let family = payload.load(as: UInt8.self)
        guard family == 2 || family == 10 else { return .stop(.malformed(.addressFamily)) }
        if isWanted(payload, payloadLength, &tally) {
          return .socket(SocketMessage(payload: payload, length: payloadLength))
        }
      } else if let stop = control(type, payload, payloadLength, &tally) {
        return .stop(stop)
      }
      position = nextPosition
    }
    return .stop(.datagramEnd)
  }

  /// Applies the filter and the sampling.
  @inline(__always)
  private func isWanted(_ payload: UnsafeRawPointer, _ length: Int, _ tally: inout RowTally) -> Bool {
    let state = payload.load(fromByteOffset: 1, as: UInt8.self)
    guard state < 32, states & 1 &<< UInt32(truncatingIfNeeded: state) != 0 else {
      tally.filtered &+= 1
      countReported(state, &tally)
      return false
    }
    if let filter, !keeps(filter, payload, length) {
      tally.filtered &+= 1
      countReported(state, &tally)
      return false
    }
    if sampleEvery > 1 {
      let cookie = payload.loadUnaligned(fromByteOffset: 44, as: UInt64.self)
      if RowSelection.hash(cookie: cookie) % sampleEvery != 0 {
        tally.sampledOut &+= 1
        countReported(state, &tally)
        return false
      }
    }
    return true
  }

  /// A socket that is wanted is counted when it has become a row: one for which the batch is full comes again.
  @inline(__always)
  private func countReported(_ state: UInt8, _ tally: inout RowTally) {
    tally.reported &+= 1
    if state == SocketStates.listenNumber { tally.listening &+= 1 }
  }

  /// Apart, so that code without a filter stays short.
  @inline(never)
  private func keeps(_ filter: UnsafePointer<FilterProgram>, _ payload: UnsafeRawPointer, _ length: Int) -> Bool {
    filter.pointee.keeps(payload, length: length, bindings: bindings)
  }

  /// A message of our dump that is no socket. Nil to go on.
  @inline(never)
  private mutating func control(
    _ type: UInt16, _ payload: UnsafeRawPointer, _ length: Int, _ tally: inout RowTally
  ) -> TranscodeStop? {
    switch type {
    case NetlinkMessageType.noop:
      return nil
    case NetlinkMessageType.done:
      // The number is missing in dumps of very old kernels; what is there is negative or 0.
      let number = length >= 4 ? payload.loadUnaligned(as: Int32.self) : 0
      position = nextPosition
      return .dumpDone(errno: Self.positive(number))
    case NetlinkMessageType.error:
      guard length >= 4 else { return .malformed(.errorMessage) }
      let number = payload.loadUnaligned(as: Int32.self)
      position = nextPosition
      return number == 0 ? .acknowledged : .dumpError(errno: Self.positive(number))
    case NetlinkMessageType.overrun:
      return .malformed(.overrun)
    default:
      tally.foreignMessages &+= 1
      return nil
    }
  }

  /// The kernel sends negative numbers. `Int32.min` has no positive counterpart and is no error number either.
  private static func positive(_ number: Int32) -> Int32 {
    Int32(truncatingIfNeeded: min(number.magnitude, UInt32(Int32.max)))
  }
}

/// Where the next row of a batch goes.
struct BatchTail {
  var cursor: UnsafeMutableRawPointer
  /// A row may start below this address: then the longest row fits before the batch's tail room.
  let limit: UnsafeMutableRawPointer
  var rows: Int
  let rowLimit: Int
  /// Where the first row begins.
  let body: UnsafeMutableRawPointer
  /// Where each row's end is noted, if anybody wants to know.
  let marks: UnsafeMutableRawPointer?

  /// Notes the end of the row that was just written, and its socket's cookie.
  @inline(__always)
  func mark(_ marks: UnsafeMutableRawPointer, end: UnsafeMutableRawPointer, of socket: SocketMessage) {
    let place = marks + rows &* 16
    let cookie = socket.payload.loadUnaligned(fromByteOffset: NetlinkSize.cookieOffset, as: UInt64.self)
    place.storeBytes(of: UInt64(UInt32(truncatingIfNeeded: end - body)), as: UInt64.self)
    place.storeBytes(of: cookie, toByteOffset: 8, as: UInt64.self)
  }
}
