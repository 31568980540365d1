/// Which of the reported sockets become rows. The kernel has already left out the states that were not requested.
public struct RowSelection: Sendable, Hashable {
  /// States to keep.
  public var states: SocketStates
  /// Addresses and ports to keep; nil keeps all.
  public var filter: RowFilter?
  /// Keeps the sockets with `hash(cookie) % sampleEvery == 0`; 0 and 1 keep all.
  public var sampleEvery: UInt32
  /// Attributes to keep; what the encoder was made without stays out anyway.
  public var attributes: AttributeSelection

  public init(
    states: SocketStates = .all, filter: RowFilter? = nil, sampleEvery: UInt32 = 1,
    attributes: AttributeSelection = .default
  ) {
    self.states = states
    self.filter = filter
    self.sampleEvery = sampleEvery
    self.attributes = attributes
  }

  /// The hash behind sampling: the finalizer of SplitMix64. A fixed function of the cookie, so a socket that is kept once
  /// is kept by every pipeline with the same N, in every poll and after every restart.
  ///
  ///     z = cookie;  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;  z = (z ^ z >> 27) * 0x94d049bb133111eb;  z ^ z >> 31
  @inlinable
  public static func hash(cookie: UInt64) -> UInt64 {
    var z = cookie
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}

/// What became of the messages that a transcode saw. For sockets: `reported == filtered + sampledOut + encoded`.
public struct RowTally: Sendable, Hashable {
  /// Sockets in messages of the dump.
  public var reported: UInt64 = 0
  /// Sockets that the filter left out, by state, address or port.
  public var filtered: UInt64 = 0
  /// Sockets that sampling left out.
  public var sampledOut: UInt64 = 0
  /// Sockets that became rows.
  public var encoded: UInt64 = 0
  /// Those of the reported that listen.
  public var listening: UInt64 = 0
  /// Messages of another dump (`nlmsg_seq`) or of a type that is no socket. Skipped.
  public var foreignMessages: UInt64 = 0
  /// Attributes newer than this program, or too short to be what their type says. Left out.
  public var unknownAttributes: UInt64 = 0

  public init() {}

  public static func += (left: inout RowTally, right: RowTally) {
    left.reported &+= right.reported
    left.filtered &+= right.filtered
    left.sampledOut &+= right.sampledOut
    left.encoded &+= right.encoded
    left.listening &+= right.listening
    left.foreignMessages &+= right.foreignMessages
    left.unknownAttributes &+= right.unknownAttributes
  }
}

/// Why a transcode returned.
public enum TranscodeStop: Sendable, Hashable {
  /// Every message of the datagram was seen; the dump goes on.
  case datagramEnd
  /// The batch has its rows, or too little memory for another one. Call again with the same position and a new batch.
  case batchFull
  /// `NLMSG_DONE`. `errno` is 0 for a complete dump, else the positive error number with which the kernel ended it.
  case dumpDone(errno: Int32)
  /// `NLMSG_ERROR`: the kernel refused the request, or has no such socket. `errno` is positive.
  case dumpError(errno: Int32)
  /// `NLMSG_ERROR` with the number 0: all that was asked for (`ExactRequest`) has been answered.
  case acknowledged
  /// Not what a kernel sends; `position` is at the bad message. The dump must be given up.
  case malformed(MalformedReason)
}

/// What is wrong with a datagram.
public enum MalformedReason: String, Sendable, Hashable, CaseIterable {
  /// Fewer bytes left than a `struct nlmsghdr` has.
  case truncatedHeader = "message header is truncated"
  /// `nlmsg_len` is less than a header or more than the datagram holds.
  case messageLength = "message length does not fit the datagram"
  /// A socket message without a whole `struct inet_diag_msg`.
  case socketMessage = "socket message is too short"
  /// `idiag_family` is neither AF_INET nor AF_INET6.
  case addressFamily = "address family is neither AF_INET nor AF_INET6"
  /// `nla_len` is less than a header or more than the message holds.
  case attributeLength = "attribute length does not fit the message"
  /// `NLMSG_ERROR` without an error number.
  case errorMessage = "error message is too short"
  /// `NLMSG_OVERRUN`: data was lost.
  case overrun = "kernel reports lost data (NLMSG_OVERRUN)"
}
