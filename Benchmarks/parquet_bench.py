"""A million rows as Parquet: speed and size beside pyarrow's own writer, sums beside the JSON lines in three readers.

    make bench-parquet          (PARQUET_ROWS=1000000, PARQUET_CAPTURE=a pcap or a file of format protobuf)

Without PARQUET_CAPTURE the rows are those of live sockets, which needs root. They are repeated with other numbers
(Benchmarks/Parquet). Fails if any reader's sum of any column differs from that of the JSON lines.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import chdb.session
import duckdb
import pyarrow
import pyarrow.parquet

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
import bed  # noqa: E402
import parquet  # noqa: E402

BENCHMARK = ROOT / ".build/release/ParquetBenchmark"


def seed(capture, folder):
    """A file of format protobuf to begin with."""
    path = folder / "seed.pb"
    if capture:
        path.write_bytes(bed.xtcpd("decode", capture, "--format", "protobuf", text=False).stdout)
        return path
    with bed.Population(namespaces=4, v4=400, v6=200, mapped=100, listeners=20, time_wait=60, active=60, rate=200,
                        lossy=6, half_closed=8):
        for _ in range(3):
            time.sleep(1)
            with open(path, "ab") as output:
                output.write(bed.xtcpd("snapshot", "--all", "--format", "protobuf", text=False).stdout)
    return path


def beside_pyarrow(path, folder):
    """(rows a second, bytes a row) of pyarrow's writer for the same table, already in memory: zstd and dictionaries."""
    table = pyarrow.parquet.read_table(path)
    copy = folder / "pyarrow.parquet"
    pyarrow.set_cpu_count(1)
    start = time.process_time()
    pyarrow.parquet.write_table(table, copy, compression="zstd", compression_level=3, row_group_size=122_880)
    seconds = time.process_time() - start
    return table, table.num_rows / seconds, copy.stat().st_size / table.num_rows


def wrong_sums(path, rows, table, folder):
    """The readers whose sums are not those of the JSON lines."""
    columns = {field.name: pyarrow.types.is_string(field.type) for field in table.schema if field.name != "event_date"}
    lines = subprocess.Popen([bed.BINARY, "decode", rows, "--format", "jsonl"], stdout=subprocess.PIPE)
    expected = parquet.Sums(lines.stdout).of(columns)
    assert lines.wait(60) == 0
    session = chdb.session.Session(str(folder / "clickhouse"))
    found = {
        "pyarrow": parquet.arrow_sums(columns, table),
        "DuckDB": parquet.duckdb_sums(duckdb.connect(), columns, path),
        "ClickHouse": parquet.clickhouse_sums(session, columns, path),
    }
    session.close()
    return [name for name, sums in found.items() if sums != expected]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--capture", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xtcpd-parquet-", dir=ROOT / ".build") as name:
        folder = pathlib.Path(name)
        path, rows = folder / "rows.parquet", folder / "rows.pb"
        done = subprocess.run([BENCHMARK, seed(options.capture, folder), str(options.rows), "3", path, rows],
                              capture_output=True, text=True, check=True)
        ours = json.loads(done.stdout)
        print(f"xtcpd    {ours['rows_per_second']:>9,} rows/s  {ours['bytes_per_row']:6.1f} bytes/row  "
              f"{ours['allocations']} allocations  {ours['buffered_bytes'] >> 20} MiB buffered  "
              f"{ours['resident_kib'] >> 10} MiB resident (from protobuf rows)")
        table, speed, size = beside_pyarrow(path, folder)
        print(f"pyarrow  {speed:>9,.0f} rows/s  {size:6.1f} bytes/row  (from a table in memory)")
        wrong = wrong_sums(path, rows, table, folder)
    print(f"sums of {table.num_columns - 1} columns, {table.num_rows:,} rows: "
          + (f"WRONG in {', '.join(wrong)}" if wrong else "equal to jsonl in pyarrow, DuckDB and ClickHouse"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
