"""What is forbidden or broken: each says what is missing and what that costs, within a second, and nothing is wrong
meanwhile. Limits are set for the child alone; nothing of the machine is changed."""
import copy
import os
import subprocess
import time

import pytest

import bed
import daemon

WITHOUT_RING = (str(bed.TOOLS / "without-io-uring"),)


def without_capability(*names):
    dropped = ",".join("-" + name for name in names)
    return ("setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}")


def pipeline(population, output, **settings):
    settings = copy.deepcopy(settings)
    return {"interval": "1h", "align": "none", "namespaces": population.selection,
            "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}, **settings}


def sysctl_shows_forbidden(folder):
    """A prefix under which kernel.io_uring_disabled reads 2 and io_uring_setup fails as it does then."""
    fake = folder / "io_uring_disabled"
    fake.write_text("2\n")
    mount = f"mount --bind {fake} /proc/sys/kernel/io_uring_disabled && exec \"$0\" \"$@\""
    return ("unshare", "--mount", "sh", "-c", mount, *WITHOUT_RING)


def assert_said_within_a_second(started, line):
    took = time.monotonic() - started
    assert took < 1.0, f"{took:.2f} s until {line!r}"


# --- io_uring ---

# Sizes whose ring needs more locked memory than 64 KiB; one of default sizes fits.
GREAT_RING = {"reader": {"recv_batch": 4096, "cqe_batch": 4096}, "pools": {"receive_buffers": 4096}}


@pytest.mark.parametrize("cause, words", [
    ("seccomp", ["io_uring", "seccomp"]),
    ("sysctl", ["io_uring", "kernel.io_uring_disabled"]),
    ("memlock", ["io_uring", "RLIMIT_MEMLOCK"]),
])
def test_auto_falls_back_and_says_why_once(still, tmp_path, cause, words):
    output = tmp_path / "rows.jsonl"
    prefix, settings = forbid(cause, tmp_path), pipeline(still, output, **GREAT_RING)
    started = time.monotonic()
    with daemon.Daemon(tmp_path, {"p": settings}, prefix=prefix) as running:
        line = running.wait_for_log(*words)
        assert_said_within_a_second(started, line)
        running.poll()
    told = [entry for entry in running.log if entry["level"] != "debug" and words[1] in entry["message"]]
    assert len(told) == 1, "said once, not at every poll"
    expected = still.keys()
    rows = bed.group_by(bed.records_of(output.read_text()), "poll_sequence")
    first = min(rows)
    assert {(row["netns_cookie"], row["inet_diag_msg_socket_cookie"]) for row in rows[first]} == expected


@pytest.mark.parametrize("cause", ["seccomp", "sysctl", "memlock"])
def test_an_explicit_ring_is_never_replaced_silently(still, tmp_path, cause):
    settings = pipeline(still, tmp_path / "rows.jsonl", **GREAT_RING)
    settings["reader"]["mode"] = "io_uring"
    started = time.monotonic()
    running = daemon.Daemon(tmp_path, {"p": settings}, prefix=forbid(cause, tmp_path))
    done = end_by_itself(running, timeout=20)
    assert_said_within_a_second(started, done)
    assert done.returncode == bed.EXIT_MISSING_RIGHT, done.stderr
    assert "io_uring" in done.stderr
    assert not (tmp_path / "rows.jsonl").exists() or (tmp_path / "rows.jsonl").read_text() == ""


def test_a_ring_of_default_sizes_fits_into_64_kib_of_locked_memory(still, tmp_path):
    settings = pipeline(still, tmp_path / "rows.jsonl", reader={"mode": "io_uring"})
    with daemon.Daemon(tmp_path, {"p": settings}, prefix=forbid("memlock", tmp_path)) as running:
        assert int(running.wait_for_polls(1)[0]["incomplete"]) == 0


def forbid(cause, folder):
    if cause == "seccomp":
        return WITHOUT_RING
    if cause == "sysctl":
        return sysctl_shows_forbidden(folder)
    return (*without_capability("ipc_lock"), "prlimit", "--memlock=65536:65536")


def end_by_itself(running, timeout):
    return subprocess.run(running.arguments, capture_output=True, text=True, timeout=timeout, check=False,
                          env=running.environment)


# --- capabilities ---


def test_without_sys_admin_it_says_so_and_no_row_carries_a_wrong_name(still, tmp_path):
    """A setns that fails and goes unnoticed would report this namespace's sockets under another's name."""
    output = tmp_path / "rows.jsonl"
    settings = pipeline(still, output, namespaces={"include": ["all"]})
    own_cookies = bed.ss("/proc/self/ns/net").keys()
    started = time.monotonic()
    running = daemon.Daemon(tmp_path, {"p": settings}, prefix=without_capability("sys_admin"))
    process = subprocess.Popen(running.arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    assert_said_within_a_second(started, line)
    time.sleep(1)
    code = bed.end(process)
    said = line + process.stderr.read()
    process.stderr.close()
    assert "CAP_SYS_ADMIN" in said
    assert code in (0, bed.EXIT_MISSING_RIGHT)
    rows = bed.records_of(output.read_text()) if output.exists() else []
    assert {row["netns"] for row in rows} <= {"host"}
    foreign = {cookie for _, cookie in still.keys()}
    assert all(row["inet_diag_msg_socket_cookie"] not in foreign for row in rows) or own_cookies & foreign


def test_snapshot_of_all_without_sys_admin_fails_and_says_so():
    started = time.monotonic()
    done = bed.xtcpd("snapshot", "--all", "--format", "jsonl", prefix=without_capability("sys_admin"))
    assert_said_within_a_second(started, done.stderr)
    assert done.returncode in (1, bed.EXIT_MISSING_RIGHT)
    assert "CAP_SYS_ADMIN" in done.stderr


def test_without_sys_ptrace_it_says_what_is_not_seen(still, tmp_path):
    started = time.monotonic()
    settings = pipeline(still, tmp_path / "rows.jsonl", namespaces={"include": ["all"]})
    with daemon.Daemon(tmp_path, {"p": settings}, prefix=without_capability("sys_ptrace")) as running:
        line = running.wait_for_log("CAP_SYS_PTRACE")
        assert_said_within_a_second(started, line)
        running.wait_for_polls(1)


def test_without_net_admin_rows_come_without_marks(still, tmp_path):
    output = tmp_path / "rows.jsonl"
    started = time.monotonic()
    prefix = without_capability("net_admin")
    with daemon.Daemon(tmp_path, {"p": pipeline(still, output)}, prefix=prefix) as running:
        line = running.wait_for_log("CAP_NET_ADMIN", "mark")
        assert_said_within_a_second(started, line)
        running.wait_for_polls(1)
    rows = bed.records_of(output.read_text())
    assert rows and not any("mark" in row for row in rows), "absent, never zero"
    with daemon.Daemon(tmp_path / "with", {"p": pipeline(still, tmp_path / "with.jsonl")}) as running:
        running.wait_for_polls(1)
    assert any(row.get("mark") for row in bed.records_of((tmp_path / "with.jsonl").read_text()))


# --- the kernel's errors ---


@pytest.mark.parametrize("fault, errno", [("short", "EINVAL"), ("family", "E"), ("protocol", "E")])
def test_errors_of_sock_diag_are_said_at_once(still, tmp_path, fault, errno):
    """NLMSG_ERROR, and NLMSG_DONE with an errno: not a wait for a timeout, not a poll that looks complete."""
    environment = {**os.environ, "LD_PRELOAD": str(bed.TOOLS / "netlink-faults.so"), "XTCPD_FAULT": fault}
    settings = pipeline(still, tmp_path / "rows.jsonl", reader={"mode": "syscall"}, interval="5s", timeout="4s")
    started = time.monotonic()
    with daemon.Daemon(tmp_path, {"p": settings}, environment=environment) as running:
        line = running.wait_for_log(errno, "network namespace")
        assert_said_within_a_second(started, line)
        polls = running.wait_for_polls(1)
        assert int(polls[0]["incomplete"]) == len(still.namespaces)
        assert int(polls[0]["ms"]) < 1000
        running.check_alive()
    totals = running.totals()["p"]
    assert totals["failed"] >= 1 and totals["dumps"]["refused"] >= len(still.namespaces)
    assert (tmp_path / "rows.jsonl").read_text() == ""


def test_a_file_that_cannot_be_opened_is_named(still, tmp_path):
    missing = tmp_path / "no-such-folder/rows.jsonl"
    done = end_by_itself(daemon.Daemon(tmp_path, {"p": pipeline(still, missing)}), timeout=20)
    assert done.returncode in (1, bed.EXIT_MISSING_RIGHT, bed.EXIT_INVALID_CONFIGURATION)
    assert str(missing) in done.stderr and "ENOENT" in done.stderr


def test_a_symbolic_link_is_not_followed(still, tmp_path):
    target = tmp_path / "target"
    target.write_text("untouched")
    link = tmp_path / "rows.jsonl"
    link.symlink_to(target)
    done = end_by_itself(daemon.Daemon(tmp_path, {"p": pipeline(still, link)}), timeout=20)
    assert done.returncode != 0 and str(link) in done.stderr and "link" in done.stderr
    assert target.read_text() == "untouched"
