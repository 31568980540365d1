/// What the kernel finds one socket by: family and `struct inet_diag_sockid` (include/uapi/linux/inet_diag.h), with its state beside.
public struct SocketID: Equatable, Sendable {
  /// AF_INET or AF_INET6.
  public var family: UInt8
  /// `idiag_state`.
  public var state: UInt8
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  /// As the kernel has them; of IPv4 the first four bytes count.
  public var source: InlineArray<2, UInt64>
  public var destination: InlineArray<2, UInt64>
  /// `idiag_if`: of a socket that is bound to an interface.
  public var interface: UInt32
  public var cookie: UInt64

  /// - Parameter message: `struct inet_diag_msg`.
  init(message: UnsafeRawPointer) {
    func load<Value: BitwiseCopyable>(_ offset: Int, as type: Value.Type) -> Value {
      message.loadUnaligned(fromByteOffset: offset, as: type)
    }
    family = load(0, as: UInt8.self)
    state = load(1, as: UInt8.self)
    sourcePort = UInt16(bigEndian: load(4, as: UInt16.self))
    destinationPort = UInt16(bigEndian: load(6, as: UInt16.self))
    source = [load(8, as: UInt64.self), load(16, as: UInt64.self)]
    destination = [load(24, as: UInt64.self), load(32, as: UInt64.self)]
    interface = load(40, as: UInt32.self)
    cookie = load(NetlinkSize.cookieOffset, as: UInt64.self)
  }

  public init(
    family: UInt8, state: UInt8, sourcePort: UInt16, destinationPort: UInt16, source: InlineArray<2, UInt64>,
    destination: InlineArray<2, UInt64>, interface: UInt32, cookie: UInt64
  ) {
    (self.family, self.state) = (family, state)
    (self.sourcePort, self.destinationPort) = (sourcePort, destinationPort)
    (self.source, self.destination) = (source, destination)
    (self.interface, self.cookie) = (interface, cookie)
  }

  /// It is a connection, at whatever stage but that of a request (SYN_RECV), which sockstat does not count.
  public var isConnection: Bool { states.isDisjoint(with: [.listen, .requests]) }

  public var isListener: Bool { states == .listen }

  /// It is in one of the states in which the kernel may keep the least of a connection: sockstat counts it as `tw` then.
  public var isTimeWait: Bool { !states.isDisjoint(with: .timeWait) }

  private var states: SocketStates { SocketStates(rawValue: 1 << UInt32(state & 31)) }

  /// `struct inet_diag_sockid`, 48 bytes.
  func write(to memory: UnsafeMutableRawPointer) {
    memory.storeBytes(of: sourcePort.bigEndian, as: UInt16.self)
    memory.storeBytes(of: destinationPort.bigEndian, toByteOffset: 2, as: UInt16.self)
    memory.storeBytes(of: source[0], toByteOffset: 4, as: UInt64.self)
    memory.storeBytes(of: source[1], toByteOffset: 12, as: UInt64.self)
    memory.storeBytes(of: destination[0], toByteOffset: 20, as: UInt64.self)
    memory.storeBytes(of: destination[1], toByteOffset: 28, as: UInt64.self)
    memory.storeBytes(of: interface, toByteOffset: 36, as: UInt32.self)
    memory.storeBytes(of: cookie, toByteOffset: 40, as: UInt64.self)
  }

  public static func == (left: SocketID, right: SocketID) -> Bool {
    left.family == right.family && left.state == right.state && left.sourcePort == right.sourcePort
      && left.destinationPort == right.destinationPort && left.source[0] == right.source[0]
      && left.source[1] == right.source[1] && left.destination[0] == right.destination[0]
      && left.destination[1] == right.destination[1] && left.interface == right.interface && left.cookie == right.cookie
  }
}

/// The sockets that a datagram tells of, in its order, without decoding them. Ends early at what does not hold together; whoever
/// encodes the datagram says so.
public struct ReportedSockets: Sequence, IteratorProtocol {
  private let datagram: UnsafeRawBufferPointer
  private let sequence: UInt32?
  /// Where the message behind the last one begins.
  private var following = 0
  /// Where the message of the last one begins.
  public private(set) var position = 0

  /// - Parameter sequence: `nlmsg_seq` of the messages that count; nil: all do.
  public init(in datagram: UnsafeRawBufferPointer, sequence: UInt32? = nil) {
    self.datagram = datagram
    self.sequence = sequence
  }

  public mutating func next() -> SocketID? {
    while datagram.count - following >= NetlinkSize.messageHeader {
      position = following
      let length = Int(datagram.loadUnaligned(fromByteOffset: position, as: UInt32.self))
      guard length >= NetlinkSize.messageHeader, length <= datagram.count - position else { return nil }
      following = Swift.min(position + (length + 3) & ~3, datagram.count)
      let type = datagram.loadUnaligned(fromByteOffset: position + 4, as: UInt16.self)
      guard type == NetlinkMessageType.legacySocket || type == NetlinkMessageType.socket,
        length >= NetlinkSize.messageHeader + NetlinkSize.socketMessage,
        sequence == nil || sequence == datagram.loadUnaligned(fromByteOffset: position + 8, as: UInt32.self),
        let base = datagram.baseAddress
      else { continue }
      return SocketID(message: base + position + NetlinkSize.messageHeader)
    }
    return nil
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Makes the message at `position` one that is passed over (NLMSG_NOOP).
  public func silenceMessage(at position: Int) {
    storeBytes(of: NetlinkMessageType.noop, toByteOffset: position + 4, as: UInt16.self)
  }
}
