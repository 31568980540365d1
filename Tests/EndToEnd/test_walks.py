"""What is walked to read a namespace: nothing, the listeners, or all; and that nothing is missed by it."""
import struct
import subprocess
import sys
import time

import pytest

import bed
import daemon
import holder
from shown import shows

# A child inside a namespace that does what it is told, a line at a time, and says so.
ACTOR = """
import socket, sys
held = []
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Actor:
    """Opens and closes sockets inside the namespace of a holder."""

    def __init__(self, held):
        self.process = subprocess.Popen(["nsenter", f"--net=/proc/{held.pid}/ns/net", sys.executable, "-c", ACTOR],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def do(self, statement):
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def settings(held, output, **reader):
    return {"interval": "200ms", "align": "none", "namespaces": {"include": [{"inode": held.inode}]},
            "reader": reader, "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}


def kinds(poll):
    return {kind: int(poll[kind]) for kind in ("none", "listeners", "full")}


def rows_by_poll(output):
    found = {}
    for row in bed.records_of(output.read_text()):
        found.setdefault(row["poll_sequence"], []).append(row)
    return found


CASES = {"nothing": ([], [], "none"), "listeners": ([["127.0.0.1", 443], ["::", 8080]], [], "listeners"),
         "a connection": ([["127.0.0.1", 443]], [["127.0.0.1", 40001, "127.0.0.1", 443]], "full")}


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
@pytest.mark.parametrize("case", CASES)
def test_only_what_must_be_walked_is(tmp_path, case, mode):
    listeners, connections, kind = CASES[case]
    output = tmp_path / "rows.jsonl"
    with holder.Holder(listeners, connections) as held, \
            daemon.Daemon(tmp_path, {"p": settings(held, output, mode=mode)}) as running:
        polls = running.wait_for_polls(13, "p")
        metrics = running.metrics()
    walks = [kinds(poll) for poll in polls[:13]]
    # The first is full, and then one in six; each read is counted once.
    assert walks[0] == {"none": 0, "listeners": 0, "full": 1}
    assert all(sum(walk.values()) == 1 for walk in walks)
    if kind == "full":
        assert all(walk["full"] for walk in walks)
    else:
        full = [number for number, walk in enumerate(walks) if walk["full"]]
        assert 3 <= len(full) <= 4 and all(walk[kind] or walk["full"] for walk in walks), walks
    counted = {kind: metrics[f'xtcpd_walks_total{{pipeline="p",kind="{kind}"}}'] for kind in walks[0]}
    assert sum(counted.values()) >= 13 and counted[kind] >= 9, counted
    assert all(int(poll["sockets"]) == len(listeners) + 2 * len(connections) for poll in polls)


def test_what_comes_and_goes_is_seen_at_the_next_poll(tmp_path):
    output = tmp_path / "rows.jsonl"
    with holder.Holder([["127.0.0.1", 443]]) as held, Actor(held) as actor, \
            daemon.Daemon(tmp_path, {"p": settings(held, output, full_walk_every=1_000_000)}) as running:
        def sockets_become(count):
            number = len(running.polls("p"))
            running.wait_for_polls(number + 3, "p")
            assert int(running.polls("p")[-1]["sockets"]) == count, running.polls("p")[number:]

        sockets_become(1)
        assert kinds(running.polls("p")[-1])["listeners"] == 1
        actor.do("held.append(socket.create_connection(('127.0.0.1', 443)))")
        sockets_become(3)
        actor.do("held.append(socket.create_server(('127.0.0.1', 444)))")
        sockets_become(4)
        # As many are in use as there were listeners before: that they are the same is not taken for granted.
        actor.do("held.pop(0).close()")
        actor.do("held.append(socket.create_connection(('127.0.0.1', 443)))")
        actor.do("held.pop(0).close()")
        running.wait_for_polls(len(running.polls("p")) + 2, "p")
        rows = [rows for _, rows in sorted(rows_by_poll(output).items())][-1]
        ports = [row["inet_diag_msg_socket_source_port"] for row in rows if row["inet_diag_msg_state"] == "LISTEN"]
        assert ports == [443] and any(row["inet_diag_msg_state"] == "ESTABLISHED" for row in rows)


def test_time_wait_is_read_when_nothing_is_in_use(tmp_path):
    output = tmp_path / "rows.jsonl"
    close = ("s = socket.create_server(('127.0.0.1', 443)); c = socket.create_connection(('127.0.0.1', 443)); "
             "a, _ = s.accept(); c.close(); a.close(); s.close()")
    with holder.Holder([]) as held, Actor(held) as actor:
        actor.do(close)
        one = settings(held, output, full_walk_every=1_000_000)
        other = {**settings(held, tmp_path / "other.jsonl", full_walk_every=1_000_000),
                 "filter": {"states": "established"}}
        with daemon.Daemon(tmp_path, {"p": one, "established": other}) as running:
            running.wait_for_polls(4, "p")
            running.wait_for_polls(4, "established")
    assert [int(poll["sockets"]) for poll in running.polls("p")[:4]] == [1] * 4
    # Who does not want them need not walk for them.
    assert [kinds(poll)["none"] for poll in running.polls("established")[:4]] == [0, 1, 1, 1]


def test_half_open_connections_are_found_by_the_full_walk(tmp_path):
    """Sockstat does not count request sockets: beside listeners alone they are seen at least once in so many polls."""
    output = tmp_path / "rows.jsonl"
    with bed.Population(namespaces=1, plain=1, listeners=2, syn_received=3) as crowd:
        one = {"interval": "200ms", "align": "none", "namespaces": crowd.selection,
               "reader": {"full_walk_every": 4},
               "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            polls = running.wait_for_polls(9, "p")
    seen = {number: sum(row["inet_diag_msg_state"] == "SYN_RECV" for row in rows)
            for number, rows in rows_by_poll(output).items()}
    full = [int(poll["sequence"]) for poll in polls[:9] if kinds(poll)["full"]]
    assert len(full) >= 3 and all(seen.get(number) for number in full), (seen, full)


@pytest.mark.parametrize("states", ["syn_recv", ["listen", "syn_recv"]])
def test_who_asks_for_half_open_connections_alone_sees_them_in_each_poll(tmp_path, states):
    with bed.Population(namespaces=1, plain=1, listeners=2, syn_received=3) as crowd:
        one = {"interval": "200ms", "align": "none", "namespaces": crowd.selection, "filter": {"states": states},
               "sinks": {"out": {"type": "blackhole"}}}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            polls = running.wait_for_polls(5, "p")[:5]
    assert all(kinds(poll)["listeners"] == 0 and int(poll["encoded"]) >= 3 for poll in polls), polls


@shows("pipeline.reader.shortcuts", "pipeline.reader.full_walk_every")
def test_shortcuts_can_be_turned_off_while_it_runs(tmp_path):
    with holder.Holder([]) as empty:
        one = settings(empty, tmp_path / "rows.jsonl", full_walk_every=1_000_000)
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            running.wait_for_polls(3, "p")
            assert kinds(running.polls("p")[-1])["none"] == 1
            for change in ({"shortcuts": ["listeners", "filter"]}, {"shortcuts": []}, {"full_walk_every": 1}):
                assert running.reload_with({"p": {**one, "reader": change}})["result"] == "applied"
                running.wait_for_polls(len(running.polls("p")) + 3, "p")
                last = kinds(running.polls("p")[-1])
                assert last["none"] == 0 and sum(last.values()) == 1, (change, last)


def test_hundreds_of_idle_namespaces_hold_up_nobody(tmp_path):
    """Looking into many namespaces in which nothing is takes turns with another pipeline of the same loop."""
    with bed.Population(namespaces=300, plain=1, listeners=1) as crowd, holder.Holder([["127.0.0.1", 443]]) as other:
        many = {"interval": "500ms", "align": "none", "namespaces": crowd.selection,
                "sinks": {"out": {"type": "blackhole"}}}
        quick = {"interval": "20ms", "align": "none", "namespaces": {"include": [{"inode": other.inode}]},
                 "sinks": {"out": {"type": "blackhole"}}}
        loops = {"global": {"resources": {"loops": 1}}}
        with daemon.Daemon(tmp_path, {"many": many, "quick": quick}, settings=loops) as running:
            running.wait_for_polls(7, "many")
            polls = running.polls("many")[1:7]
    skipped = running.totals()["quick"]["skipped"]
    assert all(poll["sockets"] == polls[0]["sockets"] and kinds(poll)["listeners"] >= 200 for poll in polls), polls
    assert skipped <= len(running.polls("quick")) // 5, skipped


def test_the_address_family_does_not_matter(tmp_path):
    """Listeners and connections of IPv6 are in sockstat6 alone."""
    with holder.Holder([["::1", 443]], [["::1", 40001, "::1", 443]]) as held:
        output = tmp_path / "rows.jsonl"
        with daemon.Daemon(tmp_path, {"p": settings(held, output, full_walk_every=1_000_000)}) as running:
            polls = running.wait_for_polls(4, "p")
    assert all(int(poll["sockets"]) == 3 and kinds(poll)["full"] == 1 for poll in polls)


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_a_large_namespace_is_read_in_parts_and_each_socket_once(tmp_path, mode):
    """Beside small ones; from the third poll on by three dumps at a time."""
    with bed.Population(namespaces=1, v4=3000, v6=1000, mapped=500, listeners=20) as large, \
            bed.Population(namespaces=20, v4=20, listeners=2) as small:
        both = {"include": large.selection["include"] + small.selection["include"]}
        pipelines = {}
        for name, count in (("one", 1), ("three", 3)):
            pipelines[name] = {"interval": "700ms", "align": "none", "namespaces": both, "attributes": [],
                               "reader": {"mode": mode, "parallelism": count}, "sinks": {"out": {
                                   "type": "file", "path": str(tmp_path / f"{name}.jsonl"), "format": "jsonl"}}}
        before = bed.sockets_of_the_host()
        with daemon.Daemon(tmp_path, pipelines) as running:
            for name in pipelines:
                running.wait_for_polls(6, name)
        after = bed.sockets_of_the_host()
    running.check_totals()
    rows = {name: rows_by_poll(tmp_path / f"{name}.jsonl") for name in pipelines}
    wanted = {(row["netns_cookie"], row["inet_diag_msg_socket_cookie"]) for row in rows["one"][1]}
    assert len(wanted) > 9000
    for name, polls in rows.items():
        for number in range(1, 7):
            found = [(row["netns_cookie"], row["inet_diag_msg_socket_cookie"]) for row in polls[number]]
            assert len(found) == len(wanted) and set(found) == wanted, (name, number, len(found), len(wanted))
    assert all(int(poll["incomplete"]) == 0 for poll in running.polls())
    # Each part passes by the sockets of all others of this machine, too, which may be many at the time.
    few, most = (1 + sum(parts * (parts - 1) * sockets <= 12 * 9000 for parts in (2, 3)) for sockets in (after, before))
    found = [int(poll["parts"]) for poll in running.polls("three")[:6]]
    assert found[:2] == [0, 0] and most >= 2, (found, before, after)
    assert all(min(few, most) <= (parts or 1) <= 3 for parts in found[2:]), (found, before, after)
    assert all(int(poll["parts"]) == 0 for poll in running.polls("one"))
    # Each namespace counts once, in however many parts it was read.
    assert all(sum(kinds(poll).values()) == 21 for poll in running.polls("three"))


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
@pytest.mark.parametrize("parallelism", [1, 3])
def test_a_poll_allocates_nothing(tmp_path, mode, parallelism):
    """Once it is warm, in the whole process: with empty namespaces, listeners, connections, filters and readers."""
    counters = tmp_path / "allocations"
    with bed.Population(namespaces=6, v4=60, listeners=2) as crowd, bed.Population(namespaces=1, v4=4200) as large, \
            bed.Population(namespaces=6, plain=1, listeners=2) as quiet, \
            bed.Population(namespaces=6, plain=1) as empty:
        selection = {"include": [each for some in (crowd, large, quiet, empty) for each in some.selection["include"]]}
        one = {"interval": "100ms", "align": "none", "namespaces": selection,
               "reader": {"mode": mode, "parallelism": parallelism}, "sinks": {"out": {"type": "blackhole"}},
               "filter": {"not": {"interface": "no-such", "mark": 77, "cgroup": "/no-such", "source_port": 1}}}
        # Without the log line of each poll, and without looking for namespaces, which may come and go elsewhere.
        quietly = {"global": {"log": {"level": "info", "format": "json"}, "discovery": {"interval": "1h"},
                              "metrics": {"listen": "none"}}}
        environment = {"LD_PRELOAD": str(bed.TOOLS / "allocations.so"), "XTCPD_ALLOCATIONS": str(counters)}
        with daemon.Daemon(tmp_path / "run", {"p": one}, settings=quietly, environment=environment) as running:
            bed.eventually(lambda: completed(running) >= 15, what="fifteen polls")
            counts = []
            for _ in range(8):
                before = allocations(counters)
                time.sleep(0.35)
                counts.append(allocations(counters) - before)
            assert completed(running) >= 30
    # Mounts that come and go on this machine meanwhile are looked at, which allocates.
    assert counts.count(0) >= 5, counts


def completed(running):
    return running.status()["pipelines"][0]["polls"]["complete"]


def allocations(path):
    return struct.unpack("<QQ", path.read_bytes())[0]
