import Records

/// Asks for the known connections of a namespace, some at a time, and takes in what the kernel answers: it answers in the order in
/// which it is asked.
struct KnownRead {
  /// How many are asked for in one datagram, at most: their answers wait in the socket together, up to its SO_RCVBUF.
  static let most = 90
  /// What one answer takes of SO_RCVBUF at most (its `truesize`): 2 KiB, where the allocator rounds up to that, and struct sk_buff.
  /// The default of SO_RCVBUF, 208 KiB, has room for 92 of them.
  static let answerBytes = 2_304
  /// Bytes of the longest request.
  static let requestBytes = most * ExactRequest.byteCount + ExactRequest.endByteCount

  /// How many may be asked for at once on a socket, at least one; the acknowledgement needs room as well.
  static func batch(receiveBuffer: Int) -> Int { min(most, max(1, receiveBuffer / answerBytes - 1)) }

  private let list: KnownSockets.List
  private var asking: KnownSockets.Cursor
  private var answering: KnownSockets.Cursor
  /// Where the last one was found that had been reported: a walk tells of sockets in the order of the walk before.
  private var found: KnownSockets.Cursor
  private var asked: UInt32 = 0
  private var seen: UInt32 = 0
  /// Those that are still there, and are what sockstat counts.
  private(set) var answered: UInt64 = 0
  /// Some are not there any more.
  private(set) var hasGone = false

  init(_ list: KnownSockets.List, in sockets: borrowing KnownSockets) {
    self.list = list
    asking = sockets.start(of: list)
    answering = asking
    found = asking
  }

  /// All have been asked for.
  var isThrough: Bool { asked == list.count }
  /// Each that was asked for has been answered.
  var isAnswered: Bool { seen == asked }

  /// Writes the next request and returns its length in bytes.
  ///
  /// - Parameter memory: `requestBytes` bytes.
  mutating func ask(
    _ sockets: borrowing KnownSockets, batch: Int, extensions: UInt8, sequence: UInt32,
    into memory: UnsafeMutableRawPointer
  ) -> Int {
    var end = memory
    for _ in 0..<batch {
      guard let socket = sockets.next(&asking) else { break }
      ExactRequest.write(socket, extensions: extensions, sequence: sequence, to: end)
      end += ExactRequest.byteCount
      asked += 1
    }
    ExactRequest.writeEnd(sequence: sequence, to: end)
    return end + ExactRequest.endByteCount - memory
  }

  /// Takes in an answer. False: it answers nothing that was asked.
  ///
  /// - Parameter choice: knows what sockstat counts among the connections.
  mutating func take(_ answer: ExactAnswer, in sockets: borrowing KnownSockets, _ choice: WalkChoice) -> Bool {
    switch answer {
    case .other: return true
    case .end: return isAnswered
    case .socket, .none: break
    }
    let place = answering
    guard seen < asked, let expected = sockets.next(&answering) else { return false }
    seen += 1
    if case .socket(let socket) = answer {
      // One that listens by now is not told of here: the table of listeners has it.
      guard socket.cookie == expected.cookie, !socket.isListener else { return false }
      if choice.counts(socket) { answered += 1 }
    } else {
      hasGone = true
      sockets.markGone(at: place)
    }
    return true
  }

  /// A socket has been reported by this read.
  mutating func hasReported(_ socket: SocketID, in sockets: borrowing KnownSockets) -> Bool {
    sockets.contains(cookie: socket.cookie, in: list, before: answering, near: &found)
  }
}
