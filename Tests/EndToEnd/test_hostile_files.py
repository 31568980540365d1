"""A configuration that is no configuration: refused at once, at the start and by a daemon that runs, which is none the
worse."""
import os
import resource
import time

import pytest

import bed
import daemon

BOMB = "version: 1\n" + "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))


def write(path, text):
    path.write_text(text)


def write_100_mb(path):
    """Really written: a sparse file might be refused for other reasons."""
    with open(path, "w", encoding="ascii") as file:
        for _ in range(100):
            file.write("- xxxxxxxxxxxxx\n" * 65536)


def link_to(target):
    return lambda path: path.symlink_to(target)


HOSTILE = {
    "bomb": lambda path: write(path, BOMB),
    "depth": lambda path: write(path, "version: 1\npipelines: " + "[" * 10000),
    "depth of blocks": lambda path: write(path, "".join(" " * n + "a:\n" for n in range(1000))),
    "size": write_100_mb,
    "just below the limit": lambda path: write(path, "version: 1\n" + "- x\n" * 250_000),
    "one long line": lambda path: write(path, "version: " + "1" * 1_000_000),
    "many mistakes": lambda path: write(path, "version: 1\n" + "".join(f"k{n}: 1\n" for n in range(60_000))),
    "includes itself": lambda path: write(path, "version: 1\ninclude: ['*.yaml']\n"),
    "fifo": os.mkfifo,
    "folder": os.mkdir,
    "device": link_to("/dev/zero"),
    "terminal": link_to("/dev/tty"),
    "file of the kernel": link_to("/proc/self/mem"),
    "missing": lambda path: None,
    "loop of links": lambda path: path.symlink_to(path.name),
}


def replace(path, make):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    make(path)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", HOSTILE)
def test_check_refuses_at_once(tmp_path, name):
    path = tmp_path / "xtcpd.yaml"
    HOSTILE[name](path)
    before = cpu_seconds()
    done = bed.xtcpd("check", "--config", path, timeout=10)
    used = cpu_seconds() - before
    assert done.returncode == bed.EXIT_INVALID_CONFIGURATION
    assert "xtcpd.yaml" in done.stderr and "error" in done.stderr and len(done.stderr) < 40_000
    print(f"{name}: {used * 1000:.0f} ms of CPU")
    assert used < 0.1


def test_a_daemon_refuses_them_and_runs_on(tmp_path):
    one = {"interval": "100ms", "align": "none", "namespaces": {"include": ["host"]},
           "sinks": {"out": {"type": "blackhole"}}}
    settings = {"global": {"reload": {"settle": "0s"}, "log": {"level": "debug", "format": "json"}}}
    with daemon.Daemon(tmp_path, {"p": one}, settings=settings) as running:
        running.wait_for_polls(5)
        good = running.path.read_text()
        running.path.write_text(good.replace("100ms", "wrong"))
        # The first refusal makes what every refusal needs.
        assert running.hang_up()["result"] == "refused"
        before = running.proc.status("VmRSS")
        for name, make in HOSTILE.items():
            replace(running.path, make)
            used = main_thread_seconds(running.process.pid)
            verdict = running.hang_up()
            used = main_thread_seconds(running.process.pid) - used
            grown = running.proc.status("VmRSS") - before
            print(f"{name}: {used * 1000:.0f} ms of CPU, {grown} KiB more")
            assert verdict["result"] == "refused" and "xtcpd.yaml" in verdict["text"], (name, verdict)
            assert used <= 0.1, name
            assert grown < 4096, name
            polls = len(running.polls())
            running.wait_for_polls(polls + 2)
        replace(running.path, lambda path: path.write_text(good))
        assert running.hang_up()["result"] == "unchanged"
        assert running.longest_gap("p") < 0.6
        assert running.status()["configuration"]["generation"] == 1


def main_thread_seconds(pid):
    """User and system time of the main thread, /proc/PID/task/TID/schedstat: in nanoseconds, not in ticks of 10 ms."""
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


@pytest.mark.parametrize("name", ["fifo", "folder", "device"])
def test_a_start_refuses_them(tmp_path, name):
    path = tmp_path / "xtcpd.yaml"
    HOSTILE[name](path)
    started = time.monotonic()
    done = bed.xtcpd("run", "--config", path, timeout=10)
    assert done.returncode == bed.EXIT_INVALID_CONFIGURATION and time.monotonic() - started < 5
    assert "not a file" in done.stderr
