"""The comparison with ss, itself put to the test: it reads all that ss prints, and it can fail."""
import os
import pathlib

import pytest

import bed
import compare
import sstext

CAPTURES = next((path for path in [
    pathlib.Path(os.environ["XTCPD_CAPTURES"]) if "XTCPD_CAPTURES" in os.environ else None,
    bed.ROOT.parent / "shared/captures", bed.ROOT.parent.parent / "shared/captures"] if path and path.is_dir()), None)
SAMPLES = ["5.4.281/tcp-100", "5.15.164/tcp-1000", "6.6.44/tcp-100-bbr", "6.10.3/tcp-1000-churn"]

RECORD = {
    "inet_diag_msg_family": 2, "inet_diag_msg_state": "ESTABLISHED", "inet_diag_msg_timer": 2,
    "inet_diag_msg_retrans": 0, "inet_diag_msg_socket_source_port": 443, "inet_diag_msg_socket_source": "127.0.0.1",
    "inet_diag_msg_socket_destination_port": 50000, "inet_diag_msg_socket_destination": "127.0.0.2",
    "inet_diag_msg_socket_interface": 0, "inet_diag_msg_socket_cookie": 4660, "inet_diag_msg_expires": 6895,
    "inet_diag_msg_rqueue": 1, "inet_diag_msg_wqueue": 2, "inet_diag_msg_uid": 3, "inet_diag_msg_inode": 4,
    "mark": 5, "c_group": 1, "shutdown_state": 0, "type_of_service": 16, "class_id": 1, "sock_opt": 2,
    "sk_mem_info_rmem_alloc": 1, "sk_mem_info_rcv_buf": 2, "sk_mem_info_wmem_alloc": 3, "sk_mem_info_snd_buf": 4,
    "sk_mem_info_fwd_alloc": 5, "sk_mem_info_wmem_queued": 6, "sk_mem_info_optmem": 7, "sk_mem_info_backlog": 8,
    "sk_mem_info_drops": 9, "congestion_algorithm_string": "bbr", "ulp": "mptcp",
    "bbr_info_bw_lo": 1000, "bbr_info_bw_hi": 1, "bbr_info_min_rtt": 17, "bbr_info_pacing_gain": 739,
    "bbr_info_cwnd_gain": 512,
    **{"tcp_info_" + name: 5000 + index for index, name in enumerate(
        """rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_data_recv last_ack_recv pmtu
        rcv_ssthresh rtt rtt_var snd_ssthresh snd_cwnd adv_mss reordering rcv_rtt rcv_space total_retrans bytes_acked
        bytes_received segs_out segs_in not_sent_bytes min_rtt data_segs_in data_segs_out delivered delivered_ce
        bytes_sent bytes_retrans dsack_dups reord_seen rcv_ooopack snd_wnd backoff pacing_rate max_pacing_rate
        delivery_rate""".split())},
    "tcp_info_options": 0x3F, "tcp_info_send_scale": 7, "tcp_info_rcv_scale": 8, "tcp_info_busy_time": 900000,
    "tcp_info_rwnd_limited": 100000, "tcp_info_sndbuf_limited": 200000, "tcp_info_delivery_rate_app_limited": 1,
}
# The family shows in the addresses; the other two are in the record but not in any text of ss.
NOT_PRINTED = {"inet_diag_msg_family"}


def compare_one(record, before=RECORD, after=RECORD):
    cgroups = {1: "/", 2: "/other"}
    first, last = ({RECORD["inet_diag_msg_socket_cookie"]: sstext.render(side, cgroups)} for side in (before, after))
    return compare.compare(first, last, [record], cgroups)


def test_an_equal_record_agrees():
    report = compare_one(RECORD)
    assert report.mismatches == []
    assert (report.throughout, report.unchanged) == (1, 1)


@pytest.mark.parametrize("field", sorted(RECORD.keys() - NOT_PRINTED))
def test_a_wrong_field_is_noticed(field):
    """Each field of the record, made wrong by itself, must be a mismatch."""
    value = RECORD[field]
    wrong = {"inet_diag_msg_state": "CLOSE_WAIT", "inet_diag_msg_socket_source": "127.0.0.9",
             "inet_diag_msg_socket_destination": "::1", "congestion_algorithm_string": "reno",
             "inet_diag_msg_socket_interface": 1, "shutdown_state": 3, "ulp": "tls",
             "tcp_info_delivery_rate_app_limited": 0}.get(field)
    if wrong is None:
        # Microseconds are printed as whole milliseconds in some places, so the step is larger than one.
        wrong = value + 20000 if "time" in field or "limited" in field else value + 1
    if field in ("tcp_info_options", "sock_opt"):
        wrong = value ^ 1
    report = compare_one({**RECORD, field: wrong})
    assert report.mismatches, f"{field} = {wrong} in place of {value} went unnoticed"


def test_a_missing_and_a_doubled_record_are_noticed():
    cgroups = {1: "/"}
    tokens = {RECORD["inet_diag_msg_socket_cookie"]: sstext.render(RECORD, cgroups)}
    assert "no record" in compare.compare(tokens, tokens, [], cgroups).mismatches[0]
    assert "two records" in compare.compare(tokens, tokens, [RECORD, RECORD], cgroups).mismatches[0]


def test_ages_and_timers_may_lie_between_and_nowhere_else():
    def aged(milliseconds):
        return {**RECORD, "tcp_info_last_data_sent": 5000 + milliseconds, "inet_diag_msg_expires": 6895 - milliseconds}
    assert compare_one(aged(40), before=RECORD, after=aged(80)).mismatches == []
    assert len(compare_one(aged(120), before=RECORD, after=aged(80)).mismatches) == 2


def test_a_timer_that_may_have_fired_meanwhile_is_not_compared():
    def armed(milliseconds):
        return {**RECORD, "inet_diag_msg_expires": milliseconds}

    def mismatches(elapsed_ms):
        cgroups = {1: "/"}
        first, last = ({4660: sstext.render(armed(left), cgroups)} for left in (1724, 1436))
        return compare.compare(first, last, [armed(660)], cgroups, elapsed_ms).mismatches

    assert mismatches(2288) == [] and len(mismatches(288)) == 1


def test_a_busy_socket_is_compared_on_identity_and_growth_only():
    later = {**RECORD, "tcp_info_bytes_sent": 9000, "tcp_info_rtt": 1}
    between = {**RECORD, "tcp_info_bytes_sent": 7000, "tcp_info_rtt": 2}
    assert compare_one(between, after=later).mismatches == []
    assert compare_one({**between, "tcp_info_bytes_sent": 9001}, after=later).mismatches
    assert compare_one({**between, "inet_diag_msg_inode": 99}, after=later).mismatches


@pytest.mark.parametrize("milliseconds, text", [
    (6895, "6.895ms"), (12, "012ms"), (5000, "5sec"), (37500, "37sec"), (60000, "1min"), (90999, "1min30sec"),
    (599999, "9min59sec"), (600000, "10min"), (7259999, "120min")])
def test_timers_read_as_they_are_printed(milliseconds, text):
    assert sstext.timer_text(milliseconds) == text
    low, high = sstext.timer_range(text)
    assert low <= milliseconds < high


@pytest.mark.parametrize("line", ["ESTAB 0 0 127.0.0.1:1 127.0.0.2:2 ino:1 sk:1 <-> cubic What", "ODD 0 0 a:1 b:2"])
def test_unknown_text_is_an_error(line):
    with pytest.raises(sstext.Unparsed):
        sstext.parse(line)


@pytest.mark.parametrize("sample", SAMPLES)
def test_text_of_ss_on_other_kernels_is_understood(sample):
    if not CAPTURES:
        pytest.skip("no captures beside this checkout (XTCPD_CAPTURES)")
    text = (CAPTURES / f"{sample}.ss").read_text()
    lines = [line for line in text.splitlines() if line and line[0] not in "\t " and not line.startswith("State")]
    sockets = sstext.parse(text)
    assert len(sockets) == len(lines) > 100
    assert all("local" in tokens and "ino" in tokens for tokens in sockets.values())


def test_text_of_ss_here_is_understood(crowd):
    sockets = [tokens for namespace in crowd.ss().values() for tokens in namespace.values()]
    assert len(sockets) > 20000
    assert {tokens["state"] for tokens in sockets} == set(sstext.STATES.values()) - {"UNCONN"}
