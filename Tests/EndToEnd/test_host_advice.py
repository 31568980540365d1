"""What could be done about a host whose namespaces share one hash: said by `check --host` and at the start."""
import json
import os
import pathlib
import tempfile

import bed
import daemon

SYSCTL = pathlib.Path("/proc/sys/net/ipv4/tcp_child_ehash_entries")
PIPELINE = {"interval": "1h", "align": "none", "sinks": {"out": {"type": "blackhole"}}}


def advice(**options):
    # Where who is not root can read it.
    with tempfile.NamedTemporaryFile(prefix="xtcpd-", suffix=".yaml") as held:
        os.chmod(held.name, 0o644)
        return advice_of(pathlib.Path(held.name), **options)


def advice_of(file, **options):
    file.write_text(json.dumps({"version": 1, "pipelines": {"p": PIPELINE}}))
    done = bed.xtcpd("check", "--config", str(file), "--host", **options)
    assert done.returncode == 0, done.stderr
    line, = [line for line in done.stdout.splitlines() if line.startswith("host: ")]
    as_json = json.loads(bed.xtcpd("check", "--config", str(file), "--host", "--format", "json", **options).stdout)
    assert as_json["valid"] and isinstance(as_json["host"], str)
    return line


def test_a_shared_hash_is_told_with_what_a_hash_of_their_own_would_save(tmp_path):
    with bed.Population(namespaces=30, v4=400) as crowd:
        line = advice()
        one = {**PIPELINE, "namespaces": crowd.selection}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            told = running.wait_for_log("share one hash")
    assert "tcp_child_ehash_entries=2048" in line and "share one hash of" in line, line
    sharing, sockets = int(line.split()[1]), int(line.split("one hash of ")[1].split()[0])
    assert sharing >= 30 and sockets >= 30 * 800, line
    assert "tcp_child_ehash_entries=2048" in told, told


def test_namespaces_with_a_hash_of_their_own_are_no_matter():
    before = SYSCTL.read_text()
    SYSCTL.write_text("2048")
    try:
        crowd = bed.Population(namespaces=30, v4=400)
        with crowd:
            SYSCTL.write_text(before)
            line = advice()
    finally:
        SYSCTL.write_text(before)
    # Other tests' namespaces may be there beside these.
    assert "share one hash" not in line or int(line.split()[1]) < 30, line


def test_who_may_not_look_is_told():
    with bed.Population(namespaces=2, v4=1):
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        line = advice(prefix=prefix)
    assert "run as root" in line or "cannot be looked at" in line, line
