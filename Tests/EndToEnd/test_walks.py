"""What is walked to read a namespace: nothing, the listeners, or all; and that nothing is missed by it."""
import contextlib
import re
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
    """It polls once by itself, and then as often as the test asks: as soon as the last poll is over, and none of them
    is cut short on a busy machine. Without asking for what is known, which depends on the host's other sockets."""
    reader.setdefault("shortcuts", ["empty", "listeners", "filter"])
    return {"interval": "1h", "align": "none", "namespaces": {"include": [{"inode": held.inode}]},
            "reader": reader, "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}


def kinds(poll):
    return {kind: int(poll[kind]) for kind in ("none", "listeners", "known", "full")}


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
        running.poll(count=12)
        metrics = running.metrics()
    polls = running.polls("p")
    walks = [kinds(poll) for poll in polls]
    # The first is full, and then one in six; each read is counted once.
    assert walks[0] == {"none": 0, "listeners": 0, "known": 0, "full": 1}
    assert all(sum(walk.values()) == 1 for walk in walks)
    if kind == "full":
        assert all(walk["full"] for walk in walks)
    else:
        full = [number for number, walk in enumerate(walks) if walk["full"]]
        assert 3 <= len(full) <= 4 and all(walk[kind] or walk["full"] for walk in walks), walks
    counted = {kind: metrics[f'xtcpd_walks_total{{pipeline="p",kind="{kind}"}}'] for kind in walks[0]}
    assert sum(counted.values()) == len(polls) == 13 and counted[kind] >= 9, counted
    assert all(int(poll["sockets"]) == len(listeners) + 2 * len(connections) for poll in polls)


def test_what_comes_and_goes_is_seen_at_the_next_poll(tmp_path):
    output = tmp_path / "rows.jsonl"
    with holder.Holder([["127.0.0.1", 443]]) as held, Actor(held) as actor, \
            daemon.Daemon(tmp_path, {"p": settings(held, output, full_walk_every=1_000_000)}) as running:
        def sockets_become(count):
            assert [int(poll["sockets"]) for poll in running.poll(count=2)] == [count] * 2, running.polls("p")

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
        running.poll()
        wait_until_written(running)
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
            running.poll(count=3)
            running.poll("established", 3)
    assert [int(poll["sockets"]) for poll in running.polls("p")[:4]] == [1] * 4
    # Who does not want them need not walk for them.
    assert [kinds(poll)["none"] for poll in running.polls("established")[:4]] == [0, 1, 1, 1]


def test_half_open_connections_are_found_by_the_full_walk(tmp_path):
    """Sockstat does not count request sockets: beside listeners alone they are seen at least once in so many polls."""
    output = tmp_path / "rows.jsonl"
    with bed.Population(namespaces=1, plain=1, listeners=2, syn_received=3) as crowd:
        one = {"interval": "1h", "align": "none", "namespaces": crowd.selection,
               "reader": {"full_walk_every": 4},
               "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            running.poll(count=8)
    polls = running.polls("p")
    seen = {number: sum(row["inet_diag_msg_state"] == "SYN_RECV" for row in rows)
            for number, rows in rows_by_poll(output).items()}
    full = [int(poll["sequence"]) for poll in polls if kinds(poll)["full"]]
    assert len(full) >= 3 and all(seen.get(number) for number in full), (seen, full)


@pytest.mark.parametrize("states", ["syn_recv", ["listen", "syn_recv"]])
def test_who_asks_for_half_open_connections_alone_sees_them_in_each_poll(tmp_path, states):
    with bed.Population(namespaces=1, plain=1, listeners=2, syn_received=3) as crowd:
        one = {"interval": "1h", "align": "none", "namespaces": crowd.selection, "filter": {"states": states},
               "sinks": {"out": {"type": "blackhole"}}}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            running.poll(count=4)
    polls = running.polls("p")
    assert all(kinds(poll)["listeners"] == 0 and int(poll["encoded"]) >= 3 for poll in polls), polls


@shows("pipeline.reader.shortcuts", "pipeline.reader.full_walk_every")
def test_shortcuts_can_be_turned_off_while_it_runs(tmp_path):
    with holder.Holder([]) as empty:
        one = settings(empty, tmp_path / "rows.jsonl", full_walk_every=1_000_000)
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            assert kinds(running.poll(count=2)[-1])["none"] == 1
            for change in ({"shortcuts": ["listeners", "filter"]}, {"shortcuts": []}, {"full_walk_every": 1}):
                assert running.reload_with({"p": {**one, "reader": change}})["result"] == "applied"
                last = kinds(running.poll(count=2)[-1])
                assert last["none"] == 0 and sum(last.values()) == 1, (change, last)


@pytest.fixture(scope="module")
def foreign():
    """Sockets of others in the hash, which make it worth asking for the few of a namespace one by one."""
    with bed.Population(namespaces=1, v4=1500) as population:
        yield population


KNOWN = {"full_walk_every": 1_000_000, "shortcuts": ["empty", "listeners", "known", "filter"]}
# What differs between two looks at one socket is left out, with what a poll says of itself.
STEADY = ["netns_cookie", "pipeline", "inet_diag_msg_family", "inet_diag_msg_state",
          "inet_diag_msg_socket_source", "inet_diag_msg_socket_destination", "inet_diag_msg_socket_source_port",
          "inet_diag_msg_socket_destination_port", "inet_diag_msg_socket_interface", "inet_diag_msg_socket_cookie",
          "inet_diag_msg_uid", "inet_diag_msg_inode", "congestion_algorithm_string", "mem_info_rmem", "tcp_info_state",
          "tcp_info_snd_mss", "tcp_info_rcv_mss", "tcp_info_pmtu", "sk_mem_info_rcvbuf", "sk_mem_info_sndbuf",
          "type_of_service", "traffic_class",
          "class_id", "cgroup", "attributes"]


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
@pytest.mark.parametrize("parallelism", [1, 3])
def test_known_connections_are_asked_for_one_by_one(tmp_path, foreign, mode, parallelism):
    """Both families, listeners, TIME_WAIT; more than are asked for at once. Rows are the same as those of a walk."""
    output = tmp_path / "rows.jsonl"
    with bed.Population(namespaces=2, v4=40, v6=25, mapped=9, listeners=4, half_closed=2, time_wait=3) as crowd:
        one = {"interval": "1h", "align": "none", "namespaces": crowd.selection, "attributes": "all",
               "reader": {**KNOWN, "mode": mode, "parallelism": parallelism},
               "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            running.wait_for_polls(1, "p")
            times = [time.time_ns()]
            for _ in range(3):
                running.poll()
                times.append(time.time_ns())
            metrics = running.metrics()
    polls = running.polls("p")
    running.check_totals()
    assert [kinds(poll)["known"] for poll in polls] == [0, 2, 2, 2], polls
    assert metrics['xtcpd_walks_total{pipeline="p",kind="known"}'] == 6
    assert metrics['xtcpd_pool_in_use{pipeline="p",pool="known_sockets"}'] > 150
    rows = rows_by_poll(output)
    assert all(len(each) == len(rows[1]) == int(polls[0]["sockets"]) for each in rows.values())
    columns = [column for column in STEADY if any(column in row for row in rows[1])]
    assert len(columns) > 20, columns
    first = {(row["netns_cookie"], row["inet_diag_msg_socket_cookie"]): row for row in rows[1]}
    for number in (2, 3, 4):
        found = {(row["netns_cookie"], row["inet_diag_msg_socket_cookie"]): row for row in rows[number]}
        assert len(found) == len(rows[number]) and found.keys() == first.keys()
        different = [(row["inet_diag_msg_state"], column, first[key].get(column), row.get(column))
                     for key, row in found.items() for column in columns if first[key].get(column) != row.get(column)]
        assert not different, different[:9]
        # A walk leaves none out either: the same kernel attributes, and the moment is that of the answer.
        assert all(row.keys() == first[key].keys() for key, row in found.items())
        moments = [row["timestamp_ns"] for row in found.values()]
        assert times[number - 2] < min(moments) <= max(moments) < times[number - 1], (times, number)


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
@pytest.mark.parametrize("parallelism", [1, 2])
def test_what_has_changed_is_walked_for_and_each_socket_has_one_row(tmp_path, foreign, mode, parallelism):
    """As many connections as before, but not the same: some have been reported when it is noticed."""
    output = tmp_path / "rows.jsonl"
    connect = "held.append(socket.create_connection(('127.0.0.1', 443)))"
    with holder.Holder([["127.0.0.1", 443]]) as held, Actor(held) as actor:
        for _ in range(20):
            actor.do(connect)
        # A reset leaves nothing in TIME_WAIT.
        actor.do("import struct")
        close = ("s = held.pop(%d); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); "
                 "s.close()")
        one = settings(held, output, **{**KNOWN, "mode": mode, "parallelism": parallelism})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            assert kinds(running.poll()[0])["known"] == 1
            for place in (0, 7, 17):
                before = held_sockets(held)
                actor.do(close % place)
                actor.do(connect)
                # The other end of the closed one, which nobody has accepted, goes with it, and comes with the new one.
                bed.eventually(lambda: len(held_sockets(held)) == len(before), what="as many sockets as before")
                present = held_sockets(held)
                assert present != before
                walked, known = running.poll(count=2)
                assert kinds(walked)["full"] == 1 and kinds(known)["known"] == 1, (walked, known)
                assert int(walked["sockets"]) == int(known["sockets"]) == len(present)
                wait_until_written(running)
                for poll in (walked, known):
                    rows = rows_by_poll(output)[int(poll["sequence"])]
                    cookies = [row["inet_diag_msg_socket_cookie"] for row in rows]
                    assert len(cookies) == len(set(cookies)) and set(cookies) == present
            # Fewer, more: sockstat tells.
            actor.do(close % 3)
            assert kinds(running.poll()[0])["full"] == 1
            actor.do(connect)
            actor.do(connect)
            assert [kinds(poll)["known"] for poll in running.poll(count=2)] == [0, 1]
            assert int(running.polls("p")[-1]["sockets"]) == len(held_sockets(held))
    running.check_totals()


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_a_listener_that_comes_where_none_had_been_is_seen(tmp_path, foreign, mode):
    """And a connection goes: as many sockets as before, all of which had been connections."""
    output = tmp_path / "rows.jsonl"
    with holder.Holder([]) as held, Actor(held) as actor:
        actor.do("import struct; listener = socket.create_server(('127.0.0.1', 443))")
        for _ in range(6):
            actor.do("held.append((socket.create_connection(('127.0.0.1', 443)), listener.accept()[0]))")
        actor.do("listener.close()")
        with daemon.Daemon(tmp_path, {"p": settings(held, output, **{**KNOWN, "mode": mode})}) as running:
            assert kinds(running.poll()[0]) == {"none": 0, "listeners": 0, "known": 1, "full": 0}
            actor.do("reset = struct.pack('ii', 1, 0)")
            actor.do("[(s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset), s.close()) for s in held.pop()]")
            actor.do("held.append([socket.create_server(('127.0.0.1', port)) for port in (444, 445)])")
            bed.eventually(lambda: len(held_sockets(held)) == 12, what="twelve sockets")
            polls = running.poll(count=3)
            present = held_sockets(held)
            wait_until_written(running)
            for poll in polls:
                rows = rows_by_poll(output)[int(poll["sequence"])]
                assert {row["inet_diag_msg_socket_cookie"] for row in rows} == present and len(rows) == len(present)
                assert sorted(row["inet_diag_msg_socket_source_port"] for row in rows
                              if row["inet_diag_msg_state"] == "LISTEN") == [444, 445]


def test_what_is_known_stays_right_when_settings_change(tmp_path, foreign):
    """What was remembered under other states, or before a filter came, is used as long as it is all there is."""
    with bed.Population(namespaces=3, v4=20, listeners=2, half_closed=3) as crowd:
        one = {"interval": "1h", "align": "none", "namespaces": crowd.selection, "reader": KNOWN,
               "sinks": {"out": {"type": "blackhole"}}}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            assert kinds(running.poll()[0])["known"] == 3
            whole = int(running.polls("p")[-1]["encoded"])
            found = []
            for change in ({"filter": {"states": "established"}}, {}, {"filter": {"not": {"source_port": 1}}}, {},
                           {"reader": {**KNOWN, "shortcuts": ["empty", "listeners"]}}, {}):
                assert running.reload_with({"p": {**one, **change}})["result"] == "applied"
                found.append([(int(poll["encoded"]), kinds(poll)["known"]) for poll in running.poll(count=2)])
    running.check_totals()
    established = found[0][0][0]
    assert 0 < established < whole and [encoded for encoded, _ in found[0]] == [established] * 2
    assert all([encoded for encoded, _ in each] == [whole] * 2 for each in found[1:]), found
    # Not for who has a filter or does not want it; whoever asks for it again knows everything at the second poll.
    assert [known for _, known in found[2] + found[4]] == [0] * 4 and found[5][1][1] == 3, found


def test_connections_are_known_as_far_as_there_is_memory_and_while_it_is_worth_it(tmp_path, foreign):
    blackhole = {"out": {"type": "blackhole"}}
    with bed.Population(namespaces=1, v4=30, listeners=1) as few, bed.Population(namespaces=1, v4=900) as many:
        cases = {"little": (few, 32, 1_000_000), "off": (few, 0, 1_000_000), "enough": (few, 64, 1_000_000),
                 "turns": (few, 64, 2), "large": (many, 100_000, 1_000_000)}
        pipelines = {name: {"interval": "1h", "align": "none", "namespaces": crowd.selection, "sinks": blackhole,
                            "reader": {**KNOWN, "full_walk_every": every}, "pools": {"known_sockets": known}}
                     for name, (crowd, known, every) in cases.items()}
        with daemon.Daemon(tmp_path, pipelines) as running:
            hosts = [bed.sockets_of_the_host()]
            found = {name: [kinds(poll)["known"] for poll in running.poll(name, 4)] for name in pipelines}
            hosts.append(bed.sockets_of_the_host())
            metrics = running.metrics()
    # Others of this machine may make it worth it meanwhile.
    large = found.pop("large")
    assert large == [0] * 4 or max(hosts) >= 16 * 1800, (large, hosts)
    # A full walk makes room for what it finds.
    assert sorted(found.pop("turns")) == [0, 0, 1, 1]
    assert found == {"little": [0] * 4, "off": [0] * 4, "enough": [1] * 4}, found
    # It would have been remembered if there had been room; nothing is kept of what was not all.
    assert metrics['xtcpd_pool_waits_total{pipeline="little",pool="known_sockets"}'] >= 4
    in_use = {name: metrics[f'xtcpd_pool_in_use{{pipeline="{name}",pool="known_sockets"}}'] for name in found}
    assert in_use == {"little": 0, "off": 0, "enough": 70}, in_use


@shows("pipeline.pools.known_sockets")
def test_namespaces_that_go_leave_room(tmp_path, foreign):
    """And a pipeline whose pool was made smaller starts anew."""
    one = {"interval": "1h", "align": "none", "reader": KNOWN, "sinks": {"out": {"type": "blackhole"}}}
    with bed.Population(namespaces=1, v4=20) as stays, contextlib.ExitStack() as leaving:
        goes = leaving.enter_context(bed.Population(namespaces=4, v4=20))
        both = {"include": stays.selection["include"] + goes.selection["include"]}
        with daemon.Daemon(tmp_path, {"p": {**one, "namespaces": both}}) as running:
            assert kinds(running.poll(count=2)[-1])["known"] == 5
            leaving.close()
            bed.eventually(lambda: int(running.poll()[0]["namespaces"]) == 1, what="one namespace left")
            assert known_in_use(running) == 50
            smaller = {**one, "namespaces": stays.selection, "pools": {"known_sockets": 21}}
            assert running.reload_with({"p": smaller})["result"] == "applied"
            assert kinds(running.poll(count=2)[-1])["known"] == 0
            assert known_in_use(running) == 0


def known_in_use(running):
    return running.metrics()['xtcpd_pool_in_use{pipeline="p",pool="known_sockets"}']


def held_sockets(held):
    """The cookies of the sockets in a holder's namespace, as ss sees them."""
    return {int(cookie, 16) for cookie in re.findall(
        r"\bsk:([0-9a-f]+)", bed.text_of_ss(f"/proc/{held.pid}/ns/net", "-tanHe"))}


def wait_until_written(running):
    """What is written is written by another thread, and the log may be sooner than it."""
    bed.eventually(lambda: running.sink("p", "out")["queued_rows"] == running.sink("p", "out")["sending_rows"] == 0,
                   what="all rows in the file")


def test_hundreds_of_idle_namespaces_hold_up_nobody(tmp_path):
    """Looking into many namespaces in which nothing is takes turns with another pipeline of the same loop."""
    with bed.Population(namespaces=300, plain=1, listeners=1) as crowd, holder.Holder([["127.0.0.1", 443]]) as other:
        many = {"interval": "500ms", "align": "none", "namespaces": crowd.selection,
                "sinks": {"out": {"type": "blackhole"}}}
        quick = {"interval": "20ms", "align": "none", "namespaces": {"include": [{"inode": other.inode}]},
                 "sinks": {"out": {"type": "blackhole"}}}
        loops = {"global": {"resources": {"loops": 1}}}
        with daemon.Daemon(tmp_path, {"many": many, "quick": quick}, settings=loops) as running:
            polls = running.wait_for_complete_polls(7, "many")[1:7]
    assert all(poll["sockets"] == polls[0]["sockets"] and kinds(poll)["listeners"] >= 200 for poll in polls), polls
    # A busy machine makes all of it slower: what counts is how many polls of the one fall into those of the other.
    ends = running.ends("quick")
    took = {end: int(poll["us"]) / 1e6 for end, poll in zip(running.ends("many"), running.polls("many"))
            if poll in polls}
    beside = [sum(end - seconds < moment < end for moment in ends) for end, seconds in took.items()]
    assert sum(beside) >= sum(took.values()) / 0.02 / 3, (beside, took)


def test_the_address_family_does_not_matter(tmp_path):
    """Listeners and connections of IPv6 are in sockstat6 alone."""
    with holder.Holder([["::1", 443]], [["::1", 40001, "::1", 443]]) as held:
        output = tmp_path / "rows.jsonl"
        with daemon.Daemon(tmp_path, {"p": settings(held, output, full_walk_every=1_000_000)}) as running:
            running.poll(count=3)
    polls = running.polls("p")
    assert all(int(poll["sockets"]) == 3 and kinds(poll)["full"] == 1 for poll in polls)


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_a_large_namespace_is_read_in_parts_and_each_socket_once(tmp_path, mode):
    """Beside small ones; from the third poll on by three dumps at a time."""
    with bed.Population(namespaces=1, v4=3000, v6=1000, mapped=500, listeners=20) as large, \
            bed.Population(namespaces=20, v4=20, listeners=2) as small:
        both = {"include": large.selection["include"] + small.selection["include"]}
        pipelines = {}
        for name, count in (("one", 1), ("three", 3)):
            pipelines[name] = {"interval": "1h", "align": "none", "namespaces": both, "attributes": [],
                               "reader": {"mode": mode, "parallelism": count}, "sinks": {"out": {
                                   "type": "file", "path": str(tmp_path / f"{name}.jsonl"), "format": "jsonl"}}}
        with daemon.Daemon(tmp_path, pipelines) as running:
            running.poll("one", 5)
            hosts = [bed.sockets_of_the_host()]
            for _ in range(5):
                running.poll("three")
                hosts.append(bed.sockets_of_the_host())
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
    few, most = (1 + sum(parts * (parts - 1) * sockets <= 12 * 9000 for parts in (2, 3))
                 for sockets in (max(hosts), min(hosts)))
    found = [int(poll["parts"]) for poll in running.polls("three")[:6]]
    assert found[:2] == [0, 0] and most >= 2, (found, hosts)
    assert all(few <= (parts or 1) <= 3 for parts in found[2:]), (found, hosts)
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
        # No more often than a busy machine keeps: what is said of a poll that had no time allocates.
        one = {"interval": "250ms", "align": "none", "namespaces": selection,
               "reader": {"mode": mode, "parallelism": parallelism}, "sinks": {"out": {"type": "blackhole"}},
               "filter": {"not": {"interface": "no-such", "mark": 77, "cgroup": "/no-such", "source_port": 1}}}
        # Who has a filter does not ask for what is known.
        known = {**one, "namespaces": crowd.selection, "filter": {}}
        # Without the log line of each poll, and without looking for namespaces, which may come and go elsewhere.
        quietly = {"global": {"log": {"level": "info", "format": "json"}, "discovery": {"interval": "1h"},
                              "metrics": {"listen": "none"}}}
        environment = {"LD_PRELOAD": str(bed.TOOLS / "allocations.so"), "XTCPD_ALLOCATIONS": str(counters)}
        pipelines = {"p": one, "known": known}
        with daemon.Daemon(tmp_path / "run", pipelines, settings=quietly, environment=environment) as running:
            bed.eventually(lambda: completed(running) >= 8, 60, "eight polls")
            counts = []
            for _ in range(8):
                before = allocations(counters)
                time.sleep(0.35)
                counts.append(allocations(counters) - before)
            bed.eventually(lambda: completed(running) >= 16, 60, "sixteen polls")
            pools = {pool["name"]: pool for pool in running.pipelines()["known"]["pools"]}
            assert pools["known_sockets"]["in_use"] >= 6 * 120
    # Mounts that come and go on this machine meanwhile are looked at, which allocates.
    assert counts.count(0) >= 5, counts


def completed(running):
    return min(pipeline["polls"]["complete"] for pipeline in running.status()["pipelines"])


def allocations(path):
    return struct.unpack("<QQ", path.read_bytes())[0]
