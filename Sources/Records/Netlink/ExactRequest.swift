/// Requests for single sockets, several in one datagram: the kernel finds each in its hash and walks nothing
/// (`inet_diag_dump_one_icsk` in net/ipv4/inet_diag.c). It answers them one by one, in order, before send(2) returns
/// (`netlink_rcv_skb` in net/netlink/af_netlink.c): each with a datagram that holds the socket as a dump would report it, or
/// NLMSG_ERROR with ENOENT: nothing is there, or, by its cookie, another socket (older kernels: ESTALE).
///
/// Behind them a message that asks for nothing but to be acknowledged: its answer is the last.
public enum ExactRequest {
  /// `struct nlmsghdr`, and `struct inet_diag_req_v2` up to its id.
  private static let headerBytes = NetlinkSize.messageHeader + 8
  /// Bytes of a request for one socket.
  public static let byteCount = headerBytes + 48
  /// Bytes of the message that is the last.
  public static let endByteCount = NetlinkSize.messageHeader

  private static let request: UInt16 = 1  // NLM_F_REQUEST
  private static let acknowledge: UInt16 = 4  // NLM_F_ACK

  /// - Parameters:
  ///   - extensions: `AttributeSelection.requestExtensions`.
  ///   - memory: `byteCount` bytes.
  public static func write(
    _ socket: SocketID, extensions: UInt8, sequence: UInt32, to memory: UnsafeMutableRawPointer
  ) {
    writeHeader(byteCount, NetlinkMessageType.socket, request, sequence, to: memory)
    memory.storeBytes(of: socket.family, toByteOffset: 16, as: UInt8.self)  // sdiag_family
    memory.storeBytes(of: 6, toByteOffset: 17, as: UInt8.self)  // sdiag_protocol: IPPROTO_TCP
    memory.storeBytes(of: extensions, toByteOffset: 18, as: UInt8.self)  // idiag_ext
    memory.storeBytes(of: 0, toByteOffset: 19, as: UInt8.self)  // pad
    memory.storeBytes(of: SocketStates.all.rawValue, toByteOffset: 20, as: UInt32.self)  // idiag_states, not looked at
    socket.write(to: memory + headerBytes)
  }

  /// - Parameter memory: `endByteCount` bytes.
  public static func writeEnd(sequence: UInt32, to memory: UnsafeMutableRawPointer) {
    writeHeader(endByteCount, NetlinkMessageType.noop, request | acknowledge, sequence, to: memory)
  }

  private static func writeHeader(
    _ length: Int, _ type: UInt16, _ flags: UInt16, _ sequence: UInt32, to memory: UnsafeMutableRawPointer
  ) {
    memory.storeBytes(of: UInt32(length), as: UInt32.self)  // nlmsg_len
    memory.storeBytes(of: type, toByteOffset: 4, as: UInt16.self)  // nlmsg_type
    memory.storeBytes(of: flags, toByteOffset: 6, as: UInt16.self)  // nlmsg_flags
    memory.storeBytes(of: sequence, toByteOffset: 8, as: UInt32.self)  // nlmsg_seq
    memory.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)  // nlmsg_pid
  }
}

/// What a datagram says that answers exact requests.
public enum ExactAnswer: Equatable, Sendable {
  case socket(SocketID)
  /// The kernel could not tell of the socket that was asked for.
  case none
  /// All have been answered.
  case end
  /// No answer to these requests.
  case other

  /// - Parameter sequence: of the requests.
  public init(_ datagram: UnsafeRawBufferPointer, sequence: UInt32) {
    var sockets = ReportedSockets(in: datagram, sequence: sequence)
    if let socket = sockets.next() {
      self = .socket(socket)
      return
    }
    guard datagram.count >= NetlinkSize.messageHeader + 4,
      datagram.loadUnaligned(as: UInt32.self) >= NetlinkSize.messageHeader + 4,
      datagram.loadUnaligned(fromByteOffset: 4, as: UInt16.self) == NetlinkMessageType.error,
      datagram.loadUnaligned(fromByteOffset: 8, as: UInt32.self) == sequence
    else {
      self = .other
      return
    }
    self = datagram.loadUnaligned(fromByteOffset: NetlinkSize.messageHeader, as: Int32.self) == 0 ? .end : .none
  }
}
