/// The request that starts a dump of all TCP sockets of a namespace.
///
/// It is the legacy request `TCPDIAG_GETSOCK` with a 60-byte `struct inet_diag_req`, because the kernel answers it for IPv4
/// and IPv6 in one walk of the hash tables (`inet_diag_dump_compat` in `net/ipv4/inet_diag.c` uses `AF_UNSPEC`); the
/// newer `SOCK_DIAG_BY_FAMILY` needs one walk for each family.
public enum DumpRequest {
  /// Size of a request: `struct nlmsghdr` and `struct inet_diag_req`, in bytes.
  public static let byteCount = 76

  private static let flags: UInt16 = 0x301  // NLM_F_REQUEST | NLM_F_DUMP

  /// Writes the request over the first `byteCount` bytes of `memory`, which must hold at least that many.
  ///
  /// - Parameters:
  ///   - sequence: comes back in every message of this dump (`nlmsg_seq`).
  ///   - states: the states to report; `.all` unless the filter allows fewer.
  ///   - extensions: `AttributeSelection.requestExtensions`.
  public static func encode(
    sequence: UInt32, states: SocketStates, extensions: UInt8, into memory: UnsafeMutableRawBufferPointer
  ) {
    precondition(memory.count >= byteCount, "a dump request takes \(byteCount) bytes")
    let request = UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount])
    request.initializeMemory(as: UInt8.self, repeating: 0)
    request.storeBytes(of: UInt32(byteCount), toByteOffset: 0, as: UInt32.self)  // nlmsg_len
    request.storeBytes(of: NetlinkMessageType.legacySocket, toByteOffset: 4, as: UInt16.self)  // nlmsg_type
    request.storeBytes(of: flags, toByteOffset: 6, as: UInt16.self)  // nlmsg_flags
    request.storeBytes(of: sequence, toByteOffset: 8, as: UInt32.self)  // nlmsg_seq
    request.storeBytes(of: 2, toByteOffset: 16, as: UInt8.self)  // idiag_family: AF_INET; the kernel walks both
    request.storeBytes(of: extensions, toByteOffset: 19, as: UInt8.self)  // idiag_ext
    request.storeBytes(of: states.rawValue, toByteOffset: 68, as: UInt32.self)  // idiag_states
  }
}
