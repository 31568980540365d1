/// `struct tcp_info` (include/uapi/linux/tcp.h), filled by tcp_get_info in net/ipv4/tcp.c. The kernel appends to it and nobody says how far but its length: a field is present when it lies wholly within.
@inline(__always)
func describeInfo<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.info) else { return }
  v.field(
    "tcp_info_state", 1201, .state, at: 0, .none, kernel: "tcpi_state",
    "State of the connection; the same as inet_diag_msg_state for a full socket.")
  v.field(
    "tcp_info_ca_state", 1202, .u8, at: 1, .none, kernel: "tcpi_ca_state",
    "Congestion avoidance: 0 Open, 1 Disorder, 2 CWR, 3 Recovery, 4 Loss.")
  v.field(
    "tcp_info_retransmits", 1203, .u8, at: 2, .count, kernel: "tcpi_retransmits",
    "Retransmission timeouts in a row without an acknowledgement.")
  v.field(
    "tcp_info_probes", 1204, .u8, at: 3, .count, kernel: "tcpi_probes",
    "Unanswered zero window probes or keepalives.")
  v.field(
    "tcp_info_backoff", 1205, .u8, at: 4, .count, kernel: "tcpi_backoff",
    "Exponent of the timer's exponential back-off.")
  v.field(
    "tcp_info_options", 1206, .u8, at: 5, .flags, kernel: "tcpi_options",
    "Options in use: 1 timestamps, 2 SACK, 4 window scaling, 8 ECN, 16 ECN seen, 32 SYN data, 64 usec timestamps, 128 fast open child."
  )
  v.field(
    "tcp_info_send_scale", 1207, .lowNibble, at: 6, .none, kernel: "tcpi_snd_wscale",
    "Window scale of the peer's window.")
  v.field(
    "tcp_info_rcv_scale", 1208, .highNibble, at: 6, .none, kernel: "tcpi_rcv_wscale",
    "Window scale of our window.")
  v.field(
    "tcp_info_delivery_rate_app_limited", 1209, .bit0, at: 7, .none, kernel: "tcpi_delivery_rate_app_limited",
    "1: the delivery rate was limited by the application.")
  v.field(
    "tcp_info_fast_open_client_failed", 1210, .bits1to2, at: 7, .none, kernel: "tcpi_fastopen_client_fail",
    "Why TCP fast open failed: 0 unspecified, 1 cookie unavailable, 2 data not acknowledged, 3 SYN retransmitted.")
  v.field("tcp_info_rto", 1215, .u32, at: 8, .microseconds, kernel: "tcpi_rto", "Retransmission timeout.")
  v.field("tcp_info_ato", 1216, .u32, at: 12, .microseconds, kernel: "tcpi_ato", "Delayed acknowledgement timeout.")
  v.field("tcp_info_snd_mss", 1217, .u32, at: 16, .bytes, kernel: "tcpi_snd_mss", "Segment size for sending.")
  v.field("tcp_info_rcv_mss", 1218, .u32, at: 20, .bytes, kernel: "tcpi_rcv_mss", "Estimated segment size of the peer.")
  v.field(
    "tcp_info_unacked", 1219, .u32, at: 24, .packets, kernel: "tcpi_unacked",
    "Sent and not acknowledged; for a listener connections waiting to be accepted.")
  v.field(
    "tcp_info_sacked", 1220, .u32, at: 28, .packets, kernel: "tcpi_sacked",
    "Selectively acknowledged; for a listener its backlog limit.")
  v.field("tcp_info_lost", 1221, .u32, at: 32, .packets, kernel: "tcpi_lost", "Assumed lost.")
  v.field(
    "tcp_info_retrans", 1222, .u32, at: 36, .packets, kernel: "tcpi_retrans",
    "Retransmitted and not acknowledged.")
  v.field("tcp_info_fackets", 1223, .u32, at: 40, .packets, kernel: "tcpi_fackets", "No longer used by the kernel.")
  v.field(
    "tcp_info_last_data_sent", 1224, .u32, at: 44, .milliseconds, kernel: "tcpi_last_data_sent",
    "Time since data was sent last.")
  v.field(
    "tcp_info_last_ack_sent", 1225, .u32, at: 48, .milliseconds, kernel: "tcpi_last_ack_sent",
    "Not kept by the kernel.")
  v.field(
    "tcp_info_last_data_recv", 1226, .u32, at: 52, .milliseconds, kernel: "tcpi_last_data_recv",
    "Time since data was received last.")
  v.field(
    "tcp_info_last_ack_recv", 1227, .u32, at: 56, .milliseconds, kernel: "tcpi_last_ack_recv",
    "Time since an acknowledgement was received last.")
  v.field("tcp_info_pmtu", 1228, .u32, at: 60, .bytes, kernel: "tcpi_pmtu", "Path MTU.")
  v.field(
    "tcp_info_rcv_ssthresh", 1229, .u32, at: 64, .bytes, kernel: "tcpi_rcv_ssthresh",
    "Slow start threshold of the receive window.")
  v.field("tcp_info_rtt", 1230, .u32, at: 68, .microseconds, kernel: "tcpi_rtt", "Smoothed round trip time.")
  v.field(
    "tcp_info_rtt_var", 1231, .u32, at: 72, .microseconds, kernel: "tcpi_rttvar",
    "Variation of the round trip time.")
  v.field("tcp_info_snd_ssthresh", 1232, .u32, at: 76, .packets, kernel: "tcpi_snd_ssthresh", "Slow start threshold.")
  v.field("tcp_info_snd_cwnd", 1233, .u32, at: 80, .packets, kernel: "tcpi_snd_cwnd", "Congestion window.")
  v.field("tcp_info_adv_mss", 1234, .u32, at: 84, .bytes, kernel: "tcpi_advmss", "Segment size advertised to the peer.")
  v.field(
    "tcp_info_reordering", 1235, .u32, at: 88, .packets, kernel: "tcpi_reordering",
    "Reordering the sender reckons with.")
  v.field(
    "tcp_info_rcv_rtt", 1236, .u32, at: 92, .microseconds, kernel: "tcpi_rcv_rtt",
    "Round trip time estimated by the receiver.")
  v.field("tcp_info_rcv_space", 1237, .u32, at: 96, .bytes, kernel: "tcpi_rcv_space", "Space of the receive queue.")
  v.field(
    "tcp_info_total_retrans", 1238, .u32, at: 100, .packets, kernel: "tcpi_total_retrans",
    "Retransmits of the whole connection.")
  v.field("tcp_info_pacing_rate", 1239, .u64, at: 104, .bytesPerSecond, kernel: "tcpi_pacing_rate", "Pacing rate.")
  v.field(
    "tcp_info_max_pacing_rate", 1240, .u64, at: 112, .bytesPerSecond, kernel: "tcpi_max_pacing_rate",
    "Upper limit of the pacing rate (SO_MAX_PACING_RATE).")
  v.field(
    "tcp_info_bytes_acked", 1241, .u64, at: 120, .bytes, kernel: "tcpi_bytes_acked",
    "Acknowledged (RFC 4898 tcpEStatsAppHCThruOctetsAcked).")
  v.field(
    "tcp_info_bytes_received", 1242, .u64, at: 128, .bytes, kernel: "tcpi_bytes_received",
    "Received (RFC 4898 tcpEStatsAppHCThruOctetsReceived).")
  v.field(
    "tcp_info_segs_out", 1243, .u32, at: 136, .segments, kernel: "tcpi_segs_out",
    "Sent, retransmits included (RFC 4898 tcpEStatsPerfSegsOut).")
  v.field(
    "tcp_info_segs_in", 1244, .u32, at: 140, .segments, kernel: "tcpi_segs_in",
    "Received (RFC 4898 tcpEStatsPerfSegsIn).")
  v.field(
    "tcp_info_not_sent_bytes", 1245, .u32, at: 144, .bytes, kernel: "tcpi_notsent_bytes",
    "Written and not yet sent.")
  v.field(
    "tcp_info_min_rtt", 1246, .u32, at: 148, .microseconds, kernel: "tcpi_min_rtt",
    "Smallest round trip time; 4294967295 when none was measured.")
  v.field(
    "tcp_info_data_segs_in", 1247, .u32, at: 152, .segments, kernel: "tcpi_data_segs_in",
    "Received with data (RFC 4898 tcpEStatsDataSegsIn).")
  v.field(
    "tcp_info_data_segs_out", 1248, .u32, at: 156, .segments, kernel: "tcpi_data_segs_out",
    "Sent with data (RFC 4898 tcpEStatsDataSegsOut).")
  v.field(
    "tcp_info_delivery_rate", 1249, .u64, at: 160, .bytesPerSecond, kernel: "tcpi_delivery_rate",
    "Rate at which data was delivered most recently.")
  v.field("tcp_info_busy_time", 1250, .u64, at: 168, .microseconds, kernel: "tcpi_busy_time", "Time busy sending.")
  v.field(
    "tcp_info_rwnd_limited", 1251, .u64, at: 176, .microseconds, kernel: "tcpi_rwnd_limited",
    "Time limited by the peer's window.")
  v.field(
    "tcp_info_sndbuf_limited", 1252, .u64, at: 184, .microseconds, kernel: "tcpi_sndbuf_limited",
    "Time limited by the send buffer.")
  v.field(
    "tcp_info_delivered", 1253, .u32, at: 192, .packets, kernel: "tcpi_delivered",
    "Delivered, retransmits included (Linux 4.18).")
  v.field(
    "tcp_info_delivered_ce", 1254, .u32, at: 196, .packets, kernel: "tcpi_delivered_ce",
    "Delivered with a congestion mark (Linux 4.18).")
  v.field(
    "tcp_info_bytes_sent", 1255, .u64, at: 200, .bytes, kernel: "tcpi_bytes_sent",
    "Sent, retransmits included (RFC 4898 tcpEStatsPerfHCDataOctetsOut, Linux 4.19).")
  v.field(
    "tcp_info_bytes_retrans", 1256, .u64, at: 208, .bytes, kernel: "tcpi_bytes_retrans",
    "Retransmitted (RFC 4898 tcpEStatsPerfOctetsRetrans, Linux 4.19).")
  v.field(
    "tcp_info_dsack_dups", 1257, .u32, at: 216, .count, kernel: "tcpi_dsack_dups",
    "Duplicates the peer reported (RFC 4898 tcpEStatsStackDSACKDups, Linux 4.19).")
  v.field(
    "tcp_info_reord_seen", 1258, .u32, at: 220, .count, kernel: "tcpi_reord_seen",
    "Reordering events seen (Linux 4.19).")
  v.field(
    "tcp_info_rcv_ooopack", 1259, .u32, at: 224, .packets, kernel: "tcpi_rcv_ooopack",
    "Received out of order (Linux 5.4).")
  v.field(
    "tcp_info_snd_wnd", 1260, .u32, at: 228, .bytes, kernel: "tcpi_snd_wnd",
    "Window advertised by the peer, scaled (Linux 5.4).")
  v.field(
    "tcp_info_rcv_wnd", 1261, .u32, at: 232, .bytes, kernel: "tcpi_rcv_wnd",
    "Window advertised to the peer, scaled (Linux 6.2).")
  v.field(
    "tcp_info_rehash", 1262, .u32, at: 236, .count, kernel: "tcpi_rehash",
    "Changes of the transmit hash (PLB or timeout, Linux 6.2).")
  v.field(
    "tcp_info_total_rto", 1263, .u16, at: 240, .count, kernel: "tcpi_total_rto",
    "Retransmission timeouts of the whole connection (Linux 6.7).")
  v.field(
    "tcp_info_total_rto_recoveries", 1264, .u16, at: 242, .count, kernel: "tcpi_total_rto_recoveries",
    "Recoveries after retransmission timeouts (Linux 6.7).")
  v.field(
    "tcp_info_total_rto_time", 1265, .u32, at: 244, .milliseconds, kernel: "tcpi_total_rto_time",
    "Time spent in those recoveries (Linux 6.7).")
  v.field(
    "tcp_info_received_ce", 3100, .u32, at: 248, .segments, kernel: "tcpi_received_ce",
    "Received with a congestion mark (AccECN, RFC 9768, Linux 6.18).")
  v.field(
    "tcp_info_delivered_e1_bytes", 3101, .u32, at: 252, .bytes, kernel: "tcpi_delivered_e1_bytes",
    "Delivered with ECT(1) (AccECN, Linux 6.18).")
  v.field(
    "tcp_info_delivered_e0_bytes", 3102, .u32, at: 256, .bytes, kernel: "tcpi_delivered_e0_bytes",
    "Delivered with ECT(0) (AccECN, Linux 6.18).")
  v.field(
    "tcp_info_delivered_ce_bytes", 3103, .u32, at: 260, .bytes, kernel: "tcpi_delivered_ce_bytes",
    "Delivered with a congestion mark (AccECN, Linux 6.18).")
  v.field(
    "tcp_info_received_e1_bytes", 3104, .u32, at: 264, .bytes, kernel: "tcpi_received_e1_bytes",
    "Received with ECT(1) (AccECN, Linux 6.18).")
  v.field(
    "tcp_info_received_e0_bytes", 3105, .u32, at: 268, .bytes, kernel: "tcpi_received_e0_bytes",
    "Received with ECT(0) (AccECN, Linux 6.18).")
  v.field(
    "tcp_info_received_ce_bytes", 3106, .u32, at: 272, .bytes, kernel: "tcpi_received_ce_bytes",
    "Received with a congestion mark (AccECN, Linux 6.18).")
  v.field(
    "tcp_info_accecn_fail_mode", 3107, .ecnFailMode, at: 276, .flags, kernel: "tcpi_accecn_fail_mode",
    "What failed: 1 sending ACE, 2 receiving ACE, 4 sending the option, 8 receiving the option (Linux 6.18).")
  v.field(
    "tcp_info_accecn_opt_seen", 3108, .ecnOptionSeen, at: 276, .none, kernel: "tcpi_accecn_opt_seen",
    "The peer's AccECN option: 0 not seen, 1 seen empty, 2 seen with counters, 3 failed (Linux 6.18).")
  v.field(
    "tcp_info_ecn_mode", 3109, .ecnMode, at: 276, .none, kernel: "tcpi_ecn_mode",
    "Negotiated ECN: 0 disabled, 1 RFC 3168, 2 AccECN, 3 pending (Linux 7.0).")
  v.field(
    "tcp_info_options2", 3110, .ecnOptions2, at: 276, .flags, kernel: "tcpi_options2",
    "Options beyond the eight of tcp_info_options (Linux 7.0).")
}
