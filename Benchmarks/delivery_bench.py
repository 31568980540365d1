"""What delivery costs: records a second and CPU a record for each sink, to its server on loopback.

    make bench                  (all of it), or
    .venv/bin/python Benchmarks/delivery_bench.py [--rows 300000] [--sockets 20000] [--sinks LIST] [--mode io_uring]

A pipeline reads the population ten times a second and waits for its sink (`when_full: block`), so that the sink or its
server sets the pace. CPU is that of the whole daemon a delivered record, and `beyond` what it takes more than the same
format to a blackhole: compressing, copying, system calls. Servers in Python (http, clickhouse, s3, nsq: see
Tests/EndToEnd/servers) are slower than real ones, so their records a second are a floor, and CPU a record is what
counts.
"""
import argparse
import contextlib
import json
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
import bed  # noqa: E402
import daemon  # noqa: E402
from servers.certificates import Certificates  # noqa: E402
from servers.clickhouse import ClickHouse  # noqa: E402
from servers.datagrams import Datagrams  # noqa: E402
from servers.http import Http  # noqa: E402
from servers.kafka import Kafka  # noqa: E402
from servers.nats import Nats  # noqa: E402
from servers.nsq import Nsq  # noqa: E402
from servers.s3 import REGION, S3  # noqa: E402
from servers.streams import StreamSink  # noqa: E402
from servers.valkey import Valkey  # noqa: E402


def address(server, kind, **more):
    return {"type": kind, "address": f"127.0.0.1:{server.port}", **more}


def nats(server, jetstream):
    if jetstream:
        server.make_stream("rows", "xtcp.>")
    return {"type": "nats", "servers": [f"127.0.0.1:{server.port}"], "subject": "xtcp.rows", "jetstream": jetstream}


def s3(server, **more):
    return {"type": "s3", "endpoint": server.url, "region": REGION, "bucket": "xtcp", "path_style": True,
            "access_key": server.access_key, "secret_key": server.secret_key, "batch": {"bytes": "8MiB"}, **more}


def cases(folder):
    """{name: (the server, its sink)}"""
    made = Certificates(folder / "certificates")
    nothing = contextlib.nullcontext
    file = {"type": "file", "path": str(folder / "rows"), "rotate": {"bytes": "64MiB", "keep": 1}}
    stream = str(folder / "stream.sock")
    return {
        "blackhole": (nothing, lambda _: {"type": "blackhole"}),
        "file": (nothing, lambda _: file),
        "file, zstd": (nothing, lambda _: {**file, "path": str(folder / "z"), "compression": "zstd"}),
        "file, fsync": (nothing, lambda _: {**file, "path": str(folder / "f"), "fsync": "batch"}),
        "tcp": (StreamSink, lambda server: address(server, "tcp")),
        "tcp, TLS": (lambda: StreamSink(tls=made.good), lambda server: {
            "type": "tcp", "address": f"localhost:{server.port}",
            "tls": {"enabled": True, "ca_file": str(made.authority.certificate)}}),
        "unix": (lambda: StreamSink(path=stream), lambda _: {"type": "unix", "path": stream}),
        "udp": (lambda: Datagrams(receive_buffer=64 << 20), lambda server: address(server, "udp")),
        "unixgram": (lambda: Datagrams(unix=True), lambda server: {"type": "unixgram", "path": str(server.path)}),
        "kafka": (lambda: Kafka({"xtcp": 4}), lambda server: {
            "type": "kafka", "brokers": server.addresses, "topic": "xtcp"}),
        "kafka, lz4": (lambda: Kafka({"xtcp": 4}), lambda server: {
            "type": "kafka", "brokers": server.addresses, "topic": "xtcp", "compression": "lz4"}),
        "nats": (Nats, lambda server: nats(server, False)),
        "nats, JetStream": (Nats, lambda server: nats(server, True)),
        "valkey": (Valkey, lambda server: address(server, "valkey", key="rows", max_length=1000)),
        "valkey, each row": (Valkey, lambda server: address(server, "valkey", key="rows", max_length=1000,
                                                           each_row=True)),
        "nsq": (Nsq, lambda server: address(server, "nsq", topic="rows")),
        "http": (Http, lambda server: {"type": "http", "url": server.url}),
        "http, zstd": (Http, lambda server: {"type": "http", "url": server.url, "compression": "zstd"}),
        "clickhouse": (ClickHouse, lambda server: {
            "type": "clickhouse", "url": server.url, "batch": {"max_age": "1s"}}),
        "s3": (S3, s3),
        "s3, Parquet": (S3, lambda server: s3(server, format="parquet")),
    }


def measure(folder, population, make, sink_of, options):
    with make() as server:
        sink = {"format": "protobuf_list", "queue": {"bytes": "64MiB", "when_full": "block"}, **sink_of(server)}
        if sink["type"] == "blackhole":
            del sink["queue"]
        pipeline = {"interval": "100ms", "align": "none", "namespaces": population.selection,
                    "reader": {"mode": options.mode}, "sinks": {"out": sink}}
        settings = {"global": {"resources": {"memory": "256MiB"}, "reload": {"drain_timeout": "0s"},
                               "log": {"format": "json"}}}
        with daemon.Daemon(folder, {"bench": pipeline}, settings=settings) as running:
            def delivered():
                return running.sink("bench", "out")["delivered"]
            bed.eventually(lambda: delivered() >= 2 * options.sockets, 60, f"rows; log: {running.raw[-3:]}")
            rows, cpu, clock = delivered(), cpu_ns(running.process.pid), time.monotonic()
            while (came := delivered() - rows) < options.rows and time.monotonic() - clock < 20:
                time.sleep(0.1)
            cpu, clock = cpu_ns(running.process.pid) - cpu, time.monotonic() - clock
            peak = running.proc.peak_rss_mib
    return {"rows": came, "rows_per_second": came / clock, "cpu_ns_per_row": cpu / max(1, came), "peak_rss_mib": peak}


def cpu_ns(pid):
    # The CPU clock of another process (clock_getcpuclockid(3)): every thread of it, ended ones included.
    return int(time.clock_gettime(~pid << 3 | 2) * 1e9)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--sockets", type=int, default=20_000)
    parser.add_argument("--sinks", type=lambda text: text.split(";"), help="names of the table, with ; between")
    parser.add_argument("--mode", default="io_uring")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / ".build/bench-delivery.json")
    options = parser.parse_args()
    found = {}
    print(f"{'protobuf_list, ' + options.mode:<24} {'records/s':>10} {'ns/record':>10} {'beyond':>8} {'RSS MiB':>8}")
    with tempfile.TemporaryDirectory(prefix="xtcpd-bench-") as name, \
            bed.Population(namespaces=1, v4=options.sockets // 2) as population:
        folder = pathlib.Path(name)
        for number, (case, (make, sink_of)) in enumerate(cases(folder).items()):
            if options.sinks and case not in options.sinks and case != "blackhole":
                continue
            row = found[case] = measure(folder / f"d{number}", population, make, sink_of, options)
            beyond = row["cpu_ns_per_row"] - found["blackhole"]["cpu_ns_per_row"]
            print(f"{case:<24} {row['rows_per_second']:>10,.0f} {row['cpu_ns_per_row']:>10,.0f} {beyond:>8,.0f} "
                  f"{row['peak_rss_mib']:>8.1f}", flush=True)
    options.output.write_text(json.dumps(found, indent=1))
    print(f"figures: {options.output}")


if __name__ == "__main__":
    main()
