"""`healthcheck`: what a destination that is not there at the start means."""
import contextlib
import socket
import time

import pytest

import bed
import daemon
from servers.http import Http
from servers.ports import free_port
from shown import shows
from test_settings_process import settings

AT_ONCE = settings(reload={"drain_timeout": "0s", "settle": "0s"})


def pipeline(population, url, healthcheck, **more):
    sink = {"type": "http", "url": url, "format": "jsonl", "healthcheck": healthcheck}
    return {"interval": "1h", "align": "none", "namespaces": population.selection, "sinks": {"out": sink}, **more}


class Counting(Http):
    """Counts connections."""

    served = 0

    def serve(self, connection):
        self.served += 1
        super().serve(connection)


def nobody():
    return f"http://127.0.0.1:{free_port()}/"


@shows("sink.healthcheck")
def test_a_start_with_a_required_destination_that_is_not_there_ends(still, tmp_path):
    path = tmp_path / "xtcpd.yaml"
    running = daemon.Daemon(tmp_path, {"p": pipeline(still, nobody(), "require")}, settings=AT_ONCE)
    done = bed.xtcpd("run", "--config", str(path))
    assert done.returncode == 1, done.stderr
    assert "sink out (healthcheck: require)" in done.stderr and "pipeline p" in done.stderr
    running.write({"p": pipeline(still, nobody(), "warn")})
    with running:
        running.wait_for_log("sink out", "it is tried again")


@contextlib.contextmanager
def deaf():
    """An address whose listener takes no further connection: its backlog is full, and what comes is not answered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@shows("sink.healthcheck")
def test_one_that_says_nothing_is_waited_for_so_long(still, tmp_path):
    with deaf() as url:
        daemon.Daemon(tmp_path, {"p": pipeline(still, url, "require")}, settings=AT_ONCE)
        began = time.monotonic()
        done = bed.xtcpd("run", "--config", str(tmp_path / "xtcpd.yaml"))
        took = time.monotonic() - began
    assert done.returncode == 1 and 4.9 < took < 8, (took, done.stderr)
    assert "no answer from its destination within 5 s" in done.stderr


@pytest.mark.parametrize("place", ["beside", "in_place"])
def test_a_reload_with_a_required_destination_that_is_not_there_changes_nothing(still, tmp_path, place):
    with Http() as server:
        good = {"p": pipeline(still, server.url, "require", interval="200ms"),
                "q": pipeline(still, server.url, "warn", interval="200ms")}
        with daemon.Daemon(tmp_path, good, settings=AT_ONCE) as running:
            running.wait_for_polls(2, "p")
            bad = {**good, "p": pipeline(still, nobody(), "require", interval="200ms")}
            if place == "in_place":
                bad["p"]["reader"] = {"mode": "syscall"}
            verdict = running.reload_with(bad)
            assert verdict["result"] == "refused" and "healthcheck: require" in verdict["text"], verdict
            for name in ("p", "q"):
                count = len(running.polls(name))
                running.wait_for_polls(count + 3, name)
            delivered = running.sink("p", "out")["delivered"]
            bed.eventually(lambda: running.sink("p", "out")["delivered"] > delivered, 10, "it goes on delivering")
            with Http() as other:
                moved = {**good, "p": pipeline(still, other.url, "require", interval="200ms")}
                assert running.reload_with(moved)["result"] == "applied"
                bed.eventually(lambda: other.accepted(), 10, "rows at the new place")


def test_nobody_is_asked_with_none(still, tmp_path):
    """Without a row to send, only somebody who is asked has a connection."""
    with Counting() as server, Counting() as asked:
        no_rows = {"filter": {"source_port": [1]}}
        pipelines = {"p": pipeline(still, server.url, "none", **no_rows),
                     "q": pipeline(still, asked.url, "warn", **no_rows)}
        with daemon.Daemon(tmp_path, pipelines, settings=AT_ONCE):
            bed.eventually(lambda: asked.served, 10, "a connection")
            time.sleep(0.3)
        assert asked.served == 1 and server.served == 0
