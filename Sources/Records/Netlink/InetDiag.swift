// What the kernel's sock_diag interface is made of: numbers and sizes from include/uapi/linux/inet_diag.h,
// include/uapi/linux/netlink.h and include/uapi/linux/sock_diag.h.

#if _endian(big)
  #error(
    "Bit-field layouts of struct tcp_info are known for little-endian machines only; wrong rows are worse than none.")
#endif

/// Netlink message types that can come back from a dump (`include/uapi/linux/netlink.h`, `sock_diag.h`).
enum NetlinkMessageType {
  static let noop: UInt16 = 1  // NLMSG_NOOP
  static let error: UInt16 = 2  // NLMSG_ERROR
  static let done: UInt16 = 3  // NLMSG_DONE
  static let overrun: UInt16 = 4  // NLMSG_OVERRUN
  static let legacySocket: UInt16 = 18  // TCPDIAG_GETSOCK, also the type of the answers to it
  static let socket: UInt16 = 20  // SOCK_DIAG_BY_FAMILY
}

/// Sizes that the netlink walk relies on, in bytes.
enum NetlinkSize {
  static let messageHeader = 16  // struct nlmsghdr
  static let attributeHeader = 4  // struct nlattr
  static let socketMessage = 72  // struct inet_diag_msg
  static let cookieOffset = 44  // id.idiag_cookie in it
  static let congestionName = 16  // TCP_CA_NAME_MAX, net/tcp.h
  static let protocolName = 16  // TCP_ULP_NAME_MAX, net/tcp.h
  /// Upper two bits of `nla_type` are flags (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`), `NLA_TYPE_MASK` removes them.
  static let attributeTypeMask: UInt16 = 0x3fff
}

/// Where the value of a field comes from. Raw values 1...22 are the kernel's `INET_DIAG_*` attribute numbers, so a set of
/// sources is a bit mask whose bits are those numbers.
enum Source: UInt8, CaseIterable {
  case message = 0  // struct inet_diag_msg, in front of the attributes
  case memory = 1  // INET_DIAG_MEMINFO
  case info = 2  // INET_DIAG_INFO
  case vegas = 3  // INET_DIAG_VEGASINFO
  case congestion = 4  // INET_DIAG_CONG
  case typeOfService = 5  // INET_DIAG_TOS
  case trafficClass = 6  // INET_DIAG_TCLASS
  case socketMemory = 7  // INET_DIAG_SKMEMINFO
  case shutdown = 8  // INET_DIAG_SHUTDOWN
  case dctcp = 9  // INET_DIAG_DCTCPINFO
  case v6only = 11  // INET_DIAG_SKV6ONLY
  case mark = 15  // INET_DIAG_MARK
  case bbr = 16  // INET_DIAG_BBRINFO
  case classID = 17  // INET_DIAG_CLASS_ID
  case upperLayerProtocol = 19  // INET_DIAG_ULP_INFO, nested: INET_ULP_INFO_NAME
  case controlGroup = 21  // INET_DIAG_CGROUP_ID
  case socketOptions = 22  // INET_DIAG_SOCKOPT
  case row = 24  // made by xtcpd for each row (RowBlock)
  case dump = 25  // the same for all rows of one dump (DumpBlock)
  case unfilled = 26  // a column of the predecessor that has no meaning here

  /// The bit that stands for this source in a mask.
  var bit: UInt32 { 1 << UInt32(rawValue) }

  /// How many slots an index by raw value needs.
  static let slotCount = 27
  /// The highest attribute number this code has heard of (`INET_DIAG_MAX`); a higher one is counted as unknown.
  static let highestAttribute: UInt16 = 22
  /// The bits that stand for kernel attributes.
  static let attributeBits: UInt32 = 0x00ff_fffe

  /// The kernel structure or attribute, for documents. Empty for what xtcpd itself supplies.
  var kernelName: String {
    switch self {
    case .message: "struct inet_diag_msg"
    case .memory: "INET_DIAG_MEMINFO"
    case .info: "INET_DIAG_INFO"
    case .vegas: "INET_DIAG_VEGASINFO"
    case .congestion: "INET_DIAG_CONG"
    case .typeOfService: "INET_DIAG_TOS"
    case .trafficClass: "INET_DIAG_TCLASS"
    case .socketMemory: "INET_DIAG_SKMEMINFO"
    case .shutdown: "INET_DIAG_SHUTDOWN"
    case .dctcp: "INET_DIAG_DCTCPINFO"
    case .v6only: "INET_DIAG_SKV6ONLY"
    case .mark: "INET_DIAG_MARK"
    case .bbr: "INET_DIAG_BBRINFO"
    case .classID: "INET_DIAG_CLASS_ID"
    case .upperLayerProtocol: "INET_DIAG_ULP_INFO"
    case .controlGroup: "INET_DIAG_CGROUP_ID"
    case .socketOptions: "INET_DIAG_SOCKOPT"
    case .row, .dump, .unfilled: ""
    }
  }
}
