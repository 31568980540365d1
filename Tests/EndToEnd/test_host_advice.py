"""What could be done about a host whose namespaces share one hash: said by `check --host` and at the start."""
import json
import os
import pathlib
import tempfile

import bed
import daemon

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
    with bed.Population(namespaces=30, v4=400) as crowd:
        line = advice(crowd.selection)
        with daemon.Daemon(tmp_path, {"p": {**PIPELINE, "namespaces": crowd.selection}}) as running:
            told = running.wait_for_log("share one hash")
    assert "30 of the 30 network namespaces that are read share one hash of" in line, line
    sockets = int(line.split("one hash of ")[1].split()[0])
    assert 30 * 800 <= sockets <= 30 * 900 and "tcp_child_ehash_entries=2048" in line, line
    assert json.loads(told)["message"] in line, told


def test_namespaces_with_a_hash_of_their_own_are_no_matter():
    before = SYSCTL.read_text()
    SYSCTL.write_text("2048")
    try:
        with bed.Population(namespaces=30, v4=400) as crowd:
            assert advice(crowd.selection) == "host: nothing to be said"
    finally:
        SYSCTL.write_text(before)


def test_who_may_not_look_is_told():
    with bed.Population(namespaces=2, v4=1) as crowd:
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        line = advice(crowd.selection, prefix=prefix)
    assert "run as root" in line or "cannot be looked at" in line, line
