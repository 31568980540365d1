"""What `ss` prints, as tokens: a parser of its text, and a renderer that says what ss would print for one record.

Both sides are dictionaries from a token's name to its text, so comparing them compares every value that ss prints.
The renderer follows inet_show_sock() and tcp_show_info() of iproute2's misc/ss.c (6.1), units and omissions included:
a zero is mostly not printed, times are in ms with %g, rates in bit/s. Text that ss prints but a record does not carry
is listed in NOT_IN_RECORDS, what only newer versions of ss print in PRINTED_BY_SOME.
"""
import ipaddress
import re

OPTIONS = ["-tanHieOmo", "--tos", "--inet-sockopt"]

STATES = {
    "ESTABLISHED": "ESTAB", "SYN_SENT": "SYN-SENT", "SYN_RECV": "SYN-RECV", "FIN_WAIT1": "FIN-WAIT-1",
    "FIN_WAIT2": "FIN-WAIT-2", "TIME_WAIT": "TIME-WAIT", "CLOSE": "UNCONN", "CLOSE_WAIT": "CLOSE-WAIT",
    "LAST_ACK": "LAST-ACK", "LISTEN": "LISTEN", "CLOSING": "CLOSING", "NEW_SYN_RECV": "SYN-RECV",
}
TIMERS = ["off", "on", "keepalive", "timewait", "persist", "unknown"]
FLAGS = {"ts", "sack", "ecn", "ecnseen", "fastopen", "app_limited"}
# Processes are not sock_diag's; MPTCP's own numbers hang on the ULP attribute, of which a record has the name.
NOT_IN_RECORDS = {"users", "flags", "token", "seq", "sfseq", "ssnoff", "maplen"}

# A record can tell these; ss 6.1 does not print them yet, so their absence from its text says nothing.
PRINTED_BY_SOME = {"rcv_wnd", "rehash", "tos", "tclass", "class_id", "inet-sockopt", "fwmark"}

PARENTHESISED = re.compile(r"(\S*?): ?(\((?:[^()]|\([^()]*\))*\)+)")
SOCKOPTS = ["recverr", "is_icsk", "freebind", "hdrincl", "mc_loop", "transparent", "mc_all", "nodefrag",
            "bind_addr_no_port", "recverr_rfc4884", "defer_connect"]


class Unparsed(ValueError):
    """A piece of ss text that this parser does not know: the comparison would silently leave it out."""


def parse(text):
    """{cookie: tokens} of the output of ss, one-line (-O) or two-line form, with or without a header."""
    sockets = {}
    for line in join_lines(text):
        tokens = parse_line(line)
        if tokens["cookie"] in sockets:
            raise Unparsed(f"cookie {tokens['cookie']:x} twice in one output of ss")
        sockets[tokens["cookie"]] = tokens
    return sockets


def join_lines(text):
    joined = []
    for line in text.splitlines():
        if line.startswith(("\t", " ")) and joined:
            joined[-1] += " " + line.strip()
        elif line.strip() and not line.startswith("State "):
            joined.append(line.strip())
    return joined


def parse_line(line):
    state, receive_queue, send_queue, local, peer, rest = (line.split(None, 5) + [""])[:6]
    if state not in STATES.values():
        raise Unparsed(f"state {state!r} in {line!r}")
    tokens = {"state": state, "recv-q": receive_queue, "send-q": send_queue, "local": local, "peer": peer}

    def take_parenthesised(match):
        tokens[match.group(1)] = match.group(2)
        return " "

    words = PARENTHESISED.sub(take_parenthesised, rest).split()
    while words:
        take_word(words, tokens)
    if "rwnd_limited" in rest or "sndbuf_limited" in rest:
        split_percentages(tokens, rest)
    tokens["cookie"] = int(tokens.pop("sk"), 16)
    return tokens


def take_word(words, tokens):
    word = words.pop(0)
    if word in ("send", "pacing_rate", "delivery_rate"):
        tokens[word] = words.pop(0)
    elif word[0] in "<-" and re.fullmatch(r"[<-]-[>-]", word):
        tokens["shutdown"] = word
    elif word in FLAGS:
        tokens[word] = ""
    elif word.startswith("tcp-ulp-"):
        tokens["ulp"] = word.removeprefix("tcp-ulp-")
    elif ":" in word:
        name, value = word.split(":", 1)
        if tokens.get(name, value) != value:  # with --cgroup, -e prints the cgroup a second time
            raise Unparsed(f"two values of {name}")
        tokens[name] = value
    elif "congestion" not in tokens and re.fullmatch(r"[a-z0-9_]+", word):
        tokens["congestion"] = word
    else:
        raise Unparsed(f"word {word!r}")


def split_percentages(tokens, rest):
    """`rwnd_limited:416ms(13.8%)` looks parenthesised to the pattern above; read it again as it is."""
    for name in [name for name in tokens if name.startswith(("rwnd_limited", "sndbuf_limited"))]:
        del tokens[name]
    for name in ("rwnd_limited", "sndbuf_limited"):
        found = re.search(name + r":(\d+ms\([0-9.]+%\))", rest)
        if found:
            tokens[name] = found.group(1)


# --- the other direction: a record as ss would print it ---


def number(value):
    """C's %g."""
    return "%g" % value


def rate(bits_per_second):
    """sprint_bw() with -n."""
    return "%.0fbps" % bits_per_second


def timer_text(milliseconds):
    """print_ms_timer()."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    text = ""
    if minutes:
        rest = 0
        text = f"{minutes}min"
        if minutes > 9:
            seconds = 0
    if seconds:
        if seconds > 9:
            rest = 0
        text += f"{seconds}." if rest else f"{seconds}sec"
    return text + (f"{rest:03d}ms" if rest else "")


def timer_range(text):
    """The milliseconds [low, high) that print_ms_timer() may have printed as `text`."""
    match = re.fullmatch(r"(?:(\d+)min)?(?:(\d+)(?:sec|\.))?(?:(\d+)ms)?", text)
    if not match:
        raise Unparsed(f"timer {text!r}")
    minutes, seconds, rest = (int(part) if part else 0 for part in match.groups())
    low = minutes * 60000 + seconds * 1000 + rest
    if minutes > 9:
        return low, low + 60000
    return low, low + (1000 if minutes or seconds > 9 else 1)


def endpoint(record, side):
    address = ipaddress.ip_address(record[f"inet_diag_msg_socket_{side}"])
    port = record[f"inet_diag_msg_socket_{side}_port"]
    interface = record.get("inet_diag_msg_socket_interface", 0) if side == "source" else 0
    host = str(address)
    if address.version == 6:
        mapped = address.ipv4_mapped
        host = f"::ffff:{mapped}" if mapped else host
        host = "*" if int(address) == 0 and not record.get("v6only") else f"[{host}]"
    return host + (f"%if{interface}" if interface > 1 else "%lo" if interface == 1 else "") + f":{port or '*'}"


def render(record, cgroups):
    """The tokens ss would print for a record (a dictionary of jsonl). `cgroups` maps a cgroup id to its path."""
    tokens = {
        "state": STATES[record["inet_diag_msg_state"]],
        "recv-q": str(record["inet_diag_msg_rqueue"]), "send-q": str(record["inet_diag_msg_wqueue"]),
        "local": endpoint(record, "source"), "peer": endpoint(record, "destination"),
        "ino": str(record["inet_diag_msg_inode"]), "cookie": record["inet_diag_msg_socket_cookie"],
    }
    render_details(record, tokens, cgroups)
    render_memory(record, tokens)
    if has_tcp_info(record):
        render_tcp_info(record, tokens)
    if record.get("ulp"):
        tokens["ulp"] = record["ulp"]
    return tokens


def has_tcp_info(record):
    return "tcp_info_rto" in record


def render_details(record, tokens, cgroups):
    timer = min(record["inet_diag_msg_timer"], 5)
    if timer:
        expires = timer_text(record["inet_diag_msg_expires"])
        tokens["timer"] = f"({TIMERS[timer]},{expires},{record['inet_diag_msg_retrans']})"
    if record["inet_diag_msg_uid"]:
        tokens["uid"] = str(record["inet_diag_msg_uid"])
    if record.get("mark"):
        tokens["fwmark"] = "0x%x" % record["mark"]
    if record.get("c_group"):
        tokens["cgroup"] = cgroups.get(record["c_group"], "unreachable:%x" % record["c_group"])
    if ":" in record["inet_diag_msg_socket_source"] and "v6only" in record:
        tokens["v6only"] = str(int(record["v6only"]))
    if "shutdown_state" in record:
        mask = record["shutdown_state"]
        tokens["shutdown"] = ("-" if mask & 1 else "<") + "-" + ("-" if mask & 2 else ">")
    for name, field in (("tos", "type_of_service"), ("tclass", "traffic_class"), ("class_id", "class_id")):
        if field in record:
            tokens[name] = "0x%x" % record[field] if record[field] else "0"
    if "sock_opt" in record:
        options = [name for bit, name in enumerate(SOCKOPTS) if record["sock_opt"] >> bit & 1]
        tokens["inet-sockopt"] = "(" + "".join(" " + name for name in options) + ")"


def render_memory(record, tokens):
    if "sk_mem_info_rmem_alloc" not in record:
        return
    fields = [("r", "rmem_alloc"), ("rb", "rcv_buf"), ("t", "wmem_alloc"), ("tb", "snd_buf"), ("f", "fwd_alloc"),
              ("w", "wmem_queued"), ("o", "optmem"), ("bl", "backlog"), ("d", "drops")]
    tokens["skmem"] = "(" + ",".join(f"{short}{record['sk_mem_info_' + name]}" for short, name in fields) + ")"


def render_tcp_info(record, tokens):
    def info(name):
        return record.get("tcp_info_" + name, 0)

    def put(name, value, text=None):
        if value:
            tokens[name] = str(value) if text is None else text

    options = info("options")
    for bit, name in ((1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"), (32, "fastopen")):
        if options & bit:
            tokens[name] = ""
    put("congestion", record.get("congestion_algorithm_string"))
    if options & 4:
        tokens["wscale"] = f"{info('send_scale')},{info('rcv_scale')}"
    if info("rto") != 3000000:
        put("rto", info("rto"), number(info("rto") / 1000))
    put("backoff", info("backoff"))
    put("rtt", info("rtt"), f"{number(info('rtt') / 1000)}/{number(info('rtt_var') / 1000)}")
    put("ato", info("ato"), number(info("ato") / 1000))
    for name, field in (("mss", "snd_mss"), ("pmtu", "pmtu"), ("rcvmss", "rcv_mss"), ("advmss", "adv_mss"),
                        ("cwnd", "snd_cwnd")):
        put(name, info(field))
    put("ssthresh", info("snd_ssthresh") if info("snd_ssthresh") < 0xFFFF else 0)
    for name in ("bytes_sent", "bytes_retrans", "bytes_acked", "bytes_received", "segs_out", "segs_in",
                 "data_segs_out", "data_segs_in", "delivered", "delivered_ce", "unacked", "lost", "dsack_dups",
                 "fackets", "reord_seen", "rcv_space", "rcv_ssthresh", "rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash"):
        put(name, info(name))
    if record["inet_diag_msg_state"] != "LISTEN":
        put("sacked", info("sacked"))
    if info("reordering") != 3:
        tokens["reordering"] = str(info("reordering"))
    if info("retrans") or info("total_retrans"):
        tokens["retrans"] = f"{info('retrans')}/{info('total_retrans')}"
    put("notsent", info("not_sent_bytes"))
    put("rcv_rtt", info("rcv_rtt"), number(info("rcv_rtt") / 1000))
    put("minrtt", info("min_rtt") if info("min_rtt") != 0xFFFFFFFF else 0, number(info("min_rtt") / 1000))
    put("lastsnd", info("last_data_sent"))
    put("lastrcv", info("last_data_recv"))
    put("lastack", info("last_ack_recv"))
    if info("delivery_rate_app_limited"):
        tokens["app_limited"] = ""
    render_rates(record, tokens, info)
    render_busy(tokens, info)
    render_congestion(record, tokens)


def render_rates(record, tokens, info):
    unlimited = 2**64 - 1
    rtt = info("rtt")
    if record.get("vegas_info_enabled") and record["vegas_info_rtt"] not in (0, 0x7FFFFFFF):
        rtt = record["vegas_info_rtt"]
    if rtt and info("snd_mss") and info("snd_cwnd"):
        tokens["send"] = rate(float(info("snd_cwnd")) * float(info("snd_mss")) * 8000000.0 / rtt)
    if info("pacing_rate") not in (0, unlimited):
        tokens["pacing_rate"] = rate(info("pacing_rate") * 8.0)
        if info("max_pacing_rate") not in (0, unlimited):
            tokens["pacing_rate"] += "/" + rate(info("max_pacing_rate") * 8.0)
    if info("delivery_rate"):
        tokens["delivery_rate"] = rate(info("delivery_rate") * 8.0)


def render_busy(tokens, info):
    busy = info("busy_time")
    if not busy:
        return
    tokens["busy"] = f"{busy // 1000}ms"
    for name in ("rwnd_limited", "sndbuf_limited"):
        if info(name):
            tokens[name] = f"{info(name) // 1000}ms({100.0 * info(name) / busy:.1f}%)"


def render_congestion(record, tokens):
    if "bbr_info_bw_lo" in record:
        bandwidth = record["bbr_info_bw_hi"] << 32 | record["bbr_info_bw_lo"]
        text = f"(bw:{rate(bandwidth * 8.0)},mrtt:{number(record['bbr_info_min_rtt'] / 1000)}"
        for name in ("pacing_gain", "cwnd_gain"):
            if record["bbr_info_" + name]:
                text += f",{name}:{number(record['bbr_info_' + name] / 256)}"
        tokens["bbr"] = text + ")"
    if "dctcp_info_enabled" in record:
        tokens["dctcp"] = "(" + ",".join(f"{name}:{record['dctcp_info_' + name]}" for name in
                                         ("ce_state", "alpha", "ab_ecn", "ab_tot")) + ")"
        if not record["dctcp_info_enabled"]:
            tokens["dctcp"] = "fallback_mode"
