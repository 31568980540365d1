// The one list of fields. Decoder, every format, the .proto, the ClickHouse tables and docs/fields.md are made from it: a new
// field of the kernel is one line here.

/// Tells `v` every field, grouped by where it comes from, in the order in which formats print them.
@inline(__always)
func describeRecord<V: RecordVisitor>(_ v: inout V) {
  describeDump(&v)
  describeRow(&v)
  describeMessage(&v)
  describeInfo(&v)
  describeCongestion(&v)
  describeSocketMemory(&v)
  describeMemory(&v)
  describeTypeOfService(&v)
  describeTrafficClass(&v)
  describeShutdown(&v)
  describeVegas(&v)
  describeDctcp(&v)
  describeBbr(&v)
  describeClassID(&v)
  describeSocketOptions(&v)
  describeControlGroup(&v)
  describeMark(&v)
  describeV6only(&v)
  describeUpperLayerProtocol(&v)
  describeUnfilled(&v)
}

/// What is the same for all rows of one dump: the host, the pipeline, the namespace, the poll. Offsets are those of `DumpBlock`.
@inline(__always)
func describeDump<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.dump) else { return }
  v.field(
    "schema_version", 1, .u32, at: 0, .none, kernel: "",
    "Version of this schema; grows when the meaning of a column changes.")
  v.field("daemon_version", 2, .text, at: 40, .none, kernel: "", "Version of the program that made the row.")
  v.field("hostname", 20, .text, at: 56, .none, kernel: "", "Name of the host (UTS name of PID 1 unless configured).")
  v.field("location", 21, .text, at: 72, .none, kernel: "", "Where the host stands, from the configuration.")
  v.field(
    "netns", 30, .text, at: 88, .none, kernel: "",
    "Name of the network namespace: `host`, the name of its mount, or `net:[inode]`.")
  v.field(
    "netns_inode", 31, .u64, at: 8, .none, kernel: "",
    "Inode number of the network namespace; the kernel reuses these at once, see netns_cookie.")
  v.field("label", 50, .text, at: 104, .none, kernel: "", "Free text from the configuration.")
  v.field("tag", 51, .text, at: 120, .none, kernel: "", "Free text from the configuration.")
  v.field("pipeline", 3000, .text, at: 136, .none, kernel: "", "Name of the pipeline that read the socket.")
  v.field(
    "netns_cookie", 3001, .u64, at: 16, .none, kernel: "SO_NETNS_COOKIE",
    "Identity of the network namespace; unique until the host reboots (Linux 5.14 and later).")
  v.field(
    "boot_id", 3002, .text, at: 152, .none, kernel: "",
    "/proc/sys/kernel/random/boot_id: changes with every boot.")
  v.field("machine_id", 3003, .text, at: 168, .none, kernel: "", "/etc/machine-id: stays with the installation.")
  v.field(
    "poll_sequence", 3004, .u64, at: 24, .count, kernel: "",
    "Number of the poll of this pipeline since the program started; part of a row's key.")
  v.field(
    "poll_start_ns", 3005, .i64, at: 32, .nanoseconds, kernel: "",
    "Wall clock at the start of the poll, since 1970-01-01 UTC; the same in all rows of a poll.")
  v.field(
    "sample_every", 3006, .u32, at: 4, .count, kernel: "",
    "N of the sampling: the row stands for N sockets. 1: every socket was kept.")
  v.field(
    "kernel_release", 3009, .text, at: 184, .none, kernel: "",
    "Release of the kernel (`uname -r`), which decides the layout of the last bytes of tcp_info.")
}

/// What xtcpd says about each row. Offsets are those of `RowBlock`.
@inline(__always)
func describeRow<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.row) else { return }
  v.field(
    "timestamp_ns", 10, .i64, at: 0, .nanoseconds, kernel: "",
    "Wall clock at which the kernel filled the datagram with this socket, since 1970-01-01 UTC: the end of the receive before it."
  )
  v.field(
    "record_counter", 60, .u64, at: 8, .count, kernel: "",
    "1, 2, 3 ... for the rows of one encoder since the program started; a gap is a lost row.")
  v.field(
    "attributes", 3007, .u32, at: 16, .flags, kernel: "INET_DIAG_*",
    "Which kernel attributes the row holds: bit N is attribute number N of inet_diag.h. Tells absent from zero.")
  v.field(
    "tcp_info_length", 3008, .u32, at: 20, .bytes, kernel: "",
    "How many bytes of tcp_info the kernel gave; fields beyond are absent. Absent where there was no tcp_info.")
}

/// `struct inet_diag_msg` (include/uapi/linux/inet_diag.h), filled by inet_diag_msg_common_fill and inet_sk_diag_fill in net/ipv4/inet_diag.c.
@inline(__always)
func describeMessage<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.message) else { return }
  v.field(
    "inet_diag_msg_family", 1001, .u8, at: 0, .none, kernel: "idiag_family",
    "Address family: 2 is AF_INET, 10 is AF_INET6.")
  v.field(
    "inet_diag_msg_state", 1002, .state, at: 1, .none, kernel: "idiag_state",
    "State of the connection (include/net/tcp_states.h).")
  v.field(
    "inet_diag_msg_timer", 1003, .u8, at: 2, .none, kernel: "idiag_timer",
    "Running timer: 0 none, 1 retransmit, 2 keepalive or SYNACK, 3 TIME_WAIT, 4 zero window probe.")
  v.field(
    "inet_diag_msg_retrans", 1004, .u8, at: 3, .count, kernel: "idiag_retrans",
    "Retransmits, probes or keepalives of the running timer.")
  v.field("inet_diag_msg_socket_source_port", 1005, .port, at: 4, .none, kernel: "idiag_sport", "Local port.")
  v.field(
    "inet_diag_msg_socket_destination_port", 1006, .port, at: 6, .none, kernel: "idiag_dport",
    "Port of the peer.")
  v.field(
    "inet_diag_msg_socket_source", 1007, .address, at: 8, .none, kernel: "idiag_src",
    "Local address: 4 or 16 bytes, network byte order; text in text formats.")
  v.field(
    "inet_diag_msg_socket_destination", 1008, .address, at: 24, .none, kernel: "idiag_dst",
    "Address of the peer, like the local one.")
  v.field(
    "inet_diag_msg_socket_interface", 1009, .u32, at: 40, .none, kernel: "idiag_if",
    "Interface index the socket is bound to, 0 for none.")
  v.field(
    "inet_diag_msg_socket_cookie", 1010, .u64, at: 44, .none, kernel: "idiag_cookie",
    "The socket's cookie: names it until the host reboots.")
  v.field(
    "inet_diag_msg_expires", 1013, .u32, at: 52, .milliseconds, kernel: "idiag_expires",
    "Time until the running timer expires.")
  v.field(
    "inet_diag_msg_rqueue", 1014, .u32, at: 56, .bytes, kernel: "idiag_rqueue",
    "Received and not yet read; for a listener connections waiting to be accepted.")
  v.field(
    "inet_diag_msg_wqueue", 1015, .u32, at: 60, .bytes, kernel: "idiag_wqueue",
    "Written and not yet acknowledged; for a listener its backlog limit.")
  v.field(
    "inet_diag_msg_uid", 1016, .u32, at: 64, .none, kernel: "idiag_uid",
    "User that owns the socket, as seen from the reader's user namespace.")
  v.field(
    "inet_diag_msg_inode", 1017, .u32, at: 68, .none, kernel: "idiag_inode",
    "Inode of the socket, as in /proc/PID/fd; 0 when no process holds it.")
}

/// `struct inet_diag_meminfo`, filled by inet_sk_diag_fill. Says the same as four fields of sk_mem_info.
@inline(__always)
func describeMemory<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.memory) else { return }
  v.field("mem_info_rmem", 1101, .u32, at: 0, .bytes, kernel: "idiag_rmem", "Memory of received data (sk_rmem_alloc).")
  v.field(
    "mem_info_wmem", 1102, .u32, at: 4, .bytes, kernel: "idiag_wmem",
    "Memory of queued data to send (sk_wmem_queued).")
  v.field(
    "mem_info_fmem", 1103, .u32, at: 8, .bytes, kernel: "idiag_fmem",
    "Memory reserved for later use (sk_forward_alloc).")
  v.field(
    "mem_info_tmem", 1104, .u32, at: 12, .bytes, kernel: "idiag_tmem",
    "Memory of data handed to the lower layers (sk_wmem_alloc).")
}
