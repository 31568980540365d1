/// `INET_DIAG_CONG`: the name of the algorithm (inet_diag_msg_attrs_fill, tcp_ca name).
@inline(__always)
func describeCongestion<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.congestion) else { return }
  v.field(
    "congestion_algorithm_string", 1300, .name, at: 0, .none, kernel: "tcp_congestion_ops.name",
    "Name of the congestion control algorithm.")
  v.field(
    "congestion_algorithm_enum", 1301, .algorithm, at: 0, .none, kernel: "",
    "Number of the algorithm where the enum has one, else 0.")
}

/// `INET_DIAG_TOS`.
@inline(__always)
func describeTypeOfService<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.typeOfService) else { return }
  v.field(
    "type_of_service", 1401, .u8, at: 0, .none, kernel: "inet_sock.tos",
    "Type of service of IPv4 (DSCP and ECN bits).")
}

/// `INET_DIAG_TCLASS`, for AF_INET6 sockets.
@inline(__always)
func describeTrafficClass<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.trafficClass) else { return }
  v.field("traffic_class", 1402, .u8, at: 0, .none, kernel: "ipv6_pinfo.tclass", "Traffic class of IPv6.")
}

/// `INET_DIAG_SKMEMINFO`: `SK_MEMINFO_*` of include/uapi/linux/sock_diag.h, filled by sk_get_meminfo in net/core/sock.c.
@inline(__always)
func describeSocketMemory<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.socketMemory) else { return }
  v.field(
    "sk_mem_info_rmem_alloc", 1501, .u32, at: 0, .bytes, kernel: "SK_MEMINFO_RMEM_ALLOC",
    "Memory of received data.")
  v.field(
    "sk_mem_info_rcv_buf", 1502, .u32, at: 4, .bytes, kernel: "SK_MEMINFO_RCVBUF",
    "Limit of the receive memory (SO_RCVBUF).")
  v.field(
    "sk_mem_info_wmem_alloc", 1503, .u32, at: 8, .bytes, kernel: "SK_MEMINFO_WMEM_ALLOC",
    "Memory of data handed to the lower layers.")
  v.field(
    "sk_mem_info_snd_buf", 1504, .u32, at: 12, .bytes, kernel: "SK_MEMINFO_SNDBUF",
    "Limit of the send memory (SO_SNDBUF).")
  v.field(
    "sk_mem_info_fwd_alloc", 1505, .u32, at: 16, .bytes, kernel: "SK_MEMINFO_FWD_ALLOC",
    "Memory reserved for later use.")
  v.field(
    "sk_mem_info_wmem_queued", 1506, .u32, at: 20, .bytes, kernel: "SK_MEMINFO_WMEM_QUEUED",
    "Memory of queued data to send.")
  v.field("sk_mem_info_optmem", 1507, .u32, at: 24, .bytes, kernel: "SK_MEMINFO_OPTMEM", "Memory of socket options.")
  v.field(
    "sk_mem_info_backlog", 1508, .u32, at: 28, .bytes, kernel: "SK_MEMINFO_BACKLOG",
    "Received while a process held the socket.")
  v.field(
    "sk_mem_info_drops", 1509, .u32, at: 32, .packets, kernel: "SK_MEMINFO_DROPS",
    "Packets dropped by the socket.")
}

/// `INET_DIAG_SHUTDOWN`: sk_shutdown.
@inline(__always)
func describeShutdown<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.shutdown) else { return }
  v.field("shutdown_state", 1600, .u8, at: 0, .flags, kernel: "sk_shutdown", "Directions shut down: 1 receive, 2 send.")
}

/// `struct tcpvegas_info`, filled by tcp_vegas_get_info; also sent by other delay based algorithms.
@inline(__always)
func describeVegas<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.vegas) else { return }
  v.field("vegas_info_enabled", 1701, .u32, at: 0, .none, kernel: "tcpv_enabled", "1: Vegas is in control.")
  v.field(
    "vegas_info_rtt_cnt", 1702, .u32, at: 4, .count, kernel: "tcpv_rttcnt",
    "Round trips measured in this window.")
  v.field("vegas_info_rtt", 1703, .u32, at: 8, .microseconds, kernel: "tcpv_rtt", "Round trip time.")
  v.field(
    "vegas_info_min_rtt", 1704, .u32, at: 12, .microseconds, kernel: "tcpv_minrtt",
    "Smallest round trip time of this window.")
}

/// `struct tcp_dctcp_info`, filled by dctcp_get_info in net/ipv4/tcp_dctcp.c.
@inline(__always)
func describeDctcp<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.dctcp) else { return }
  v.field("dctcp_info_enabled", 1801, .u16, at: 0, .none, kernel: "dctcp_enabled", "1: DCTCP is in control.")
  v.field(
    "dctcp_info_ce_state", 1802, .u16, at: 2, .none, kernel: "dctcp_ce_state",
    "1: the last segment carried a congestion mark.")
  v.field(
    "dctcp_info_alpha", 1803, .u32, at: 4, .none, kernel: "dctcp_alpha",
    "Estimate of the marked share, 1024 is all.")
  v.field(
    "dctcp_info_ab_ecn", 1804, .u32, at: 8, .bytes, kernel: "dctcp_ab_ecn",
    "Acknowledged with marks in this window.")
  v.field("dctcp_info_ab_tot", 1805, .u32, at: 12, .bytes, kernel: "dctcp_ab_tot", "Acknowledged in this window.")
}

/// `struct tcp_bbr_info`, filled by bbr_get_info in net/ipv4/tcp_bbr.c.
@inline(__always)
func describeBbr<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.bbr) else { return }
  v.field(
    "bbr_info_bw_lo", 1901, .u32, at: 0, .bytesPerSecond, kernel: "bbr_bw_lo",
    "Estimated bandwidth, lower 32 bits.")
  v.field(
    "bbr_info_bw_hi", 1902, .u32, at: 4, .bytesPerSecond, kernel: "bbr_bw_hi",
    "Estimated bandwidth, upper 32 bits.")
  v.field("bbr_info_min_rtt", 1903, .u32, at: 8, .microseconds, kernel: "bbr_min_rtt", "Smallest round trip time.")
  v.field("bbr_info_pacing_gain", 1904, .u32, at: 12, .none, kernel: "bbr_pacing_gain", "Pacing gain, 256 is 1.")
  v.field("bbr_info_cwnd_gain", 1905, .u32, at: 16, .none, kernel: "bbr_cwnd_gain", "Congestion window gain, 256 is 1.")
}

/// `INET_DIAG_CLASS_ID`.
@inline(__always)
func describeClassID<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.classID) else { return }
  v.field(
    "class_id", 2001, .u32, at: 0, .none, kernel: "sk_classid",
    "Class of the net_cls cgroup, or the socket's priority where it has none.")
}

/// `struct inet_diag_sockopt`, two bytes of bit fields.
@inline(__always)
func describeSocketOptions<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.socketOptions) else { return }
  v.field(
    "sock_opt", 2002, .u16, at: 0, .flags, kernel: "inet_diag_sockopt",
    "Bits from the lowest: recverr, is_icsk, freebind, hdrincl, mc_loop, transparent, mc_all, nodefrag, bind_address_no_port, recverr_rfc4884, defer_connect."
  )
}

/// `INET_DIAG_CGROUP_ID`.
@inline(__always)
func describeControlGroup<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.controlGroup) else { return }
  v.field(
    "c_group", 2103, .u64, at: 0, .none, kernel: "cgroup_id",
    "Number of the socket's cgroup v2: the inode of its directory.")
}

/// `INET_DIAG_MARK`, for readers with CAP_NET_ADMIN.
@inline(__always)
func describeMark<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.mark) else { return }
  v.field("mark", 3010, .u32, at: 0, .none, kernel: "sk_mark", "The socket's mark (SO_MARK).")
}

/// `INET_DIAG_SKV6ONLY`, for listening and closed AF_INET6 sockets.
@inline(__always)
func describeV6only<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.v6only) else { return }
  v.field("v6only", 3011, .u8, at: 0, .none, kernel: "ipv6_only_sock", "1: an IPv6 socket that refuses IPv4.")
}

/// `INET_DIAG_ULP_INFO`, nested: `INET_ULP_INFO_NAME` (tcp_diag_put_ulp in net/ipv4/tcp_diag.c).
@inline(__always)
func describeUpperLayerProtocol<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.upperLayerProtocol) else { return }
  v.field(
    "ulp", 3012, .name, at: 0, .none, kernel: "tcp_ulp_ops.name",
    "Name of the upper layer protocol, for example tls or mptcp.")
}
