"""The nsq sink against a stand-in for nsqd, which speaks its protocol as pynsq does (test_servers.py)."""
import time

import pytest

import bed
import daemon
import received
import steady
from servers.nsq import Nsq
from servers.relay import Relay
from shown import shows

SECRET = "pw-kQ7zW3vX9p"
MODES = ("io_uring", "syscall")
# Where some sinks get rid of nothing, an end need not wait for them.
IN_HASTE = {"global": {"reload": {"drain_timeout": "200ms"}}}


def nsq_sink(server, **more):
    """It makes the pipeline wait: what is compared must all be there."""
    return {"type": "nsq", "address": f"127.0.0.1:{server.port}", "topic": "xtcp", "queue": {
        "bytes": "64MiB", "when_full": "block"}, "retry": {"initial": "50ms", "max": "500ms"}, **more}


def pipeline(crowd, sink, **more):
    return {"interval": "200ms", "align": "none", "namespaces": crowd.selection, "sinks": {"out": sink}, **more}


def delivered(running, name="p"):
    return running.sink(name, "out")["delivered"]


def problem(running, name="p"):
    return running.sink(name, "out").get("problem") or ""


@shows("nsq.address", "nsq.topic", "nsq.each_row")
@pytest.mark.parametrize("mode,encoding,each_row", [
    ("io_uring", "jsonl", True), ("syscall", "jsonl", False), ("io_uring", "protobuf_list", False),
    ("syscall", "protobuf_list", True)])
def test_every_row_arrives(steady_crowd, tmp_path, mode, encoding, each_row):
    """steady.ROWS of them, with the values of the jsonl of the same polls."""
    with Nsq() as server:
        sink = nsq_sink(server, format=encoding, each_row=each_row, topic="xtcp.{pipeline}")
        one = steady.pipeline(steady_crowd, tmp_path, {"out": sink}, reader={"mode": mode})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            steady.poll(running, "p")
            bed.eventually(lambda: delivered(running) >= steady.ROWS, 60, "all rows")
        reference = steady.reference(running, tmp_path, "p")
        bodies = server.read_all("xtcp.p")
        commands = set(server.commands)
    lines = received.lines(encoding, bodies, tmp_path)
    received.compare(reference, lines).check()
    assert running.totals()["p"]["sinks"]["out"]["delivered"] == len(lines)
    assert (len(bodies) == len(lines)) == each_row and ("MPUB" in commands) == each_row


@shows("nsq.max_message_bytes")
def test_messages_are_no_longer_than_asked_for(steady_crowd, tmp_path):
    with Nsq() as server:
        one = pipeline(steady_crowd, nsq_sink(server, max_message_bytes="16KiB"))
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            running.wait_for_polls(2)
        assert 8 << 10 < max(map(len, server.read_all("xtcp"))) <= 16 << 10


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_is_killed_loses_nothing(steady_crowd, tmp_path, mode):
    with Nsq() as server:
        one = pipeline(steady_crowd, nsq_sink(server, each_row=True), reader={"mode": mode})
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
        lines = server.read_all("xtcp")
    assert counts["sinks"]["out"]["dropped"] == 0
    assert len(set(lines)) == counts["sinks"]["out"]["delivered"] == counts["encoded"]


def test_errors_of_the_server(few, tmp_path):
    """What it may take later is sent again; what it never takes is dropped by name."""
    with Nsq() as server:
        server.fail_next("E_PUB_FAILED", 3)
        with daemon.Daemon(tmp_path, {"p": pipeline(few, nsq_sink(server))}) as running:
            bed.eventually(lambda: delivered(running) >= 200, 20, "rows")
        assert running.totals()["p"]["sinks"]["out"]["dropped"] == 0
    with Nsq(max_message=2000) as server:
        with daemon.Daemon(tmp_path / "small", {"p": pipeline(few, nsq_sink(server))}) as running:
            bed.eventually(lambda: running.sink("p", "out")["dropped"], 20, "dropped rows")
            assert {drop["reason"] for drop in running.sink("p", "out")["dropped"]} == {"too_large"}
            assert "E_BAD_MESSAGE" in problem(running)


@shows("nsq.secret")
def test_who_may_publish(few, tmp_path):
    with Nsq(secret=SECRET) as server:
        pipelines = {"right": pipeline(few, nsq_sink(server, secret=SECRET)),
                     "wrong": pipeline(few, nsq_sink(server, secret="wrong-" + SECRET)),
                     "none": pipeline(few, nsq_sink(server))}
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE) as running:
            bed.eventually(lambda: delivered(running, "right") > 0, 20, "rows")
            bed.eventually(lambda: "E_AUTH_FAILED" in problem(running, "wrong"), 20, "a refusal")
            bed.eventually(lambda: "E_AUTH_FIRST" in problem(running, "none"), 20, "a refusal")
            assert delivered(running, "wrong") == delivered(running, "none") == 0
            told = str(running.pipelines())
        assert SECRET not in "".join(running.raw) + told


def test_heartbeats_are_answered(few, tmp_path):
    """A server that hears nothing for two of them ends the connection."""
    with Nsq(heartbeat=0.3) as server:
        with daemon.Daemon(tmp_path, {"p": pipeline(few, nsq_sink(server), interval="4s", timeout="2s")}) as running:
            running.wait_for_polls(1)
            time.sleep(3)
            assert server.commands.count("NOP") >= 5 and server.commands.count("IDENTIFY") == 1
            assert not problem(running)


@shows("nsq.timeout", "nsq.connect_timeout")
def test_a_server_that_hangs_is_given_up(few, tmp_path):
    """And loses nothing."""
    with Nsq() as server, Relay(server) as quick, Relay(server) as slow:
        pipelines = {name: pipeline(few, nsq_sink(relay, topic=name, timeout=timeout, connect_timeout=timeout))
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
        lines = [line for body in server.read_all("quick") for line in body.splitlines()]
    assert len(set(lines)) == totals["quick"]["encoded"] == totals["quick"]["sinks"]["out"]["delivered"]
