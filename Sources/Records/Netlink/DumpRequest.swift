/// The request that starts a dump of TCP sockets of a namespace.
///
/// It is the legacy request `TCPDIAG_GETSOCK` with a 60-byte `struct inet_diag_req`, because the kernel answers it for IPv4
/// and IPv6 in one walk of the hash tables (`inet_diag_dump_compat` in `net/ipv4/inet_diag.c` uses `AF_UNSPEC`); the
/// newer `SOCK_DIAG_BY_FAMILY` needs one walk for each family. An attribute `INET_DIAG_REQ_BYTECODE` may follow.
public struct DumpRequest {
  /// The states to report; `.all` unless the filter allows fewer.
  public var states: SocketStates
  /// `AttributeSelection.requestExtensions`.
  public var extensions: UInt8
  /// What the kernel leaves out.
  public var filter: KernelFilter
  /// The part of the ports to report; nil: all.
  public var ports: PortInterval?

  public init(
    states: SocketStates, extensions: UInt8, filter: KernelFilter = .none, ports: PortInterval? = nil
  ) {
    self.states = states
    self.extensions = extensions
    self.filter = filter
    self.ports = ports
  }

  private static let flags: UInt16 = 0x301  // NLM_F_REQUEST | NLM_F_DUMP
  private static let headerBytes = 76  // struct nlmsghdr, struct inet_diag_req
  private static let attributeHeaderBytes = 4  // struct nlattr
  private static let bytecodeAttribute: UInt16 = 1  // INET_DIAG_REQ_BYTECODE

  /// Bytes of the longest request with a filter.
  public static func mostBytes(_ filter: KernelFilter) -> Int {
    headerBytes + attributeHeaderBytes + PortInterval.byteCount + filter.program.bytes.count
  }

  /// Writes the request to the start of `memory`, which must hold `mostBytes` of its filter, and returns its length in bytes.
  ///
  /// - Parameters:
  ///   - sequence: comes back in every message of this dump (`nlmsg_seq`).
  ///   - bindings: of the filter, for the namespace that is asked; nil if it has none.
  public func encode(
    sequence: UInt32, bindings: UnsafePointer<UInt64>? = nil, into memory: UnsafeMutableRawBufferPointer
  ) -> Int {
    precondition(memory.count >= Self.mostBytes(filter), "a dump request takes \(Self.mostBytes(filter)) bytes")
    let program = (ports == nil ? 0 : PortInterval.byteCount) + filter.program.bytes.count
    let length = Self.headerBytes + (program > 0 ? Self.attributeHeaderBytes + program : 0)
    let request = UnsafeMutableRawBufferPointer(rebasing: memory[..<length])
    request.initializeMemory(as: UInt8.self, repeating: 0)
    request.storeBytes(of: UInt32(length), toByteOffset: 0, as: UInt32.self)  // nlmsg_len
    request.storeBytes(of: NetlinkMessageType.legacySocket, toByteOffset: 4, as: UInt16.self)  // nlmsg_type
    request.storeBytes(of: Self.flags, toByteOffset: 6, as: UInt16.self)  // nlmsg_flags
    request.storeBytes(of: sequence, toByteOffset: 8, as: UInt32.self)  // nlmsg_seq
    request.storeBytes(of: 2, toByteOffset: 16, as: UInt8.self)  // idiag_family: AF_INET; the kernel walks both
    request.storeBytes(of: extensions, toByteOffset: 19, as: UInt8.self)  // idiag_ext
    request.storeBytes(of: filter.sourcePort.bigEndian, toByteOffset: 20, as: UInt16.self)  // id.idiag_sport
    request.storeBytes(of: filter.destinationPort.bigEndian, toByteOffset: 22, as: UInt16.self)  // id.idiag_dport
    request.storeBytes(of: states.rawValue, toByteOffset: 68, as: UInt32.self)  // idiag_states
    if program > 0 { encodeProgram(bindings, UnsafeMutableRawBufferPointer(rebasing: request[Self.headerBytes...])) }
    return length
  }

  private func encodeProgram(_ bindings: UnsafePointer<UInt64>?, _ attribute: UnsafeMutableRawBufferPointer) {
    attribute.storeBytes(of: UInt16(attribute.count), toByteOffset: 0, as: UInt16.self)  // nla_len
    attribute.storeBytes(of: Self.bytecodeAttribute, toByteOffset: 2, as: UInt16.self)  // nla_type
    var program = UnsafeMutableRawBufferPointer(rebasing: attribute[Self.attributeHeaderBytes...])
    if let ports {
      ports.write(into: program, rest: filter.program.bytes.count)
      program = UnsafeMutableRawBufferPointer(rebasing: program[PortInterval.byteCount...])
    }
    filter.program.write(into: program, bindings: bindings)
  }
}
