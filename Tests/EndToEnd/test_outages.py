"""Servers that die in a stream of 20,000 rows a second: every row that was encoded arrives, and nobody else notices.

Short in `make test`: OUTAGE_SECONDS=30 OUTAGE_RESTARTS=20, as `make soak` sets them, is what the figures of
docs/delivery.md come from."""
import contextlib
import os
import random
import time

import pytest

import bed
import daemon
from servers.clickhouse import ClickHouse
from servers.http import Http
from servers.kafka import Kafka
from servers.nats import Nats
from servers.nsq import Nsq
from servers.relay import Relay
from servers.s3 import REGION, S3
from servers.valkey import Valkey

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "2"))
RESTARTS = int(os.environ.get("OUTAGE_RESTARTS", "2"))
MEMORY = 64
# What names a row; short, so that there is room for millions of them.
NAME = ["poll_sequence", "netns_cookie", "inet_diag_msg_socket_cookie"]


def nats(server):
    server.make_stream("rows", "xtcp.>")
    return {"type": "nats", "servers": [f"127.0.0.1:{server.port}"], "subject": "xtcp.rows", "jetstream": True,
            "timeout": "1s"}


def address(server, **more):
    return {"address": f"127.0.0.1:{server.port}", **more}


# {name: the server, the sink, the payloads that arrived}
SERVERS = {
    "kafka": (lambda: Kafka({"xtcp": 16}),
              lambda server: {"type": "kafka", "brokers": server.addresses, "topic": "xtcp", "timeout": "2s"},
              lambda server: [message.value for message in server.read_all(120)]),
    "nats": (Nats, nats, lambda server: [message.data for message in server.read_all("rows")]),
    "valkey": (Valkey, lambda server: address(server, type="valkey", key="rows", max_length=0),
               lambda server: [fields[b"rows"] for _, fields in server.read_all("rows")]),
    "nsq": (Nsq, lambda server: address(server, type="nsq", topic="rows"), lambda server: server.read_all("rows")),
    "http": (Http, lambda server: {"type": "http", "url": server.url}, lambda server: [
        request.body for request in server.accepted()]),
    "s3": (S3, None, lambda server: server.read_all().values()),
    "clickhouse": (ClickHouse, lambda server: {
        "type": "clickhouse", "url": server.url, "format": "protobuf_list", "columns": None,
        "batch": {"bytes": "8MiB", "max_age": "1s"}}, None),
}


def s3(server, relay):
    return {"type": "s3", "endpoint": f"http://127.0.0.1:{relay.port}", "region": REGION, "bucket": "xtcp",
            "path_style": True, "access_key": server.access_key, "secret_key": server.secret_key,
            "batch": {"bytes": "64KiB", "max_age": "300ms"}}


def die(server, seconds):
    if isinstance(server, Kafka):
        server.down()
        time.sleep(seconds)
        server.up()
    elif isinstance(server, Relay):
        server.cut()
        time.sleep(seconds)
        server.restore()
    else:
        server.kill()
        time.sleep(seconds)
        server.start()


def names_of(server, kind):
    """The names of the rows that have arrived."""
    payloads = SERVERS[kind][2]
    if payloads is None:
        return {tuple(row.values()) for row in server.read_all("xtcp_raw", ", ".join(NAME))}
    # Some payloads begin with the names of the columns.
    return {line for data in payloads(server) for line in data.splitlines() if line[:1].isdigit()}


# The same code sees to each of a family.
SOME = [("kafka", "block"), ("nats", "spill"), ("valkey", "spill"), ("http", "block")]
ALL = [(kind, when_full) for kind in SERVERS for when_full in ("block", "spill")]


@pytest.mark.parametrize("kind,when_full", ALL if "OUTAGE_SECONDS" in os.environ else SOME)
def test_nothing_is_lost_and_nobody_else_notices(steady_crowd, few, tmp_path, kind, when_full):
    chance = random.Random(f"{kind} {when_full}")
    make, sink_of, _ = SERVERS[kind]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(make())
        # moto keeps its objects in memory, so that what dies is what stands before it.
        victim = stack.enter_context(Relay(server)) if kind == "s3" else server
        own = s3(server, victim) if kind == "s3" else sink_of(server)
        # Little memory for what waits. An INSERT of so little would cost ClickHouse more than the rows.
        size = "16MiB" if kind == "clickhouse" else "256KiB"
        sink = {"format": "csv", "columns": NAME, **own, "retry": {"initial": "50ms", "max": "1s"},
                "queue": {"bytes": size, "when_full": when_full}}
        if sink["columns"] is None:
            del sink["columns"]
        if when_full == "spill":
            sink["queue"]["spill_bytes"] = "4GiB"
        pipelines = {
            "busy": {"interval": "100ms", "align": "none", "namespaces": steady_crowd.selection, "attributes": ["cong"],
                     "batch": {"bytes": "64KiB"}, "sinks": {"out": sink}},
            "other": {"interval": "250ms", "align": "none", "namespaces": few.selection,
                      "sinks": {"out": {"type": "blackhole"}}}}
        settings = {"global": {"resources": {"memory": f"{MEMORY}MiB"}, "data_dir": str(tmp_path / "data"),
                               "log": {"format": "json"}}}
        running = stack.enter_context(daemon.Daemon(tmp_path, pipelines, settings=settings))

        def told():
            return running.sink("busy", "out")
        bed.eventually(lambda: told()["delivered"] >= 10_000, 60, "rows before")
        die(victim, SECONDS)
        for _ in range(RESTARTS):
            before = told()["delivered"]
            bed.eventually(lambda before=before: told()["delivered"] > before, 60, f"rows again; {told()}")
            time.sleep(chance.random())
            die(victim, chance.random())
        before = told()["delivered"]
        bed.eventually(lambda: told()["delivered"] >= before + 10_000, 90, "rows after")
        # What waits is delivered before it ends: the pipeline reads no more.
        del pipelines["busy"]["namespaces"]
        pipelines["busy"]["namespaces"] = {"include": [{"name": "xtcpd-nothing-*"}]}
        pipelines["busy"]["interval"] = "1h"
        assert running.reload_with(pipelines, settings)["result"] == "applied"
        bed.eventually(lambda: not any(told()[key] for key in ("queued_rows", "sending_rows", "spilled_rows")), 240,
                       "all is delivered")
        peak = running.proc.peak_rss_mib
        running.stop()
        totals = running.totals()
        names = names_of(server, kind)
    counts = totals["busy"]["sinks"]["out"]
    print(f"{kind} {when_full}: {counts}, sockets unread {totals['busy']['unread']}, peak RSS {peak:.0f} MiB, "
          f"skipped polls {totals['busy']['skipped']}")
    assert counts["dropped"] == counts["in_flight"] == 0
    assert len(names) == counts["delivered"] == totals["busy"]["encoded"] > 20_000
    assert when_full == "block" or totals["busy"]["skipped"] == totals["busy"]["unread"] == 0
    assert totals["other"]["skipped"] == 0 and totals["other"]["failed"] == 0
    assert peak <= MEMORY + 32
