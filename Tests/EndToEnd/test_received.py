"""The reference of a steady stream and what compares with it: it finds each way in which a sink can be wrong."""
import json
import time

import pytest

import daemon
import formats
import received
import steady
from servers import clickhouse

FORMATS = ("jsonl", "protobuf_list", "protobuf", "msgpack", "csv")
ROWS = 20_000


@pytest.fixture(name="outputs", scope="module")
def fixture_outputs(tmp_path_factory):
    """(the reference, {format: bytes}) of 20,000 rows, written by files that stand for other sinks."""
    folder = tmp_path_factory.mktemp("steady")
    paths = {name: folder / f"rows.{name}" for name in FORMATS}
    sinks = {name: {"type": "file", "path": str(path), "format": name, "queue": {"when_full": "block"}}
             for name, path in paths.items()}
    with steady.population() as crowd:
        one = steady.pipeline(crowd, folder, sinks, attributes=["info", "skmem", "meminfo"], pools={"batches": 16})
        with daemon.Daemon(folder, {"web": one}) as running:
            started = time.monotonic()
            steady.poll(running, "web", ROWS)
            assert 0.8 < time.monotonic() - started < 5, "about 20,000 rows a second"
    return steady.reference(running, folder, "web"), {name: path.read_bytes() for name, path in paths.items()}


def test_the_steady_population_gives_exactly_as_many_rows(outputs):
    reference, _ = outputs
    rows = [json.loads(line) for line in reference]
    assert len({received.key_of(row) for row in rows}) == len(rows) == ROWS
    assert {row["poll_sequence"] for row in rows} == set(range(1, ROWS // steady.SOCKETS + 1))


@pytest.mark.parametrize("layout", FORMATS)
def test_what_every_format_delivers_is_equal(outputs, layout, tmp_path):
    reference, files = outputs
    started = time.monotonic()
    if layout == "csv":
        report = received.compare_table(reference, layout, [files[layout]])
    else:
        report = received.compare(reference, received.lines(layout, [files[layout]], tmp_path))
    print(f"{layout}: compared in {time.monotonic() - started:.1f} s")
    assert (report.expected, report.received) == (ROWS, ROWS)
    report.check()


def test_what_is_wrong_is_found(outputs, tmp_path):
    reference, files = outputs
    reference = sorted(reference[:1000])
    rows = [json.loads(line) for line in reference]
    keys = [received.key_of(row) for row in rows]
    report = received.compare(reference, reference[2:] + reference[5:7])
    assert sorted(report.missing) == sorted(keys[:2]) and report.duplicates == {keys[5]: 1, keys[6]: 1}
    report.check(missing=2, duplicates=True)
    for allowed in ({"missing": 2}, {"missing": 1, "duplicates": True}):
        with pytest.raises(AssertionError, match="2 missing.*2 duplicates"):
            report.check(**allowed)
    other = json.dumps({**rows[3], "tcp_info_rto": 7, "nonsense": 1}).encode()
    foreign = json.dumps({**rows[4], "poll_sequence": 10**6}).encode()
    report = received.compare(reference, reference[:3] + reference[4:] + [other, foreign])
    assert report.different == {keys[3]: {"tcp_info_rto": (rows[3]["tcp_info_rto"], 7), "nonsense": (None, 1)}}
    assert len(report.extra) == 1 and not report.missing and not report.duplicates
    assert received.lines("protobuf_list", [], tmp_path) == []


def test_a_table_is_compared_cell_by_cell(outputs):
    reference, files = outputs
    header, *table = files["csv"].decode().splitlines(keepends=True)
    names = header.strip().split(",")
    table[1] = table[1].replace("ESTABLISHED", "elsewhere", 1).replace("LISTEN", "elsewhere", 1)
    report = received.compare_table(reference, "csv", ["".join(table[1:] + table[5:6]).encode()], names)
    assert (len(report.missing), len(report.duplicates), len(report.extra)) == (1, 1, 0)
    assert [list(found) for found in report.different.values()] == [["inet_diag_msg_state"]]
    whole = received.compare_table(reference, "csv", [files["csv"], header.encode()])
    assert str(whole).startswith(f"{ROWS} rows expected, {ROWS} received: 0 missing")


@pytest.mark.parametrize("table", ["xtcp_raw", "xtcp_text"])
def test_clickhouse_compares_with_the_reference(outputs, table):
    reference, files = outputs
    with clickhouse.ClickHouse() as server:
        if table == "xtcp_text":
            server.post("INSERT INTO xtcp_text FORMAT JSONEachRow", b"\n".join(reference[:-1]))
        else:
            for body in envelopes(files["protobuf_list"]):
                server.post("INSERT INTO xtcp_raw FORMAT ProtobufList", body,
                            format_schema="xtcp_flat_record:XtcpFlatRecord")
        found = server.differences(reference, table)
        if table == "xtcp_text":
            last, = found
            assert last["copies"] == 1 and received.key_of(last) == received.key_of(json.loads(reference[-1]))
        else:
            assert found == []


def envelopes(data):
    """The envelopes of a stream, each with its length before it."""
    position = 0
    for message in formats.delimited(data):
        end = position + (len(message).bit_length() + 6) // 7 + len(message)
        yield data[position:end]
        position = end
