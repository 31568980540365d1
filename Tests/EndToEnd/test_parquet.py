"""Parquet files, read by pyarrow, DuckDB and ClickHouse (chDB), against the JSON lines of the same rows."""
import json

import chdb.session
import duckdb
import pyarrow
import pyarrow.parquet
import pytest

import bed
import daemon
import formats
import parquet

ROWS = 20_000


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return formats.compile_schema(tmp_path_factory.mktemp("proto"))


@pytest.fixture(scope="module")
def polled(tmp_path_factory):
    """{format: file}: two or more polls of sockets of every kind, written by one pipeline from the same dumps."""
    folder = tmp_path_factory.mktemp("polled")
    paths = {name: folder / f"rows.{name}" for name in ("jsonl", "protobuf_list", "protobuf", "msgpack")}
    sinks = {name: {"type": "file", "path": str(path), "format": name} for name, path in paths.items()}
    with bed.Population(namespaces=3, v4=60, v6=40, mapped=20, listeners=10, time_wait=20, half_closed=8, stuffed=4,
                        lossy=4, syn_sent=2, syn_received=2, mptcp=2, active=10) as population:
        pipeline = {"interval": "2s", "align": "none", "namespaces": population.selection, "attributes": "all",
                    "label": 'a "quoted", \\label: ÿ', "batch": {"rows": 300}, "pools": {"batches": 20},
                    "sinks": sinks}
        with daemon.Daemon(folder, {"all": pipeline}) as running:
            running.wait_for_polls(2)
    return paths


@pytest.fixture(scope="module")
def many(polled, schema, tmp_path_factory):
    """(file of format protobuf, Parquet file, JSON lines) of 20,000 varied rows."""
    folder = tmp_path_factory.mktemp("many")
    messages = formats.messages("protobuf", polled["protobuf"].read_bytes(), schema)
    source, target = folder / "rows.pb", folder / "rows.parquet"
    source.write_bytes(parquet.varied(messages, ROWS))
    done = parquet.decode(source, target)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    lines = bed.xtcpd("decode", source, "--format", "jsonl", text=False).stdout.decode().splitlines()
    assert len(lines) == ROWS
    return source, target, lines


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory):
    session = chdb.session.Session(str(tmp_path_factory.mktemp("clickhouse")))
    yield session
    session.close()


def records(table):
    """Rows of an Arrow table without nulls and `event_date`; the latter must be the day of the row."""
    found = []
    for row in table.to_pylist():
        assert row.pop("event_date") == parquet.event_date(row)
        found.append({name: value for name, value in row.items() if value is not None})
    return found


def text_columns(path):
    """{column: whether it is text} of all columns but event_date."""
    names = pyarrow.parquet.read_schema(path)
    return {field.name: pyarrow.types.is_string(field.type) for field in names if field.name != "event_date"}


@pytest.mark.parametrize("name", ["protobuf_list", "protobuf", "msgpack"])
def test_rows_are_those_of_jsonl(polled, tmp_path, name):
    target = tmp_path / "rows.parquet"
    done = parquet.decode(polled[name], target, "--input-format", name)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    rows = formats.rows("jsonl", polled["jsonl"].read_bytes())
    assert len(rows) > 1000 and {len(row) for row in rows} != {len(rows[0])}, "some rows lack columns"
    assert records(pyarrow.parquet.read_table(target)) == rows


def test_rows_of_three_readers_are_equal(polled, clickhouse, tmp_path):
    target = tmp_path / "rows.parquet"
    parquet.decode(polled["protobuf_list"], target)
    rows = formats.rows("jsonl", polled["jsonl"].read_bytes())
    assert records(duckdb.connect().sql(f"FROM '{target}'").to_arrow_table()) == rows
    shown = clickhouse.query(
        f"SELECT * FROM file('{target}', 'Parquet') SETTINGS output_format_json_quote_64bit_integers = 0",
        "JSONEachRow").bytes().decode().splitlines()
    found = [{name: value for name, value in json.loads(line).items() if value is not None} for line in shown]
    assert [row.pop("event_date") for row in found] == [str(parquet.event_date(row)) for row in rows]
    assert found == rows


def test_sums_of_many_rows(many, clickhouse):
    _, target, lines = many
    columns = text_columns(target)
    assert len(columns) > 120
    expected = parquet.Sums(lines).of(columns)
    assert parquet.arrow_sums(columns, pyarrow.parquet.read_table(target)) == expected
    assert parquet.duckdb_sums(duckdb.connect(), columns, target) == expected
    assert parquet.clickhouse_sums(clickhouse, columns, target) == expected


def test_every_value_of_many_rows(many):
    _, target, lines = many
    assert records(pyarrow.parquet.read_table(target)) == [json.loads(line) for line in lines]


def test_statistics_are_true(many):
    """Smallest, largest and missing values of every column chunk, unsigned where the column is."""
    _, target, _ = many
    file = pyarrow.parquet.ParquetFile(target)
    encodings = set()
    for group in range(file.metadata.num_row_groups):
        table = file.read_row_group(group)
        for index, name in enumerate(table.column_names):
            chunk = file.metadata.row_group(group).column(index)
            encodings |= set(chunk.encodings)
            assert chunk.compression == "ZSTD" and chunk.statistics.null_count == table[name].null_count
            values = table[name].drop_null().to_pylist()
            assert chunk.statistics.has_min_max == bool(values)
            if values:
                ordered = sorted(values, key=lambda value: value.encode() if isinstance(value, str) else value)
                assert [chunk.statistics.min, chunk.statistics.max] == [ordered[0], ordered[-1]], name
    assert encodings == {"PLAIN", "RLE", "RLE_DICTIONARY"}


def test_statistics_skip_nothing_that_matters(many, clickhouse):
    """Readers leave out row groups by their statistics; above 2^31 and 2^63 a signed order would mislead them."""
    _, target, lines = many
    rows = [json.loads(line) for line in lines]
    connection = duckdb.connect()
    for column, limit in [("tcp_info_rtt", 2**31), ("tcp_info_max_pacing_rate", 2**63), ("timestamp_ns", 0)]:
        expected = sum(1 for row in rows if row.get(column, -1) > limit)
        assert expected > 0
        (found,) = connection.execute(f"SELECT count(*) FROM '{target}' WHERE {column} > {limit}").fetchone()
        assert found == expected
        answer = clickhouse.query(f"SELECT count() FROM file('{target}', 'Parquet') WHERE {column} > {limit}", "TSV")
        assert int(answer.bytes()) == expected
        bound = pyarrow.scalar(limit, pyarrow.parquet.read_schema(target).field(column).type)
        assert pyarrow.parquet.read_table(target, filters=[(column, ">", bound)]).num_rows == expected
    for column in ("inet_diag_msg_state", "inet_diag_msg_socket_source", "event_date"):
        value = str(parquet.event_date(rows[0])) if column == "event_date" else rows[0][column]
        expected = sum(1 for row in rows if str(row.get(column, parquet.event_date(row))) == value)
        (found,) = connection.execute(f"SELECT count(*) FROM '{target}' WHERE {column} = '{value}'").fetchone()
        assert found == expected > 0


def test_types_that_readers_see(many, clickhouse):
    _, target, _ = many
    described = {row[0]: row[1] for row in duckdb.connect().execute(f"DESCRIBE FROM '{target}'").fetchall()}
    lines = clickhouse.query(f"DESCRIBE file('{target}', 'Parquet')", "TSV").bytes().decode().splitlines()
    seen = dict(line.split("\t")[:2] for line in lines)
    for name, duck, house in [
            ("event_date", "DATE", "Date32"), ("timestamp_ns", "BIGINT", "Int64"),
            ("record_counter", "UBIGINT", "UInt64"), ("hostname", "VARCHAR", "String"),
            ("schema_version", "UINTEGER", "UInt32"),
            ("tcp_info_rtt", "UINTEGER", "Nullable(UInt32)"), ("tcp_info_pacing_rate", "UBIGINT", "Nullable(UInt64)"),
            ("inet_diag_msg_state", "VARCHAR", "Nullable(String)"),
            ("inet_diag_msg_socket_source", "VARCHAR", "Nullable(String)")]:
        assert (described[name], seen[name]) == (duck, house), name


def test_clickhouse_table_takes_it(many, clickhouse):
    """The text table of `xtcpd schema clickhouse` holds the same, filled from Parquet or from JSON lines."""
    _, target, lines = many
    path = target.with_suffix(".jsonl")
    path.write_text("\n".join(lines))
    ddl = bed.xtcpd("schema", "clickhouse").stdout
    start = ddl.index("CREATE TABLE IF NOT EXISTS xtcp_text")
    statement = ddl[start:ddl.index(";", start)]
    names = ", ".join(text_columns(target))
    hashes = []
    sources = {"from_parquet": f"file('{target}', 'Parquet')", "from_lines": f"file('{path}', 'JSONEachRow')"}
    for table, source in sources.items():
        clickhouse.query(statement.replace("xtcp_text", table))
        clickhouse.query(f"INSERT INTO {table} ({names}) SELECT {names} FROM {source}")
        hashes.append(clickhouse.query(f"SELECT count(), groupBitXor(cityHash64(*)) FROM {table}", "TSV").bytes())
    assert hashes[0] == hashes[1] and hashes[0].startswith(f"{ROWS}\t".encode())


def test_the_file_names_its_maker_and_schema(many):
    _, target, _ = many
    metadata = pyarrow.parquet.read_metadata(target)
    version = bed.xtcpd("--version").stdout.split()[-1]
    assert metadata.created_by.startswith("xtcpd version ") and version in metadata.created_by
    assert metadata.metadata[b"xtcpd.schema_version"] == b"1"
    field = pyarrow.parquet.read_schema(target).field("tcp_info_rtt")
    assert field.metadata[b"PARQUET:field_id"] == b"1230" and field.nullable
    assert not pyarrow.parquet.read_schema(target).field("hostname").nullable


def test_columns(polled, tmp_path):
    target = tmp_path / "rows.parquet"
    columns = ["tcp_info_rtt", "inet_diag_msg_state", "timestamp_ns"]
    done = parquet.decode(polled["protobuf"], target, "--columns", ",".join(columns))
    assert done.returncode == 0, done.stderr
    table = pyarrow.parquet.read_table(target)
    assert table.column_names == ["event_date", *columns]
    rows = formats.rows("jsonl", polled["jsonl"].read_bytes())
    assert records(table) == [{name: row[name] for name in columns if name in row} for row in rows]


def test_a_file_without_rows(clickhouse, tmp_path):
    """A capture in which the kernel said nothing: the columns are there, and no row."""
    source, target = tmp_path / "empty.pcap", tmp_path / "rows.parquet"
    source.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff0000fd000000"))
    assert parquet.decode(source, target).returncode == 0
    assert pyarrow.parquet.read_table(target).num_rows == 0
    assert duckdb.connect().execute(f"SELECT count(*) FROM '{target}'").fetchone() == (0,)
    assert clickhouse.query(f"SELECT count() FROM file('{target}', 'Parquet')", "TSV").bytes() == b"0\n"


def test_a_cut_file_gives_the_whole_rows_and_an_error(polled, tmp_path):
    source, target = tmp_path / "rows.pb", tmp_path / "rows.parquet"
    source.write_bytes(polled["protobuf"].read_bytes()[:-5])
    done = parquet.decode(source, target)
    assert done.returncode == 1 and str(source).encode() in done.stderr
    rows = formats.rows("jsonl", polled["jsonl"].read_bytes())
    assert records(pyarrow.parquet.read_table(target)) == rows[:-1]
