"""xtcpd against ss on a large, living population: every socket, every value."""
import concurrent.futures
import csv
import itertools
import json
import multiprocessing
import re
import time

import pytest

import bed
import compare
import daemon
import sstext

# What must have been compared at least once in a run, or the population does not show what it should.
MUST_BE_COMPARED = set("""
    state recv-q send-q local peer ino uid timer fwmark cgroup v6only shutdown tos tclass class_id inet-sockopt skmem ts
    sack congestion wscale rto backoff rtt ato mss pmtu rcvmss advmss cwnd ssthresh bytes_sent bytes_retrans bytes_acked
    bytes_received segs_out segs_in data_segs_out data_segs_in bbr send lastsnd lastrcv lastack pacing_rate
    delivery_rate delivered app_limited busy rwnd_limited unacked retrans lost rcv_rtt rcv_space rcv_ssthresh
    notsent minrtt rcv_ooopack snd_wnd ulp
    """.split())
# The population opens and closes connections here, so a row may belong to one that neither ss saw.
CHURN = ("127.9.0.", "[::1]:7000", "[::1]:")

NETNS_COOKIE = re.compile(r'"netns_cookie":(\d+)')


@pytest.fixture(name="crowd", scope="module")
def fixture_crowd(crowd):
    # Probes and retransmissions are frequent at first, and what changes between two looks is not compared.
    time.sleep(5)
    return crowd


@pytest.fixture(name="pool", scope="module")
def fixture_pool():
    """Most of what these tests take is reading text."""
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


def compare_namespace(namespace, before, lines, after, cgroups, elapsed_ms):
    """The report of a namespace, in a process of the pool."""
    rows = [json.loads(line) for line in lines]
    assert {row["netns"] for row in rows} == {namespace["name"]}
    assert {row["netns_inode"] for row in rows} == {namespace["inode"]}
    report = compare.compare(sstext.parse(before), sstext.parse(after), rows, cgroups, elapsed_ms)
    strangers = [tokens for tokens in report.unknown if not tokens["local"].startswith(CHURN)]
    assert strangers == [], f"rows of sockets that ss saw neither before nor after in {namespace['name']}"
    return report


def compare_everywhere(pool, crowd, before, text, after, cgroups, elapsed_ms):
    """`before`, `after`: texts of ss; `text`: rows as jsonl, also of other namespaces."""
    lines = {namespace["cookie"]: [] for namespace in crowd.namespaces}
    for line in text.splitlines():
        lines.get(int(NETNS_COOKIE.search(line)[1]), []).append(line)
    cookies = [namespace["cookie"] for namespace in crowd.namespaces]
    total = compare.Report()
    for report in pool.map(compare_namespace, crowd.namespaces, map(before.get, cookies), map(lines.get, cookies),
                           map(after.get, cookies), itertools.repeat(cgroups), itertools.repeat(elapsed_ms)):
        total.add(report)
    return total


def check(report):
    assert report.mismatches == [], f"{len(report.mismatches)} mismatches, the first: " + "\n".join(
        report.mismatches[:5])
    assert report.throughout >= 20000
    assert report.unchanged >= 0.9 * report.throughout
    assert report.states == set(sstext.STATES.values()) - {"UNCONN"}


class Look:
    """Two looks of ss and how long they lasted, with what comes in between. A context manager."""

    def __init__(self, crowd):
        self.crowd = crowd

    def __enter__(self):
        self.started = time.monotonic()
        self.before = self.crowd.texts_of_ss()
        return self

    def __exit__(self, *_):
        self.after = self.crowd.texts_of_ss()
        self.elapsed_ms = (time.monotonic() - self.started) * 1000

    def compare(self, pool, text, cgroups):
        return compare_everywhere(pool, self.crowd, self.before, text, self.after, cgroups, self.elapsed_ms)


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_snapshot_agrees_with_ss(crowd, cgroups, pool, mode):
    names = set()
    # What few sockets have may change in all of them between two looks: then there is another look.
    for _ in range(3):
        with Look(crowd) as look:
            done = bed.xtcpd("snapshot", "--all", "--format", "jsonl", "--mode", mode)
        assert done.returncode == 0, done.stderr
        report = look.compare(pool, done.stdout, cgroups)
        check(report)
        names |= report.names
        if MUST_BE_COMPARED <= names:
            break
    assert MUST_BE_COMPARED - names == set()


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_one_receive_buffer_serves_as_well(crowd, cgroups, pool, mode, tmp_path):
    """Values must not alias a receive buffer that is used again: one buffer for everything."""
    output = tmp_path / "rows.jsonl"
    pipeline = {
        "interval": "30s", "timeout": "20s", "align": "none", "namespaces": crowd.selection,
        "reader": {"mode": mode, "recv_batch": 1}, "pools": {"receive_buffers": 1},
        "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}},
    }
    with Look(crowd) as look, daemon.Daemon(tmp_path, {"one": pipeline}) as running:
        running.wait_for_polls(1)
    check(look.compare(pool, output.read_text(), cgroups))


def test_snapshot_of_the_host_namespace_agrees_with_ss(cgroups):
    """Without --all: this namespace, under its right name."""
    started = time.monotonic()
    before = bed.ss("/proc/self/ns/net")
    done = bed.xtcpd("snapshot", "--format", "jsonl")
    after = bed.ss("/proc/self/ns/net")
    assert done.returncode == 0, done.stderr
    records = bed.records_of(done.stdout)
    assert {record["netns"] for record in records} <= {"host"}
    elapsed_ms = (time.monotonic() - started) * 1000
    assert compare.compare(before, after, records, cgroups, elapsed_ms).mismatches == []


def test_states_and_columns_select(crowd):
    columns = ["netns", "inet_diag_msg_state", "inet_diag_msg_socket_cookie"]
    done = bed.xtcpd("snapshot", "--all", "--format", "csv", "--states", "listen,time_wait", "--columns",
                     ",".join(columns))
    assert done.returncode == 0, done.stderr
    table = list(csv.reader(done.stdout.splitlines()))
    assert table[0] == columns
    rows = [dict(zip(columns, line)) for line in table[1:] if line[0] in crowd.names]
    assert {row["inet_diag_msg_state"] for row in rows} == {"LISTEN", "TIME_WAIT"}
    listening = sum(len(bed.text_of_ss(namespace["path"], "-tlnH").splitlines()) for namespace in crowd.namespaces)
    assert sum(row["inet_diag_msg_state"] == "LISTEN" for row in rows) == listening


def test_the_table_shows_every_socket_of_this_namespace(still):
    """On a terminal (or by --format table) a table like that of ss: one line a socket and a header."""
    path = still.namespaces[0]["path"]
    done = bed.xtcpd("snapshot", "--format", "table", prefix=("nsenter", f"--net={path}"))
    assert done.returncode == 0, done.stderr
    sockets = bed.ss(path)
    lines = done.stdout.splitlines()
    assert len(lines) == len(sockets) + 1
    for tokens in sockets.values():
        port = tokens["local"].rsplit(":", 1)[1]
        assert any(tokens["state"] in line and f":{port} " in line for line in lines[1:])


@pytest.mark.parametrize("arguments", [
    ["--columns", "inet_diag_msg_stat"], ["--states", "established,asleep"], ["--format", "xml"], ["--mode", "magic"]])
def test_wrong_arguments_are_usage_errors(arguments):
    done = bed.xtcpd("snapshot", *arguments)
    assert done.returncode == bed.EXIT_USAGE
    assert arguments[-1].split(",")[-1] in done.stderr and done.stdout == ""
