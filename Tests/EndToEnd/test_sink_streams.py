"""Sinks to sockets and files: tcp, unix, udp, unixgram, and what a file sink does beside appending."""
import collections
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

import bed
import daemon
import received
import steady
from servers import certificates, datagrams, streams
from servers.rsyslog import Rsyslog
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


def waits(**sink):
    """A sink that makes the pipeline wait: what is compared must all be there."""
    return {"queue": {"bytes": "64MiB", "when_full": "block"}, **sink}


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_every_row_arrives(steady_crowd, tmp_path, mode):
    """steady.ROWS of them, with the values of the jsonl of the same polls: to rsyslog, to a Unix socket, over TLS, as
    datagrams of several rows."""
    made = certificates.Certificates(tmp_path / "certificates")
    path = f"/tmp/xtcpd-{time.monotonic_ns()}.sock"
    with Rsyslog() as log, streams.StreamSink(path=path) as local, streams.StreamSink(tls=made.good) as secured, \
            datagrams.Datagrams(unix=True) as grams:
        tls = {"enabled": True, "ca_file": str(made.authority.certificate)}
        sinks = {"log": waits(type="tcp", address=f"127.0.0.1:{log.port}"),
                 "local": waits(type="unix", path=path, format="protobuf_list"),
                 "secured": waits(type="tcp", address=f"localhost:{secured.port}", tls=tls, format="msgpack"),
                 "grams": waits(type="unixgram", path=str(grams.path), format="protobuf_list", max_datagram="16KiB")}
        one = steady.pipeline(steady_crowd, tmp_path, sinks, reader={"mode": mode})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            steady.poll(running, "p")
            for sink in sinks:
                bed.eventually(lambda sink=sink: running.sink("p", sink)["delivered"] >= steady.ROWS, 60, sink)
        reference = steady.reference(running, tmp_path, "p")
        bed.eventually(lambda: len(log.read_all()) >= len(reference), 60, "all of the log")
        bed.eventually(lambda: local.streams[0].ended and secured.streams[0].ended, what="the ends of the streams")
        received.compare(reference, log.read_all()).check()
        for encoding, data in (("protobuf_list", local.read_all()), ("msgpack", secured.read_all()),
                               ("protobuf_list", grams.read_all())):
            received.compare(reference, received.lines(encoding, data, tmp_path)).check()
        got = grams.read_all()
    assert len(reference) / 100 < len(got) < len(reference) / 4 and max(map(len, got)) <= 16 << 10


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
@pytest.mark.parametrize("room", ["enough", "little"])
def test_udp_is_sent_whole_and_counted(steady_crowd, tmp_path, mode, room):
    """steady.ROWS datagrams of a row each: those that came and those that the receiver's kernel dropped are those that
    were sent. `too_large` counts the rows that no datagram takes."""
    buffer = 512 << 20 if room == "enough" else 256 << 10
    with datagrams.Datagrams(receive_buffer=buffer) as receiver:
        sink = waits(type="udp", address=f"127.0.0.1:{receiver.port}", max_datagram="3500B")
        one = steady.pipeline(steady_crowd, tmp_path, {"out": sink}, reader={"mode": mode})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            steady.poll(running, "p")
            bed.eventually(lambda: running.sink("p", "out")["queued_rows"] == 0, 60, "all is sent")
        reference = steady.reference(running, tmp_path, "p")
        got, dropped = receiver.read_all(), receiver.dropped
    told = running.totals()["p"]["sinks"]["out"]
    assert len(got) + dropped == told["delivered"] > 0.9 * steady.ROWS
    assert told["delivered"] + told.get("dropped_too_large", 0) == len(reference)
    assert (dropped > 0) == (room == "little")
    missing = dropped + told.get("dropped_too_large", 0)
    received.compare(reference, [line for data in got for line in data.splitlines()]).check(missing=missing)


@shows("tcp.address")
def test_tcp(few, tmp_path):
    with streams.StreamSink() as server:
        with daemon.Daemon(tmp_path, pipeline(few, type="tcp", address=f"127.0.0.1:{server.port}")) as running:
            running.wait_for_complete_polls(5)
        bed.eventually(lambda: server.streams[0].ended, what="the end of the stream")
        found = rows(b"".join(server.read_all()))
    assert len(found) == running.totals()["p"]["sinks"]["out"]["delivered"] >= 1000


@shows("unix.path")
def test_unix(few, tmp_path):
    path = f"/tmp/xtcpd-{time.monotonic_ns()}.sock"
    with streams.StreamSink(path=path) as server:
        with daemon.Daemon(tmp_path, pipeline(few, type="unix", path=path)) as running:
            running.wait_for_complete_polls(5)
        bed.eventually(lambda: server.streams[0].ended, what="the end of the stream")
        found = rows(b"".join(server.read_all()))
    assert len(found) == running.totals()["p"]["sinks"]["out"]["delivered"] >= 1000


@shows("tcp.tls.enabled", "tcp.tls.ca_file", "tcp.tls.cert_file", "tcp.tls.key_file", "tcp.tls.server_name",
       "tcp.tls.verify")
def test_tcp_with_tls(few, tmp_path):
    made = certificates.Certificates(tmp_path / "certificates")
    trusted = {"ca_file": str(made.authority.certificate)}
    own = {"cert_file": str(made.client.certificate), "key_file": str(made.client.key)}
    # {pipeline: (what the server shows, whom it asks for a certificate, settings)}
    right = {"trusted": (made.good, None, trusted), "unverified": (made.self_signed, None, {"verify": False}),
             "shown": (made.good, made.authority, {**trusted, **own})}
    wrong = {"unknown": (made.good, None, {}), "not_shown": (made.good, made.authority, trusted),
             "elsewhere": (made.good, None, {**trusted, "server_name": "elsewhere.example"})}
    with contextlib.ExitStack() as stack:
        servers, pipelines = {}, {}
        for name, (pair, authority, tls) in {**right, **wrong}.items():
            servers[name] = stack.enter_context(streams.StreamSink(tls=pair, client_authority=authority))
            pipelines[name] = pipeline(few, type="tcp", address=f"localhost:{servers[name].port}",
                                       tls={"enabled": True, **tls})["p"]
        settings = {"global": {"reload": {"drain_timeout": "200ms"}}}
        with daemon.Daemon(tmp_path, pipelines, settings=settings) as running:
            for name in right:
                bed.eventually(lambda name=name: servers[name].received > 0, what=f"rows to {name}")
            for name in wrong:
                bed.eventually(lambda name=name: running.sink(name, "out").get("problem"), what=f"a refusal of {name}")
            for name in pipelines:
                running.wait_for_polls(len(running.polls(name)) + 3, name)
        assert [servers[name].received for name in wrong] == [0] * len(wrong)


@shows("tcp.send_timeout", "unix.send_timeout", "tcp.connect_timeout", "unix.connect_timeout")
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_peer_that_does_not_read_is_left(few, tmp_path, kind):
    path = f"/tmp/xtcpd-{time.monotonic_ns()}.sock"
    with streams.Unread(receive_buffer=4096, **({"path": path} if kind == "unix" else {})) as server:
        place = {"path": path} if kind == "unix" else {"address": f"127.0.0.1:{server.port}"}
        sink = {"type": kind, **place, "send_timeout": "500ms", "connect_timeout": "500ms"}
        settings = {"global": {"reload": {"drain_timeout": "200ms"}}}
        with daemon.Daemon(tmp_path, pipeline(few, **sink), settings=settings) as running:
            # A new connection takes some batches again before it is full.
            bed.eventually(lambda: "did not take" in (running.sink("p", "out").get("problem") or ""), 40, "a failure")


@shows("udp.address", "udp.max_datagram", "unixgram.path", "unixgram.max_datagram")
@pytest.mark.parametrize("kind", ["udp", "unixgram"])
def test_datagrams(few, tmp_path, kind):
    with datagrams.Datagrams(unix=kind == "unixgram") as receiver:
        place = {"path": str(receiver.path)} if kind == "unixgram" else {"address": f"127.0.0.1:{receiver.port}"}
        with daemon.Daemon(tmp_path, pipeline(few, type=kind, **place, max_datagram="4KiB")) as running:
            running.wait_for_complete_polls(5)
        delivered = running.totals()["p"]["sinks"]["out"]["delivered"]
        got = receiver.read_all()
    found = [row for datagram in got for row in rows(datagram)]
    assert all(len(datagram) <= 4096 for datagram in got) and len(got) * 10 > len(found)
    assert len(found) + (receiver.dropped if kind == "udp" else 0) * 10 >= delivered >= 1000


@shows("file.rotate.bytes", "file.rotate.age", "file.rotate.keep", "file.compression", "file.fsync")
def test_files(few, tmp_path):
    seen = []

    def run(name):
        folder, options = tmp_path / name, cases[name]
        folder.mkdir()
        sink = {"type": "file", "path": str(folder / "rows.jsonl"), **options}
        settings = {"defaults": {"reader": {"mode": "syscall"}}}
        with daemon.Daemon(folder / "daemon", pipeline(few, **sink), settings=settings) as running:
            if "fsync" in options:
                trace = ["timeout", "2", "strace", "-f", "-e", "trace=fdatasync", "-p", str(running.process.pid)]
                seen.append(subprocess.run(trace, capture_output=True, text=True, check=False).stderr)
            running.wait_for_polls(12)
        return sorted(folder.glob("rows.jsonl*"))
    cases = {"size": {"rotate": {"bytes": "256KiB"}}, "age": {"rotate": {"age": "1s"}},
             "keep": {"rotate": {"bytes": "256KiB", "keep": 1}}, "packed": {"compression": "zstd"},
             "synced": {"fsync": "batch"}}
    # Beside each other: most of it is waiting for polls.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        files = dict(zip(cases, pool.map(run, cases)))
    assert len(files["size"]) > 2 and all(file.stat().st_size <= 700_000 for file in files["size"])
    assert len(files["age"]) > 1
    assert len(files["keep"]) == 2
    assert files["packed"][0].read_bytes()[:4] == bytes.fromhex("28b52ffd")
    assert "fdatasync(" in seen[0]


CALLS = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((\d*)")


def test_sinks_of_the_ring_make_no_calls_of_their_own(steady_crowd, tmp_path):
    """A file, a connection and datagrams in steady state: what they write goes with the submissions that the reader
    makes anyway."""
    with streams.StreamSink() as server, datagrams.Datagrams() as receiver:
        sinks = {"file": {"type": "file", "path": str(tmp_path / "rows")},
                 "tcp": {"type": "tcp", "address": f"127.0.0.1:{server.port}"},
                 "udp": {"type": "udp", "address": f"127.0.0.1:{receiver.port}", "max_datagram": "32KiB"}}
        one = {"interval": "100ms", "align": "none", "namespaces": steady_crowd.selection,
               # Single sockets, asked for one by one, come in more submissions.
               "reader": {"mode": "io_uring", "full_walk_every": 1}, "batch": {"bytes": "256KiB"}, "sinks": sinks}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            running.wait_for_polls(5)
            before = running.sink("p", "file")["bytes"]
            trace = tmp_path / "trace"
            tracer = subprocess.Popen(["strace", "-f", "-o", str(trace), "-p", str(running.process.pid)])
            time.sleep(2)
            bed.end(tracer)
            batches = (running.sink("p", "file")["bytes"] - before) / (256 << 10)
    calls = [match.groups() for match in map(CALLS.match, trace.read_text().splitlines()) if match]
    enters = sum(name == "io_uring_enter" for name, _ in calls)
    own = collections.Counter(
        name for name, descriptor in calls if name in (
            "write", "writev", "pwrite64", "pwritev", "pwritev2", "send", "sendto", "sendmsg", "sendmmsg")
        and descriptor not in ("1", "2"))
    print(f"{batches:.0f} batches, {enters} io_uring_enter, own calls {dict(own)}")
    assert batches > 100 and not own
    assert enters <= 2 * batches


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_a_daemon_that_is_stopped_for_a_while_goes_on(steady_crowd, tmp_path, mode):
    """SIGSTOP in the stream, five times: what was in flight ends as if nothing had been."""
    with streams.StreamSink() as server:
        sinks = {"file": waits(type="file", path=str(tmp_path / "rows"), format="jsonl"),
                 "tcp": waits(type="tcp", address=f"127.0.0.1:{server.port}", format="jsonl")}
        one = {"interval": "100ms", "align": "none", "namespaces": steady_crowd.selection, "reader": {"mode": mode},
               "sinks": sinks}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            for _ in range(5):
                before = running.sink("p", "tcp")["delivered"]
                bed.eventually(lambda before=before: running.sink("p", "tcp")["delivered"] > before, 20, "rows")
                os.kill(running.process.pid, signal.SIGSTOP)
                time.sleep(0.5)
                os.kill(running.process.pid, signal.SIGCONT)
        bed.eventually(lambda: server.streams[0].ended, what="the end of the stream")
        totals = running.totals()["p"]
        assert len(server.streams) == 1
        lines = (tmp_path / "rows").read_bytes().splitlines()
        received.compare(lines, server.streams[0].data.splitlines()).check()
    assert len(lines) == totals["encoded"] > steady.SOCKETS
