"""Queues that spill (`queue.when_full: spill`): what was on disk arrives after an end at any moment, in bounded space,
and what is lost has a name. XTCPD_KILLS sets how often the daemon is killed."""
import contextlib
import os
import pathlib
import random
import struct
import time

import pytest

import bed
import daemon
from shown import shows
from test_settings_delivery import dropped, fixture_crowd, full_disk, pipeline  # noqa: F401, a fixture
from test_settings_process import settings

KILLS = int(os.environ.get("XTCPD_KILLS", "10"))
HEADER = 80
SPILL = {"bytes": "2MiB", "when_full": "spill"}
QUICK = {"initial": "20ms", "max": "50ms"}
AT_ONCE = settings(reload={"drain_timeout": "0s", "settle": "0s"})


def spilling(crowd, path, *, queue=None, **more):
    return pipeline(crowd, path, queue=queue or SPILL, retry=QUICK, **{"interval": "100ms", **more})


def segments(folder):
    """Whole files, oldest first."""
    return sorted(pathlib.Path(folder).glob("spill/*/*.batch"))


def rows_by_name(paths):
    return sum(int(path.name.split("-")[1]) for path in paths)


def lines(segment):
    """The rows of a file: a header of 80 bytes says how long they are."""
    data = segment.read_bytes()
    size, = struct.unpack_from("<Q", data, 8)
    return data[HEADER:HEADER + size].splitlines()


@contextlib.contextmanager
def killed(folder, pipelines, of_process):
    """A daemon that is killed at the end."""
    running = daemon.Daemon(folder, pipelines, settings=of_process)
    running.__enter__()
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait(10)
        running.stop()
        running.sockets.cleanup()


def delivered_all(running):
    sink = running.sink("p", "out")
    return not sink["spilled_rows"] and not sink["queued_rows"]


def test_what_was_on_disk_arrives_after_every_kill(crowd, tmp_path):
    dice = random.Random(7)
    on_disk = set()
    with full_disk(tmp_path / "full") as make_room:
        output = tmp_path / "full/rows"
        of_process = settings(reload={"drain_timeout": "10s"})
        for _ in range(KILLS):
            began = time.monotonic()
            with killed(tmp_path, {"p": spilling(crowd, output)}, of_process) as running:
                running.wait_for_log("started:")
                assert time.monotonic() - began < 1.0
                count = len(segments(tmp_path / "data"))
                bed.eventually(lambda: len(segments(tmp_path / "data")) > count, 20, "more is spilled")
                time.sleep(dice.random())
            for segment in segments(tmp_path / "data"):
                on_disk.update(lines(segment))
        left = rows_by_name(segments(tmp_path / "data"))
        assert left >= len(on_disk) > 1000 * KILLS
        make_room()
        with daemon.Daemon(tmp_path, {"p": spilling(crowd, output, interval="1h")}, settings=of_process) as running:
            bed.eventually(lambda: delivered_all(running), 60, "everything is delivered")
            sink = running.sink("p", "out")
            assert sink["restored"] == left and sink["delivered"] >= left and not sink["dropped"]
            samples = running.metrics()
            label = '{pipeline="p",sink="out",outcome="restored"}'
            assert samples["xtcpd_sink_records_total" + label] == left
        arrived = set(output.read_bytes().splitlines())
    assert on_disk <= arrived, f"{len(on_disk - arrived)} rows are missing"
    assert not segments(tmp_path / "data")


def spill_and_stop(crowd, folder, output):
    """Everything is left on disk; returns the files."""
    with daemon.Daemon(folder, {"p": spilling(crowd, output)}, settings=AT_ONCE) as running:
        bed.eventually(lambda: len(segments(folder / "data")) >= 8, 20, "files")
        modes = {path.stat().st_mode & 0o777 for path in segments(folder / "data")}
        folders = {path.parent.stat().st_mode & 0o777 for path in segments(folder / "data")}
        assert modes == {0o600} and folders == {0o700}
    totals = running.totals()["p"]["sinks"]["out"]
    assert totals["dropped"] == 0 and totals["in_flight"] == rows_by_name(segments(folder / "data"))
    return segments(folder / "data")


def test_at_the_end_everything_is_kept_and_broken_files_are_counted(crowd, tmp_path):
    with full_disk(tmp_path / "full") as make_room:
        files = spill_and_stop(crowd, tmp_path, tmp_path / "full/rows")
        broken = {1: 0, 3: 30, 5: 79, 7: HEADER + 1000}
        for index, offset in broken.items():
            data = bytearray(files[index].read_bytes())
            data[offset] ^= 0x10
            files[index].write_bytes(data)
        expected = [line for index, path in enumerate(files) if index not in broken for line in lines(path)]
        lost, left = rows_by_name(files[index] for index in broken), rows_by_name(files)
        make_room()
        later = spilling(crowd, tmp_path / "full/rows", interval="1h")
        with daemon.Daemon(tmp_path, {"p": later}, settings=AT_ONCE) as running:
            bed.eventually(lambda: delivered_all(running), 30, "the rest is delivered")
            assert dropped(running, "p") == {"corrupt": lost}
            assert running.sink("p", "out")["restored"] == left
        arrived = (tmp_path / "full/rows").read_bytes().splitlines()
    assert arrived[:len(expected)] == expected, "in order, before what is new"


@shows("pipeline.queue.spill_bytes", "sink.queue.spill_bytes")
def test_beyond_its_limit_the_oldest_give_way(crowd, tmp_path):
    with full_disk(tmp_path / "full"):
        small = {**SPILL, "spill_bytes": "1MiB"}
        own = spilling(crowd, tmp_path / "full/own", sink={"queue": small})
        pipelines = {"p": spilling(crowd, tmp_path / "full/rows", queue=small), "own": own,
                     "large": spilling(crowd, tmp_path / "full/large")}
        with daemon.Daemon(tmp_path, pipelines, settings=AT_ONCE) as running:
            bed.eventually(lambda: dropped(running, "p") and dropped(running, "own"), 20, "drops")
            for name in ("p", "own"):
                assert dropped(running, name).keys() == {"queue_full"}
                assert 0 < running.sink(name, "out")["spilled_bytes"] <= 1 << 20
            bed.eventually(lambda: running.sink("large", "out")["spilled_bytes"] > 1 << 20, 20, "the default is more")
            assert not dropped(running, "large")


def test_a_full_disk_for_spilling_is_counted_and_over_when_there_is_room(crowd, tmp_path):
    with full_disk(tmp_path / "full") as make_room, full_disk(tmp_path / "disk") as make_disk_room:
        of_process = settings(reload={"drain_timeout": "10s"}, data_dir=str(tmp_path / "disk/data"))
        with daemon.Daemon(tmp_path, {"p": spilling(crowd, tmp_path / "full/rows")}, settings=of_process) as running:
            bed.eventually(lambda: dropped(running, "p"), 20, "drops")
            assert dropped(running, "p").keys() == {"no_space"}
            make_disk_room()
            bed.eventually(lambda: running.sink("p", "out")["spilled_rows"] > 2000, 20, "it goes to disk again")
            lost = dropped(running, "p")
            running.wait_for_polls(len(running.polls()) + 5)
            assert dropped(running, "p") == lost
            make_room()
            bed.eventually(lambda: running.sink("p", "out")["delivered"] > 5000, 20, "and is delivered")
            assert dropped(running, "p") == lost


def test_what_another_format_has_left_waits_for_it(crowd, tmp_path):
    """The old rows cannot be sent with others: they stay, are told of, and go on when the format is set back."""
    with full_disk(tmp_path / "full") as make_room:
        def of(kind):
            return {"p": spilling(crowd, tmp_path / "full" / kind, sink={"format": kind})}
        with daemon.Daemon(tmp_path, of("jsonl"), settings=AT_ONCE) as running:
            bed.eventually(lambda: len(segments(tmp_path / "data")) >= 5, 20, "files")
            assert running.reload_with(of("csv"))["result"] == "applied"
            said = running.wait_for_log("spilled rows that no sink sends", "jsonl")
            left = [path for path in segments(tmp_path / "data") if path.parent.name.endswith("@jsonl")]
            assert f'{rows_by_name(left)}' in said
            make_room()
            assert running.reload_with(of("jsonl"))["result"] == "applied"
            bed.eventually(lambda: running.sink("p", "out")["restored"] == rows_by_name(left), 20, "it is found again")
            bed.eventually(lambda: not running.sink("p", "out")["spilled_rows"], 20, "and delivered")
        with daemon.Daemon(tmp_path / "other", of("jsonl"), settings=AT_ONCE) as other:
            other.wait_for_polls(1)
            assert not any("no sink sends" in line for line in other.raw)


def test_what_a_sink_that_has_gone_left_is_told_at_the_start(crowd, tmp_path):
    with full_disk(tmp_path / "full"):
        files = spill_and_stop(crowd, tmp_path, tmp_path / "full/rows")
        renamed = {"q": spilling(crowd, tmp_path / "full/rows", interval="1h")}
        with daemon.Daemon(tmp_path, renamed, settings=AT_ONCE) as running:
            said = running.wait_for_log("spilled rows that no sink sends", "p@out@")
            assert f'{rows_by_name(files)}' in said
    assert [path for path in segments(tmp_path / "data") if path in files] == files


def test_another_policy_sends_what_is_on_disk_all_the_same(crowd, tmp_path):
    with full_disk(tmp_path / "full") as make_room:
        output = tmp_path / "full/rows"
        with daemon.Daemon(tmp_path, {"p": spilling(crowd, output)}, settings=AT_ONCE) as running:
            bed.eventually(lambda: running.sink("p", "out")["spilled_rows"] > 3000, 20, "rows on disk")
            changed = spilling(crowd, output, queue={"bytes": "32MiB", "when_full": "block"})
            assert running.reload_with({"p": changed})["result"] == "applied"
            make_room()
            bed.eventually(lambda: running.sink("p", "out")["spilled_rows"] == 0, 20, "it is delivered")
            assert not dropped(running, "p")


@pytest.mark.parametrize("whole", [True, False])
def test_thousands_of_files_do_not_keep_it_from_starting(crowd, tmp_path, whole):
    """Names alone are looked at, whatever is in the files."""
    folder = tmp_path / "data/spill/p@out@jsonl"
    folder.mkdir(parents=True)
    for number in range(10_000):
        content = bytes(200) if whole else b""
        (folder / f"{(1 << 40) + number:020}-7-200.batch").write_bytes(content)
    with full_disk(tmp_path / "full"):
        began = time.monotonic()
        later = spilling(crowd, tmp_path / "full/rows", interval="1h")
        with daemon.Daemon(tmp_path, {"p": later}, settings=AT_ONCE) as running:
            running.wait_for_log("started:")
            assert time.monotonic() - began < 1.0
            assert running.sink("p", "out")["restored"] == 70_000
