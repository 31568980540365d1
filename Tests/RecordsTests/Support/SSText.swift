import Foundation

/// One socket in the output of `ss -tinmoe`.
struct SSSocket {
  var state: String
  var receiveQueue: String
  var sendQueue: String
  var local: String
  var peer: String
  /// `key:value` words, and words alone with an empty value.
  var values: [(key: String, value: String)]

  var cookie: UInt64? { values.first { $0.key == "sk" }.flatMap { UInt64($0.value, radix: 16) } }

  /// Parses the text of ss: a line for each socket and an indented one with its details.
  static func parse(_ text: String) -> [SSSocket] {
    var sockets: [SSSocket] = []
    for line in text.split(separator: "\n").dropFirst() {
      var words = line.split(whereSeparator: \.isWhitespace).map(String.init)
      if line.first?.isWhitespace == false, words.count >= 5 {
        sockets.append(
          SSSocket(
            state: words[0], receiveQueue: words[1], sendQueue: words[2], local: words[3], peer: words[4], values: []))
        words.removeFirst(5)
      }
      guard !sockets.isEmpty else { continue }
      sockets[sockets.count - 1].values += pairs(words)
    }
    return sockets
  }

  /// `send`, `pacing_rate` and `delivery_rate` have their value in the next word.
  private static func pairs(_ words: [String]) -> [(key: String, value: String)] {
    var pairs: [(key: String, value: String)] = []
    var index = 0
    while index < words.count {
      let word = words[index]
      if ["send", "pacing_rate", "delivery_rate"].contains(word), index + 1 < words.count {
        pairs.append((word, words[index + 1]))
        index += 1
      } else if let colon = word.firstIndex(of: ":") {
        pairs.append((String(word[..<colon]), String(word[word.index(after: colon)...])))
      } else {
        pairs.append((word, ""))
      }
      index += 1
    }
    return pairs
  }
}

/// Compares a row with what ss said about the same socket. Knows every word that ss prints in the captures; a word it does
/// not know is a mismatch.
struct SSComparison {
  var row: JSONRow
  var mismatches: [String] = []
  var compared = 0

  mutating func compare(_ socket: SSSocket) {
    expect("state", Self.states[socket.state] ?? socket.state, row.text("inet_diag_msg_state"))
    expect("Recv-Q", socket.receiveQueue, row.number("inet_diag_msg_rqueue"))
    expect("Send-Q", socket.sendQueue, row.number("inet_diag_msg_wqueue"))
    expect("local", socket.local, endpoint("source"))
    expect("peer", socket.peer, endpoint("destination"))
    if !socket.values.contains(where: { $0.key == "uid" }) { expect("uid", "0", row.number("inet_diag_msg_uid")) }
    for (key, value) in socket.values { compare(key, value) }
  }

  private static let states = [
    "ESTAB": "ESTABLISHED", "LISTEN": "LISTEN", "TIME-WAIT": "TIME_WAIT", "SYN-SENT": "SYN_SENT",
    "SYN-RECV": "SYN_RECV", "FIN-WAIT-1": "FIN_WAIT1", "FIN-WAIT-2": "FIN_WAIT2", "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK", "CLOSING": "CLOSING", "UNCONN": "CLOSE",
  ]

  private func endpoint(_ side: String) -> String {
    let address = row.text("inet_diag_msg_socket_\(side)") ?? "?"
    let port = row.number("inet_diag_msg_socket_\(side)_port") ?? 0
    // ss prints an IPv6 wildcard that takes IPv4 too as an asterisk.
    let isWildcard = address == "::" && row.number("v6only") == 0
    let shown = isWildcard ? "*" : address.contains(":") ? "[\(address)]" : address
    return shown + ":" + (port == 0 ? "*" : "\(port)")
  }

  private mutating func expect(_ key: String, _ stated: String, _ ours: (some CustomStringConvertible)?) {
    compared += 1
    if stated != ours?.description { mismatches.append("\(key): ss \(stated), row \(ours?.description ?? "absent")") }
  }

  /// ss prints `%g`: six significant digits.
  private mutating func expect(_ key: String, _ stated: String, about ours: Double?) {
    compared += 1
    guard let stated = Double(stated), let ours, abs(stated - ours) <= max(stated, ours) * 1e-5 else {
      mismatches.append("\(key): ss \(stated), row \(ours.map(String.init(describing:)) ?? "absent")")
      return
    }
  }

  private func info(_ name: String) -> UInt64? { row.number("tcp_info_\(name)") }
  private func scaled(_ name: String, _ factor: Double) -> Double? { info(name).map { Double($0) * factor } }

  /// Words whose value is a field of the row, as it is.
  private static let plain: [String: String] = [
    "mss": "snd_mss", "pmtu": "pmtu", "rcvmss": "rcv_mss", "advmss": "adv_mss", "cwnd": "snd_cwnd",
    "ssthresh": "snd_ssthresh", "bytes_sent": "bytes_sent", "bytes_retrans": "bytes_retrans",
    "bytes_acked": "bytes_acked", "bytes_received": "bytes_received", "segs_out": "segs_out", "segs_in": "segs_in",
    "data_segs_out": "data_segs_out", "data_segs_in": "data_segs_in", "lastsnd": "last_data_sent",
    "lastrcv": "last_data_recv", "lastack": "last_ack_recv", "delivered": "delivered", "delivered_ce": "delivered_ce",
    "unacked": "unacked", "lost": "lost", "sacked": "sacked", "fackets": "fackets", "reordering": "reordering",
    "reord_seen": "reord_seen", "dsack_dups": "dsack_dups", "rcv_space": "rcv_space", "rcv_ssthresh": "rcv_ssthresh",
    "notsent": "not_sent_bytes", "rcv_ooopack": "rcv_ooopack", "snd_wnd": "snd_wnd", "rcv_wnd": "rcv_wnd",
    "rehash": "rehash", "backoff": "backoff",
  ]

  /// Words without a value, by the bit of tcpi_options.
  private static let options: [String: UInt64] = ["ts": 1, "sack": 2, "ecn": 8, "ecnseen": 16, "fastopen": 32]

  private mutating func compare(_ key: String, _ value: String) {
    if let name = Self.plain[key] { return expect(key, value, info(name)) }
    if let bit = Self.options[key], value.isEmpty { return expect(key, "1", (info("options") ?? 0) & bit == 0 ? 0 : 1) }
    switch key {
    case "users", "cgroup", "<->": break  // not from sock_diag's values: process list, path, direction
    case "uid": expect(key, value, row.number("inet_diag_msg_uid"))
    case "ino": expect(key, value, row.number("inet_diag_msg_inode"))
    case "sk": expect(key, value, row.number("inet_diag_msg_socket_cookie").map { String($0, radix: 16) })
    case "tos": expect(key, value, row.number("type_of_service").map { "0x" + String($0, radix: 16) }.map(Self.zero))
    case "tclass": expect(key, value, row.number("traffic_class").map { "0x" + String($0, radix: 16) }.map(Self.zero))
    case "class_id": expect(key, value, row.number("class_id").map { "0x" + String($0, radix: 16) }.map(Self.zero))
    case "v6only": expect(key, value, row.number("v6only"))
    case "timer": compareTimer(value)
    case "skmem": compareMemory(value)
    case "wscale": expect(key, value, pair("send_scale", "rcv_scale", ","))
    case "rto": expect(key, value, about: scaled("rto", 1e-3))
    case "ato": expect(key, value, about: scaled("ato", 1e-3))
    case "rtt":
      let parts = value.split(separator: "/").map(String.init)
      expect(key, parts[0], about: scaled("rtt", 1e-3))
      expect("rttvar", parts[1], about: scaled("rtt_var", 1e-3))
    case "minrtt": expect(key, value, about: scaled("min_rtt", 1e-3))
    case "rcv_rtt": expect(key, value, about: scaled("rcv_rtt", 1e-3))
    case "retrans": expect(key, value, pair("retrans", "total_retrans", "/"))
    case "busy", "rwnd_limited", "sndbuf_limited": compareTime(key, value)
    case "pacing_rate": compareRates(value)
    case "delivery_rate": expect(key, Self.bits(value), about: scaled("delivery_rate", 8))
    case "send": compareSend(value)
    case "app_limited": expect(key, "1", info("delivery_rate_app_limited"))
    case "bbr": compareBBR(value)
    case "cubic", "reno", "vegas", "dctcp", "bbr1":
      expect("cong", key, row.text("congestion_algorithm_string"))
    default: mismatches.append("ss says \(key):\(value), which nothing is known about")
    }
  }

  private static func zero(_ hexadecimal: String) -> String { hexadecimal == "0x0" ? "0" : hexadecimal }
  private static func bits(_ value: String) -> String { value.replacingOccurrences(of: "bps", with: "") }

  private func pair(_ first: String, _ second: String, _ separator: String) -> String? {
    guard let first = info(first), let second = info(second) else { return nil }
    return "\(first)\(separator)\(second)"
  }

  /// `(keepalive,6.895ms,0)`: name, 6 s and 895 ms, retransmits.
  private mutating func compareTimer(_ value: String) {
    let parts = value.dropFirst().dropLast().split(separator: ",").map(String.init)
    let names = ["off", "on", "keepalive", "timewait", "persist"]
    expect("timer", parts[0], row.number("inet_diag_msg_timer").map { names[Int($0)] })
    expect("timer retrans", parts[parts.count - 1], row.number("inet_diag_msg_retrans"))
    expect("timer expires", parts[1], row.number("inet_diag_msg_expires").map(Self.timerText))
  }

  /// As `print_ms_timer` of ss: the longer, the coarser.
  private static func timerText(_ milliseconds: UInt64) -> String {
    let minutes = milliseconds / 60_000
    let seconds = minutes > 9 ? 0 : milliseconds / 1000 % 60
    let rest = minutes > 0 || seconds > 9 ? 0 : milliseconds % 1000
    var text = minutes > 0 ? "\(minutes)min" : ""
    if seconds > 0 { text += "\(seconds)" + (rest > 0 ? "." : "sec") }
    if rest > 0 { text += String(format: "%03dms", Int(rest)) }
    return text.isEmpty ? "0" : text
  }

  /// `(r0,rb1000000,t0,tb2626560,f4096,w0,o0,bl0,d0)`
  private mutating func compareMemory(_ value: String) {
    let names = [
      "r": "rmem_alloc", "rb": "rcv_buf", "t": "wmem_alloc", "tb": "snd_buf", "f": "fwd_alloc", "w": "wmem_queued",
      "o": "optmem", "bl": "backlog", "d": "drops",
    ]
    for part in value.dropFirst().dropLast().split(separator: ",") {
      let letters = part.prefix { $0.isLetter }
      expect(
        "skmem \(letters)", String(part.dropFirst(letters.count)),
        row.number("sk_mem_info_\(names[String(letters)] ?? "?")"))
    }
  }

  /// `busy:3ms`, `rwnd_limited:12ms(4.5%)`
  private mutating func compareTime(_ key: String, _ value: String) {
    let names = ["busy": "busy_time", "rwnd_limited": "rwnd_limited", "sndbuf_limited": "sndbuf_limited"]
    expect(key, String(value.prefix { $0.isNumber }), info(names[key] ?? "?").map { $0 / 1000 })
  }

  /// `84904939264bps`, `84904939264bps/1000bps`
  private mutating func compareRates(_ value: String) {
    let parts = value.split(separator: "/").map { Self.bits(String($0)) }
    expect("pacing_rate", parts[0], about: scaled("pacing_rate", 8))
    if parts.count > 1 { expect("max_pacing_rate", parts[1], about: scaled("max_pacing_rate", 8)) }
  }

  private mutating func compareSend(_ value: String) {
    guard let rtt = info("rtt"), let mss = info("snd_mss"), let window = info("snd_cwnd"), rtt > 0 else {
      return mismatches.append("send: row has no rtt")
    }
    expect("send", Self.bits(value), about: Double(mss * window) * 8e6 / Double(rtt))
  }

  /// `(bw:13107187496bps,mrtt:0.02,pacing_gain:2.88672,cwnd_gain:2.88672)`, or the algorithm's name alone
  private mutating func compareBBR(_ value: String) {
    if value.isEmpty { return expect("cong", "bbr", row.text("congestion_algorithm_string")) }
    for part in value.dropFirst().dropLast().split(separator: ",") {
      let words = part.split(separator: ":").map(String.init)
      func bbr(_ name: String) -> Double? { row.number("bbr_info_\(name)").map { Double($0) } }
      switch words[0] {
      case "bw":
        let bandwidth = bbr("bw_hi").flatMap { high in bbr("bw_lo").map { high * 4_294_967_296 + $0 } }
        expect("bw", Self.bits(words[1]), about: bandwidth.map { $0 * 8 })
      case "mrtt": expect("mrtt", words[1], about: bbr("min_rtt").map { $0 / 1000 })
      default: expect(words[0], words[1], about: bbr(words[0]).map { $0 / 256 })
      }
    }
  }
}
