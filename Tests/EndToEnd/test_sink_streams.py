"""Sinks to sockets and files: tcp, unix, udp, unixgram, and what a file sink does beside appending."""
import json
import subprocess
import time

import pytest

import bed
import daemon
from servers import certificates, datagrams, streams
from shown import shows


@pytest.fixture(name="few", scope="module")
def fixture_few():
    """200 sockets that stand still."""
    with bed.Population(namespaces=1, v4=100) as population:
        yield population


def pipeline(crowd, **sink):
    return {"p": {"interval": "200ms", "align": "none", "namespaces": crowd.selection, "sinks": {"out": sink}}}


def rows(data):
    """Rows of jsonl bytes: whole lines only."""
    return [json.loads(line) for line in data.decode().splitlines()]


@shows("tcp.address")
def test_tcp(few, tmp_path):
    with streams.StreamSink() as server:
        with daemon.Daemon(tmp_path, pipeline(few, type="tcp", address=f"127.0.0.1:{server.port}")) as running:
            running.wait_for_polls(5)
        bed.eventually(lambda: server.streams[0].ended, what="the end of the stream")
        found = rows(b"".join(server.read_all()))
    assert len(found) == running.totals()["p"]["sinks"]["out"]["delivered"] >= 1000


@shows("unix.path")
def test_unix(few, tmp_path):
    path = f"/tmp/xtcpd-{time.monotonic_ns()}.sock"
    with streams.StreamSink(path=path) as server:
        with daemon.Daemon(tmp_path, pipeline(few, type="unix", path=path)) as running:
            running.wait_for_polls(5)
        bed.eventually(lambda: server.streams[0].ended, what="the end of the stream")
        found = rows(b"".join(server.read_all()))
    assert len(found) == running.totals()["p"]["sinks"]["out"]["delivered"] >= 1000


@shows("tcp.tls.enabled", "tcp.tls.ca_file", "tcp.tls.cert_file", "tcp.tls.key_file", "tcp.tls.server_name",
       "tcp.tls.verify")
def test_tcp_with_tls(few, tmp_path):
    made = certificates.Certificates(tmp_path / "certificates")

    def connects(pair, authority=None, **tls):
        with streams.StreamSink(tls=pair, client_authority=authority) as server:
            sink = {"type": "tcp", "address": f"localhost:{server.port}", "tls": {"enabled": True, **tls}}
            with daemon.Daemon(tmp_path / f"d{time.monotonic_ns()}", pipeline(few, **sink)) as running:
                running.wait_for_polls(4)
            return server.received > 0

    trusted = {"ca_file": str(made.authority.certificate)}
    assert connects(made.good, **trusted)
    assert not connects(made.good)
    assert connects(made.self_signed, verify=False)
    assert not connects(made.good, server_name="elsewhere.example", **trusted)
    own = {"cert_file": str(made.client.certificate), "key_file": str(made.client.key)}
    assert connects(made.good, made.authority, **trusted, **own)
    assert not connects(made.good, made.authority, **trusted)


@shows("tcp.send_timeout", "unix.send_timeout", "tcp.connect_timeout", "unix.connect_timeout")
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_peer_that_does_not_read_is_left(few, tmp_path, kind):
    path = f"/tmp/xtcpd-{time.monotonic_ns()}.sock"
    with streams.Unread(receive_buffer=4096, **({"path": path} if kind == "unix" else {})) as server:
        place = {"path": path} if kind == "unix" else {"address": f"127.0.0.1:{server.port}"}
        sink = {"type": kind, **place, "send_timeout": "500ms", "connect_timeout": "500ms"}
        with daemon.Daemon(tmp_path, pipeline(few, **sink)) as running:
            # A new connection takes some batches again before it is full.
            running.wait_for_log("did not take the message in time", timeout=40)


@shows("udp.address", "udp.max_datagram", "unixgram.path", "unixgram.max_datagram")
@pytest.mark.parametrize("kind", ["udp", "unixgram"])
def test_datagrams(few, tmp_path, kind):
    with datagrams.Datagrams(unix=kind == "unixgram") as receiver:
        place = {"path": str(receiver.path)} if kind == "unixgram" else {"address": f"127.0.0.1:{receiver.port}"}
        with daemon.Daemon(tmp_path, pipeline(few, type=kind, **place, max_datagram="4KiB")) as running:
            running.wait_for_polls(5)
        delivered = running.totals()["p"]["sinks"]["out"]["delivered"]
        got = receiver.read_all()
    found = [row for datagram in got for row in rows(datagram)]
    assert all(len(datagram) <= 4096 for datagram in got) and len(got) * 10 > len(found)
    assert len(found) + (receiver.dropped if kind == "udp" else 0) * 10 >= delivered >= 1000


@shows("file.rotate.bytes", "file.rotate.age", "file.rotate.keep", "file.compression", "file.fsync")
def test_files(few, tmp_path):
    seen = []

    def run(**options):
        folder = tmp_path / f"f{time.monotonic_ns()}"
        folder.mkdir()
        sink = {"type": "file", "path": str(folder / "rows.jsonl"), **options}
        settings = {"defaults": {"reader": {"mode": "syscall"}}}
        with daemon.Daemon(folder / "daemon", pipeline(few, **sink), settings=settings) as running:
            if "fsync" in options:
                trace = ["timeout", "2", "strace", "-f", "-e", "trace=fdatasync", "-p", str(running.process.pid)]
                seen.append(subprocess.run(trace, capture_output=True, text=True, check=False).stderr)
            running.wait_for_polls(12)
        return folder, sorted(folder.glob("rows.jsonl*"))
    _, files = run(rotate={"bytes": "256KiB"})
    assert len(files) > 2 and all(file.stat().st_size <= 700_000 for file in files)
    _, files = run(rotate={"age": "1s"})
    assert len(files) > 1
    _, files = run(rotate={"bytes": "256KiB", "keep": 1})
    assert len(files) == 2
    _, files = run(compression="zstd")
    assert files[0].read_bytes()[:4] == bytes.fromhex("28b52ffd")
    run(fsync="batch")
    assert "fdatasync(" in seen[0]
