"""How namespaces are found: what it costs the main thread, how soon it sees what is new, how pipelines choose."""
import contextlib
import os
import pathlib
import subprocess
import sys
import time

import pytest

import bed
import daemon
import holder

LISTENER = [["0.0.0.0", 7000]]
HERE = f"xd{os.getpid()}-"


def file_sink(path):
    return {"type": "file", "path": str(path), "format": "jsonl"}


def pipeline(path, *include, **settings):
    return {"interval": "200ms", "align": "none", "namespaces": {"include": list(include)},
            "sinks": {"out": file_sink(path)}, **settings}


def scanning(interval, **paths):
    log = {"level": "debug", "format": "json"}
    return {"global": {"discovery": {"interval": interval}, "paths": paths, "log": log}}


# --- what it costs ---


@contextlib.contextmanager
def processes(count):
    """So many processes that do nothing."""
    with subprocess.Popen([bed.TOOLS / "processes", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as running:
        assert running.stdout.readline() == f"{count}\n"
        yield
        running.stdin.close()
    assert running.returncode == 0


@contextlib.contextmanager
def coming_and_going(is_wanted, seconds):
    """Ten new mounted namespaces a second, each deleted after a second and a half."""
    if not is_wanted:
        yield
        return
    tool = subprocess.Popen([bed.TOOLS / "namespaces", HERE, "10", str(seconds), "1500"], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        bed.end(tool)


def main_thread_seconds(pid):
    """User and system time of the main thread: in nanoseconds, not in ticks of 10 ms."""
    return int(pathlib.Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


@pytest.mark.parametrize("churning", [False, True], ids=["quiet", "ten new namespaces a second"])
def test_discovery_costs_at_most_two_percent_of_a_core(tmp_path, churning):
    """5,000 processes, 50 pipelines that poll each second: one discoverer serves all, and is paced."""
    seconds = 10  # From one scan of all processes to the next.
    settings = {"interval": "1s", "namespaces": {"include": [{"name": HERE + "*"}]},
                "sinks": {"out": {"type": "blackhole", "format": "protobuf_list"}}}
    with processes(5000), coming_and_going(churning, seconds + 15):
        with daemon.Daemon(tmp_path, {f"p{number}": settings for number in range(50)}) as running:
            running.wait_for_polls(100)
            before = main_thread_seconds(running.process.pid), time.monotonic()
            time.sleep(seconds)
            after = main_thread_seconds(running.process.pid), time.monotonic()
    share = (after[0] - before[0]) / (after[1] - before[1])
    print(f"main thread: {share:.2%} of a core")
    assert share <= 0.02
    totals = running.totals()
    assert len(totals) == 50
    if churning:
        assert all(counts["encoded"] > 0 for counts in totals.values())


# --- what is new ---


def test_a_new_mount_shows_in_rows_within_a_second(tmp_path):
    """By notification: processes are looked at once an hour here, so that none is known before it is mounted."""
    output = tmp_path / "rows.jsonl"
    name = HERE + "new"
    with daemon.Daemon(tmp_path, {"p": pipeline(output, {"name": name})}, settings=scanning("1h")) as running:
        running.wait_for_polls(2)
        for _ in range(3):
            with holder.Holder(LISTENER) as held:
                started = time.monotonic()
                subprocess.run(["ip", "netns", "attach", name, str(held.pid)], check=True)
                try:
                    bed.eventually(lambda cookie=held.cookie: str(cookie) in output.read_text(), 20, "rows of " + name)
                    assert time.monotonic() - started < 1
                finally:
                    subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_namespace_that_only_a_process_holds_shows_after_an_interval(tmp_path):
    output = tmp_path / "rows.jsonl"
    with daemon.Daemon(tmp_path, {"p": pipeline(output, "all")}, settings=scanning("1s")) as running:
        running.wait_for_polls(2)
        with holder.Holder(LISTENER) as held:
            holder.wait_for_name(output, f"net:[{held.inode}]", timeout=8)  # sooner than by default


def test_a_namespace_outlives_its_mount_and_its_first_process(tmp_path):
    """What a pass over the mounts loses, a scan of all processes finds again; at once and not after an interval."""
    output = tmp_path / "rows.jsonl"
    name = HERE + "gone"
    listen = "import socket, sys; s = socket.create_server(('0.0.0.0', 7001)); print(1, flush=True); sys.stdin.read()"

    def later_rows():
        return [row for row in bed.records_of(output.read_text().rpartition("\n")[0])
                if row["timestamp_ns"] > gone and row["netns_cookie"] == first.cookie]

    with holder.Holder(LISTENER, name=name) as first:
        with daemon.Daemon(tmp_path, {"p": pipeline(output, "all")}, settings=scanning("1h")):
            holder.wait_for_name(output, name)
            # It comes after the only scan of all processes, so that it is not known as a way in.
            with subprocess.Popen(["nsenter", f"--net=/run/netns/{name}", sys.executable, "-c", listen],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as second:
                assert second.stdout.readline() == "1\n"
                first.unmount()
                holder.wait_for_name(output, f"net:[{first.inode}]")
                first.process.stdin.close()
                first.process.wait(10)
                gone = time.time_ns()
                bed.eventually(later_rows, 20, "rows after the first process has gone")
                assert {row["inet_diag_msg_socket_source_port"] for row in later_rows()} == {7001}
                second.stdin.close()


# --- how pipelines choose ---


def test_pid_selects_the_namespace_of_a_process(tmp_path):
    output = tmp_path / "rows.jsonl"
    with holder.Holder(LISTENER) as chosen, holder.Holder(LISTENER):
        selection = pipeline(output, {"pid": chosen.pid}, {"pid": 4194304})
        with daemon.Daemon(tmp_path, {"p": selection}) as running:
            running.wait_for_polls(3)
    assert holder.names_in_file(output) == {f"net:[{chosen.inode}]"}


def test_rest_is_what_no_other_pipeline_selects(tmp_path):
    files = {name: tmp_path / f"{name}.jsonl" for name in ("named", "rest", "more", "off")}
    with holder.Holder(LISTENER, name=HERE + "a"), holder.Holder(LISTENER, name=HERE + "b"), \
            holder.Holder(LISTENER, name=HERE + "c"):
        pipelines = {
            "named": pipeline(files["named"], {"name": HERE + "a"}),
            "rest": pipeline(files["rest"], "rest"),
            "more": pipeline(files["more"], "rest", {"name": HERE + "a"}),
            "off": pipeline(files["off"], {"name": HERE + "b"}, enabled=False),
        }
        with daemon.Daemon(tmp_path, pipelines) as running:
            for name in ("named", "rest", "more"):
                running.wait_for_polls(2, name)
    ours = {name: {netns for netns in holder.names_in_file(path) if netns.startswith(HERE)}
            for name, path in files.items()}
    assert ours == {"named": {HERE + "a"}, "rest": {HERE + "b", HERE + "c"},
                    "more": {HERE + "a", HERE + "b", HERE + "c"}, "off": set()}


def hierarchy(version):
    """Where a control group hierarchy of that version is mounted; None if there is none."""
    # Hierarchies of other controllers may want more settings before a process may enter.
    simple = ("pids", "name=systemd")
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            place, kind = line.split()[4], line.split(" - ")[1].split()
            if kind[0] == ("cgroup2" if version == 2 else "cgroup") and (
                    version == 2 or kind[2].split(",")[-1] in simple):
                return place
    return None


@pytest.fixture
def cgroup(request):
    root = hierarchy(request.param)
    if root is None:
        pytest.skip(f"no control group hierarchy of version {request.param} is mounted on this host")
    directory = pathlib.Path(root, f"xtcpd-test-{os.getpid()}")
    for part in (directory, directory / "pods", directory / "pods/one"):
        part.mkdir()
    yield request.param, root, directory / "pods/one"
    for part in (directory / "pods/one", directory / "pods", directory):
        bed.eventually(lambda part=part: not (part / "cgroup.procs").read_text(), 20, f"{part} is empty")
        part.rmdir()


@pytest.mark.parametrize("cgroup", [1, 2], indirect=True, ids=["version 1", "version 2"])
def test_cgroup_selects_the_namespaces_of_its_processes(tmp_path, cgroup):
    version, root, directory = cgroup
    output = tmp_path / "rows.jsonl"
    mount = root if version == 2 else str(pathlib.Path(root).parent)
    with holder.Holder(LISTENER) as inside, holder.Holder(LISTENER), holder.Holder(LISTENER, name=HERE + "c") as named:
        inside.enter_cgroup(directory)
        named.enter_cgroup(directory)
        selection = pipeline(output, {"cgroup": f"/xtcpd-test-{os.getpid()}/*"})
        with daemon.Daemon(tmp_path, {"p": selection}, settings=scanning("10s", cgroup=mount)) as running:
            running.wait_for_polls(2)
    assert holder.names_in_file(output) == {f"net:[{inside.inode}]", named.name}
