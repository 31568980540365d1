"""What could be done about a host whose namespaces share one hash: said by `check --host` and at the start."""
import json
import os
import pathlib
import re
import tempfile

import bed
import daemon
import holder

SYSCTL = pathlib.Path("/proc/sys/net/ipv4/tcp_child_ehash_entries")
PIPELINE = {"interval": "1h", "align": "none", "sinks": {"out": {"type": "blackhole"}}}


def advice(selection, **options):
    # Where who is not root can read it.
    with tempfile.NamedTemporaryFile(mode="w", prefix="xtcpd-", suffix=".yaml") as file:
        os.chmod(file.name, 0o644)
        json.dump({"version": 1, "pipelines": {"p": {**PIPELINE, "namespaces": selection}}}, file)
        file.flush()
        done = bed.xtcpd("check", "--config", file.name, "--host", **options)
        assert done.returncode == 0, done.stderr
        line, = [line for line in done.stdout.splitlines() if line.startswith("host: ")]
        as_json = json.loads(bed.xtcpd("check", "--config", file.name, "--host", "--format", "json", **options).stdout)
        assert as_json["valid"] and isinstance(as_json["host"], str)
        return line


def test_a_shared_hash_is_told_with_what_a_hash_of_their_own_would_save(tmp_path):
    others = bed.sockets_of_the_host()
    with bed.Population(namespaces=30, v4=400) as crowd:
        line = advice(crowd.selection)
        others = max(others, bed.sockets_of_the_host() - 30 * 800)
        with daemon.Daemon(tmp_path, {"p": {**PIPELINE, "namespaces": crowd.selection}}) as running:
            told = running.wait_for_log("share one hash")
    assert "30 of the 30 network namespaces that are read share one hash of" in line, line
    sockets = int(line.split("one hash of ")[1].split()[0])
    # Sockets of the rest of this machine are in it, and come and go; the largest namespace may be one of theirs.
    assert 30 * 800 <= sockets <= 30 * 900 + others + 10_000, (line, others)
    entries = int(line.split("tcp_child_ehash_entries=")[1].split("`")[0])
    assert entries.bit_count() == 1 and 2048 <= entries <= max(2048, 4 * (others + 10_000)), (line, others)
    assert entries == 2048 or entries >= 4096 and others >= 1024, (line, others)
    assert re.sub(r"\d+", "N", json.loads(told)["message"]) in re.sub(r"\d+", "N", line), told


def test_namespaces_with_a_hash_of_their_own_are_no_matter():
    before = SYSCTL.read_text()
    SYSCTL.write_text("2048")
    try:
        with bed.Population(namespaces=30, v4=400) as crowd:
            assert advice(crowd.selection) == "host: nothing to be said"
    finally:
        SYSCTL.write_text(before)


def test_sockets_that_are_not_selected_are_passed_by_all_the_same():
    with bed.Population(namespaces=20, plain=1, listeners=2) as quiet, bed.Population(namespaces=1, v4=3000):
        line = advice(quiet.selection)
    assert "20 of the 20 network namespaces that are read share one hash of" in line, line
    assert int(line.split("one hash of ")[1].split()[0]) >= 6000, line


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def test_who_may_not_look_is_told():
    with bed.Population(namespaces=2, v4=1) as crowd:
        line = advice(crowd.selection, prefix=NOBODY)
    assert "run as root" in line or "cannot be looked at" in line, line


def test_who_may_not_look_at_processes_is_told():
    """Of namespaces that are not mounted nothing is known but that there are processes."""
    with holder.Holder([["127.0.0.1", 443]]):
        line = advice({"include": ["all"]}, prefix=NOBODY)
    assert "processes may not be looked at" in line and "run as root" in line, line
