"""Many pipelines on few threads: every one keeps its cadence, its ring and its counters, and none delays another.

SCHEDULER_SECONDS sets how long (`make soak`: 300)."""
import os
import statistics
import time

import pytest

import bed
import daemon

SECONDS = int(os.environ.get("SCHEDULER_SECONDS", "8"))
FORMATS = ["jsonl", "protobuf_list", "csv", "msgpack", "protobuf", "tsv", "proto_json", "proto_text"]
INTERVALS = ["200ms", "300ms", "500ms", "700ms", "1s"]
ATTRIBUTES = ["default", "all", ["info"], ["info", "cong", "skmem"], []]


@pytest.fixture(scope="module")
def tenants():
    with bed.Population(namespaces=20, v4=40, v6=20, listeners=3) as population:
        yield population


def tenant(name, index):
    """A pipeline that differs from its neighbours in everything."""
    return {
        "interval": INTERVALS[index % len(INTERVALS)], "align": ["spread", "wallclock", "none"][index % 3],
        "namespaces": {"include": [{"name": name}]},
        "attributes": ATTRIBUTES[index % len(ATTRIBUTES)],
        "reader": {"mode": ["io_uring", "syscall"][index % 2], "recv_batch": 1 + index % 4},
        "pools": {"receive_buffers": 4 + index % 5},
        "sinks": {"out": {"type": "blackhole", "format": FORMATS[index % len(FORMATS)]}},
    }


def seconds(text):
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])


def test_twenty_pipelines_on_three_threads_keep_their_cadence(tenants, tmp_path):
    pipelines = {f"p{index}": tenant(name, index) for index, name in enumerate(tenants.names)}
    settings = {"global": {"resources": {"threads": 3}, "log": {"level": "debug", "format": "json"}}}
    tasks, rings = set(), set()
    with daemon.Daemon(tmp_path, pipelines, settings=settings) as running:
        for name in pipelines:
            running.wait_for_polls(1, name)
        before = {name: len(running.polls(name)) for name in pipelines}
        started = time.monotonic()
        while time.monotonic() - started < SECONDS:
            tasks.add(len(os.listdir(running.proc.folder / "task")))
            rings.add(running.rings())
            time.sleep(0.05)
        lasted = time.monotonic() - started
        polls = {name: len(running.polls(name)) - before[name] for name in pipelines}
    assert max(tasks) <= 3, tasks
    assert rings == {10}, "every io_uring pipeline has a ring of its own, all the time"
    for name, settings in pipelines.items():
        expected = lasted / seconds(settings["interval"])
        # One poll more or less may lie at either end of the time that was looked at.
        assert abs(polls[name] - expected) <= max(0.1 * expected, 1.5), (
            name, settings["interval"], polls[name], expected)
    totals = running.totals()
    assert set(totals) == set(pipelines)
    for name, counts in totals.items():
        assert counts["encoded"] > 0 and counts["failed"] == 0, (name, counts)
        assert counts["skipped"] <= 0.02 * counts["polls"] + 1, (name, counts)


def test_a_huge_pipeline_does_not_hold_up_a_small_one_on_its_loop(tenants, tmp_path):
    """The small one's polls are late by no more than what one netlink call of the huge one takes. With one walk of the
    hash that all namespaces share, that is a send."""
    with bed.Population(namespaces=1, v4=40_000) as crowd:
        everything = [crowd.selection["include"][0], *tenants.selection["include"]]
        output = tmp_path / "small.jsonl"
        small = {"interval": "100ms", "align": "wallclock", "namespaces": {"include": [{"name": tenants.names[0]}]},
                 "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}
        huge = {"interval": "1s", "namespaces": {"include": everything}, "reader": {"recv_batch": 16},
                "sinks": {"out": {"type": "blackhole", "format": "protobuf_list"}}}
        # What holds the small one up does so every time; what a shared machine does in between does not.
        for attempt in range(3):
            alone = lateness(tmp_path / f"alone-{attempt}", {"small": small}, output)
            beside = lateness(tmp_path / f"beside-{attempt}", {"small": small, "huge": huge}, output)
            # Of several dumps, as the worst of many polls is compared with it.
            call = max(some.longest_call_ms() for some in (crowd, tenants) for _ in range(5))
            print(f"late by, median/worst ms: alone {alone}, beside a huge one {beside}; one call {call:.1f} ms")
            # Twice: a turn may hold the end of one call and the beginning of the next.
            if beside[1] <= 2 * call + alone[1] + 5:
                break
        else:
            raise AssertionError("a small pipeline waits for a huge one, three times")


def lateness(folder, pipelines, output):
    """How late polls of the pipeline `small` began: median and 99th percentile in ms."""
    output.unlink(missing_ok=True)
    settings = {"global": {"resources": {"threads": 3, "loops": 1}, "log": {"level": "debug", "format": "json"}}}
    with daemon.Daemon(folder, pipelines, settings=settings) as running:
        running.wait_for_polls(60, "small", timeout=40)
    starts = {row["poll_start_ns"] for row in bed.records_of(output.read_text())}
    late = sorted(start % 100_000_000 / 1e6 for start in starts)
    assert len(late) >= 55
    return round(statistics.median(late), 1), round(late[int(len(late) * 0.99) - 1], 1)


def footprint(folder, namespaces):
    """Threads and resident MiB of a daemon that has read so many namespaces a few times."""
    with bed.Population(namespaces=namespaces, v4=10, listeners=2) as population:
        one = {"interval": "500ms", "align": "none", "namespaces": population.selection, "reader": {"mode": "io_uring"},
               "sinks": {"out": {"type": "blackhole", "format": "protobuf_list"}}}
        with daemon.Daemon(folder, {"p": one}) as running:
            polls = running.wait_for_polls(4)
            found = running.proc.threads, running.proc.peak_rss_mib
        assert int(polls[-1]["namespaces"]) == namespaces
    return found


def test_threads_and_memory_are_the_same_with_three_hundred_namespaces(tmp_path):
    few, many = footprint(tmp_path / "few", 3), footprint(tmp_path / "many", 300)
    print(f"threads and peak RSS in MiB: 3 namespaces {few}, 300 namespaces {many}")
    assert many[0] == few[0]
    assert many[1] - few[1] <= 8
