"""The nats sink against nats-server, read back by nats-py."""
import contextlib
import time

import pytest
import yaml

import bed
import daemon
import steady
from servers.certificates import Certificates
from servers.nats import Nats
from servers.relay import Relay
from shown import shows
from test_sink_kafka import (IN_HASTE, LIBRARY_THREADS, MODES, OUTAGE, by_name, decoded, file_sink, name, pipeline,
                             problem)


@pytest.fixture(name="still_crowd", scope="module")
def fixture_still_crowd():
    """Some 5,000 sockets that stand still."""
    with bed.Population(namespaces=4, v4=500, v6=120) as population:
        yield population


def nats_sink(server, **more):
    """It makes the pipeline wait: what is compared must all be there."""
    return {"type": "nats", "servers": [f"127.0.0.1:{server.port}"], "subject": "xtcp.rows", "format": "jsonl",
            "queue": {"when_full": "block"}, "retry": {"initial": "100ms", "max": "1s"}, **more}


def delivered(running, pipeline_name, sink="out"):
    return running.sink(pipeline_name, sink)["delivered"]


def rows_of(messages):
    return [record for message in messages for record in bed.records_of(message.data.decode())]


def library_threads(running):
    return [thread for thread in running.thread_names() if thread.startswith("nats")]


@shows("nats.servers", "nats.jetstream")
@pytest.mark.parametrize("mode", MODES)
def test_every_record_arrives_with_its_values(still_crowd, tmp_path, mode):
    """steady.ROWS rows through a stream, beside a file of the same polls."""
    with Nats() as server:
        server.make_stream("rows", "xtcp.>")
        path = tmp_path / "rows.jsonl"
        sinks = {"out": nats_sink(server, jetstream=True), "file": file_sink(path)}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks, mode, interval="250ms")}) as running:
            bed.eventually(lambda: delivered(running, "web") >= steady.ROWS, 150, "all rows")
            assert len(library_threads(running)) <= 7, running.thread_names()
        messages = server.read_all("rows")
    written = by_name(bed.records_of(path.read_text()))
    assert by_name(rows_of(messages)) == written
    for message in messages:
        row = rows_of([message])[0]
        assert message.headers["hostname"] == row["hostname"] and message.headers["pipeline"] == "web"
        assert message.headers["format"] == "jsonl" and message.headers["schema"] == str(row["schema_version"])
        assert message.headers["Nats-Msg-Id"].startswith(message.headers["batch_id"])


@shows("nats.subject")
@pytest.mark.parametrize("mode", MODES)
def test_core_subscribers_get_every_record(still_crowd, tmp_path, mode):
    """In envelopes that are cut where the server's max_payload asks for it."""
    with Nats(max_payload=64 << 10) as server, server.subscribe("xtcp.>") as subscriber:
        path = tmp_path / "rows.jsonl"
        sinks = {"out": nats_sink(server, subject="xtcp.{pipeline}", format="protobuf_list"), "file": file_sink(path)}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks, mode)}) as running:
            bed.eventually(lambda: delivered(running, "web") >= 8_000, 60, "8,000 rows")
        messages = subscriber.read_all()
    for message in messages:
        message.value = message.data
    assert by_name(decoded(messages, tmp_path)) == by_name(bed.records_of(path.read_text()))
    assert {message.subject for message in messages} == {"xtcp.web"}
    assert max(len(message.data) for message in messages) <= 64 << 10


@pytest.mark.parametrize("release", ["debian", "latest"])
def test_a_server_that_is_killed_loses_nothing(still_crowd, tmp_path, release):
    """Some seconds without a server; its stream is on disk."""
    with Nats(release) as server:
        server.make_stream("rows", "xtcp.>")
        sinks = {"out": nats_sink(server, jetstream=True, timeout="1s")}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks)}) as running:
            bed.eventually(lambda: delivered(running, "web") >= 5_000, 60, "rows before")
            server.kill()
            bed.eventually(lambda: "nats" in problem(running, "web"), 15, "a failing sink")
            time.sleep(OUTAGE)
            before = delivered(running, "web")
            server.start()
            bed.eventually(lambda: delivered(running, "web") >= before + 10_000, 60, "rows after")
        (counts,) = running.totals().values()
        messages = server.read_all("rows")
    assert counts["sinks"]["out"]["dropped"] == 0
    arrived = {name(record) for record in rows_of(messages)}
    assert len(arrived) == counts["sinks"]["out"]["delivered"] == counts["encoded"]


def test_pipelines_share_a_connection(few, tmp_path):
    """Three threads for the connection and three of the library, and none of ours more."""
    with Nats() as server:
        server.make_stream("rows", "xtcp.>")
        pipelines = {f"web{number}": pipeline(few, {"out": nats_sink(server, jetstream=True)}) for number in range(10)}
        with daemon.Daemon(tmp_path, pipelines, settings={"global": {"resources": {"threads": 3}}}) as running:
            bed.eventually(lambda: all(sink["delivered"] > 0 for report in running.pipelines().values()
                                       for sink in report["sinks"]), 60, "rows of every pipeline")
            assert server.statistics("connz")["num_connections"] == 1
            assert len(library_threads(running)) == 7, running.thread_names()
            assert len(running.thread_names()) == 3 + 7
            assert running.metrics()['xtcpd_threads{kind="library"}'] == 7
            first = server.statistics("connz")["connections"][0]["cid"]
            del pipelines["web0"]
            assert running.reload_with(pipelines)["result"] == "applied"
            assert [connection["cid"] for connection in server.statistics("connz")["connections"]] == [first]


@shows("nats.max_message_bytes")
def test_messages_are_no_longer_than_asked_for(still_crowd, tmp_path):
    with Nats() as server, server.subscribe("xtcp.>") as subscriber:
        sinks = {"out": nats_sink(server, max_message_bytes="16KiB")}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks)}) as running:
            bed.eventually(lambda: delivered(running, "web") >= 2_000, 60, "rows")
        messages = subscriber.read_all()
    assert 8 << 10 < max(len(message.data) for message in messages) <= 16 << 10
    parts = [(message.headers["batch_id"], message.headers["part"]) for message in messages]
    assert len(set(parts)) == len(parts)


def test_a_stream_must_exist(few, tmp_path):
    with Nats() as server:
        sinks = {"out": nats_sink(server, jetstream=True)}
        with daemon.Daemon(tmp_path, {"web": pipeline(few, sinks)}) as running:
            bed.eventually(lambda: "no stream takes subject xtcp.rows" in problem(running, "web"), 20, "an error")
            assert delivered(running, "web") == 0
            server.make_stream("rows", "xtcp.>")
            bed.eventually(lambda: delivered(running, "web") > 0, 20, "rows")


@shows("nats.user", "nats.password", "nats.token", "nats.credentials_file")
@pytest.mark.parametrize("way", ["user", "token", "credentials"])
def test_who_may_publish(few, tmp_path, way):
    options = {"user": {"user": "xtcpd", "password": "s3cret-of-nats"}, "token": {"token": "s3cret-of-nats"},
               "credentials": {"credentials": True}}[way]
    with Nats(**options) as server, server.subscribe("xtcp.>") as subscriber:
        right = {"credentials_file": str(server.credentials)} if way == "credentials" else options
        wrong = {"user": {"user": "xtcpd", "password": "wrong-s3cret"}, "token": {"token": "wrong-s3cret"},
                 "credentials": {}}[way]
        pipelines = {"right": pipeline(few, {"out": nats_sink(server, **right)}),
                     "wrong": pipeline(few, {"out": nats_sink(server, **wrong)})}
        with daemon.Daemon(tmp_path, pipelines, settings={"global": IN_HASTE}) as running:
            bed.eventually(lambda: delivered(running, "right") > 0, 20, "rows")
            bed.eventually(lambda: "uthori" in problem(running, "wrong"), 20, "a refusal")
            assert delivered(running, "wrong") == 0
        assert "s3cret" not in "".join(running.raw)
        assert {record["pipeline"] for record in rows_of(subscriber.read_all())} == {"right"}


@shows("nats.timeout")
def test_a_server_that_hangs_is_given_up(few, tmp_path):
    """And loses nothing."""
    with Nats() as server, Relay(server) as quick, Relay(server) as slow, server.subscribe("xtcp.>") as subscriber:
        sinks = {"quick": nats_sink(server, servers=[f"127.0.0.1:{quick.port}"], timeout="1s"),
                 "slow": nats_sink(server, servers=[f"127.0.0.1:{slow.port}"], timeout="30s")}
        with daemon.Daemon(tmp_path, {"web": pipeline(few, sinks)}) as running:
            bed.eventually(lambda: delivered(running, "web", "quick") > 0 and delivered(running, "web", "slow") > 0, 20,
                           "rows")
            quick.freeze()
            slow.freeze()
            bed.eventually(lambda: problem(running, "web", "quick"), 10, "a failing sink")
            assert not problem(running, "web", "slow")
            quick.resume()
            slow.resume()
            bed.eventually(lambda: not problem(running, "web", "quick"), 20, "a working sink")
        (counts,) = running.totals().values()
        arrived = {name(record) for record in rows_of(subscriber.read_all())}
    assert counts["sinks"]["quick"]["delivered"] == counts["encoded"] == len(arrived)


# --- TLS ---


@pytest.fixture(name="certificates", scope="module")
def fixture_certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@shows("nats.tls.enabled", "nats.tls.ca_file", "nats.tls.verify", "nats.tls.server_name")
def test_certificates_that_must_be_refused(few, tmp_path, certificates):
    """Not a row to them."""
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(Nats(tls=getattr(certificates, kind)))
                   for kind in (*Certificates.REFUSED, "good")}
        ca_file = str(certificates.authority.certificate)
        sinks = {kind: nats_sink(server, tls={"enabled": True, "ca_file": ca_file})
                 for kind, server in servers.items()}
        sinks["renamed"] = nats_sink(servers["wrong_name"], tls={
            "enabled": True, "ca_file": ca_file, "server_name": "elsewhere.example"})
        sinks["trusting"] = nats_sink(servers["self_signed"], tls={"enabled": True, "verify": False})
        pipelines = {kind: pipeline(few, {"out": sink}) for kind, sink in sinks.items()}
        with daemon.Daemon(tmp_path, pipelines, settings=LIBRARY_THREADS) as running:
            for kind in Certificates.REFUSED:
                bed.eventually(lambda kind=kind: problem(running, kind), 20, f"a refusal of {kind}")
            for kind in ("good", "renamed", "trusting"):
                bed.eventually(lambda kind=kind: delivered(running, kind) > 0, 20,
                               f"rows to {kind}: {problem(running, kind)}")
            assert [delivered(running, kind) for kind in Certificates.REFUSED] == [0] * len(Certificates.REFUSED)
        for kind in ("expired", "not_yet", "other"):
            assert servers[kind].statistics()["in_msgs"] == 0


@shows("nats.tls.cert_file", "nats.tls.key_file")
def test_a_certificate_of_the_client(few, tmp_path, certificates):
    with Nats(tls=certificates.good, client_authority=certificates.authority) as server:
        tls = {"enabled": True, "ca_file": str(certificates.authority.certificate)}
        own = {"cert_file": str(certificates.client.certificate), "key_file": str(certificates.client.key)}
        pipelines = {"with": pipeline(few, {"out": nats_sink(server, tls={**tls, **own})}),
                     "without": pipeline(few, {"out": nats_sink(server, tls=tls)})}
        with daemon.Daemon(tmp_path, pipelines, settings={"global": IN_HASTE}) as running:
            bed.eventually(lambda: delivered(running, "with") > 0, 20, "rows")
            bed.eventually(lambda: problem(running, "without"), 20, "a refusal")
            assert delivered(running, "without") == 0


def test_a_file_that_cannot_be_read_is_an_error_at_the_start(few, tmp_path):
    with Nats() as server:
        sinks = {"out": nats_sink(server, credentials_file="/nowhere/xtcpd.creds")}
        path = tmp_path / "xtcpd.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "global": {"control": {"socket": str(tmp_path / "s")}},
                                        "pipelines": {"web": pipeline(few, sinks)}}))
        done = bed.xtcpd("run", "--config", path)
    assert done.returncode == 1 and "/nowhere/xtcpd.creds" in done.stderr, done.stderr
