"""What the predecessor gets wrong, and what else must hold of a pipeline that runs: each a test on the real daemon."""
import collections
import contextlib
import json
import os
import signal
import stat
import subprocess
import time

import pytest

import bed
import daemon
import formats


def pipeline(population, sinks, **settings):
    return {"interval": "500ms", "align": "none", "namespaces": population.selection, "sinks": sinks, **settings}


def file_sink(path, name="jsonl"):
    return {"type": "file", "path": str(path), "format": name}


def keys_of(rows):
    return [(row["netns_cookie"], row["inet_diag_msg_socket_cookie"]) for row in rows]


# --- threads and memory: before there are the many sockets of other tests, which each walk would pass by ---


def test_threads_and_memory_do_not_grow_with_namespaces(tmp_path):
    """The predecessor ran 1,012 threads on 200 namespaces."""
    measured = {}
    for count in (1, 200):
        with bed.Population(namespaces=count, v4=4, listeners=2) as population:
            settings = pipeline(population, {"out": {"type": "blackhole", "format": "protobuf_list"}})
            with daemon.Daemon(tmp_path / str(count), {"p": settings}) as running:
                running.wait_for_polls(4)
                measured[count] = (running.proc.threads, running.proc.peak_rss_mib, len(running.proc.descriptors()))
    (threads, rss, descriptors), (many_threads, many_rss, many_descriptors) = measured[1], measured[200]
    assert many_threads == threads <= 4
    assert many_rss <= 24 and many_rss - rss < 4
    assert many_descriptors - descriptors < 20, "descriptors of idle namespaces are not kept"


# --- rows ---


def test_every_row_of_a_poll_arrives_at_default_sizes(crowd, tmp_path):
    """The predecessor delivered one batch a poll and dropped the rest."""
    output = tmp_path / "rows.jsonl"
    settings = pipeline(crowd, {"out": file_sink(output)}, interval="1h")
    with daemon.Daemon(tmp_path, {"p": settings}) as running:
        running.poll()
    totals = running.totals()["p"]
    rows = bed.records_of(output.read_text())
    assert totals["encoded"] == totals["sinks"]["out"]["delivered"] == len(rows)
    for sequence, of_poll in bed.group_by(rows, "poll_sequence").items():
        if sequence <= 2:
            assert len(of_poll) > 20000 and len(set(keys_of(of_poll))) == len(of_poll)
    assert [row["record_counter"] for row in rows] == list(range(1, len(rows) + 1))


def test_sampling_keeps_the_same_sockets_everywhere_and_counts_the_rest(crowd, tmp_path):
    """The predecessor's "every Nth" sampled nothing."""
    kept = []
    for run in ("first", "second"):
        output = tmp_path / f"{run}.jsonl"
        settings = pipeline(crowd, {"out": file_sink(output)}, interval="1h", sample={"every": 4})
        with daemon.Daemon(tmp_path / run, {"p": settings}) as running:
            running.poll()
        totals = running.totals()["p"]
        rows = bed.records_of(output.read_text())
        assert {row["sample_every"] for row in rows} == {4}
        assert totals["sampled_out"] > 0 and len(rows) == totals["encoded"]
        by_poll = bed.group_by(rows, "poll_sequence")
        kept += [set(keys_of(by_poll[1])), set(keys_of(by_poll[2]))]
    lasting = crowd.keys()
    kept = [keys & lasting for keys in kept]
    assert 0.22 < len(kept[0]) / len(lasting) < 0.28
    # All but the sockets that came or went meanwhile.
    for other in kept[1:]:
        assert len(kept[0] ^ other) < 200


def test_the_state_filter_counts_what_it_leaves_out(still, tmp_path):
    output = tmp_path / "rows.jsonl"
    settings = pipeline(still, {"out": file_sink(output)}, filter={"states": ["listen"]}, interval="1h")
    with daemon.Daemon(tmp_path, {"p": settings}) as running:
        running.wait_for_polls(1)
    rows = bed.records_of(output.read_text())
    assert {row["inet_diag_msg_state"] for row in rows} == {"LISTEN"}
    listening = sum(tokens["state"] == "LISTEN" for sockets in still.ss().values() for tokens in sockets.values())
    assert len([row for row in rows if row["poll_sequence"] == 1]) == listening


@pytest.mark.parametrize("selector", ["name", "path", "inode"])
def test_namespaces_are_chosen_as_asked(still, tmp_path, selector):
    chosen = still.namespaces[3]
    pattern = {"name": chosen["name"], "path": chosen["path"], "inode": chosen["inode"]}[selector]
    output = tmp_path / "rows.jsonl"
    settings = pipeline(still, {"out": file_sink(output)}, namespaces={"include": [{selector: pattern}]})
    with daemon.Daemon(tmp_path, {"p": settings}) as running:
        running.wait_for_polls(1)
    rows = bed.records_of(output.read_text())
    assert {(row["netns"], row["netns_inode"], row["netns_cookie"]) for row in rows} == {
        (chosen["name"], chosen["inode"], chosen["cookie"])}


def test_excluded_namespaces_are_left_out(still, tmp_path):
    output = tmp_path / "rows.jsonl"
    selection = {**still.selection, "exclude": [{"name": still.names[0]}, {"name": still.prefix + "1*"}]}
    with daemon.Daemon(tmp_path, {"p": pipeline(still, {"out": file_sink(output)}, namespaces=selection)}) as running:
        running.wait_for_polls(1)
    expected = {name for name in still.names if name != still.names[0] and not name.startswith(still.prefix + "1")}
    assert {row["netns"] for row in bed.records_of(output.read_text())} == expected


def test_every_row_names_its_host_and_pipeline(still, tmp_path):
    output = tmp_path / "rows.jsonl"
    settings = pipeline(still, {"out": file_sink(output)}, label="edge", tag="blue")
    before = time.time_ns()
    identity = {"hostname": "a-host", "location": "ams1", "log": {"level": "debug", "format": "json"}}
    with daemon.Daemon(tmp_path, {"named": settings}, settings={"global": identity}) as running:
        running.wait_for_polls(2)
    boot_id = open("/proc/sys/kernel/random/boot_id").read().strip()
    for row in bed.records_of(output.read_text()):
        assert (row["hostname"], row["location"], row["label"], row["tag"], row["pipeline"]) == (
            "a-host", "ams1", "edge", "blue", "named")
        assert row["boot_id"] == boot_id
        assert before <= row["poll_start_ns"] <= row["timestamp_ns"] <= time.time_ns()


def test_congestion_names_and_numbers(crowd):
    """The predecessor never set the name, and its enum knows no reno."""
    done = bed.xtcpd("snapshot", "--all", "--format", "jsonl")
    rows = [row for row in bed.records_of(done.stdout) if row["netns"] in crowd.names]
    seen = {(row.get("congestion_algorithm_string"), row.get("congestion_algorithm_enum")) for row in rows
            if "tcp_info_rto" in row}
    assert {name for name, _ in seen} == {"bbr", "reno", "cubic"}
    assert (dict(seen)["cubic"], dict(seen)["bbr"], dict(seen)["reno"]) == (1, 5, 0)
    assert any("bbr_info_bw_lo" in row for row in rows)


def test_tcp_info_is_read_to_its_end(crowd):
    """The predecessor ignored what lies behind byte 248; this kernel sends as much as `tcp_info_length` says."""
    done = bed.xtcpd("snapshot", "--all", "--format", "jsonl")
    everything = bed.records_of(done.stdout)
    rows = [row for row in everything if "tcp_info_length" in row]
    length = max(row["tcp_info_length"] for row in rows)
    expected = {240: "tcp_info_total_rto_time", 280: "tcp_info_received_ce"}
    for least, name in expected.items():
        assert length < least or all(name in row for row in rows if row["tcp_info_state"] != "LISTEN")
    without = [row for row in everything if row["inet_diag_msg_state"] == "TIME_WAIT"]
    assert without and not any(name.startswith("tcp_info_") for row in without for name in row), "absent is not zero"


# --- files ---


def test_a_file_is_private_to_its_group(still, tmp_path):
    output = tmp_path / "rows.jsonl"
    with daemon.Daemon(tmp_path, {"p": pipeline(still, {"out": file_sink(output)})}) as running:
        running.wait_for_polls(1)
        assert stat.S_IMODE(output.stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_a_rotated_file_is_opened_anew_and_no_row_is_lost(still, tmp_path, mode):
    """The predecessor went on writing to the file that logrotate had moved away."""
    output = tmp_path / "rows.csv"
    settings = pipeline(still, {"out": file_sink(output, "csv")}, reader={"mode": mode}, interval="200ms")
    rotated = [tmp_path / f"rows.csv.{number}" for number in range(3)]
    with daemon.Daemon(tmp_path, {"p": settings}) as running:
        for number, path in enumerate(rotated):
            running.wait_for_polls(2 * (number + 1))
            output.rename(path)
            bed.eventually(output.exists, what="a new file")
        running.wait_for_polls(8)
    parts = [formats.rows("csv", path.read_bytes()) for path in (*rotated, output)]  # each with its own header
    assert all(parts)
    counters = [int(row["record_counter"]) for part in parts for row in part]
    assert counters == list(range(1, len(counters) + 1))
    assert len(counters) == running.totals()["p"]["sinks"]["out"]["delivered"]


@pytest.fixture()
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_a_full_disk_is_survived_and_counted(still, tmp_path, small_disk, mode):
    output, ballast = small_disk / "rows.jsonl", small_disk / "ballast"
    ballast.write_bytes(bytes(29 << 20))
    settings = pipeline(
        still, {"out": file_sink(output)}, reader={"mode": mode}, interval="200ms", batch={"rows": 200},
        queue={"bytes": "1MiB"}, retry={"initial": "50ms", "max": "200ms"})
    with daemon.Daemon(tmp_path, {"p": settings}) as running:
        running.wait_for_log("no space")
        polls = len(running.polls())
        running.wait_for_polls(polls + 8)
        ballast.unlink()
        running.wait_for_log("works again")
        running.wait_for_polls(len(running.polls()) + 1)
    sink = running.totals()["p"]["sinks"]["out"]
    assert sink["dropped"] > 0 and sink["delivered"] > 0
    lines = output.read_text().splitlines()
    assert lines and all(json.loads(line) for line in lines), "only whole rows follow"


# --- the end ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_a_stop_loses_nothing(crowd, tmp_path, number, mode):
    """Stopped in the middle of a poll: what was read is in the file, whole, and the counters say so."""
    output = tmp_path / "rows.pb"
    settings = pipeline(crowd, {"out": file_sink(output, "jsonl")}, reader={"mode": mode}, batch={"rows": 700})
    with daemon.Daemon(tmp_path, {"p": settings}) as running:
        bed.eventually(lambda: output.exists() and output.stat().st_size > 1_000_000, what="rows")
        started = time.monotonic()
        running.process.send_signal(number)
        assert running.process.wait(7) == 0
        assert time.monotonic() - started < 2
    sink = running.totals()["p"]["sinks"]["out"]
    rows = bed.records_of(output.read_text())
    assert len(rows) == sink["delivered"] and sink["dropped"] == sink["in_flight"] == 0


def test_a_reader_of_stdout_that_sleeps_does_not_hold_the_stop_up(crowd, tmp_path):
    """The predecessor's slow client blocked its reader. Here the dump waits, and a stop still ends in 5 + 1 s: that of
    either mode, beside each other."""
    out = {"out": {"type": "stdout", "format": "jsonl"}}
    with contextlib.ExitStack() as stack:
        daemons = [stack.enter_context(daemon.Daemon(
            tmp_path / mode, {"p": pipeline(crowd, out, reader={"mode": mode})}, stdout=subprocess.PIPE))
            for mode in ("io_uring", "syscall")]
        time.sleep(1.5)
        started = time.monotonic()
        for running in daemons:
            running.check_alive()
            running.process.send_signal(signal.SIGTERM)
        for running in daemons:
            assert running.process.wait(8) == 0
            assert time.monotonic() - started < 6.5
    for running in daemons:
        assert running.totals()["p"]["sinks"]["out"]["dropped"] > 0, "what could not be written is counted"


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_a_reader_of_stdout_that_leaves_is_survived(still, tmp_path, mode):
    settings = pipeline(still, {"out": {"type": "stdout", "format": "jsonl"}}, reader={"mode": mode}, interval="200ms")
    with daemon.Daemon(tmp_path, {"p": settings}, stdout=subprocess.PIPE) as running:
        os.read(running.process.stdout.fileno(), 1000)
        running.process.stdout.close()
        running.wait_for_log("EPIPE")
        running.wait_for_polls(len(running.polls()) + 2)
    assert running.totals()["p"]["sinks"]["out"]["dropped"] > 0


def test_snapshot_into_a_pipe_that_closes_ends_quietly():
    done = subprocess.run(["sh", "-c", f"{bed.BINARY} snapshot --all --format jsonl | head -n 1"], capture_output=True,
                          text=True, timeout=20, check=False)
    assert len(done.stdout.splitlines()) == 1


# --- several pipelines ---


def test_several_pipelines_run_beside_each_other(still, tmp_path):
    """Each with its own interval, namespaces and sinks, in one process."""
    sets = {f"p{number}": still.namespaces[number * 3:number * 3 + 3] for number in range(4)}
    pipelines = {label: pipeline(
        still, {"out": file_sink(tmp_path / label)}, interval=f"{300 + 100 * number}ms",
        namespaces={"include": [{"name": namespace["name"]} for namespace in namespaces]})
        for number, (label, namespaces) in enumerate(sets.items())}
    with daemon.Daemon(tmp_path, pipelines) as running:
        for label in sets:
            running.wait_for_polls(3, label)
            running.wait_for_complete_polls(1, label)
        assert running.proc.threads <= sum(kind["granted"] for kind in running.status()["threads"])
    expected = bed.group_by([{"namespace": namespace, "cookie": cookie} for namespace, cookie in still.keys()],
                            "namespace")
    for label, namespaces in sets.items():
        rows = bed.records_of((tmp_path / label).read_text())
        first = int(running.complete_polls(label)[0]["sequence"])
        first = keys_of(row for row in rows if row["poll_sequence"] == first)
        wanted = collections.Counter(
            (namespace["cookie"], socket["cookie"]) for namespace in namespaces
            for socket in expected[namespace["cookie"]])
        assert collections.Counter(first) == wanted
