"""Reload: what changes is changed, what does not is not touched, and no input can hurt what runs."""
import json
import os
import random
import signal
import statistics
import subprocess
import threading
import time

import pytest

import bed
import daemon

QUICK = {"reload": {"settle": "0s"}}


@pytest.fixture(scope="module")
def tenants():
    with bed.Population(namespaces=12, v4=60, listeners=2) as population:
        yield population


def pipeline(name, interval="200ms", **more):
    return {"interval": interval, "align": "none", "namespaces": {"include": [{"name": name}]},
            "sinks": {"out": {"type": "blackhole"}}, **more}


def ten(tenants, **more):
    return {f"p{index}": pipeline(name, **more) for index, name in enumerate(tenants.names[:10])}


def settings(**more):
    return {"global": {**QUICK, "log": {"level": "debug", "format": "json"}, **more}}


def test_an_unchanged_file_touches_nothing(tenants, tmp_path):
    with daemon.Daemon(tmp_path, ten(tenants), settings=settings()) as running:
        running.wait_for_polls(2, "p9")
        before, generation = running.lasting(), running.status()["configuration"]["generation"]
        verdict = running.hang_up()
        assert verdict["result"] == "unchanged", verdict
        assert running.lasting() == before
        assert running.status()["configuration"]["generation"] == generation
        # Another text with the same meaning is no change either.
        running.path.write_text("# a comment\n" + running.path.read_text())
        assert running.hang_up()["result"] == "unchanged"
        assert running.lasting() == before


def test_an_interval_is_adjusted_live(tenants, tmp_path):
    pipelines = ten(tenants)
    with daemon.Daemon(tmp_path, pipelines, settings=settings()) as running:
        running.wait_for_polls(3, "p0")
        before = running.lasting()
        pipelines["p0"]["interval"] = "100ms"
        verdict = running.reload_with(pipelines)
        assert verdict["result"] == "applied", verdict
        assert "adjust" in verdict["text"] and "rebuild" not in verdict["text"]
        assert running.lasting() == before, "no ring and no file was opened again"
        count = len(running.polls("p0"))
        running.wait_for_polls(count + 15, "p0")
        # Whatever a busy machine does to some of them.
        assert 0.05 < statistics.median(running.gaps("p0")[count:]) < 0.15


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_one_of_ten_pipelines_changes_and_the_others_notice_nothing(tenants, tmp_path, mode):
    pipelines = ten(tenants, reader={"mode": mode})
    pipelines["p3"]["sinks"] = {"out": {"type": "file", "path": str(tmp_path / "one.jsonl")}}
    with daemon.Daemon(tmp_path, pipelines, settings=settings()) as running:
        for name in pipelines:
            running.wait_for_polls(5, name)
        before, skipped = running.lasting(), {name: running.pipelines()[name]["polls"]["skipped"] for name in pipelines}
        pipelines["p3"]["sinks"]["out"]["path"] = str(tmp_path / "two.jsonl")
        verdict = running.reload_with(pipelines)
        assert verdict["result"] == "applied", verdict
        assert "p3: rebuild" in verdict["text"], verdict
        running.wait_for_polls(len(running.polls("p3")) + 10, "p3")
        after = running.pipelines()
        for name in pipelines:
            if name != "p3":
                sequences = [int(poll["sequence"]) for poll in running.polls(name)]
                assert sequences == list(range(1, len(sequences) + 1)), (name, "polls are numbered without a gap")
                assert after[name]["polls"]["skipped"] == skipped[name], name
        bed.eventually(lambda: len(running.lasting()) == len(before), 20, "what went has let go")
        kept = set(before.items()) & set(running.lasting().items())
        # The changed one's port (a ring; or three epolls and a timer) and file are others; all the rest is the same.
        assert len(before) - len(kept) <= 5, (set(before.items()) - kept)
        # The gap of the changed one is at most an interval longer than the interval. How late a busy machine makes a
        # poll is seen at the others.
        late = max(running.longest_gap(name) for name in pipelines if name != "p3") - 0.2
        assert running.longest_gap("p3") <= 0.2 * 2 + 0.15 + late, (running.longest_gap("p3"), late)
    rows = bed.records_of((tmp_path / "one.jsonl").read_text()) + bed.records_of((tmp_path / "two.jsonl").read_text())
    keys = {(row["poll_sequence"], row["inet_diag_msg_socket_cookie"]) for row in rows}
    assert len(keys) == len(rows) == running.totals()["p3"]["encoded"], "no row lost, none twice, no poll number twice"


def test_pipelines_come_and_go(tenants, tmp_path):
    pipelines = ten(tenants)
    with daemon.Daemon(tmp_path, pipelines, settings=settings()) as running:
        running.wait_for_polls(2, "p9")
        rings, descriptors = running.rings(), len(running.lasting())
        extra = {**pipelines, "new": pipeline(tenants.names[10])}
        verdict = running.reload_with(extra)
        assert verdict["result"] == "applied" and "new: add" in verdict["text"], verdict
        running.wait_for_polls(3, "new")
        assert running.rings() == rings + 1
        verdict = running.reload_with(pipelines)
        assert verdict["result"] == "applied" and "new: remove" in verdict["text"], verdict
        bed.eventually(lambda: running.rings() == rings and len(running.lasting()) == descriptors, 20, "let go")
        assert "new" not in running.pipelines()
        only = {"p5": pipelines["p5"]}
        assert running.reload_with(only)["result"] == "applied"
        count = len(running.polls("p5"))
        running.wait_for_polls(count + 3, "p5")
        assert set(running.pipelines()) == {"p5"}


def test_what_has_no_room_beside_is_rebuilt_in_place(tenants, tmp_path):
    fat = pipeline(tenants.names[0], interval="500ms", pools={"receive_buffers": 16, "batches": 8},
                   batch={"bytes": "4MiB"}, queue={"reserve": "0B"})
    beside = settings(resources={"memory": "40MiB"})
    with daemon.Daemon(tmp_path, {"fat": fat}, settings=beside) as running:
        running.wait_for_polls(3, "fat")
        sequence = len(running.polls("fat"))
        fat["pools"]["receive_buffers"] = 32
        verdict = running.reload_with({"fat": fat}, settings=beside)
        assert verdict["result"] == "applied" and "in place" in verdict["text"], verdict
        running.wait_for_polls(sequence + 5, "fat")
        assert running.longest_gap("fat") <= 2 * 0.5 + 0.5
        assert running.pool("fat", "receive_buffers")["size"] == 32


def test_a_thousand_hangups_in_a_second_and_the_last_content_wins(tenants, tmp_path):
    pipelines = ten(tenants)
    with daemon.Daemon(tmp_path, pipelines, settings=settings()) as running:
        running.wait_for_polls(2, "p9")
        for turn in range(1000):
            pipelines["p0"]["interval"] = f"{200 + turn % 50}ms"
            if turn % 20 == 0:
                running.write(pipelines)
            running.process.send_signal(signal.SIGHUP)
            time.sleep(0.001)
        pipelines["p0"]["interval"] = "150ms"
        pipelines["p1"]["interval"] = "170ms"
        running.write(pipelines)
        running.process.send_signal(signal.SIGHUP)
        bed.eventually(lambda: running.interval_ms("p0") == 150, 15, "the last content wins")
        assert running.interval_ms("p1") == 170
        running.check_alive()


def test_a_file_cut_at_every_byte_never_stops_anything(tenants, tmp_path):
    """Each cut is refused with a place, or is a whole valid configuration by chance."""
    running = daemon.Daemon(tmp_path, {"p": pipeline(tenants.names[0], interval="100ms")}, settings=settings())
    text = running.path.read_bytes()
    with running:
        running.wait_for_polls(2)
        refused = 0
        for length in range(len(text)):
            running.path.write_bytes(text[:length])
            verdict = running.reload()
            if verdict["result"] == "refused":
                refused += 1
                told = json.dumps(verdict)
                assert ".yaml:" in told or "empty" in told, (length, verdict)
                assert running.metrics()["xtcpd_config_last_reload_successful"] == 0
        running.path.write_bytes(text)
        assert running.hang_up()["result"] in ("applied", "unchanged")
        assert running.metrics()["xtcpd_config_last_reload_successful"] == 1
        assert refused > len(text) * 0.9
        assert running.longest_gap("p") < 1, "it polled all the time"


def test_a_file_that_is_written_slowly_is_read_when_it_is_whole(tenants, tmp_path):
    pipelines = ten(tenants)
    slow = {"global": {"reload": {"settle": "400ms"}, "log": {"level": "debug", "format": "json"}}}
    with daemon.Daemon(tmp_path, pipelines, settings=slow) as running:
        running.wait_for_polls(2, "p9")
        pipelines["p0"]["interval"] = "150ms"
        text = running.text(pipelines, slow)
        time.sleep(0.5)
        with open(running.path, "w", encoding="utf-8") as file:
            for start in range(0, len(text), len(text) // 20):
                file.write(text[start:start + len(text) // 20])
                file.flush()
                running.process.send_signal(signal.SIGHUP)
                time.sleep(0.15)
        bed.eventually(lambda: running.interval_ms("p0") == 150, 10, "the whole file applies")
        assert [verdict["result"] for verdict in running.verdicts()] == ["applied"], "no part of it was tried"


REFUSED = {
    "threads": ({"resources": {"threads": 2}}, {}, "threads: budget 2"),
    "memory": ({"resources": {"memory": "16MiB"}}, {"pools": {"receive_buffers": 1024}}, "memory: budget"),
    "control": ({"control": {"socket": "/proc/no/such/control.sock"}}, {}, "/proc/no"),
    "file": ({}, {"sinks": {"out": {"type": "file", "path": "/no/such/folder/x.jsonl"}}}, "/no/such/folder"),
    "directory": ({}, {"sinks": {"out": {"type": "file", "path": "/tmp"}}}, "/tmp"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_had_is_refused_and_everything_runs_on(tenants, tmp_path, name):
    change_global, change_pipeline, words = REFUSED[name]
    pipelines = ten(tenants)
    pipelines["p1"]["sinks"] = {"out": {"type": "file", "path": str(tmp_path / "p1.jsonl")}}
    with daemon.Daemon(tmp_path, pipelines, settings=settings()) as running:
        running.wait_for_polls(3, "p9")
        before = running.lasting()
        threads = running.proc.threads
        changed = {**pipelines, "p0": {**pipelines["p0"], "interval": "150ms"},
                   "p2": {**pipelines["p2"], **change_pipeline},
                   "new": pipeline(tenants.names[10])}
        verdict = running.reload_with(changed, settings=settings(**change_global))
        assert verdict["result"] == "refused", verdict
        assert words in verdict["text"], verdict
        bed.eventually(lambda: running.lasting() == before, 20, "what ran is what runs")
        bed.eventually(lambda: running.proc.threads == threads, 20, "threads")
        assert set(running.pipelines()) == set(pipelines)
        assert running.interval_ms("p0") == 200
        count = len(running.polls("p2"))
        running.wait_for_polls(count + 3, "p2")


def test_a_file_that_moves_while_its_disk_is_full_loses_nothing(tenants, tmp_path):
    """50 MiB and more wait for a full disk; the sink moves to another one; everything arrives, in order."""
    small, roomy = tmp_path / "small", tmp_path / "roomy"
    for folder in (small, roomy):
        folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "xtcpd-test", small], check=True)
    try:
        with bed.Population(namespaces=1, v4=8000) as crowd:
            queue = {"bytes": "256MiB", "when_full": "block"}
            out = {"type": "file", "path": str(small / "rows.jsonl"), "queue": queue,
                   "retry": {"initial": "100ms", "max": "200ms", "give_up_after": "1h"}}
            one = {"interval": "500ms", "align": "none", "namespaces": crowd.selection, "sinks": {"out": out}}
            roomy_budget = settings(resources={"memory": "512MiB"})
            with daemon.Daemon(tmp_path, {"p": one}, settings=roomy_budget) as running:
                bed.eventually(lambda: running.sink("p", "out")["queue_bytes"] > 50 << 20, 60, "50 MiB queued")
                out["path"] = str(roomy / "rows.jsonl")
                verdict = running.reload_with({"p": one}, settings=roomy_budget)
                assert verdict["result"] == "applied", verdict
                bed.eventually(lambda: running.sink("p", "out")["queue_bytes"] == 0, 30, "the queue was delivered")
        totals = running.totals()["p"]
        assert totals["sinks"]["out"]["dropped"] == 0
        rows = whole_rows(small / "rows.jsonl") + whole_rows(roomy / "rows.jsonl")
        keys = [(row["poll_sequence"], row["inet_diag_msg_socket_cookie"]) for row in rows]
        assert len(set(keys)) == totals["encoded"], "0 records lost"
        order = [row["poll_sequence"] for row in whole_rows(roomy / "rows.jsonl")]
        assert order == sorted(order)
    finally:
        subprocess.run(["umount", small], check=True)


def whole_rows(path):
    """Duplicates are permitted, torn rows are not."""
    return bed.records_of(path.read_text())


def test_a_sink_that_does_not_drain_is_bounded(tenants, tmp_path):
    """Its reader is asleep. The reload is over at once all the same; after drain_timeout rows are dropped by name."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        one = pipeline(tenants.names[0], sinks={"out": {"type": "file", "path": str(pipe)}})
        bounded = settings(reload={"settle": "0s", "drain_timeout": "2s"})
        with daemon.Daemon(tmp_path, {"p": one, "q": pipeline(tenants.names[1])}, settings=bounded) as running:
            running.wait_for_polls(5, "p")
            time.sleep(1)
            started = time.monotonic()
            verdict = running.reload_with({"q": pipeline(tenants.names[1])}, settings=bounded)
            assert verdict["result"] == "applied" and time.monotonic() - started < 1.5, verdict
            bed.eventually(lambda: str(pipe) not in running.lasting().values(), 5, "let go after drain_timeout")
            count = len(running.polls("q"))
            running.wait_for_polls(count + 3, "q")
    finally:
        os.close(reader)


def test_reloads_at_random_moments_keep_the_books(tenants, tmp_path):
    """Pipelines are added, removed, adjusted and rebuilt at random while they poll: rows add up at the end, and nothing
    is left behind."""
    rng = random.Random(7)
    base = ten(tenants, interval="100ms")
    for index, one in enumerate(base.values()):
        one["sinks"] = {"out": {"type": "file", "path": str(tmp_path / f"p{index}.jsonl")}}
    with daemon.Daemon(tmp_path, base, settings=settings()) as running:
        running.wait_for_polls(2, "p9")
        for _ in range(40):
            some = {}
            for name, one in base.items():
                if name == "p0" or rng.random() < 0.8:
                    some[name] = {**one, "interval": rng.choice(["50ms", "100ms", "150ms"]),
                                  "pools": {"receive_buffers": rng.choice([8, 16, 32])},
                                  "attributes": rng.choice(["default", "all", ["info"]])}
            verdict = running.reload_with(some)
            assert verdict["result"] in ("applied", "unchanged"), verdict
            time.sleep(rng.random() * 0.2)
        assert running.reload_with(base)["result"] in ("applied", "unchanged")
        bed.eventually(lambda: running.rings() == 10, 20, "as many rings as pipelines")
        running.wait_for_polls(len(running.polls("p9")) + 2, "p9")
    for index in range(10):
        lines = (tmp_path / f"p{index}.jsonl").read_bytes().splitlines()
        assert lines and all(line.startswith(b"{") and line.endswith(b"}") for line in lines), index
    rows = bed.records_of((tmp_path / "p0.jsonl").read_text())
    assert len(rows) == running.totals()["p0"]["encoded"]


def test_watch_follows_a_symlink_swap(tenants, tmp_path):
    """As Kubernetes replaces a ConfigMap: `..data` is a symbolic link that is renamed over."""
    watched = settings(reload={"settle": "0s", "watch": True})
    running = daemon.Daemon(tmp_path, ten(tenants), settings=watched)
    first, second, link = (tmp_path / name for name in ("first", "second", "..data"))
    first.mkdir()
    second.mkdir()
    running.path.rename(first / "xtcpd.yaml")
    link.symlink_to(first.name)
    running.path.symlink_to("..data/xtcpd.yaml")
    with running:
        running.wait_for_polls(2, "p9")
        (second / "xtcpd.yaml").write_text(running.text(ten(tenants, interval="150ms")))
        swap = tmp_path / "..swap"
        swap.symlink_to(second.name)
        swap.rename(link)
        bed.eventually(lambda: running.interval_ms("p0") == 150, 20, "the change was noticed")


def test_a_hangup_before_anything_is_ready_is_honoured(tenants, tmp_path):
    """SIGHUP while it starts: the process lives, and what was written meanwhile is taken over."""
    stop = threading.Event()
    pipelines = ten(tenants)
    running = daemon.Daemon(tmp_path, pipelines, settings=settings())

    def harass():
        while not stop.is_set():
            if running.blocks_hangup():
                running.process.send_signal(signal.SIGHUP)
            time.sleep(0.002)
    with running:
        thread = threading.Thread(target=harass)
        thread.start()
        try:
            running.wait_for_polls(2, "p9")
        finally:
            stop.set()
            thread.join()
        assert running.verdicts(), "it was honoured"


def test_a_rebuild_in_place_that_fails_is_turned_back(tenants, tmp_path):
    """The old one had to make room, the new one cannot be built: the old one goes on, with its counters and rows."""
    output = tmp_path / "rows.jsonl"
    fat = pipeline(tenants.names[0], interval="300ms", pools={"receive_buffers": 16, "batches": 8},
                   batch={"bytes": "4MiB"}, queue={"reserve": "0B"},
                   sinks={"out": {"type": "file", "path": str(output)}, "also": {"type": "blackhole"}})
    tight = settings(resources={"memory": "40MiB"})
    with daemon.Daemon(tmp_path, {"fat": fat}, settings=tight) as running:
        running.wait_for_polls(3, "fat")
        bad = {**fat, "sinks": {**fat["sinks"], "more": {"type": "file", "path": "/no/such/folder/x"}}}
        verdict = running.reload_with({"fat": bad}, settings=tight)
        assert verdict["result"] == "refused" and "in place" in verdict["text"], verdict
        assert "/no/such/folder" in verdict["text"], verdict
        count = len(running.polls("fat"))
        running.wait_for_polls(count + 3, "fat")
        assert running.longest_gap("fat") <= 2 * 0.3 + 0.5
        sequences = [int(poll["sequence"]) for poll in running.polls("fat")]
        assert sequences == list(range(1, len(sequences) + 1))
    assert len(bed.records_of(output.read_text())) == running.totals()["fat"]["encoded"]


def test_pipelines_move_when_there_may_be_fewer_loops(tenants, tmp_path):
    pipelines = ten(tenants)
    for name, one in pipelines.items():
        one["sinks"] = {"out": {"type": "file", "path": str(tmp_path / f"{name}.jsonl")}}
    with daemon.Daemon(tmp_path, pipelines, settings=settings(resources={"loops": 2})) as running:
        running.wait_for_polls(3, "p9")
        assert {report["loop"] for report in running.pipelines().values()} == {"loop0", "loop1"}
        verdict = running.reload_with(pipelines, settings=settings(resources={"loops": 1}))
        assert verdict["result"] == "applied", verdict
        assert len({report["loop"] for report in running.pipelines().values()}) == 1
        for name in ("p0", "p1", "p9"):
            running.wait_for_polls(len(running.polls(name)) + 3, name)
        bed.eventually(lambda: "loop1" not in running.thread_names(), 20, "the other loop has ended")
        verdict = running.reload_with(pipelines, settings=settings(resources={"loops": 2}))
        assert verdict["result"] == "applied", verdict
        assert {report["loop"] for report in running.pipelines().values()} == {"loop0", "loop1"}
        running.wait_for_polls(len(running.polls("p9")) + 3, "p9")
    for name in pipelines:
        rows = bed.records_of((tmp_path / f"{name}.jsonl").read_text())
        assert len(rows) == running.totals()[name]["encoded"], name


def test_sinks_in_another_order_are_the_same_sinks(tenants, tmp_path):
    paths = {"x": tmp_path / "x.csv", "y": tmp_path / "y.jsonl"}
    sinks = {"x": {"type": "file", "path": str(paths["x"]), "format": "csv", "columns": ["netns", "label"]},
             "y": {"type": "file", "path": str(paths["y"]), "format": "jsonl"}}
    one = pipeline(tenants.names[0], interval="100ms", sinks=sinks)
    with daemon.Daemon(tmp_path, {"p": one}, settings=settings()) as running:
        running.wait_for_polls(3, "p")
        other = {**one, "sinks": {"y": sinks["y"], "x": sinks["x"]}}
        assert running.reload_with({"p": other})["result"] == "unchanged"
        assert running.reload_with({"p": {**other, "label": "new"}})["result"] == "applied"
        running.wait_for_polls(len(running.polls("p")) + 3, "p")
    assert all(line.count(",") == 1 for line in paths["x"].read_text().splitlines())
    rows = bed.records_of(paths["y"].read_text())
    assert rows[-1]["label"] == "new" and rows[0].get("label", "") == ""


@pytest.fixture
def sleeper(tmp_path):
    """A named pipe whose reader never reads."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    yield pipe
    os.close(reader)


def test_a_pipeline_that_its_sink_holds_up_can_still_be_changed(tenants, tmp_path, sleeper):
    """`block`, and nobody takes anything: live settings, then the path, and then everything that waited arrives."""
    output = tmp_path / "rows.jsonl"
    # The pipe keeps the part of a batch that fits: those rows are there twice in the end.
    out = {"type": "file", "path": str(sleeper), "queue": {"bytes": "1MiB", "when_full": "block"}}
    one = pipeline(tenants.names[0], interval="100ms", timeout="50ms", sinks={"out": out}, pools={"batches": 2},
                   batch={"bytes": "256KiB"})
    with daemon.Daemon(tmp_path, {"p": one}, settings=settings()) as running:
        bed.eventually(lambda: running.pipelines()["p"]["polls"]["skipped"] > 3, 20, "the pipeline is held up")
        started = time.monotonic()
        assert running.reload_with({"p": {**one, "label": "new"}})["result"] == "applied"
        assert time.monotonic() - started < 5
        cpu = running.proc.cpu_seconds()
        time.sleep(1)
        assert running.proc.cpu_seconds() - cpu < 0.3, "waiting costs nothing"
        moved = {**one, "label": "new", "sinks": {"out": {**out, "path": str(output)}}}
        assert running.reload_with({"p": moved})["result"] == "applied"
        bed.eventually(lambda: running.sink("p", "out")["queue_bytes"] == 0 and output.stat().st_size > 1 << 20, 10,
                       "what waited is delivered")
        running.wait_for_polls(len(running.polls("p")) + 3, "p")
    totals = running.totals()["p"]
    assert totals["sinks"]["out"]["dropped"] == 0, totals
    assert len(bed.records_of(output.read_text())) == totals["encoded"]


def test_what_cannot_be_restored_comes_back_with_a_corrected_file(tenants, tmp_path):
    """The old one made room, the new one cannot be built, and the old one's folder has gone meanwhile."""
    folder = tmp_path / "folder"
    folder.mkdir()
    fat = pipeline(tenants.names[0], interval="200ms", pools={"receive_buffers": 16, "batches": 8},
                   batch={"bytes": "4MiB"}, queue={"reserve": "0B"},
                   sinks={"out": {"type": "file", "path": str(folder / "rows.jsonl")}})
    tight = settings(resources={"memory": "40MiB"})
    pipelines = {"fat": fat, "thin": pipeline(tenants.names[1])}
    with daemon.Daemon(tmp_path, pipelines, settings=tight) as running:
        running.wait_for_polls(3, "fat")
        (folder / "rows.jsonl").unlink()
        folder.rmdir()
        bad = {**fat, "sinks": {"out": {"type": "file", "path": "/no/such/folder/x"}}}
        assert running.reload_with({**pipelines, "fat": bad}, settings=tight)["result"] == "refused"
        running.wait_for_log("cannot be built again")
        good = {**fat, "sinks": {"out": {"type": "file", "path": str(tmp_path / "rows.jsonl")}}}
        assert running.reload_with({**pipelines, "fat": good}, settings=tight)["result"] == "applied"
        running.wait_for_polls(len(running.polls("fat")) + 3, "fat")
        assert set(running.pipelines()) == {"fat", "thin"}


def test_files_from_the_far_future_are_files(tenants, tmp_path):
    with daemon.Daemon(tmp_path, {"p": pipeline(tenants.names[0])}, settings=settings()) as running:
        running.wait_for_polls(2, "p")
        for seconds in (10**10, 2**62 // 10**9, -10**10):
            os.utime(running.path, (seconds, seconds))
            assert running.hang_up()["result"] == "unchanged"
        running.check_alive()


def test_a_poll_on_request_does_not_wait_for_the_next_one(tenants, tmp_path):
    one = pipeline(tenants.names[0], interval="1h")
    with daemon.Daemon(tmp_path, {"p": one}, settings=settings()) as running:
        running.wait_for_polls(1, "p")
        started = time.monotonic()
        done = running.command("poll", "p", "--count", "3")
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - started < 3
        assert len(running.polls("p")) == 4
