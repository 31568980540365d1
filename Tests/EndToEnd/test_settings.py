"""Every setting of the reference has a test that it takes effect at run time: here, what a pipeline reads and what its
rows are; in test_settings_process.py and test_last_good.py, what is the process's; in test_settings_delivery.py,
batches, queues and retries."""
import csv
import os
import stat
import time

import pytest

import bed
import daemon
import formats
import holder
import shown
# Imported for what they show.
import test_healthcheck  # noqa: F401
import test_kernel_filters  # noqa: F401
import test_last_good  # noqa: F401
import test_settings_delivery  # noqa: F401
import test_settings_http  # noqa: F401
import test_settings_process  # noqa: F401
import test_sink_kafka  # noqa: F401
import test_sink_nats  # noqa: F401
import test_sink_nsq  # noqa: F401
import test_sink_streams  # noqa: F401
import test_sink_valkey  # noqa: F401
import test_spill  # noqa: F401
import test_walks  # noqa: F401
from shown import shows

HERE = f"xg{os.getpid()}-"
HOSTNAME = "shown-host"
INTERVAL = 400_000_000
LATE = 250_000_000  # The machine is shared.


def test_every_setting_is_shown():
    settings = shown.all_settings()
    assert len(settings) > 70
    assert settings - set(shown.SHOWN) == set(), "no test shows that these take effect"
    assert set(shown.SHOWN) - settings == set(), "there are no such settings any more"


# --- one run of many pipelines over the same sockets ---

LISTENERS = [["127.0.0.1", 443], ["10.1.2.3", 8080]]
CONNECTIONS = [["127.0.0.1", 40001, "127.0.0.1", 443], ["10.9.9.9", 40002, "10.1.2.3", 8080]] + [
    ["127.0.0.1", 41000 + number, "127.0.0.1", 443] for number in range(40)]


def source(row):
    return row["inet_diag_msg_socket_source"], row["inet_diag_msg_socket_source_port"]


def destination(row):
    return row["inet_diag_msg_socket_destination"], row["inet_diag_msg_socket_destination_port"]


# {setting: (value, which rows it leaves)}
FILTERS = {
    "states": ("listen", lambda row: row["inet_diag_msg_state"] == "LISTEN"),
    "source": ("10.1.0.0/16", lambda row: source(row)[0] == "10.1.2.3"),
    "destination": ("10.9.9.9", lambda row: destination(row)[0] == "10.9.9.9"),
    "source_port": ("40000-40999", lambda row: 40000 <= source(row)[1] <= 40999),
    "destination_port": (8080, lambda row: destination(row)[1] == 8080),
    "not.states": ("established", lambda row: row["inet_diag_msg_state"] != "ESTABLISHED"),
    "not.source": ("127.0.0.0/8", lambda row: not source(row)[0].startswith("127.")),
    "not.destination": ("127.0.0.0/8", lambda row: not destination(row)[0].startswith("127.")),
    "not.source_port": ([443, 8080], lambda row: source(row)[1] not in (443, 8080)),
    "not.destination_port": ("41000-41999", lambda row: not 41000 <= destination(row)[1] <= 41999),
}


def nested(path, value):
    """{"a": {"b": value}} of `a.b`."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


class Rows:
    """What came of the run."""

    def __init__(self, folder, running, status):
        self.folder, self.running, self.status = folder, running, status

    def path(self, name):
        return self.folder / f"{name}.out"

    def of(self, name):
        return bed.records_of(self.path(name).read_text())

    def complete_polls(self, name):
        """The rows of each poll that was read to its end."""
        polls = bed.group_by(self.of(name), "poll_sequence")
        return [polls.get(int(poll["sequence"]), []) for poll in self.running.complete_polls(name)]

    def first_poll(self, name):
        return self.complete_polls(name)[0]

    def starts(self, name):
        return sorted({row["poll_start_ns"] for row in self.of(name)})


@pytest.fixture(name="rows", scope="module")
def fixture_rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")

    def out(name, **settings):
        return {"out": {"type": "file", "path": str(folder / f"{name}.out"), **settings}}

    listen = {"namespaces": {"include": [{"name": HERE + "a"}]}, "filter": {"states": "listen"}}
    pipelines = {
        "all": {"filter": {"states": "all"}, "sinks": {
            **out("all"), "off": {"type": "file", "path": str(folder / "off-sink.out"), "enabled": False}}},
        "off": {"enabled": False, "sinks": out("off")},
        "slow": {"interval": "800ms", "sinks": out("slow")},
        "labelled": {"label": "own-label", "tag": "own-tag", "sinks": out("labelled")},
        "extending": {"extends": ["shown"], "sinks": out("extending")},
        "sampled": {"sample": {"every": 4}, "filter": {"states": "all"}, "sinks": out("sampled")},
        "no-attributes": {"attributes": [], "sinks": out("no-attributes")},
        "some-attributes": {"attributes": ["info", "skmem"], "sinks": out("some-attributes")},
        "both": {"namespaces": {"include": [{"name": HERE + "*"}]}, "sinks": out("both")},
        "excluding": {"namespaces": {"include": [{"name": HERE + "*"}], "exclude": [{"name": HERE + "b"}]},
                      "sinks": out("excluding")},
        "wallclock": {"align": "wallclock", "sinks": out("wallclock")},
        "spread": {"align": "spread", "sinks": out("spread")},
        "at-once": {"align": "none", "interval": "1h", "sinks": out("at-once")},
        "on-the-hour": {"align": "wallclock", "interval": "1h", "sinks": out("on-the-hour")},
        "ring": {"reader": {"mode": "io_uring"}, "sinks": out("ring")},
        "packed": {"sinks": out("packed", format="msgpack")},
        "shared": {"sinks": {"table": {}}},
        "moded": {"sinks": out("moded", mode="0604")},
        **{f"filter.{key}": {"filter": {"states": "all", **nested(key, value)}, "sinks": out(f"filter.{key}")}
           for key, (value, _) in FILTERS.items()},
    }
    columns = ["netns", "inet_diag_msg_socket_source_port"]
    settings = {
        "include": ["conf.d/*.yaml"],
        "global": {"hostname": HOSTNAME, "location": "shown-location", "label": "global-label", "tag": "global-tag"},
        "defaults": {"interval": "400ms", "align": "none", "reader": {"mode": "syscall"}, **listen},
        "profiles": {"shown": {"label": "label-of-the-profile"}},
        "sinks": {"table": {"type": "file", "path": str(folder / "table.out"), "format": "csv", "columns": columns}},
    }
    (folder / "conf.d").mkdir()
    (folder / "conf.d/10-more.yaml").write_text(
        f"pipelines: {{included: {{sinks: {{out: {{type: file, path: {folder}/included.out}}}}}}}}\n")
    with holder.Holder(LISTENERS, CONNECTIONS, name=HERE + "a"), holder.Holder([["127.0.0.1", 443]], name=HERE + "b"):
        with daemon.Daemon(folder, pipelines, settings=settings) as running:
            for name in ("slow", "all", "spread", "wallclock"):
                running.wait_for_polls(4, name)
            for name in ("all", "sampled", *[f"filter.{key}" for key in FILTERS]):
                running.wait_for_complete_polls(3, name)
            status = running.status()
            rings = running.rings()
    status["rings"] = rings
    return Rows(folder, running, status)


@shows("global.hostname", "global.location", "global.label", "global.tag")
def test_rows_carry_what_is_said_of_the_host(rows):
    row = rows.of("all")[0]
    assert (row["hostname"], row["location"]) == (HOSTNAME, "shown-location")
    assert (row["label"], row["tag"]) == ("global-label", "global-tag")


@shows("pipeline.label", "pipeline.tag")
def test_a_pipeline_has_its_own_label_and_tag(rows):
    assert {(row["label"], row["tag"]) for row in rows.of("labelled")} == {("own-label", "own-tag")}


@shows("pipeline.extends", "profiles")
def test_a_profile_lies_below_the_pipeline(rows):
    assert {(row["label"], row["tag"]) for row in rows.of("extending")} == {("label-of-the-profile", "global-tag")}


@shows("include")
def test_an_included_pipeline_runs(rows):
    assert {row["pipeline"] for row in rows.of("included")} == {"included"}


@shows("pipeline.enabled", "sink.enabled")
def test_what_is_disabled_does_nothing(rows):
    assert "off" not in [pipeline["name"] for pipeline in rows.status["pipelines"]]
    assert not rows.path("off").exists() and not rows.path("off-sink").exists()
    assert [sink["name"] for sink in rows.status["pipelines"][0]["sinks"]] == ["out"]


@shows("pipeline.interval", "defaults")
def test_polls_come_at_the_interval(rows):
    for name, interval in (("all", INTERVAL), ("slow", 2 * INTERVAL)):
        starts = rows.starts(name)
        assert len(starts) >= 4
        apart = [later - earlier for earlier, later in zip(starts, starts[1:])]
        # A machine that is busy with others leaves some out; none comes sooner, and some are in time.
        assert sum(apart) / len(apart) > 0.75 * interval and min(apart) < 1.25 * interval, (name, apart)


@shows("pipeline.align")
def test_polls_are_aligned(rows):
    def late(name, offset):
        return sorted((start - offset) % INTERVAL for start in rows.starts(name))

    fnv = 0xCBF29CE484222325
    for byte in f"{HOSTNAME}\0spread".encode():
        fnv = (fnv ^ byte) * 0x100000001B3 & (1 << 64) - 1
    assert late("wallclock", 0)[1] < LATE and late("spread", fnv % INTERVAL)[1] < LATE
    assert len(rows.starts("at-once")) == 1, "the first poll at once"
    # Should the run go over a full hour, there is one at it.
    assert rows.path("on-the-hour").stat().st_size == 0 or rows.starts("on-the-hour")[0] % 3600e9 < LATE


@shows("pipeline.attributes")
def test_the_kernel_is_asked_for_the_attributes(rows):
    keys = {name: set().union(*rows.of(name)) for name in ("all", "no-attributes", "some-attributes")}
    assert {"tcp_info_rtt", "sk_mem_info_rmem_alloc", "congestion_algorithm_string"} <= keys["all"], keys["all"]
    assert {"tcp_info_rtt", "sk_mem_info_rmem_alloc"} <= keys["some-attributes"]
    assert "congestion_algorithm_string" not in keys["some-attributes"]
    assert not {"tcp_info_rtt", "sk_mem_info_rmem_alloc", "congestion_algorithm_string"} & keys["no-attributes"]


@shows("pipeline.namespaces.include", "pipeline.namespaces.exclude")
def test_namespaces_are_chosen(rows):
    chosen = {name: {row["netns"] for row in rows.of(name)} for name in ("all", "both", "excluding")}
    assert chosen == {"all": {HERE + "a"}, "both": {HERE + "a", HERE + "b"}, "excluding": {HERE + "a"}}


@shows(*[f"pipeline.filter.{key}" for key in FILTERS])
@pytest.mark.parametrize("key", FILTERS)
def test_a_filter_leaves_what_it_says(rows, key):
    everything = rows.first_poll("all")
    assert len(everything) == len(LISTENERS) + 2 * len(CONNECTIONS)
    left = [source(row) + destination(row) for row in rows.first_poll(f"filter.{key}")]
    wanted = [source(row) + destination(row) for row in everything if FILTERS[key][1](row)]
    assert 0 < len(wanted) < len(everything) and sorted(left) == sorted(wanted)


@shows("pipeline.sample.every")
def test_a_sample_is_the_same_at_every_poll(rows):
    kept = [{row["inet_diag_msg_socket_cookie"] for row in poll} for poll in rows.complete_polls("sampled")]
    assert len(kept) >= 3 and all(cookies == kept[0] for cookies in kept)
    everything = len(rows.first_poll("all"))
    assert everything / 10 < len(kept[0]) < everything / 2
    assert {row["sample_every"] for row in rows.of("sampled")} == {4}


@shows("pipeline.reader.mode")
def test_a_ring_is_there_for_whom_it_was_asked(rows):
    modes = {pipeline["name"]: pipeline["mode"] for pipeline in rows.status["pipelines"]}
    assert modes.pop("ring") == "io_uring" and set(modes.values()) == {"syscall"}
    assert rows.status["rings"] == 1 and rows.of("ring")


@shows("pipeline.sinks", "sinks", "sink.columns")
def test_a_shared_sink_writes_the_columns(rows):
    table = list(csv.reader((rows.folder / "table.out").read_text().splitlines()))
    assert table[0] == ["netns", "inet_diag_msg_socket_source_port"]
    assert {tuple(line) for line in table[1:]} == {(HERE + "a", "443"), (HERE + "a", "8080")}


@shows("sink.format")
def test_a_sink_writes_its_format(rows):
    packed = formats.rows("msgpack", rows.path("packed").read_bytes())
    assert {row["pipeline"] for row in packed} == {"packed"}


@shows("file.path", "file.mode")
def test_a_file_is_made_where_and_as_asked(rows):
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(rows.path("moded").stat().st_mode) == 0o604 & ~umask
    assert stat.S_IMODE(rows.path("all").stat().st_mode) == 0o640 & ~umask


# --- how sockets are read ---


@pytest.fixture(name="readers", scope="module")
def fixture_readers(tmp_path_factory):
    """{pipeline: what status says}, of pipelines with readers and pools of different sizes."""
    folder = tmp_path_factory.mktemp("readers")
    with bed.Population(namespaces=12, v4=40, listeners=2) as crowd:
        def pipeline(**settings):
            return {"interval": "200ms", "align": "none", "namespaces": crowd.selection,
                    "sinks": {"out": {"type": "blackhole"}}, **settings}
        pipelines = {
            "narrow": pipeline(reader={"recv_batch": 1}, pools={"receive_buffers": 2}),
            "wide": pipeline(reader={"recv_batch": 6}, pools={"receive_buffers": 24, "batches": 7}),
        }
        with daemon.Daemon(folder, pipelines) as running:
            for name in pipelines:
                running.wait_for_polls(5, name)
            found = running.pipelines()
    return {name: {pool["name"]: pool for pool in report["pools"]} for name, report in found.items()}


@shows("pipeline.reader.recv_batch")
def test_so_many_dumps_are_in_flight_at_once(readers):
    assert (readers["narrow"]["dumps"]["size"], readers["narrow"]["dumps"]["high_water"]) == (1, 1)
    assert readers["wide"]["dumps"]["size"] == 6 and 1 < readers["wide"]["dumps"]["high_water"] <= 6


@shows("pipeline.pools.receive_buffers", "pipeline.pools.batches")
def test_pools_have_their_sizes(readers):
    assert [readers[name]["receive_buffers"]["size"] for name in ("narrow", "wide")] == [2, 24]
    assert readers["narrow"]["receive_buffers"]["high_water"] <= 2
    assert [readers[name]["batches"]["size"] for name in ("narrow", "wide")] == [4, 7]


@shows("pipeline.reader.cqe_batch")
def test_completions_are_reaped_in_batches(tmp_path):
    """Between two batches of completions what they brought about is submitted: the smaller they are, the more calls."""
    calls = {}
    with bed.Population(namespaces=12, v4=40, listeners=2) as crowd:
        for size in (1, 128):
            trace = tmp_path / f"trace-{size}"
            one = {"interval": "200ms", "align": "none", "namespaces": crowd.selection, "attributes": "all",
                   "reader": {"mode": "io_uring", "recv_batch": 12, "cqe_batch": size},
                   "sinks": {"out": {"type": "blackhole"}}}
            prefix = ("strace", "-f", "-qq", "-o", str(trace), "-e", "trace=io_uring_enter,epoll_pwait2,epoll_wait")
            traced = test_settings_process.traced(daemon.Daemon(tmp_path / str(size), {"p": one}, prefix=prefix))
            with traced as running:
                polls = len(running.wait_for_polls(10))
            calls[size] = trace.read_text().count("io_uring_enter") / polls
    print(f"io_uring_enter a poll: {calls}")
    assert calls[1] > 1.5 * calls[128], calls


@shows("pipeline.reader.parallelism")
@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_parallel_readers_are_threads_within_the_budget(tmp_path, mode):
    found = {}
    with bed.Population(namespaces=6, v4=1500, listeners=2) as crowd:
        wanted = len(crowd.keys())
        for count in (1, 3):
            one = {"interval": "300ms", "align": "none", "namespaces": crowd.selection,
                   "reader": {"mode": mode, "parallelism": count}, "sinks": {"out": {"type": "blackhole"}}}
            settings = {"global": {"resources": {"threads": 1 + count, "loops": 1}}}
            names, most = set(), 0
            with daemon.Daemon(tmp_path / str(count), {"p": one}, settings=settings) as running:
                # A poll for which a loaded machine leaves no time says that it is incomplete; no other one lacks a row.
                deadline = time.monotonic() + 60
                while len(running.complete_polls()) < 8:
                    running.check_alive()
                    assert time.monotonic() < deadline, running.polls()
                    now = test_settings_process.thread_names(running.process.pid)
                    most = max(most, len(now))
                    names |= {name.split("-")[-1] for name in now}
            found[count] = ({name for name in names if name.startswith("reader")}, most)
            assert {int(poll["encoded"]) for poll in running.complete_polls()} == {wanted}, running.polls()
            assert all(int(poll["encoded"]) <= wanted for poll in running.polls()), running.polls()
    print(f"readers seen, most threads: {found}")
    assert found == {1: (set(), 2), 3: ({"reader0", "reader1"}, 4)}, found


@shows("pipeline.timeout")
def test_a_dump_that_takes_too_long_is_given_up(tmp_path):
    """Both wait for a pipe that nobody reads; one has less patience."""
    pipes = {}
    with bed.Population(namespaces=1, v4=400) as crowd:
        def pipeline(name, **settings):
            os.mkfifo(tmp_path / name)
            pipes[name] = os.open(tmp_path / name, os.O_RDWR | os.O_NONBLOCK)
            return {"interval": "1m", "align": "none", "namespaces": crowd.selection,
                    "pools": {"batches": 2}, "batch": {"bytes": "64KiB"},
                    "sinks": {"out": {"type": "file", "path": str(tmp_path / name), "queue": {
                        "bytes": "64KiB", "when_full": "block"}}}, **settings}
        pipelines = {"hasty": pipeline("hasty", timeout="300ms"), "patient": pipeline("patient", timeout="30s")}
        settings = {"global": {"reload": {"drain_timeout": "100ms"}}}
        try:
            with daemon.Daemon(tmp_path, pipelines, settings=settings) as running:
                running.wait_for_log("longer than the timeout", '"pipeline":"hasty"')
                time.sleep(0.5)
                warned = [entry["pipeline"] for entry in running.log if "longer than the timeout" in entry["message"]]
                assert warned == ["hasty"]
        finally:
            for pipe in pipes.values():
                os.close(pipe)
