/// An output format of a sink; the raw values are the spellings of the configuration file.
///
/// What a batch looks like in each format is the business of the record encoder; this is only the choice.
public enum FormatName: String, CaseIterable, Sendable {
  /// A varint length followed by one `Envelope` message holding the rows of the batch.
  case protobufList = "protobuf_list"
  /// Each row as a length-delimited message.
  case protobuf
  /// One JSON object a line, keys as the columns are named.
  case jsonl
  /// Canonical proto3 JSON, one `Envelope` a line.
  case protoJSON = "proto_json"
  /// Protobuf text format.
  case protoText = "proto_text"
  /// Comma-separated values, RFC 4180.
  case csv
  /// Tab-separated values.
  case tsv
  /// One MessagePack map a row.
  case msgpack
  /// Files with columns, of many rows each; for sinks that write files or objects.
  case parquet

  /// Whether `columns` can select and order what is written.
  public var hasColumns: Bool { self == .csv || self == .tsv || self == .parquet }

  /// The formats in which any number of rows can follow one another.
  public static let streams = allCases.filter { $0 != .parquet }
}

/// A group of kernel attributes that a pipeline can ask for; the names follow `INET_DIAG_*` (linux/inet_diag.h).
public enum AttributeName: String, CaseIterable, Sendable {
  /// `INET_DIAG_INFO`: struct tcp_info.
  case info
  /// `INET_DIAG_CONG`: the name of the congestion control algorithm.
  case cong
  /// `INET_DIAG_SKMEMINFO`: socket memory as the `SK_MEMINFO_*` counters.
  case skmem
  /// `INET_DIAG_MEMINFO`: struct inet_diag_meminfo, an older and smaller view of `skmem`.
  case meminfo
  /// `INET_DIAG_VEGASINFO`: struct tcpvegas_info.
  case vegas
  /// `INET_DIAG_DCTCPINFO`: struct tcp_dctcp_info.
  case dctcp
  /// `INET_DIAG_BBRINFO`: struct tcp_bbr_info.
  case bbr
  /// `INET_DIAG_TOS`: the IPv4 type of service.
  case tos
  /// `INET_DIAG_TCLASS`: the IPv6 traffic class.
  case tclass
  /// `INET_DIAG_SHUTDOWN`: which directions are shut down.
  case shutdown
  /// `INET_DIAG_CLASS_ID`: the net_cls class or the priority of the socket.
  case classID = "class_id"
  /// `INET_DIAG_CGROUP_ID`: the id of the socket's version 2 control group.
  case cgroup
  /// `INET_DIAG_SOCKOPT`: struct inet_diag_sockopt.
  case sockopt
  /// `INET_DIAG_MARK`: the firewall mark; the kernel tells it only to CAP_NET_ADMIN.
  case mark
  /// `INET_DIAG_SKV6ONLY`: whether an IPv6 listener refuses IPv4.
  case v6only
  /// `INET_DIAG_ULP_INFO`: the upper layer protocol, such as tls or mptcp.
  case ulp

  /// What `attributes: default` asks for: all but `meminfo`, which repeats `skmem`.
  public static let defaultSelection: Set<AttributeName> = Set(allCases).subtracting([.meminfo])
}

/// A state of a TCP socket; the raw values are the kernel's `TCP_*` names (net/tcp_states.h) in lower case.
public enum StateName: String, CaseIterable, Sendable {
  case established
  case synSent = "syn_sent"
  case synRecv = "syn_recv"
  case finWait1 = "fin_wait1"
  case finWait2 = "fin_wait2"
  case timeWait = "time_wait"
  case close
  case closeWait = "close_wait"
  case lastAck = "last_ack"
  case listen
  case closing
}

/// How a pipeline reaches the kernel.
public enum ReaderMode: String, CaseIterable, Sendable {
  /// io_uring where the kernel permits it, else plain system calls.
  case auto
  /// io_uring or nothing: if the kernel forbids rings the pipeline does not start.
  case ioUring = "io_uring"
  /// epoll and plain system calls.
  case syscall
}

/// What a reader may do in place of walking all tables of the kernel.
public enum ReaderShortcut: String, CaseIterable, Sendable {
  /// Ask for nothing where sockstat says that nothing is in use.
  case empty
  /// Walk the table of listeners alone where they are all that is in use.
  case listeners
  /// Ask for the connections that are known from the last walk, one by one, where they and listeners are all that is in use.
  case known
  /// Have the kernel leave out what the filter drops.
  case filter
}

/// Where in time the polls of a pipeline lie.
public enum Alignment: String, CaseIterable, Sendable {
  /// At a constant offset made from host and pipeline name, so that a fleet does not poll at one instant.
  case spread
  /// At multiples of the interval on the wall clock.
  case wallclock
  /// The first poll at start, the next ones an interval apart.
  case none
}

/// The least important message that is still logged.
public enum LogLevel: String, CaseIterable, Sendable {
  case trace, debug, info, notice, warning, error
}

/// How log lines are written.
public enum LogFormat: String, CaseIterable, Sendable {
  /// For people: time, level, message, fields.
  case text
  /// For collectors: one JSON object a line.
  case json
}

/// What becomes of a batch for whose queue there is no room.
public enum WhenFull: String, CaseIterable, Sendable {
  /// The dump waits.
  case block
  case dropNewest = "drop_newest"
  case dropOldest = "drop_oldest"
  /// What has no room in memory goes to disk.
  case spill
}

/// What to start with when the configuration is invalid.
public enum BootFallback: String, CaseIterable, Sendable {
  /// Not at all.
  case none
  /// The last one that was taken over.
  case lastGood = "last_good"
}
