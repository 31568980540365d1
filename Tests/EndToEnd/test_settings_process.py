"""Settings of `global` take effect at run time. See test_settings.py."""
import contextlib
import grp
import os
import pathlib
import socket
import stat
import subprocess
import time

import pytest

import bed
import daemon
import holder
from shown import shows

HERE = f"xh{os.getpid()}-"
LISTENER = [["0.0.0.0", 7000]]
BLACKHOLE = {"out": {"type": "blackhole"}}


def pipeline(*include, **settings):
    return {"interval": "200ms", "align": "none", "namespaces": {"include": list(include) or ["host"]},
            "sinks": BLACKHOLE, **settings}


def rows_to(path):
    return {"out": {"type": "file", "path": str(path)}}


def settings(**of_process):
    return {"global": {"log": {"level": "debug", "format": "json"}, **of_process}}


def threads(pid):
    """{name: the CPUs that it may run on}, of the threads of a process."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = (task / "status").read_text().splitlines()
            fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            found[fields["Name"]] = fields["Cpus_allowed_list"]
    return found


def thread_names(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append((task / "comm").read_text().strip())
    return found


@contextlib.contextmanager
def traced(running):
    """A daemon that strace runs: a signal to strace does not reach it, so that the child itself is ended."""
    with running:
        try:
            yield running
        finally:
            tasks = pathlib.Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
            for child in tasks.read_text().split():
                os.kill(int(child), 15)
            running.process.wait(10)


@contextlib.contextmanager
def bound(pairs):
    """Mounts of (what, where); where is a file or a directory that is there."""
    mounted = []
    try:
        for source, target in pairs:
            subprocess.run(["mount", "--bind", source, target], check=True)
            mounted.append(target)
        yield
    finally:
        for target in reversed(mounted):
            subprocess.run(["umount", "--lazy", target], check=True)


# --- what the process may use ---


@shows("global.resources.threads")
def test_no_more_threads_than_asked_for(tmp_path):
    pipelines = {f"p{number}": pipeline() for number in range(3)}
    with daemon.Daemon(tmp_path, pipelines, settings=settings(resources={"threads": 2})) as running:
        running.wait_for_polls(2, "p2")
        assert sorted(thread_names(running.process.pid)) == ["loop0", "xtcpd"]


@shows("global.resources.loops", "global.resources.cpus")
def test_so_many_loops_run_on_the_cpus(tmp_path):
    last = max(os.sched_getaffinity(0))
    resources = {"loops": 2, "cpus": str(last)}
    pipelines = {f"p{number}": pipeline() for number in range(3)}
    with daemon.Daemon(tmp_path, pipelines, settings=settings(resources=resources)) as running:
        running.wait_for_polls(2, "p2")
        found = threads(running.process.pid)
        assert {name for name in found if name != "xtcpd"} == {"loop0", "loop1"}
        assert found["loop0"] == found["loop1"] == str(last)
        assert found["xtcpd"] == next(iter(threads(os.getpid()).values()))


@shows("global.resources.library_threads")
def test_threads_of_libraries_have_a_budget(tmp_path):
    """No sink of this build starts any: the budget is in the arithmetic that admission prints and checks."""
    with daemon.Daemon(tmp_path, {"p": pipeline()}, settings=settings(resources={"library_threads": 7})) as running:
        running.wait_for_log("library threads: 0, budget 7")
        assert {"kind": "library", "granted": 0} in running.status()["threads"]


# --- discovery ---


@shows("global.discovery.interval")
def test_processes_are_looked_at_once_an_interval(tmp_path):
    port = 7321  # Others may be on this host.
    files = {interval: tmp_path / f"{interval}.jsonl" for interval in ("200ms", "1h")}
    with contextlib.ExitStack() as stack:
        for interval, path in files.items():
            running = stack.enter_context(daemon.Daemon(
                tmp_path / interval, {"p": pipeline("all", sinks=rows_to(path), filter={"source_port": port})},
                settings=settings(discovery={"interval": interval})))
            running.wait_for_polls(2)
        held = stack.enter_context(holder.Holder([["0.0.0.0", port]]))
        holder.wait_for_name(files["200ms"], f"net:[{held.inode}]", timeout=20)
        assert f"net:[{held.inode}]" not in holder.names_in_file(files["1h"])


@shows("global.discovery.max_namespaces")
def test_no_more_namespaces_are_read_than_asked_for(tmp_path):
    with bed.Population(namespaces=4, listeners=2):
        one = pipeline("all", sinks=rows_to(tmp_path / "rows.jsonl"))
        with daemon.Daemon(tmp_path, {"p": one}, settings=settings(discovery={"max_namespaces": 2})) as running:
            running.wait_for_polls(3)
            assert running.pipelines()["p"]["namespaces"] <= 2
    assert 1 <= len(holder.names_in_file(tmp_path / "rows.jsonl")) <= 2


@shows("global.paths.proc", "global.paths.netns")
def test_proc_and_mounts_are_looked_for_where_it_says(tmp_path):
    """A proc that has two processes, and a folder in which a namespace is mounted."""
    proc, netns = tmp_path / "proc", tmp_path / "netns"
    for folder in (proc / "1", proc / "777777", netns):
        folder.mkdir(parents=True)
    (netns / "shown").touch()
    with holder.Holder(LISTENER) as one, holder.Holder(LISTENER) as other, \
            bound([("/proc/1", proc / "1"), (f"/proc/{one.pid}", proc / "777777"),
                   (f"/proc/{other.pid}/ns/net", netns / "shown")]):
        pipelines = {"p": pipeline({"pid": 777777}, {"name": "shown"}, sinks=rows_to(tmp_path / "rows.jsonl"))}
        paths = {"proc": str(proc), "netns": [str(netns)]}
        with daemon.Daemon(tmp_path, pipelines, settings=settings(paths=paths)) as running:
            running.wait_for_polls(2)
    assert holder.names_in_file(tmp_path / "rows.jsonl") == {f"net:[{one.inode}]", "shown"}


def hierarchies():
    """Where control groups are mounted: {version: place}."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            place, kind = line.split()[4], line.split(" - ")[1].split()
            # Hierarchies of other controllers may want more settings before a process may enter.
            if kind[0] == "cgroup" and kind[2].split(",")[-1] in ("pids", "name=systemd"):
                found[1] = place
            if kind[0] == "cgroup2":
                found[2] = place
    return found


@shows("global.paths.cgroup")
def test_control_groups_are_those_of_the_hierarchy(tmp_path):
    """The process is in a group of the one version and not in that of the other."""
    mounted = hierarchies()
    assert mounted, "no control group hierarchy is mounted"
    version = min(mounted)
    group = pathlib.Path(mounted[version], f"xtcpd-test-{os.getpid()}")
    group.mkdir()
    right = str(pathlib.Path(mounted[1]).parent) if version == 1 else mounted[2]
    wrong = mounted.get(2 if version == 1 else 1, str(tmp_path))
    seen = {}
    try:
        with holder.Holder(LISTENER) as held:
            held.enter_cgroup(group)
            for name, path in (("right", right), ("wrong", wrong)):
                out = tmp_path / f"{name}.jsonl"
                one = pipeline({"cgroup": f"/{group.name}*"}, sinks=rows_to(out))
                with daemon.Daemon(tmp_path / name, {"p": one}, settings=settings(paths={"cgroup": path})) as running:
                    running.wait_for_polls(2)
                seen[name] = holder.names_in_file(out)
        assert seen["right"] == {f"net:[{held.inode}]"}
        # Where version 2 alone is mounted, another path is no hierarchy, and what /proc says counts.
        assert len(mounted) == 1 or seen["wrong"] == set()
    finally:
        bed.eventually(lambda: not (group / "cgroup.procs").read_text(), 20, "the group is empty")
        group.rmdir()


# --- reload ---


@shows("global.reload.watch")
def test_a_changed_file_is_noticed_if_asked_for(tmp_path):
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(daemon.Daemon(
            tmp_path / str(watch), {"p": pipeline()}, settings=settings(reload={"watch": watch, "settle": "0s"})))
            for watch in (True, False)]
        for running in both:
            running.wait_for_polls(1)
            running.write({"p": pipeline(interval="300ms")})
        bed.eventually(lambda: both[0].interval_ms("p") == 300, 20, "the change is noticed")
        time.sleep(0.5)
        assert both[1].interval_ms("p") == 200 and not both[1].verdicts()


@shows("global.reload.settle")
def test_a_reload_waits_until_the_file_is_old_enough(tmp_path):
    for settle, least, most in ((0, 0, 1.3), (1.5, 1.4, 8)):
        of_process = settings(reload={"settle": f"{int(settle * 1000)}ms" if settle else "0s"})
        with daemon.Daemon(tmp_path / str(settle), {"p": pipeline()}, settings=of_process) as running:
            running.wait_for_polls(1)
            running.write({"p": pipeline(interval="300ms")})
            started = time.monotonic()
            assert running.hang_up()["result"] == "applied"
            assert least <= time.monotonic() - started <= most, settle


@shows("global.reload.drain_timeout")
def test_what_does_not_drain_is_waited_for_so_long(tmp_path):
    """Its reader is asleep."""
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        with bed.Population(namespaces=1, v4=200) as crowd:
            for drain in (0.2, 2):
                one = pipeline(*crowd.selection["include"], sinks=rows_to(tmp_path / "pipe"))
                of_process = settings(reload={"drain_timeout": f"{int(drain * 1000)}ms"})
                with daemon.Daemon(tmp_path / str(drain), {"p": one}, settings=of_process) as running:
                    running.wait_for_polls(3)
                    started = time.monotonic()
                    assert running.stop() == 0
                    assert drain - 0.1 <= time.monotonic() - started <= drain + 1.5
                assert running.totals()["p"]["sinks"]["out"]["dropped"] > 0
    finally:
        os.close(pipe)


# --- who asks, and what is told ---


@shows("global.control.socket", "global.control.group", "global.control.mode", "global.metrics.listen",
       "global.data_dir", "global.log.level", "global.log.format")
def test_listeners_files_and_log_are_where_and_as_it_says(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    of_process = settings(
        control={"socket": str(tmp_path / "c.sock"), "group": "games", "mode": "0606"},
        metrics={"listen": f"127.0.0.1:{port}"}, data_dir=str(tmp_path / "kept"),
        log={"level": "info", "format": "text"})
    with daemon.Daemon(tmp_path, {"p": pipeline()}, settings=of_process) as running:
        bed.eventually(lambda: (tmp_path / "c.sock").exists(), what="a control socket")
        bed.eventually(lambda: running.pipelines()["p"]["polls"]["complete"] >= 2, what="polls")
        made = os.stat(tmp_path / "c.sock")
        assert stat.S_ISSOCK(made.st_mode) and stat.S_IMODE(made.st_mode) == 0o606
        assert made.st_gid == grp.getgrnam("games").gr_gid
        assert running.http == f"http://127.0.0.1:{port}" and running.get("/healthz")[0] == 200
        bed.eventually((tmp_path / "kept/last-good").exists, what="a last good configuration")
        assert running.raw and not running.log, "no JSON"
        assert not any("poll" in line.split("=")[0] and "DEBUG" in line for line in running.raw)
        # Both are taken over while it runs.
        of_process["global"]["log"] = {"level": "debug", "format": "json"}
        running.write({"p": pipeline()}, of_process)
        assert running.command("reload").returncode == 0
        running.wait_for_polls(1)
    assert running.totals()


@pytest.mark.parametrize("level", ["trace", "error"])
@shows("global.log.level")
def test_the_log_has_what_is_important_enough(tmp_path, level):
    of_process = settings(log={"level": level, "format": "json"})
    running = daemon.Daemon(tmp_path, {"p": pipeline()}, settings=of_process)
    with running:
        bed.eventually(lambda: running.pipelines()["p"]["polls"]["complete"] >= 2, what="polls")
        levels = {entry["level"] for entry in running.log}
        assert {"trace": "debug" in levels, "error": levels <= {"error"}}[level], levels
        of_process["global"]["log"]["level"] = "info"
        running.write({"p": pipeline()}, of_process)
        running.command("reload")
