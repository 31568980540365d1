/// The kernel attributes that a pipeline wants in its rows; bit N stands for attribute `INET_DIAG_*` number N.
///
/// What is not selected never appears in a row, also where the kernel sends it unasked (`INET_DIAG_SHUTDOWN`,
/// `INET_DIAG_CGROUP_ID`, ...). See `include/uapi/linux/inet_diag.h`.
public struct AttributeSelection: OptionSet, Sendable, Hashable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  private init(_ source: Source) { rawValue = source.bit }

  /// `struct inet_diag_meminfo`: says the same as four fields of `skmem`.
  public static let meminfo = AttributeSelection(.memory)
  /// `struct tcp_info`.
  public static let info = AttributeSelection(.info)
  /// `struct tcpvegas_info`, also sent by other algorithms that measure the round trip.
  public static let vegas = AttributeSelection(.vegas)
  /// The name of the congestion control algorithm.
  public static let cong = AttributeSelection(.congestion)
  /// The IPv4 type of service.
  public static let tos = AttributeSelection(.typeOfService)
  /// The IPv6 traffic class.
  public static let tclass = AttributeSelection(.trafficClass)
  /// The socket's memory (`SK_MEMINFO_*`).
  public static let skmem = AttributeSelection(.socketMemory)
  /// Which directions are shut down.
  public static let shutdown = AttributeSelection(.shutdown)
  /// `struct tcp_dctcp_info`.
  public static let dctcp = AttributeSelection(.dctcp)
  /// Whether an IPv6 listener refuses IPv4.
  public static let v6only = AttributeSelection(.v6only)
  /// The socket's mark (`SO_MARK`); the kernel gives it to CAP_NET_ADMIN only.
  public static let mark = AttributeSelection(.mark)
  /// `struct tcp_bbr_info`.
  public static let bbr = AttributeSelection(.bbr)
  /// The net_cls class, or the socket's priority.
  public static let classID = AttributeSelection(.classID)
  /// The name of the upper layer protocol (`tls`, `mptcp`, ...).
  public static let ulp = AttributeSelection(.upperLayerProtocol)
  /// The number of the cgroup v2.
  public static let cgroup = AttributeSelection(.controlGroup)
  /// `struct inet_diag_sockopt`.
  public static let sockopt = AttributeSelection(.socketOptions)

  /// Everything there is.
  public static let all = AttributeSelection(named.map { $0.value })
  /// Everything except `meminfo`, which repeats `skmem`.
  public static let `default` = all.subtracting(.meminfo)

  /// Every attribute with the name that configurations use.
  static let named: [(name: String, value: AttributeSelection)] = [
    ("info", .info), ("cong", .cong), ("skmem", .skmem), ("meminfo", .meminfo), ("vegas", .vegas), ("dctcp", .dctcp),
    ("bbr", .bbr), ("tos", .tos), ("tclass", .tclass), ("shutdown", .shutdown), ("class_id", .classID),
    ("cgroup", .cgroup), ("sockopt", .sockopt), ("mark", .mark), ("ulp", .ulp), ("v6only", .v6only),
  ]

  /// Every name a configuration may use for one attribute.
  public static let allNames: [String] = named.map { $0.name }

  /// The attribute called `name` in configurations, or the sets `default` and `all`.
  public init?(name: String) {
    switch name {
    case "default": self = .default
    case "all": self = .all
    default:
      guard let entry = Self.named.first(where: { $0.name == name }) else { return nil }
      self = entry.value
    }
  }

  /// `idiag_ext` of a request: bit N-1 asks for attribute N. DCTCP and BBR hang on the bit of Vegas, the class on the bit of
  /// the traffic class; the others come unasked (`net/ipv4/inet_diag.c`, `inet_sk_diag_fill`).
  public var requestExtensions: UInt8 {
    var bits = UInt8(truncatingIfNeeded: rawValue >> 1)
    if !isDisjoint(with: [.dctcp, .bbr]) { bits |= 1 << 2 }
    if contains(.classID) { bits |= 1 << 5 }
    return bits
  }
}
