"""One poll through all formats: every format says the same, to readers that are not ours."""
import base64
import json
import re
import subprocess

import chdb.session
import pytest
from google.protobuf import text_format

import bed
import daemon
import formats


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return formats.compile_schema(tmp_path_factory.mktemp("proto"))


@pytest.fixture(scope="module")
def variety():
    with bed.Population(namespaces=3, v4=90, v6=60, mapped=40, listeners=20, time_wait=40, half_closed=12, stuffed=8,
                        lossy=4, syn_sent=2, syn_received=4, mptcp=2, active=10) as population:
        yield population


@pytest.fixture(scope="module")
def outputs(variety, tmp_path_factory):
    """{format: the bytes of two polls}: all written by one pipeline, from the same dumps."""
    folder = tmp_path_factory.mktemp("formats")
    paths = {name: folder / f"rows.{name}" for name in formats.FORMATS}
    sinks = {name: {"type": "file", "path": str(path), "format": name} for name, path in paths.items()}
    pipeline = {"interval": "1h", "align": "none", "namespaces": variety.selection, "label": 'a "quoted", \\label: ÿ',
                "attributes": "all", "batch": {"rows": 300}, "pools": {"batches": 20}, "sinks": sinks}
    with daemon.Daemon(folder, {"all-formats": pipeline}) as running:
        running.poll("all-formats")
    data = {name: path.read_bytes() for name, path in paths.items()}
    assert len(formats.rows("jsonl", data["jsonl"])) > 2000
    return data


def sort_key(row):
    return tuple(row[name] if isinstance(row, dict) else getattr(row, name) for name in formats.KEY)


@pytest.mark.parametrize("name", ["protobuf_list", "protobuf", "proto_json", "proto_text"])
def test_protobuf_says_what_jsonl_says(outputs, schema, name):
    rows = sorted(formats.rows("jsonl", outputs["jsonl"]), key=sort_key)
    messages = sorted(formats.messages(name, outputs[name], schema), key=sort_key)
    assert [sort_key(row) for row in rows] == [sort_key(message) for message in messages]
    for row, message in zip(rows, messages):
        assert formats.differences(row, message) == [], sort_key(row)


def test_proto_json_is_canonical(outputs):
    """lowerCamelCase names, enum names, 64-bit values as strings, bytes in base64."""
    row = json.loads(outputs["proto_json"].decode().splitlines()[0])["row"]
    algorithms = {found["congestionAlgorithmString"]: found.get("congestionAlgorithmEnum") for found in row
                  if "congestionAlgorithmString" in found}
    assert algorithms == {"bbr": "CONGESTION_ALGORITHM_BBR1", "cubic": "CONGESTION_ALGORITHM_CUBIC", "reno": None}
    assert all(isinstance(found["timestampNs"], str) for found in row)
    assert all(len(base64.b64decode(found["inetDiagMsgSocketSource"])) in (4, 16) for found in row)


def test_msgpack_says_what_jsonl_says(outputs):
    assert formats.rows("msgpack", outputs["msgpack"]) == formats.rows("jsonl", outputs["jsonl"])


@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_tables_say_what_jsonl_says(outputs, name):
    def text(value):
        return str(int(value) if isinstance(value, bool) else value)

    rows = formats.rows("jsonl", outputs["jsonl"])
    expected = [{key: text(value) for key, value in row.items() if value != ""} for row in rows]
    assert formats.rows(name, outputs[name]) == expected


def test_protoc_reads_protobuf_list(outputs, schema, tmp_path):
    """`protoc --decode` with the generated .proto, envelope by envelope."""
    (tmp_path / "xtcp_flat_record.proto").write_text(bed.xtcpd("schema", "proto").stdout)
    read = []
    for message in formats.delimited(outputs["protobuf_list"]):
        done = subprocess.run(["protoc", f"--proto_path={tmp_path}", "--decode=xtcp_flat_record.v1.Envelope",
                               "xtcp_flat_record.proto"], input=message, capture_output=True, timeout=60, check=True)
        assert not re.search(rb"^  \d+:", done.stdout, re.MULTILINE), "a field that the .proto does not know"
        read += text_format.Parse(done.stdout.decode(), schema.Envelope()).row
    assert read == formats.messages("protobuf_list", outputs["protobuf_list"], schema)


@pytest.mark.parametrize("name", ["protobuf_list", "protobuf", "msgpack"])
def test_decode_restores_jsonl(outputs, tmp_path, name):
    path = tmp_path / "records"
    path.write_bytes(outputs[name])
    done = bed.xtcpd("decode", path, "--input-format", name, "--format", "jsonl", text=False)
    assert done.returncode == 0, done.stderr
    assert formats.rows("jsonl", done.stdout) == formats.rows("jsonl", outputs["jsonl"])


@pytest.mark.parametrize("name", ["protobuf_list", "protobuf", "msgpack"])
def test_decode_of_a_cut_file_gives_the_whole_rows_and_an_error(outputs, tmp_path, name):
    path = tmp_path / "records"
    path.write_bytes(outputs[name][:-5])
    done = bed.xtcpd("decode", path, "--input-format", name, "--format", "jsonl", text=False)
    whole = formats.rows("jsonl", outputs["jsonl"])
    rows = formats.rows("jsonl", done.stdout)
    assert done.returncode == 1 and str(path).encode() in done.stderr
    assert rows == whole[:len(rows)] and len(rows) >= len(whole) - 300


def test_every_column_of_the_old_record_keeps_its_number_and_type(schema):
    numbers = {field.name: field.number for field in schema.XtcpFlatRecord.DESCRIPTOR.fields}
    assert (numbers["timestamp_ns"], numbers["tcp_info_rtt"], numbers["inet_diag_msg_socket_source"],
            numbers["congestion_algorithm_enum"], numbers["c_group"]) == (10, 1230, 1007, 1301, 2103)
    assert schema.Envelope.DESCRIPTOR.fields_by_name["row"].number == 10
    assert len(set(numbers.values())) == len(numbers)


@pytest.fixture(scope="module")
def clickhouse(outputs, tmp_path_factory):
    """An embedded ClickHouse with the generated tables and view, the raw table filled from protobuf_list, the text
    table from jsonl."""
    folder = tmp_path_factory.mktemp("clickhouse")
    ddl = bed.xtcpd("schema", "clickhouse").stdout
    statements = [statement.strip() for statement in re.sub(r"--.*", "", ddl).split(";") if statement.strip()]
    (folder / "xtcp_flat_record.proto").write_text(bed.xtcpd("schema", "proto").stdout)
    (folder / "rows.jsonl").write_bytes(outputs["jsonl"])
    session = chdb.session.Session(str(folder / "data"))
    names = []
    for statement in statements:
        session.query(statement)
        found = re.match(r"CREATE (?:OR REPLACE )?(TABLE|VIEW)\s+(?:IF NOT EXISTS\s+)?([\w.`]+)", statement)
        if found:
            names.append((found.group(1), found.group(2)))
    tables = [name for kind, name in names if kind == "TABLE"]
    (view,) = [name for kind, name in names if kind == "VIEW"]
    raw, text = tables
    for number, message in enumerate(formats.delimited(outputs["protobuf_list"])):
        # ClickHouse takes one length-delimited Envelope as a ProtobufList message, as a consumer of Kafka would.
        path = folder / f"{number}.pbl"
        path.write_bytes(varint(len(message)) + message)
        session.query(f"INSERT INTO {raw} SELECT * FROM file('{path}', 'ProtobufList') SETTINGS "
                      f"format_schema = '{folder}/xtcp_flat_record:XtcpFlatRecord'")
    session.query(f"INSERT INTO {text} SELECT * FROM file('{folder}/rows.jsonl', 'JSONEachRow')")
    yield session, raw, text, view
    session.close()


def varint(value):
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded + bytes([value]))


def test_clickhouse_reads_both_and_the_view_shows_them_equal(outputs, clickhouse):
    session, raw, text, view = clickhouse
    count = len(formats.rows("jsonl", outputs["jsonl"]))

    def query(statement):
        return session.query(statement, "TSV").bytes().decode().strip()

    assert query(f"SELECT count() FROM {raw}") == query(f"SELECT count() FROM {text}") == str(count)
    # Every row stands in the view twice, alike: once from each table.
    columns = query(f"SELECT name FROM system.columns WHERE table = '{view.split('.')[-1]}'").splitlines()
    origin = [name for name in columns if name in ("source_table", "origin", "format")]
    others = ", ".join(f"`{name}`" for name in columns if name not in origin)
    assert query(f"SELECT count() FROM {view}") == str(2 * count)
    unequal = query(f"SELECT {others}, count() AS copies FROM {view} GROUP BY ALL HAVING copies != 2 LIMIT 4")
    assert unequal == "", unequal
