"""Batches, queues and retries take effect at run time. See test_settings.py."""
import contextlib
import os
import subprocess
import time

import pytest

import bed
import daemon
import formats
from shown import shows
from test_settings_process import settings, traced

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture(name="crowd", scope="module")
def fixture_crowd():
    """1,000 sockets that stand still."""
    with bed.Population(namespaces=1, v4=500) as population:
        yield population


@contextlib.contextmanager
def full_disk(folder):
    """A file system without room; what it yields makes some."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "xtcpd-test", folder], check=True)
    try:
        filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while os.write(filler, bytes(4096)):
                pass
        os.close(filler)
        yield lambda: subprocess.run(["mount", "-o", "remount,size=1g", folder], check=True)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def pipeline(crowd, path, *, sink=None, **more):
    return {"interval": "200ms", "align": "none", "namespaces": crowd.selection, "attributes": [],
            "sinks": {"out": {"type": "file", "path": str(path), **(sink or {})}}, **more}


def dropped(running, name):
    return {drop["reason"]: drop["rows"] for drop in running.sink(name, "out")["dropped"]}


# --- batches ---


@shows("pipeline.batch.rows", "pipeline.batch.bytes", "pipeline.batch.max_age")
def test_a_batch_is_full_at_what_comes_first(crowd, tmp_path):
    """A batch is an envelope."""
    schema = formats.compile_schema(tmp_path)
    batches = {"plain": {}, "rows": {"rows": 100}, "bytes": {"bytes": "64KiB"}, "aged": {"max_age": "1500ms"}}
    pipelines = {name: pipeline(crowd, tmp_path / name, sink={"format": "protobuf_list"}, batch=batch)
                 for name, batch in batches.items()}
    with daemon.Daemon(tmp_path, pipelines) as running:
        for name in pipelines:
            running.wait_for_polls(10, name)
    found = {name: formats.envelopes((tmp_path / name).read_bytes(), schema) for name in pipelines}
    polls = {name: len({envelope.row[0].poll_sequence for envelope in found[name]}) for name in found}
    assert len(found["plain"]) == polls["plain"] >= 10, "one a poll"
    assert max(len(envelope.row) for envelope in found["rows"]) == 100 and len(found["rows"]) >= 10 * polls["rows"]
    sizes = [envelope.ByteSize() for envelope in found["bytes"]]
    assert max(sizes) <= 64 * KIB and len(sizes) >= 2 * polls["bytes"]
    assert max(envelope.ByteSize() for envelope in found["plain"]) > 64 * KIB
    several = [{row.poll_sequence for row in envelope.row} for envelope in found["aged"]]
    assert len(several[0]) > 3, several


# --- queues ---


@shows("pipeline.queue.bytes", "pipeline.queue.when_full", "sink.queue.bytes", "sink.queue.when_full")
def test_a_queue_holds_so_much_and_then_does_what_it_says(crowd, tmp_path):
    queues = {
        "small": {"bytes": "2MiB"}, "large": {"bytes": "32MiB"},
        "newest": {"bytes": "2MiB", "when_full": "drop_newest"},
        "block": {"bytes": "2MiB", "when_full": "block"},
    }
    with full_disk(tmp_path / "full") as make_room:
        def one(name, queue, **more):
            retry = {"initial": "50ms", "max": "50ms"}
            return pipeline(crowd, tmp_path / "full" / name, retry=retry, queue=queue, **more)
        pipelines = {name: one(name, queue) for name, queue in queues.items()}
        # What is said of a sink alone lies above.
        pipelines["own"] = one("own", {"bytes": "32MiB"}, sink={
            "queue": {"bytes": "2MiB", "when_full": "drop_newest"}})
        with daemon.Daemon(tmp_path, pipelines, settings=settings(reload={"drain_timeout": "10s"})) as running:
            bed.eventually(
                lambda: all(dropped(running, name) for name in ("small", "newest", "own")), 20, "full queues")
            running.wait_for_polls(len(running.polls("large")) + 5, "large")
            held = {name: running.sink(name, "out")["queue_bytes"] for name in pipelines}
            limits = {name: running.sink(name, "out")["queue_limit"] // MIB for name in pipelines}
            assert limits == {"small": 2, "large": 32, "newest": 2, "block": 2, "own": 2}
            assert all(MIB < held[name] <= 2 * MIB for name in ("small", "newest", "block", "own")), held
            assert held["large"] > 2 * MIB and not dropped(running, "large") and not dropped(running, "block")
            assert {*dropped(running, "small"), *dropped(running, "newest"), *dropped(running, "own")} == {"queue_full"}
            assert len(running.polls("block")) < len(running.polls("large")) - 3, "its dumps wait"
            last = max(int(poll["sequence"]) for poll in running.polls("small"))
            make_room()
            bed.eventually(lambda: all(not running.sink(name, "out")["queued_rows"] for name in pipelines), 20, "room")
        polls = {name: {row["poll_sequence"] for row in bed.records_of((tmp_path / "full" / name).read_text())}
                 for name in pipelines}
        assert {1, 2} <= polls["newest"] and {1, 2} <= polls["own"] and last not in polls["newest"]
        assert 2 not in polls["small"] and last in polls["small"]
        assert {1, 2, last} <= polls["large"]


@shows("pipeline.queue.reserve", "sink.queue.reserve", "global.resources.memory")
def test_memory_is_shared_beyond_the_reserves(crowd, tmp_path):
    """Three queues want more than there is: those that have a reserve keep it, the third one gets what is left."""
    reserved = {"bytes": "64MiB", "reserve": "4MiB"}
    with full_disk(tmp_path / "full"):
        quick = {"interval": "100ms", "attributes": "default"}
        pipelines = {
            "greedy": pipeline(crowd, tmp_path / "full/greedy", queue={"bytes": "64MiB", "reserve": "0B"}, **quick),
            "reserved": pipeline(crowd, tmp_path / "full/reserved", queue=reserved, **{**quick, "interval": "400ms"}),
            "own": pipeline(crowd, tmp_path / "full/own", sink={"queue": reserved}, **{**quick, "interval": "400ms"}),
        }
        of_process = settings(resources={"memory": "32MiB"}, reload={"drain_timeout": "0s"})
        with daemon.Daemon(tmp_path, pipelines, settings=of_process) as running:
            bed.eventually(lambda: "memory" in dropped(running, "greedy"), 20, "the greedy one gives way")
            bed.eventually(lambda: all(running.sink(name, "out")["queue_bytes"] > 3.5 * MIB
                                       for name in ("reserved", "own")), 20, "the others get their reserve")
            status = running.status()
            memory = {entry["use"]: entry["bytes"] for entry in status["memory"]}
            assert memory["limit"] == 32 * MIB and memory["queue_reserve"] == 8 * MIB
            assert memory["queued"] <= memory["limit"] - memory["pools"] <= 32 * MIB


# --- retries ---


@shows("pipeline.retry.initial", "pipeline.retry.max", "sink.retry.initial", "sink.retry.max")
def test_waits_between_attempts_are_as_it_says(crowd, tmp_path):
    retries = {"often": ("20ms", "20ms"), "doubling": ("20ms", "1h"), "once": ("1h", "1h"), "capped": ("1h", "20ms")}
    with full_disk(tmp_path / "full"):
        pipelines = {}
        for name, (initial, most) in retries.items():
            one = pipeline(crowd, tmp_path / "full" / name, reader={"mode": "syscall"}, interval="1h",
                           retry={"initial": initial, "max": most})
            pipelines[name] = one
        pipelines["own"] = pipeline(crowd, tmp_path / "full/own", reader={"mode": "syscall"}, interval="1h",
                                    retry={"initial": "1h", "max": "1h"},
                                    sink={"retry": {"initial": "20ms", "max": "20ms"}})
        trace = tmp_path / "trace"
        prefix = ("strace", "-f", "-qq", "-y", "-o", str(trace), "-e", "trace=write,pwrite64,writev,pwritev2")
        running = daemon.Daemon(tmp_path, pipelines, prefix=prefix, settings=settings(reload={"drain_timeout": "0s"}))
        with traced(running):
            for name in pipelines:
                running.wait_for_polls(1, name)
            time.sleep(3)
        lines = trace.read_text().splitlines()
    attempts = {name: sum(f"/full/{name}>" in line and "ENOSPC" in line for line in lines) for name in pipelines}
    print(f"attempts in 3 s: {attempts}")
    assert min(attempts[name] for name in ("often", "capped", "own")) > 40
    assert 3 <= attempts["doubling"] <= 30 and attempts["once"] <= 2


@shows("pipeline.retry.give_up_after", "sink.retry.give_up_after")
def test_a_batch_is_given_up_after_its_time(crowd, tmp_path):
    def hasty(time_left):
        return {"initial": "50ms", "max": "50ms", "give_up_after": time_left}
    with full_disk(tmp_path / "full"):
        pipelines = {
            "hasty": pipeline(crowd, tmp_path / "full/hasty", retry=hasty("300ms"), interval="1h"),
            "patient": pipeline(crowd, tmp_path / "full/patient", retry=hasty("1h"), interval="1h"),
            "own": pipeline(crowd, tmp_path / "full/own", retry=hasty("1h"), sink={"retry": hasty("300ms")},
                            interval="1h"),
        }
        of_process = settings(reload={"drain_timeout": "0s"})
        with daemon.Daemon(tmp_path, pipelines, settings=of_process) as running:
            bed.eventually(lambda: dropped(running, "hasty") and dropped(running, "own"), 10, "it is given up")
            assert {*dropped(running, "hasty"), *dropped(running, "own")} == {"expired"}
            assert not dropped(running, "patient")


def test_a_sink_that_goes_while_it_fails_takes_nothing_with_it(crowd, tmp_path):
    """What is left of the pipeline as it was ends when the sink has gone: the pipeline by that name goes on."""
    with full_disk(tmp_path / "full"):
        both = pipeline(crowd, tmp_path / "full/rows")
        both["sinks"]["fine"] = {"type": "blackhole"}
        of_process = settings(reload={"settle": "0s", "drain_timeout": "300ms"})
        with daemon.Daemon(tmp_path, {"p": both}, settings=of_process) as running:
            running.wait_for_polls(3)
            fine = {**both, "sinks": {"fine": {"type": "blackhole"}}}
            assert running.reload_with({"p": fine}, of_process)["result"] == "applied"
            running.wait_for_log("sink out of pipeline p has gone")
            gone, = [entry for entry in running.log if "has gone" in entry["message"]]
            assert int(gone["dropped"]) == int(gone["encoded"]) > 0, "what it had is not lost unnamed"
            running.wait_for_polls(len(running.polls()) + 5)
