"""Filters by address and port on real sockets: what is kept, what is counted as left out."""
import subprocess
import sys

import pytest

import bed
import daemon
import holder

LISTENERS = [["127.0.0.1", 443], ["10.1.2.3", 8080], ["::1", 443], ["2001:db8::5", 9000], ["::", 8443]]
CONNECTIONS = [
    ["127.0.0.1", 40001, "127.0.0.1", 443], ["10.9.9.9", 40002, "10.1.2.3", 8080], ["::1", 40003, "::1", 443],
    ["2001:db8::7", 40004, "2001:db8::5", 9000],
]

# A socket as (source, port, destination, port); every connection shows both of its ends.
LISTENING = {("127.0.0.1", 443), ("10.1.2.3", 8080), ("::1", 443), ("2001:db8::5", 9000), ("::", 8443)}
ENDS = {tuple(ends) for ends in CONNECTIONS} | {(to, port, source, from_port)
                                                for source, from_port, to, port in CONNECTIONS}

FILTERS = {
    "destination_port": ({"destination_port": [443, "8000-8999"]}, lambda s, sp, d, dp: dp in (443, 8080)),
    "one port": ({"source_port": 443}, lambda s, sp, d, dp: sp == 443),
    "range alone": ({"source_port": "40001-40003"}, lambda s, sp, d, dp: 40001 <= sp <= 40003),
    "source": ({"source": "10.0.0.0/8"}, lambda s, sp, d, dp: s.startswith("10.")),
    "IPv6": ({"destination": "2001:db8::/32"}, lambda s, sp, d, dp: d.startswith("2001:db8:")),
    "address": ({"destination": ["::1", "10.1.2.3"]}, lambda s, sp, d, dp: d in ("::1", "10.1.2.3")),
    "not": ({"not": {"destination": "127.0.0.0/8"}}, lambda s, sp, d, dp: not d.startswith("127.")),
    "any of not": ({"not": {"destination": ["127.0.0.0/8", "::1"], "source_port": "8000-9000", "states": "listen"}},
                   lambda s, sp, d, dp: not d.startswith("127.") and d != "::1" and not 8000 <= sp <= 9000
                   and d != "listening"),
    "both": ({"states": "established", "destination_port": [443, "8000-8999"], "not": {"destination": "127.0.0.0/8"}},
             lambda s, sp, d, dp: dp in (443, 8080) and not d.startswith("127.") and d != "listening"),
}


@pytest.fixture(scope="module")
def held():
    with holder.Holder(LISTENERS, CONNECTIONS) as running:
        yield running


def sockets(rows):
    return {(row["inet_diag_msg_socket_source"], row["inet_diag_msg_socket_source_port"],
             row["inet_diag_msg_socket_destination"], row["inet_diag_msg_socket_destination_port"]) for row in rows}


def expected(predicate):
    listening = {(address, port, "::" if ":" in address else "0.0.0.0", 0) for address, port in LISTENING
                 if predicate(address, port, "listening", 0)}
    return {ends for ends in ENDS if predicate(*ends)} | listening


@pytest.mark.parametrize("name", FILTERS)
def test_what_the_filter_says_is_kept_and_the_rest_counted(held, tmp_path, name):
    setting, predicate = FILTERS[name]
    output = tmp_path / "rows.jsonl"
    settings = {"interval": "1h", "align": "none", "namespaces": {"include": [{"inode": held.inode}]},
                "filter": setting, "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}
    with daemon.Daemon(tmp_path, {"p": settings}) as running:
        running.poll()
    rows = [row for row in bed.records_of(output.read_text()) if row["poll_sequence"] == 1]
    wanted = expected(predicate)
    assert wanted and sockets(rows) == wanted and len(rows) == len(wanted)
    poll = running.polls("p")[0]
    assert int(poll["sockets"]) == int(poll["filtered"]) + len(rows) and int(poll["sampled_out"]) == 0


def test_v4_mapped_addresses_match_ipv4_prefixes(tmp_path):
    """A listener of both families: its ends of IPv4 connections are IPv6 sockets."""
    code = ("import socket, sys; s = socket.create_connection(('127.0.0.1', 7000)); print(1, flush=True);"
            "sys.stdin.read()")
    with holder.Holder([["::", 7000]]) as held:
        inside = ("nsenter", f"--net=/proc/{held.pid}/ns/net")
        with subprocess.Popen([*inside, sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as connected:
            assert connected.stdout.readline() == "1\n"
            done = bed.xtcpd("snapshot", "--format", "jsonl", "--source", "127.0.0.0/8", "--source-port", "7000,1-10",
                             "--destination", "127.0.0.1,::1", "--destination-port", "1024-65535", prefix=inside)
            connected.stdin.close()
    assert done.returncode == 0, done.stderr
    assert [ends[:3] for ends in sockets(bed.records_of(done.stdout))] == [
        ("::ffff:127.0.0.1", 7000, "::ffff:127.0.0.1")]


@pytest.mark.parametrize("arguments", [
    ["--source", "10.0.0.1/8"], ["--destination", "somewhere"], ["--source-port", "70000"],
    ["--destination-port", "9-1"], ["--source-port", ""]])
def test_wrong_filters_are_usage_errors(arguments):
    done = bed.xtcpd("snapshot", *arguments)
    assert done.returncode == bed.EXIT_USAGE
    assert arguments[-1] in done.stderr and done.stdout == ""
