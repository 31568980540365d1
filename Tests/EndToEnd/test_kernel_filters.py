"""Filters that the kernel evaluates: it leaves out exactly what user space would."""
import json
import os
import pathlib
import random
import subprocess
import sys

import pytest

import bed
import daemon
import holder
from shown import shows

FILTERS = 20
PORTS = [0, 443, 5000, 5002, 5003, 20000, 20001, 20003, 33000, 40000, 45000, 50000, 60999, 65535]
NETWORKS = ["127.0.0.0/8", "127.1.0.0/16", "127.1.0.1", "0.0.0.0/0", "::/0", "::1", "::ffff:0:0/96", "::ffff:127.0.0.1",
            "127.0.0.1/32", "2001:db8::/32", "128.0.0.0/1"]
MARKS = ["0x100/0x100", "0x105", 266, "0/0x1", "0x1/0x3", 0]
STATES = ["established", "listen", "time_wait", "syn_recv", "fin_wait2", "close_wait"]


def ports(draw):
    low, high = sorted(draw.sample(PORTS, 2))
    return draw.choice([low, f"{low}-{high}"])


def terms(draw):
    """Some of the keys of a filter, each with a few elements."""
    def some(element, most=3):
        return [element() for _ in range(draw.randint(1, most))]

    made = {"source_port": lambda: some(lambda: ports(draw)), "destination_port": lambda: some(lambda: ports(draw)),
            "source": lambda: some(lambda: draw.choice(NETWORKS)),
            "destination": lambda: some(lambda: draw.choice(NETWORKS)),
            "interface": lambda: some(lambda: draw.choice(["lo", "eth0", 0, 1])),
            "mark": lambda: some(lambda: draw.choice(MARKS)), "cgroup": lambda: some(lambda: draw.choice(["/", 1, 77]))}
    # What matches little would hide what the others do.
    keys = draw.sample(["source_port", "destination_port", "source", "destination"], draw.randint(0, 2))
    keys += draw.sample(["interface", "mark", "cgroup"], draw.choice([0, 0, 1]))
    return {key: list(dict.fromkeys(made[key]())) for key in keys}


def random_filter(draw):
    made = terms(draw)
    if draw.random() < 0.6:
        made["not"] = terms(draw)
    if draw.random() < 0.3:
        made["states"] = draw.sample(STATES, draw.randint(1, 4))
    return made or {"source_port": [443]}


def rows_of(path):
    return sorted((row["netns_cookie"], row["inet_diag_msg_socket_cookie"]) for row in bed.records_of(path.read_text()))


@pytest.mark.parametrize("seed", range(3))
def test_kernel_and_user_space_agree(tmp_path, still, seed):
    """Random filters on real sockets of all families, marks, interfaces and states."""
    draw = random.Random(seed)
    filters = {f"f{number}": random_filter(draw) for number in range(FILTERS)}
    pipelines = {}
    for name, made in filters.items():
        for way, shortcuts in (("kernel", ["filter"]), ("user", [])):
            pipelines[f"{name}-{way}"] = {
                "interval": "1h", "align": "none", "namespaces": still.selection, "filter": made, "timeout": "1m",
                "reader": {"shortcuts": shortcuts},
                "sinks": {"out": {"type": "file", "path": str(tmp_path / f"{name}-{way}"), "format": "jsonl"}}}
    paths = {"global": {"paths": {"cgroup": "/sys/fs/cgroup"}}}
    with daemon.Daemon(tmp_path, pipelines, settings=paths) as running:
        for name in pipelines:
            running.wait_for_polls(1, name)
    found, spared = 0, 0
    for name, made in filters.items():
        kernel, user = (running.polls(f"{name}-{way}")[0] for way in ("kernel", "user"))
        same = rows_of(tmp_path / f"{name}-kernel")
        assert same == rows_of(tmp_path / f"{name}-user"), (seed, made)
        found += len(same)
        spared += int(user["sockets"]) - int(kernel["sockets"])
        # Nothing is left to do for user space but where it is told less than the kernel knows.
        if "mark" not in made and "mark" not in made.get("not", {}):
            assert int(kernel["filtered"]) == 0, (seed, made, kernel)
    print(f"seed {seed}: {found} rows of {FILTERS} filters, {spared} sockets not reported")
    assert found > 1000 and spared > 1000


INSIDE = """
import socket, sys
held = []
for device, mark in (("xa", 0), ("xb", 0), (None, 7)):
    for kind in (socket.AF_INET, socket.AF_INET6):
        server = socket.socket(kind)
        if device: server.setsockopt(socket.SOL_SOCKET, 25, device.encode())
        if mark: server.setsockopt(socket.SOL_SOCKET, 36, mark)
        server.bind(("", 0))
        server.listen()
        held.append(server)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(name="bound", scope="module")
def fixture_bound():
    """Two namespaces that have the interfaces xa and xb under different indices, and listeners bound to them."""
    with holder.Holder([]) as one, holder.Holder([]) as two:
        processes = []
        for held, names in ((one, ["xa", "xb"]), (two, ["xb", "xa"])):
            inside = ["nsenter", f"--net=/proc/{held.pid}/ns/net"]
            for name in names:
                subprocess.run([*inside, "ip", "link", "add", name, "type", "bridge"], check=True)
            processes.append(subprocess.Popen([*inside, sys.executable, "-c", INSIDE], stdin=subprocess.PIPE,
                                              stdout=subprocess.PIPE, text=True))
            assert processes[-1].stdout.readline() == "ready\n"
        yield {"include": [{"inode": one.inode}, {"inode": two.inode}]}
        for process in processes:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


@shows(*[f"pipeline.filter.{key}" for key in ("interface", "not.interface", "mark", "not.mark")])
@pytest.mark.parametrize("made,count", [
    ({"interface": "xa"}, 4), ({"interface": ["xa", "xb"]}, 8), ({"not": {"interface": "xa"}}, 8),
    ({"interface": "no-such"}, 0), ({"not": {"interface": "no-such"}}, 12), ({"interface": 0}, 4), ({"mark": 7}, 4),
    ({"not": {"mark": "0x3/0x3"}}, 8), ({"states": "listen", "mark": 7, "not": {"interface": ["xa", "xb"]}}, 4)])
@pytest.mark.parametrize("shortcuts", ["all", []])
def test_interfaces_are_known_by_name_in_each_namespace(tmp_path, bound, made, count, shortcuts):
    output = tmp_path / "rows.jsonl"
    one = {"interval": "1h", "align": "none", "namespaces": bound, "filter": made,
           "reader": {"shortcuts": shortcuts}, "sinks": {
               "out": {"type": "file", "path": str(output), "format": "jsonl"}}}
    with daemon.Daemon(tmp_path, {"p": one}) as running:
        running.poll(count=2)
    rows = [row for row in bed.records_of(output.read_text()) if row["poll_sequence"] == 1] if output.exists() else []
    assert len(rows) == count and running.totals()["p"]["reported"] == sum(
        int(poll["sockets"]) for poll in running.polls("p"))


@shows("pipeline.filter.cgroup", "pipeline.filter.not.cgroup")
def test_control_groups_are_known_by_path(tmp_path):
    """Of version 2, by the path below its mount; a group that is not there has no sockets."""
    root = pathlib.Path("/sys/fs/cgroup/unified")
    root = root if root.exists() else pathlib.Path("/sys/fs/cgroup")
    group = root / f"xtcpd-test-{os.getpid()}"
    group.mkdir()
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 7001)); print(1, flush=True); sys.stdin.read()"
    try:
        with holder.Holder([["127.0.0.1", 443]]) as held:
            inside = ["sh", "-c", f"echo $$ > {group}/cgroup.procs && exec nsenter --net=/proc/{held.pid}/ns/net "
                                  f"{sys.executable} -c \"{code}\""]
            with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout.readline() == "1\n"
                path = f"/{group.name}"
                for made, wanted in (({"cgroup": path}, [7001]), ({"cgroup": os.stat(group).st_ino}, [7001]),
                                     ({"not": {"cgroup": path}}, [443]), ({"cgroup": "/no-such-group"}, []),
                                     ({"cgroup": ["/no-such-group", path]}, [7001])):
                    assert ports_left(tmp_path, held, made) == wanted, made
                assert_missing_group_is_told(tmp_path, held, root)
                process.stdin.close()
    finally:
        bed.eventually(lambda: not (group / "cgroup.procs").read_text(), what="the group is empty")
        group.rmdir()


def assert_missing_group_is_told(tmp_path, held, root):
    """Once, with the directory that was looked for; and when it comes."""
    group = root / f"xtcpd-late-{os.getpid()}"
    one = {"interval": "100ms", "align": "none", "namespaces": {"include": [{"inode": held.inode}]},
           "filter": {"cgroup": f"/{group.name}"}, "sinks": {"out": {"type": "blackhole"}}}
    with daemon.Daemon(tmp_path / "late", {"p": one}) as running:
        running.wait_for_polls(4, "p")
        group.mkdir()
        try:
            running.wait_for_log(f"{group} is there now")
        finally:
            group.rmdir()
    told = [entry["message"] for entry in running.log if f"there is no control group {group};" in entry["message"]]
    assert len(told) in (1, 2), told


def ports_left(tmp_path, held, made):
    output = tmp_path / "ports.jsonl"
    output.unlink(missing_ok=True)
    one = {"interval": "1h", "align": "none", "namespaces": {"include": [{"inode": held.inode}]}, "filter": made,
           "timeout": "1m", "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}
    with daemon.Daemon(tmp_path / "run", {"p": one}) as running:
        running.wait_for_polls(1, "p")
    rows = bed.records_of(output.read_text()) if output.exists() else []
    return sorted(row["inet_diag_msg_socket_source_port"] for row in rows)


def test_a_program_that_the_kernel_refuses_is_evaluated_here(tmp_path, still):
    """Marks need CAP_NET_ADMIN: without, the kernel takes no program that speaks of them; nothing is lost by that."""
    made = {"source_port": "1-65535", "not": {"mark": 5}}
    one = {"interval": "1h", "align": "none", "namespaces": still.selection, "filter": made,
           "sinks": {"out": {"type": "blackhole"}}}
    states = {**one, "filter": {**made, "states": ["established", "listen"]}}
    prefix = ("capsh", "--drop=cap_net_admin", "--shell=/bin/sh", "--", "-c", 'exec "$0" "$@"')
    with daemon.Daemon(tmp_path, {"p": states}, prefix=prefix) as running:
        running.poll(count=2)
    told = [entry for entry in running.log if "does not take the program" in entry["message"]]
    warned = [entry for entry in running.log if "`filter.not.mark` drops none" in entry["message"]]
    assert len(warned) == 1 and "CAP_NET_ADMIN" in warned[0]["message"], warned
    assert len(told) == 1 and "EPERM" in told[0]["message"], told
    assert all(int(poll["incomplete"]) == 0 for poll in running.polls("p"))
    assert len({poll["encoded"] for poll in running.polls("p")}) == 1 and int(running.polls("p")[0]["encoded"]) > 1000


def test_a_reload_may_make_the_program_longer(tmp_path, still):
    """Settings that hold at once, without a rebuild: what the kernel is asked for grows under a pipeline that runs."""
    def pipeline(shortcuts, states):
        return {"interval": "1h", "align": "none", "namespaces": still.selection, "reader": {"shortcuts": shortcuts},
                "filter": {"states": states, "source_port": [443, "5000-5003", "20000-65535"], "not": {"mark": 5}},
                "sinks": {"out": {"type": "blackhole"}}}

    steps = [([], "all"), (["filter"], "all"), ("all", ["established", "listen"]), ([], ["established", "listen"])]
    with daemon.Daemon(tmp_path, {"p": pipeline(*steps[0])}) as running:
        for step in steps[1:]:
            running.poll(count=2)
            assert running.reload_with({"p": pipeline(*step)})["result"] == "applied"
        running.poll(count=3)
    polls = running.polls("p")
    assert all(int(poll["incomplete"]) == 0 for poll in polls) and int(polls[-1]["encoded"]) > 100
    assert len({poll["filtered"] for poll in polls}) >= 3, "the kernel left out as much in each step"
    running.check_totals()


def test_what_the_kernel_is_asked_is_explained(tmp_path):
    file = tmp_path / "xtcpd.yaml"
    file.write_text(json.dumps({"version": 1, "pipelines": {
        "web": {"filter": {"states": ["established"], "destination_port": 443,
                           "not": {"destination": ["127.0.0.0/8", "::1"], "interface": "lo"}},
                "sinks": {"out": {"type": "blackhole"}}},
        "off": {"filter": {"source_port": [1, 3]}, "reader": {"shortcuts": []},
                "sinks": {"out": {"type": "blackhole"}}},
        "all": {"sinks": {"out": {"type": "blackhole"}}}}}))
    done = bed.xtcpd("check", "--config", str(file), "--explain")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for words in ("pipeline web", "idiag_states 0x2", "idiag_dport 443", "d_cond 127.0.0.0/8", "d_cond ::1/128",
                  "dev_cond lo", "jmp drop", "pipeline off", "source_port", "pipeline all",
                  "nothing is left out by the kernel"):
        assert words in text, (words, text)
    done = bed.xtcpd("check", "--config", str(file), "--explain", "--format", "json")
    explained = {entry["pipeline"]: entry for entry in json.loads(done.stdout)["filters"]}
    assert explained["web"]["idiag_dport"] == 443 and explained["web"]["program"], explained
    assert explained["off"]["program"] == [] and explained["off"]["in_user_space"] == ["source_port"]
