"""The valkey sink against Redis and Valkey, read back by redis-py."""
import contextlib
import time

import pytest

import bed
import daemon
import received
import steady
from servers.certificates import Certificates
from servers.relay import Relay
from servers.service import Service
from servers.valkey import Valkey
from shown import shows

SECRET = "pw-kQ7zW3vX9p"
MODES = ("io_uring", "syscall")
# Where some sinks get rid of nothing, an end need not wait for them.
IN_HASTE = {"global": {"reload": {"drain_timeout": "200ms"}}}


def valkey_sink(server, **more):
    """It makes the pipeline wait: what is compared must all be there."""
    return {"type": "valkey", "address": f"127.0.0.1:{server.port}", "key": "xtcp:{pipeline}", "max_length": 0,
            "queue": {"bytes": "64MiB", "when_full": "block"}, "retry": {"initial": "50ms", "max": "500ms"}, **more}


def pipeline(crowd, sink, **more):
    return {"interval": "200ms", "align": "none", "namespaces": crowd.selection, "sinks": {"out": sink}, **more}


def delivered(running, name="p"):
    return running.sink(name, "out")["delivered"]


def problem(running, name="p"):
    return running.sink(name, "out").get("problem") or ""


@shows("valkey.address", "valkey.key")
@pytest.mark.parametrize("make,mode,encoding", [
    ("redis", "io_uring", "jsonl"), ("redis", "syscall", "protobuf_list"), ("valkey", "io_uring", "protobuf_list"),
    ("valkey", "syscall", "jsonl")])
def test_every_row_arrives(steady_crowd, tmp_path, make, mode, encoding):
    """steady.ROWS of them, with the values of the jsonl of the same polls."""
    with Valkey(make) as server:
        out = valkey_sink(server, format=encoding)
        one = steady.pipeline(steady_crowd, tmp_path, {"out": out}, reader={"mode": mode})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            steady.poll(running, "p")
            bed.eventually(lambda: delivered(running) >= steady.ROWS, 60, "all rows")
        reference = steady.reference(running, tmp_path, "p")
        entries = [fields for _, fields in server.read_all("xtcp:p")]
    assert all(fields[b"pipeline"] == b"p" and fields[b"format"] == encoding.encode() for fields in entries)
    assert len({fields[b"batch_id"] for fields in entries}) > 1
    lines = received.lines(encoding, [fields[b"rows"] for fields in entries], tmp_path)
    received.compare(reference, lines).check()
    assert running.totals()["p"]["sinks"]["out"]["delivered"] == len(lines)


@shows("valkey.command", "valkey.each_row")
@pytest.mark.parametrize("mode", MODES)
def test_those_who_listen_get_every_row(steady_crowd, tmp_path, mode):
    with Valkey() as server, server.subscribe("xtcp:*") as subscriber:
        sink = valkey_sink(server, command="publish", each_row=True)
        del sink["max_length"]
        one = steady.pipeline(steady_crowd, tmp_path, {"out": sink}, reader={"mode": mode})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            steady.poll(running, "p", 10_000)
            bed.eventually(lambda: delivered(running) >= 10_000, 60, "10,000 rows")
        reference = steady.reference(running, tmp_path, "p")
        bed.eventually(lambda: len(subscriber.read_all()) >= len(reference), 30, "messages")
        messages = subscriber.read_all()
    assert {channel for channel, _ in messages} == {"xtcp:p"}
    received.compare(reference, [line for _, data in messages for line in data.splitlines()]).check()
    assert all(data.count(b"\n") == 1 for _, data in messages)


@shows("valkey.max_length", "valkey.max_message_bytes", "valkey.database")
def test_entries_are_short_and_few(steady_crowd, tmp_path):
    with Valkey() as server:
        sinks = {"short": valkey_sink(server, key="short", max_length=100, max_message_bytes="4KiB"),
                 "kept": valkey_sink(server, key="kept", max_message_bytes="4KiB", database=3)}
        one = {**pipeline(steady_crowd, sinks["short"]), "sinks": sinks}
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            running.wait_for_polls(3)
        counts = running.totals()["p"]["sinks"]
        short, kept = server.read_all("short"), server.read_all("kept", db=3)
        assert not server.read_all("kept")
    # The server trims by nodes of 100 entries.
    assert 100 <= len(short) <= 300 and len(kept) > 1_000
    assert 3 << 10 < max(len(fields[b"rows"]) for _, fields in kept) <= 4 << 10
    assert sum(fields[b"rows"].count(b"\n") for _, fields in kept) == counts["kept"]["delivered"]


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_is_killed_loses_nothing(steady_crowd, tmp_path, mode):
    """Three times in the stream; its log is on disk before it answers."""
    with Valkey() as server:
        # Slower than the server is with its disk, so that little waits at the end.
        one = pipeline(steady_crowd, valkey_sink(server, each_row=True), reader={"mode": mode}, interval="1s")
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            for _ in range(3):
                before = delivered(running)
                bed.eventually(lambda before=before: delivered(running) >= before + 5_000, 60, "rows")
                server.kill()
                bed.eventually(lambda: problem(running), 15, "a failing sink")
                time.sleep(1)
                server.start()
            before = delivered(running)
            bed.eventually(lambda: delivered(running) >= before + 5_000, 60, "rows at the end")
        (counts,) = running.totals().values()
        lines = [fields[b"rows"] for _, fields in server.read_all("xtcp:p")]
    assert counts["sinks"]["out"]["dropped"] == 0
    assert len(set(lines)) == counts["sinks"]["out"]["delivered"] == counts["encoded"]


@shows("valkey.username", "valkey.password")
@pytest.mark.parametrize("user", ["default", "xtcpd"])
def test_who_may_write(few, tmp_path, user):
    with Valkey(password=SECRET, user=user) as server:
        name = {} if user == "default" else {"username": user}
        pipelines = {"right": pipeline(few, valkey_sink(server, password=SECRET, **name)),
                     "wrong": pipeline(few, valkey_sink(server, password="wrong-" + SECRET, **name)),
                     "none": pipeline(few, valkey_sink(server))}
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE) as running:
            bed.eventually(lambda: delivered(running, "right") > 0, 20, "rows")
            bed.eventually(lambda: "WRONGPASS" in problem(running, "wrong"), 20, "a refusal")
            bed.eventually(lambda: "NOAUTH" in problem(running, "none"), 20, "a refusal")
            assert delivered(running, "wrong") == delivered(running, "none") == 0
            told = str(running.pipelines())
        assert SECRET not in "".join(running.raw) + told


def test_a_key_of_another_kind_and_a_full_server_are_named(few, tmp_path):
    with Valkey() as server:
        with server.client() as client:
            client.set("xtcp:p", "text")
        with daemon.Daemon(tmp_path, {"p": pipeline(few, valkey_sink(server))}) as running:
            bed.eventually(lambda: "WRONGTYPE" in problem(running), 20, "a refusal")
            assert delivered(running) == 0
            with server.client() as client:
                client.delete("xtcp:p")
            bed.eventually(lambda: delivered(running) > 0 and not problem(running), 20, "rows")
            with server.client() as client:
                client.config_set("maxmemory", "1mb")
            bed.eventually(lambda: "OOM" in problem(running), 20, "a refusal")
            with server.client() as client:
                client.config_set("maxmemory", "0")
            bed.eventually(lambda: not problem(running), 20, "rows again")
        (counts,) = running.totals().values()
        lines = [line for _, fields in server.read_all("xtcp:p") for line in fields[b"rows"].splitlines()]
    assert len(set(lines)) == counts["encoded"] == counts["sinks"]["out"]["delivered"]


@shows("valkey.timeout")
def test_a_server_that_hangs_is_given_up(few, tmp_path):
    """And loses nothing."""
    with Valkey() as server, Relay(server) as quick, Relay(server) as slow:
        pipelines = {name: pipeline(few, valkey_sink(relay, timeout=timeout))
                     for name, relay, timeout in (("quick", quick, "500ms"), ("slow", slow, "60s"))}
        with daemon.Daemon(tmp_path, pipelines) as running:
            bed.eventually(lambda: delivered(running, "quick") > 0 and delivered(running, "slow") > 0, 20, "rows")
            quick.freeze()
            slow.freeze()
            bed.eventually(lambda: "no answer within" in problem(running, "quick"), 10, "a failing sink")
            assert not problem(running, "slow")
            quick.resume()
            slow.resume()
            bed.eventually(lambda: not problem(running, "quick"), 20, "a working sink")
        totals = running.totals()
        lines = [line for _, fields in server.read_all("xtcp:quick") for line in fields[b"rows"].splitlines()]
    assert len(set(lines)) == totals["quick"]["encoded"] == totals["quick"]["sinks"]["out"]["delivered"]


class Odd(Service):
    """Answers as no server of the kind does."""

    scheme = "odd"

    def __init__(self, answer, **options):
        super().__init__(**options)
        self.answer = answer

    def serve(self, connection):
        while connection.recv(1 << 16):
            if callable(self.answer):
                self.answer(connection)
            else:
                connection.sendall(self.answer)


def trickle(connection):
    """A byte a second."""
    while True:
        connection.sendall(b"+")
        time.sleep(1)


def endless(connection):
    while True:
        connection.sendall(b"+" + b"x" * 60_000)


@pytest.mark.parametrize("answer,words", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak RESP"), (b"*1000000000\r\n", "RESP"),
    (b"+OK\r\n" * 1000, "nothing was asked"), (endless, "without an end"), (trickle, "no answer within"),
    (b"", "no answer within")], ids=["http", "array", "too many", "endless", "trickle", "silent"])
@shows("valkey.connect_timeout")
def test_odd_servers_are_left(few, tmp_path, answer, words):
    with Odd(answer) as server:
        sink = valkey_sink(server, timeout="1s", connect_timeout="1s")
        with daemon.Daemon(tmp_path, {"p": pipeline(few, sink)}, settings=IN_HASTE) as running:
            bed.eventually(lambda: words in problem(running), 20, words)
            assert delivered(running) == 0
            assert running.proc.peak_rss_mib < 100


# --- TLS ---


@pytest.fixture(name="certificates", scope="module")
def fixture_certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@shows("valkey.tls.enabled", "valkey.tls.ca_file", "valkey.tls.verify", "valkey.tls.server_name",
       "valkey.tls.cert_file", "valkey.tls.key_file")
def test_tls(few, tmp_path, certificates):
    """Not a row to those who must be refused."""
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(Valkey(tls=getattr(certificates, kind)))
                   for kind in (*Certificates.REFUSED, "good")}
        servers["mutual"] = stack.enter_context(
            Valkey(tls=certificates.good, client_authority=certificates.authority))
        ca_file = str(certificates.authority.certificate)
        own = {"cert_file": str(certificates.client.certificate), "key_file": str(certificates.client.key)}

        def secured(kind, **tls):
            return pipeline(few, valkey_sink(servers[kind], tls={"enabled": True, "ca_file": ca_file, **tls}))
        pipelines = {kind: secured(kind) for kind in (*Certificates.REFUSED, "good")}
        pipelines["renamed"] = secured("wrong_name", server_name="elsewhere.example")
        pipelines["trusting"] = secured("self_signed", verify=False)
        pipelines["shown"] = secured("mutual", **own)
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE) as running:
            for kind in Certificates.REFUSED:
                bed.eventually(lambda kind=kind: problem(running, kind), 20, f"a refusal of {kind}")
            for kind in ("good", "renamed", "trusting", "shown"):
                bed.eventually(lambda kind=kind: delivered(running, kind) > 0, 20, f"rows to {kind}")
            assert [delivered(running, kind) for kind in Certificates.REFUSED] == [0] * len(Certificates.REFUSED)
        for kind in Certificates.REFUSED:
            assert not servers[kind].read_all(f"xtcp:{kind}")
