"""The kafka sink against librdkafka's mock cluster, read back by another client."""
import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

import bed
import daemon
import steady
from servers.certificates import Certificates
from servers.kafka import Kafka
from servers.relay import Relay
from shown import shows

MODES = ("io_uring", "syscall")
# Seconds without a server; `make soak` has more.
OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "4"))
# Where some sinks get rid of nothing, an end need not wait for them.
IN_HASTE = {"reload": {"drain_timeout": "200ms"}}
LIBRARY_THREADS = {"global": {"resources": {"library_threads": 200}, **IN_HASTE}}


@pytest.fixture(name="still_crowd", scope="module")
def fixture_still_crowd():
    """Some 5,000 sockets that stand still."""
    with bed.Population(namespaces=4, v4=500, v6=120) as population:
        yield population


def pipeline(crowd, sinks, mode="auto", **more):
    return {"interval": "1s", "align": "none", "namespaces": crowd.selection, "reader": {"mode": mode},
            "attributes": ["cong"], "sinks": sinks, **more}


def kafka_sink(kafka, **more):
    """It makes the pipeline wait: what is compared must all be there."""
    return {"type": "kafka", "brokers": kafka.addresses, "topic": "xtcp", "queue": {"when_full": "block"}, **more}


def file_sink(path):
    return {"type": "file", "path": str(path), "format": "jsonl", "queue": {"when_full": "block"}}


def problem(running, pipeline_name, sink="out"):
    return running.sink(pipeline_name, sink).get("problem") or ""


def name(record):
    return record["poll_sequence"], record["netns_cookie"], record["inet_diag_msg_socket_cookie"]


def by_name(records):
    named = {name(record): record for record in records}
    assert len(named) == len(records), "a record is there twice"
    return named


def rows_of(messages):
    return [record for message in messages for record in bed.records_of(message.value.decode())]


def library_threads(running):
    return [thread for thread in running.thread_names() if thread.startswith("rdk:")]


def clients(names):
    return sum(thread == "rdk:main" for thread in names)


def delivered(running, pipeline_name, sink="out"):
    return running.sink(pipeline_name, sink)["delivered"]


@shows("kafka.brokers", "kafka.topic")
@pytest.mark.parametrize("mode", MODES)
def test_every_record_arrives_with_its_values(still_crowd, tmp_path, mode):
    """steady.ROWS rows, as jsonl beside a file of the same polls."""
    with Kafka({"xtcp": 16}) as kafka:
        path = tmp_path / "rows.jsonl"
        sinks = {"out": kafka_sink(kafka, format="jsonl", compression="none"),
                 "file": file_sink(path)}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks, mode, interval="250ms")}) as running:
            bed.eventually(lambda: delivered(running, "web") >= steady.ROWS, 120, "all rows")
            assert sorted(library_threads(running))[-1] == "rdk:main"
            assert len(library_threads(running)) == 3, running.thread_names()
        messages = kafka.read_all()
    written = by_name(bed.records_of(path.read_text()))
    assert by_name(rows_of(messages)) == written
    assert len(written) >= steady.ROWS
    for message in messages:
        headers = {key: value.decode() for key, value in message.headers.items()}
        rows = rows_of([message])
        assert headers["hostname"] == rows[0]["hostname"] and headers["pipeline"] == "web"
        assert headers["format"] == "jsonl" and headers["schema"] == str(rows[0]["schema_version"])
        assert message.key is None
    ids = [message.headers["batch_id"] for message in messages]
    assert len(set(ids)) == len(ids)


@shows("kafka.key")
@pytest.mark.parametrize("mode", MODES)
def test_a_row_a_message_with_the_cookie_as_key(still_crowd, tmp_path, mode):
    with Kafka({"xtcp": 16}) as kafka:
        path = tmp_path / "rows.jsonl"
        sinks = {"out": kafka_sink(kafka, format="jsonl", key="cookie", compression="lz4"),
                 "file": file_sink(path)}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks, mode)}) as running:
            bed.eventually(lambda: delivered(running, "web") >= 8_000, 60, "8,000 rows")
        messages = kafka.read_all()
    for message in messages:
        (record,) = rows_of([message])
        assert message.key.decode() == str(record["inet_diag_msg_socket_cookie"])
    assert by_name(rows_of(messages)) == by_name(bed.records_of(path.read_text()))
    parts = [(message.headers["batch_id"], message.headers["part"]) for message in messages]
    assert len(set(parts)) == len(parts)


@shows("kafka.max_message_bytes")
def test_envelopes_are_cut_between_rows(still_crowd, tmp_path):
    """Each message is an envelope of its own, and none is longer than allowed."""
    with Kafka({"xtcp": 4, "host-web": 4}) as kafka:
        path = tmp_path / "rows.jsonl"
        sinks = {"out": kafka_sink(kafka, format="protobuf_list", max_message_bytes="32KiB", compression="zstd"),
                 "named": kafka_sink(kafka, topic="host-{pipeline}", format="protobuf_list", key="host",
                                     compression="gzip"),
                 "file": file_sink(path)}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks)}) as running:
            bed.eventually(lambda: delivered(running, "web") >= 6_000 and delivered(running, "web", "named") >= 6_000,
                           60, "rows")
        messages = kafka.read_all()
    written = by_name(bed.records_of(path.read_text()))
    cut = [message for message in messages if message.topic == "xtcp"]
    whole = [message for message in messages if message.topic == "host-web"]
    assert max(len(message.value) for message in cut) <= 32 << 10 < max(len(message.value) for message in whole)
    assert by_name(decoded(cut, tmp_path)) == written
    assert by_name(decoded(whole, tmp_path)) == written
    hostname = next(iter(written.values()))["hostname"]
    assert {message.key.decode() for message in whole} == {hostname}


def decoded(messages, folder):
    records = []
    for message in messages:
        path = folder / "message"
        path.write_bytes(message.value)
        done = bed.xtcpd("decode", "--format", "jsonl", path)
        assert done.returncode == 0, done.stderr
        records += bed.records_of(done.stdout)
    return records


def test_a_row_that_is_too_large_is_dropped_by_name(few, tmp_path):
    """And the rest of its batch arrives."""
    with Kafka({"xtcp": 4}) as kafka:
        # All attributes of a row in JSON have more than 1 KiB.
        sinks = {"out": kafka_sink(kafka, format="jsonl", max_message_bytes="1KiB")}
        with daemon.Daemon(tmp_path, {"web": pipeline(few, sinks, attributes="all")}) as running:
            bed.eventually(lambda: running.sink("web", "out")["dropped"], 20, "a drop")
            (drop,) = running.sink("web", "out")["dropped"]
        assert drop["reason"] == "too_large" and drop["rows"] > 0
        assert kafka.read_all() == []


@shows("kafka.timeout")
@pytest.mark.parametrize("mode", MODES)
def test_brokers_that_go_lose_nothing(still_crowd, tmp_path, mode):
    """Some seconds without a broker; the producer gives up sooner, and the sink's own retries go on."""
    with Kafka({"xtcp": 16}) as kafka:
        queue = {"bytes": "1MiB", "when_full": "block"}
        sinks = {"out": kafka_sink(kafka, format="jsonl", timeout="2s", queue=queue,
                                   retry={"initial": "100ms", "max": "1s"})}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks, mode)}) as running:
            bed.eventually(lambda: delivered(running, "web") >= 5_000, 60, "rows before")
            kafka.down()
            time.sleep(1)
            before = delivered(running, "web")
            bed.eventually(lambda: kafka.url in problem(running, "web"), 15, "a failing sink")
            time.sleep(OUTAGE - 1)
            assert delivered(running, "web") == before
            kafka.up()
            bed.eventually(lambda: delivered(running, "web") >= before + 10_000, 60, "rows after")
        (counts,) = running.totals().values()
        messages = kafka.read_all()
    assert counts["sinks"]["out"]["dropped"] == 0
    arrived = {name(record) for record in rows_of(messages)}
    # What is sent again may be there twice, never less than once.
    assert len(arrived) == counts["sinks"]["out"]["delivered"] == counts["encoded"]


def test_other_pipelines_do_not_notice(few, tmp_path):
    with Kafka({"xtcp": 4}) as kafka:
        kafka.down()
        sinks = {"out": kafka_sink(kafka, format="jsonl", timeout="1s", queue={"when_full": "block"})}
        pipelines = {"web": pipeline(few, sinks),
                     "other": pipeline(few, {"out": {"type": "blackhole"}}, interval="200ms")}
        with daemon.Daemon(tmp_path, pipelines) as running:
            running.wait_for_polls(20, "other")
            assert delivered(running, "web") == 0
            skipped = running.metrics()['xtcpd_polls_total{pipeline="other",result="skipped"}']
            kafka.up()
            bed.eventually(lambda: delivered(running, "web") > 0, 30, "rows")
        # A machine that is busy with others may be late for one; a pipeline that waits is late for all.
        assert skipped <= 2


def test_fifty_pipelines_share_a_producer(few, tmp_path):
    """Two threads and one for each of three brokers, whatever the number of pipelines; and none of ours more."""
    with Kafka({"xtcp": 4}, brokers=3) as kafka:
        def configured(count):
            return {f"web{number}": pipeline(few, {"out": kafka_sink(kafka, format="jsonl")})
                    for number in range(count)}
        settings = {"global": {"resources": {"threads": 3, "memory": "1GiB"}}}
        with daemon.Daemon(tmp_path, configured(50), settings=settings) as running:
            bed.eventually(lambda: all(sink["delivered"] > 0 for report in running.pipelines().values()
                                       for sink in report["sinks"]), 60, "rows of every pipeline")
            names = running.thread_names()
            assert clients(names) == 1, names
            assert len(library_threads(running)) == 2 + 3, names
            assert len(names) - len(library_threads(running)) == 3, names
            assert running.metrics()['xtcpd_threads{kind="library"}'] == 5
            # A pipeline less, a pipeline more: the producer stays.
            threads = set(task.name for task in (running.proc.folder / "task").iterdir())
            assert running.reload_with(configured(49))["result"] == "applied"
            changed = configured(50)
            changed["web3"]["sinks"]["out"]["topic"] = "other"
            assert running.reload_with(changed)["result"] == "applied"
            bed.eventually(lambda: delivered(running, "web49") > 0 and delivered(running, "web3") > 0, 30, "rows")
            assert set(task.name for task in (running.proc.folder / "task").iterdir()) == threads


def test_a_cluster_of_too_many_brokers_stops_its_client(few, tmp_path):
    """By name, and nothing else."""
    with Kafka({"xtcp": 4}, brokers=60) as big, Kafka({"xtcp": 4}) as small:
        sinks = {"out": kafka_sink(big, brokers=[big.url], format="jsonl"), "small": kafka_sink(small, format="jsonl")}
        pipelines = {"web": pipeline(few, sinks), "other": pipeline(few, {"out": {"type": "blackhole"}})}
        settings = {"global": {"resources": {"library_threads": 16}}}
        with daemon.Daemon(tmp_path, pipelines, settings=settings) as running:
            error = bed.eventually(lambda: problem(running, "web"), 20, "a failing sink")
            assert "kafka client of sink(s) out" in error and "library threads" in error, error
            assert "raise resources.library_threads" in error, error
            bed.eventually(lambda: len(library_threads(running)) == 3, 20, "the client has gone")
            before = delivered(running, "web", "small"), delivered(running, "other")
            bed.eventually(lambda: delivered(running, "web", "small") > before[0]
                           and delivered(running, "other") > before[1], 20, "rows of the others")
            # With room for it the same configuration works.
            settings["global"]["resources"]["library_threads"] = 80
            assert running.reload_with(pipelines, settings)["result"] == "applied"
            bed.eventually(lambda: delivered(running, "web") > 0, 40, "rows")


def test_what_libraries_need_is_summed_before_the_start(few, tmp_path):
    sinks = {f"out{number}": {"type": "kafka", "brokers": [f"127.0.0.1:{9000 + number}"], "topic": "xtcp"}
             for number in range(4)}
    sinks["twin"] = dict(sinks["out0"], topic="other")
    path = tmp_path / "xtcpd.yaml"
    settings = {"version": 1, "global": {"resources": {"library_threads": 11}},
                "pipelines": {"web": pipeline(few, sinks)}}
    path.write_text(json.dumps(settings))
    refused = bed.xtcpd("check", "--config", path)
    assert refused.returncode == bed.EXIT_INVALID_CONFIGURATION
    assert "library threads: budget 11, asked 12 = 12 librdkafka (4 clients)" in refused.stderr + refused.stdout
    settings["global"]["resources"]["library_threads"] = 12
    path.write_text(json.dumps(settings))
    accepted = bed.xtcpd("check", "--config", path)
    assert accepted.returncode == 0, accepted.stderr
    assert "library threads: 12" in accepted.stdout + accepted.stderr


# --- TLS, SASL ---


@pytest.fixture(name="certificates", scope="module")
def fixture_certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def secured(relay, **tls):
    """The mock speaks no TLS: what it is asked for comes through the relay, its brokers cannot be reached."""
    return {"type": "kafka", "brokers": [f"localhost:{relay.port}"], "topic": "xtcp", "timeout": "1s",
            "tls": {"enabled": True, **tls}}


@shows("kafka.tls.enabled", "kafka.tls.ca_file", "kafka.tls.verify")
def test_certificates_that_must_be_refused(few, tmp_path, certificates):
    """Not a byte of payload to them; to the good one, and without verification to anybody."""
    with Kafka() as kafka, contextlib.ExitStack() as stack:
        relays = {kind: stack.enter_context(Relay(kafka.port, tls=getattr(certificates, kind)))
                  for kind in (*Certificates.REFUSED, "good")}
        authority = str(certificates.authority.certificate)
        sinks = {kind: secured(relay, ca_file=authority) for kind, relay in relays.items()}
        relays["trusting"] = stack.enter_context(Relay(kafka.port, tls=certificates.self_signed))
        sinks["trusting"] = secured(relays["trusting"], verify=False)
        with daemon.Daemon(tmp_path, {"web": pipeline(few, sinks)}, settings=LIBRARY_THREADS) as running:
            for kind in Certificates.REFUSED:
                bed.eventually(lambda kind=kind: "certificate" in problem(running, "web", kind).lower(), 20,
                               f"a refusal of {kind}: {problem(running, 'web', kind)}")
            for kind in ("good", "trusting"):
                bed.eventually(lambda kind=kind: relays[kind].to_server > 0, 20, f"bytes to {kind}")
        assert {kind: relays[kind].to_server for kind in Certificates.REFUSED} == dict.fromkeys(Certificates.REFUSED, 0)


@shows("kafka.tls.cert_file", "kafka.tls.key_file")
def test_a_certificate_of_the_client(few, tmp_path, certificates):
    with Kafka() as kafka, \
            Relay(kafka.port, tls=certificates.good, client_authority=certificates.authority) as relay, \
            Relay(kafka.port, tls=certificates.good, client_authority=certificates.authority) as without:
        authority = str(certificates.authority.certificate)
        own = {"cert_file": str(certificates.client.certificate), "key_file": str(certificates.client.key)}
        sinks = {"with": secured(relay, ca_file=authority, **own), "without": secured(without, ca_file=authority)}
        with daemon.Daemon(tmp_path, {"web": pipeline(few, sinks)}, settings=LIBRARY_THREADS) as running:
            bed.eventually(lambda: relay.to_server > 0, 20, "bytes")
            bed.eventually(lambda: problem(running, "web", "without"), 20, "a refusal")
        assert without.to_server == 0


@shows("kafka.sasl.mechanism", "kafka.sasl.username", "kafka.sasl.password")
@pytest.mark.parametrize("mechanism", ["plain", "scram_sha_256", "scram_sha_512"])
def test_who_produces(few, tmp_path, mechanism):
    """What a broker is told, and what it refuses; the password is nowhere else."""
    with Refuser() as broker:
        sasl = {"mechanism": mechanism, "username": "the-user", "password": "s3cret-of-kafka"}
        sinks = {"out": {"type": "kafka", "brokers": [f"127.0.0.1:{broker.port}"], "topic": "xtcp", "timeout": "1s",
                         "sasl": sasl}}
        with daemon.Daemon(tmp_path, {"web": pipeline(few, sinks)}, settings={"global": IN_HASTE}) as running:
            bed.eventually(lambda: broker.mechanisms and broker.tokens, 20, "an attempt")
            bed.eventually(lambda: "SASL" in problem(running, "web"), 20, "a refusal")
            assert "s3cret" not in running.get("/metrics")[1] + json.dumps(running.status())
        assert "s3cret" not in "".join(running.raw)
    assert broker.mechanisms[0] == {"plain": "PLAIN", "scram_sha_256": "SCRAM-SHA-256",
                                    "scram_sha_512": "SCRAM-SHA-512"}[mechanism]
    token = broker.tokens[0]
    assert token == b"\0the-user\0s3cret-of-kafka" if mechanism == "plain" else token.startswith(b"n,,n=the-user,r=")


class Refuser:
    """A broker that lets nobody in: it answers ApiVersions, SaslHandshake and SaslAuthenticate of the Kafka protocol,
    the last with an error. A context manager."""

    API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36

    def __enter__(self):
        self.mechanisms, self.tokens = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, struct.error), connection:
            while True:
                request = self._read(connection, struct.unpack(">i", self._read(connection, 4))[0])
                api, version, correlation, length = struct.unpack_from(">hhih", request)
                answer = self._answer(api, version, request[10 + max(0, length):])
                connection.sendall(struct.pack(">ii", len(answer) + 4, correlation) + answer)

    @staticmethod
    def _read(connection, count):
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise OSError("the end")
            data += more
        return data

    def _answer(self, api, version, body):
        if api == self.API_VERSIONS:
            ranges = b"".join(struct.pack(">hhh", key, 0, highest)
                              for key, highest in ((self.API_VERSIONS, 0), (self.HANDSHAKE, 1), (self.AUTHENTICATE, 0),
                                                   (3, 2), (0, 7), (22, 1)))
            # UNSUPPORTED_VERSION has the client ask again with version 0.
            return struct.pack(">hi", 35 if version > 0 else 0, 6) + ranges
        if api == self.HANDSHAKE:
            name = body[2:].decode()
            self.mechanisms.append(name)
            return struct.pack(">hih", 0, 1, len(name)) + name.encode()
        self.tokens.append(body[4:])
        # SASL_AUTHENTICATION_FAILED with its words and no bytes.
        words = b"who are you"
        return struct.pack(">hh", 58, len(words)) + words + struct.pack(">i", 0)


# --- the rest of the settings ---


@shows("kafka.linger")
def test_a_message_waits_for_others(few, tmp_path):
    with Kafka({"xtcp": 1}) as kafka:
        sinks = {"out": kafka_sink(kafka, linger="3s")}
        with daemon.Daemon(tmp_path, {"web": pipeline(few, sinks, interval="30s")}) as running:
            running.wait_for_polls(1)
            started = time.monotonic()
            time.sleep(2)
            assert delivered(running, "web") == 0
            bed.eventually(lambda: delivered(running, "web") > 0, 20, "rows")
            assert time.monotonic() - started > 2.5


@shows("kafka.compression")
@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_messages_are_compressed(still_crowd, tmp_path, compression):
    """What passes a relay that stands for the one broker."""
    with Kafka({"xtcp": 1}) as kafka:
        sinks = {"out": kafka_sink(kafka, compression=compression)}
        with daemon.Daemon(tmp_path, {"web": pipeline(still_crowd, sinks, interval="30s")}) as running:
            bed.eventually(lambda: delivered(running, "web") >= 2_000, 60, "rows")
            sent = bytes_sent(running)
        size = sum(len(message.value) for message in kafka.read_all())
    assert sent > size if compression == "none" else sent < size / 2


def bytes_sent(running):
    """Of all its TCP connections."""
    found = subprocess.run(["ss", "-tinpH"], capture_output=True, text=True, check=True).stdout
    return sum(int(match.group(1)) for owner, numbers in zip(found.splitlines()[::2], found.splitlines()[1::2])
               if f"pid={running.process.pid}," in owner
               for match in [re.search(r"bytes_sent:(\d+)", numbers)] if match)
