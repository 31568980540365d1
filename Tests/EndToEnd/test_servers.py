"""The test bed of delivery proves itself: each server of servers/, by a client that is not xtcpd."""
import contextlib
import gzip
import http.client
import json
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.request

import botocore.exceptions
import confluent_kafka
import pytest
import redis
import zstandard
from nats import errors

import bed
import formats
from servers import certificates as authority
from servers import http as httpserver
from servers import clickhouse, datagrams, kafka, nats, nsq, relay, rsyslog, s3, streams, valkey


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return authority.Certificates(tmp_path_factory.mktemp("certificates"))


# --- Kafka ---


def producer(cluster, **settings):
    return confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5, "log_level": 0,
                                     "enable.idempotence": True, "reconnect.backoff.max.ms": 200, **settings})


def test_kafka_gives_back_what_was_produced():
    with kafka.Kafka({"xtcp": 8}, brokers=3) as cluster:
        client = producer(cluster, **{"compression.type": "zstd"})
        sent = {}
        for number in range(20_000):
            key, value = str(number).encode(), b"%d:" % number + b"x" * 1000
            client.produce("xtcp", value, key, headers={"schema": "1"})
            sent[key] = value
            client.poll(0)
        assert client.flush(20) == 0
        messages = cluster.read_all()
        assert {message.key: message.value for message in messages} == sent and len(messages) == len(sent)
        assert all(message.headers == {"schema": b"1"} for message in messages)
        client.produce("other", b"made by naming it")
        assert client.flush(10) == 0
        cluster.watch("other")
        assert len(cluster.read_all()) == len(sent) + 1


def test_kafka_brokers_go_and_come_back():
    with kafka.Kafka(brokers=2) as cluster:
        client = producer(cluster)
        client.produce("xtcp", b"before")
        assert client.flush(10) == 0
        cluster.down()
        client.produce("xtcp", b"while they are down")
        assert client.flush(1) == 1
        cluster.up()
        assert client.flush(20) == 0
        assert sorted(message.value for message in cluster.read_all()) == [b"before", b"while they are down"]
        errors = []
        cluster.fail_next(kafka.PRODUCE, kafka.MESSAGE_TOO_LARGE)
        client.produce("xtcp", b"refused", on_delivery=lambda error, _: errors.append(error))
        assert client.flush(10) == 0
        assert errors[0].code() == kafka.MESSAGE_TOO_LARGE and len(cluster.read_all()) == 2


def test_kafka_of_sixty_brokers():
    with kafka.Kafka({"xtcp": 60}, brokers=60) as cluster:
        assert len(set(cluster.addresses)) == 60
        client = producer(cluster, **{"bootstrap.servers": cluster.url})
        for number in range(60):
            client.produce("xtcp", b"%d" % number, partition=number)
        assert client.flush(20) == 0
        assert {message.partition for message in cluster.read_all()} == set(range(60))
        assert len(client.list_topics(timeout=10).brokers) == 60


# --- Valkey and Redis ---


@pytest.mark.parametrize("make", valkey.PROGRAMS)
def test_valkey_keeps_a_stream_over_a_kill(make):
    with valkey.Valkey(make, password="secret", user="xtcpd") as server:
        with server.client() as client, server.subscribe("rows.*") as subscriber:
            identity = client.xadd("rows", {"row": b"\x00\xff one"})
            client.publish("rows.live", b"\x00\xff")
            bed.eventually(subscriber.read_all, what="a published message")
            assert subscriber.read_all() == [("rows.live", b"\x00\xff")]
        port = server.port
        with server.subscribe("rows.*") as subscriber:
            server.kill()
            assert not server.is_ready()
            server.restart(down=0.1)

            def heard():
                with server.client() as client:
                    return client.publish("rows.live", "again") and subscriber.read_all()
            bed.eventually(heard, what="a subscription made again")
        assert server.port == port and server.read_all("rows") == [(identity, {b"row": b"\x00\xff one"})]
        with server.client(password="wrong") as client, pytest.raises(redis.exceptions.AuthenticationError):
            client.ping()


def test_redis_with_tls_shows_its_certificate(certificates):
    authority = str(certificates.authority.certificate)
    verified = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": authority}
    with valkey.Valkey(tls=certificates.good) as server:
        with server.client(**verified) as client:
            client.xadd("rows", {"row": "one"})
        assert len(server.read_all("rows")) == 1
    with valkey.Valkey(tls=certificates.expired) as server, server.client(**verified) as client:
        with pytest.raises(redis.exceptions.ConnectionError, match="expired"):
            client.ping()


# --- NATS ---


@pytest.mark.parametrize("release", nats.RELEASES)
def test_nats_keeps_a_stream_over_a_kill(release):
    with nats.Nats(release, user="xtcpd", password="secret") as server:
        server.make_stream("rows", "rows.>")

        async def publish(connection):
            for number in range(500):
                await connection.jetstream().publish("rows.host", b"%d\x00" % number, headers={"batch": str(number)})
            await connection.publish("core", b"\xff")
            await connection.flush()
        with server.subscribe("core") as subscriber, server.client() as client:
            client.call(publish)
            bed.eventually(subscriber.read_all, what="the message, before the connection breaks")
            server.kill()
            server.restart()
            assert [message.data for message in subscriber.read_all()] == [b"\xff"]
        found = server.read_all("rows")
        assert [message.data for message in found] == [b"%d\x00" % number for number in range(500)]
        assert found[7].headers["batch"] == "7"


@pytest.mark.parametrize("who", ["token", "credentials", "certificate"])
def test_nats_asks_who_connects(who, certificates):
    options = {"token": {"token": "secret"}, "credentials": {"credentials": True},
               "certificate": {"tls": certificates.good, "client_authority": certificates.authority}}[who]
    right = {"tls": certificates.client_context(certificates.client)} if who == "certificate" else {}
    with nats.Nats(**options) as server:
        with server.subscribe("rows", **right) as subscriber, server.client(**right) as client:
            client.call(lambda connection: connection.publish("rows", b"one"))
            client.call(lambda connection: connection.flush())
            assert [message.data for message in subscriber.read_all()] == [b"one"]
        wrong = {"tls": certificates.client_context()} if who == "certificate" else {"token": "x"}
        if who == "credentials":
            server.credentials = None
        before = server.statistics()["in_msgs"]
        with pytest.raises((OSError, errors.Error)), server.client(**wrong, once=True) as client:
            client.call(lambda connection: connection.publish("rows", b"two"))
            client.call(lambda connection: connection.flush())
        assert server.statistics()["in_msgs"] == before


# --- S3 ---


def test_s3_takes_what_is_signed_and_lets_a_writer_only_write():
    with s3.S3() as server:
        writer = server.client(key=(server.access_key, server.secret_key))
        writer.put_object(Bucket=server.bucket, Key="host=a/1.jsonl", Body=b"\x00one", ContentType="x/y")
        assert server.read_all() == {"host=a/1.jsonl": b"\x00one"}
        assert server.describe("host=a/1.jsonl")["ContentType"] == "x/y"
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            writer.list_objects_v2(Bucket=server.bucket)
        for key in ((server.access_key, "wrong"), ("AKIANOBODY", server.secret_key)):
            with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch|InvalidAccessKeyId"):
                server.client(key=key).put_object(Bucket=server.bucket, Key="2", Body=b"two")
        assert server.keys() == ["host=a/1.jsonl"]


# --- tcp, unix, udp, unixgram ---


def connected(server):
    client = socket.socket(socket.AF_UNIX if server.path else socket.AF_INET)
    client.settimeout(5)
    client.connect(server.path or ("127.0.0.1", server.port))
    return client


def finish(client):
    """Reads what TLS sent by itself (tickets): a socket closed with bytes unread sends RST, and what it had sent before
    may be lost."""
    if isinstance(client, ssl.SSLSocket):
        with contextlib.suppress(OSError):
            client.unwrap()


@pytest.mark.parametrize("tls", [False, True])
def test_rsyslog_writes_the_lines_that_came(tls, certificates):
    rows = [b'{"number":%d,"text":"\\u00e9 \xc3\xa9 \t x"}' % number + b"," * (number % 3000) for number in range(5000)]
    rows += [b"1,2,3", b"x" * 500_000]
    with rsyslog.Rsyslog(tls=certificates.good if tls else None) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            context = certificates.client_context()
            with context.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain as client:
                client.sendall(b"".join(row + b"\n" for row in rows))
                finish(client)
        bed.eventually(lambda: len(server.read_all()) >= len(rows), what="all lines")
        assert server.read_all() == rows
        server.restart()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            if not tls:
                client.sendall(b"after\n")
                bed.eventually(lambda: server.read_all()[-1] == b"after", what="a line after a restart")


@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
def test_streams_are_recorded_whole(kind, certificates, tmp_path):
    options = {"tcp": {}, "tls": {"tls": certificates.good}, "unix": {"path": tmp_path / "s"}}[kind]
    payload = bytes(range(256)) * 20_000
    with streams.StreamSink(**options) as server:
        for _ in range(2):
            with connected(server) as client:
                if kind == "tls":
                    client = certificates.client_context().wrap_socket(client, server_hostname="localhost")
                client.sendall(payload)
                finish(client)
                client.close()
        server.wait_for(2 * len(payload))
        assert server.read_all() == [payload, payload]
        # An earlier one that is still being put away is not the one to wait for.
        bed.eventually(lambda: not server.connections, what="the earlier ones have gone")
        held = connected(server)
        bed.eventually(lambda: server.connections, what="it is accepted")
        server.kill()
        if kind != "unix":
            with pytest.raises(ConnectionResetError):
                held.recv(1)
        with pytest.raises(OSError):
            connected(server)
        server.restart()
        connected(server).close()
        held.close()


def test_a_stream_is_closed_after_so_many_bytes():
    with streams.StreamSink(close_after=1000) as server, connected(server) as client:
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b"x" * 500)
        assert server.read_all() == [b"x" * 1000]


def test_peers_that_do_not_read_are_not_written_to_for_ever():
    with streams.Unread() as unread, streams.Trickle(pause=0.05) as trickle:
        for server in (unread, trickle):
            client = connected(server)
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.sendall(bytes(64 << 20))
            client.close()
        assert 1 <= trickle.received < 200
    with streams.Unaccepting() as server:
        held = server.fill()
        with pytest.raises(TimeoutError), socket.socket() as client:
            client.settimeout(0.3)
            client.connect(("127.0.0.1", server.port))
        for client in held:
            client.close()


def test_a_certificate_is_refused_before_any_payload(certificates):
    for name in certificates.REFUSED:
        with streams.StreamSink(tls=getattr(certificates, name)) as server, connected(server) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                certificates.client_context().wrap_socket(client, server_hostname="localhost")
            bed.eventually(lambda: server.handshake_failures, what=f"a failed handshake with {name}")
            assert server.received == 0
    with streams.StreamSink(tls=certificates.good, client_authority=certificates.authority) as server:
        with connected(server) as client:
            context = certificates.client_context(certificates.client)
            with context.wrap_socket(client, server_hostname="127.0.0.1") as secure:
                secure.sendall(b"payload")
                finish(secure)
        server.wait_for(7)


@pytest.mark.parametrize("unix", [False, True])
def test_a_burst_of_datagrams_is_kept(unix):
    count, payload = 20_000 if unix else 100_000, b"x" * 1200
    with datagrams.Datagrams(unix=unix) as server:
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(server.path if unix else ("127.0.0.1", server.port))
            for number in range(count):
                client.send(b"%06d" % number + payload)
        found = server.read_all()
        assert len(found) + server.dropped == count and len(found) > 0.99 * count
        assert len({datagram[:6] for datagram in found}) == len(found)


def test_dropped_datagrams_are_counted():
    with datagrams.Datagrams(receive_buffer=64 << 10) as server:
        server.pause()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(1000):
                client.sendto(bytes(1000), ("127.0.0.1", server.port))
        server.resume()
        assert len(server.read_all()) + server.dropped == 1000 and server.dropped > 500


# --- the relay ---


def test_a_relay_cuts_freezes_and_counts():
    with streams.StreamSink() as server, relay.Relay(server) as between:
        client = connected(between)
        client.sendall(b"x" * 100_000)
        server.wait_for(100_000)
        bed.eventually(lambda: between.to_server == 100_000, what="a count of bytes")
        between.freeze()
        client.sendall(b"held")
        frozen = connected(between)
        frozen.sendall(b"held too")
        time.sleep(0.2)
        assert server.received == 100_000
        between.resume()
        server.wait_for(100_012)
        between.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        between.cut()
        with pytest.raises(ConnectionRefusedError):
            connected(between)
        between.restore()
        between.throttle(1000)
        with connected(between) as slow:
            slow.sendall(bytes(5000))
            time.sleep(0.5)
            assert server.received < 100_012 + 3000
            between.throttle(None)
        server.wait_for(105_012)
        client.close()
        frozen.close()


def test_a_relay_ends_tls_and_counts_payload_alone(certificates):
    with streams.StreamSink() as server:
        with relay.Relay(server, tls=certificates.expired) as between, connected(between) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                certificates.client_context().wrap_socket(client, server_hostname="localhost")
            assert between.to_server == 0
        with relay.Relay(server, tls=certificates.good) as between, connected(between) as client:
            with certificates.client_context().wrap_socket(client, server_hostname="localhost") as secure:
                secure.sendall(b"payload")
                server.wait_for(7)
        assert between.to_server == 7


# --- HTTP ---


def post(server, body=b"", **headers):
    """(status, headers, body) of a POST by Python's client."""
    context = ssl._create_unverified_context() if server.context else None  # pylint: disable=protected-access
    kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
    connection = kind("127.0.0.1", server.port, timeout=5, **({"context": context} if context else {}))
    with contextlib.closing(connection):
        connection.request("POST", "/rows?x=1", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_http_records_and_answers_as_scripted(certificates):
    text = b'{"row":1}\n' * 1000
    with httpserver.Http(basic=("xtcpd", "secret"), tls=certificates.good) as server:
        who = {"Authorization": "Basic eHRjcGQ6c2VjcmV0"}
        server.script(httpserver.busy(429, retry_after=2), 503, httpserver.late(0.2))
        assert post(server, b"unauthorized")[0] == 401
        status, headers, _ = post(server, b"busy", **who)
        assert (status, headers["Retry-After"]) == (429, "2")
        assert post(server, b"busy", **who)[0] == 503
        started = time.monotonic()
        assert post(server, gzip.compress(text), **who, **{"Content-Encoding": "gzip"})[0] == 200
        assert time.monotonic() - started > 0.2
        frame = zstandard.ZstdCompressor().compressobj()
        packed = frame.compress(text) + frame.flush() + zstandard.compress(text)
        assert post(server, iter([packed[:10], packed[10:]]), **who, **{"Content-Encoding": "zstd"})[0] == 200
        assert server.read_all() == [text, text + text] and server.statuses() == [401, 429, 503, 200, 200]
        assert server.requests[3].path == "/rows?x=1" and server.requests[3].headers["Host"]


def test_http_answers_that_a_client_has_to_bound():
    with httpserver.Http() as server:
        server.script(httpserver.lost(), httpserver.trickle(pause=0.05), httpserver.endless(), httpserver.hang())
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            post(server, b"taken, and the answer lost")
        assert server.read_all() == [b"taken, and the answer lost"]
        for most in (10, 1 << 24):
            with urllib.request.urlopen(server.url, b"x", timeout=5) as answer:
                assert len(answer.read(most)) == most
        with pytest.raises(TimeoutError), urllib.request.urlopen(server.url, b"x", timeout=0.3):
            pass
        server.restart(down=0.1)
        assert post(server, b"after")[0] == 200 and server.read_all()[-1] == b"after"


# --- nsq ---

PYNSQ = """
import json, sys
import nsq, tornado.ioloop

port, loop = sys.argv[1], tornado.ioloop.IOLoop.current()
writer = nsq.Writer([f"127.0.0.1:{port}"], heartbeat_interval=1000)
got, answers = [], []

def take(message):
    got.append(message.body.decode())
    stop_at_the_end()
    return True

def told(connection, data):
    answers.append(repr(data))
    stop_at_the_end()

def stop_at_the_end():
    if len(got) == 3 and len(answers) == 2:
        loop.call_later(0.1, loop.stop)  # after the FIN of the last message

def publish():
    if not writer.conns:
        return loop.call_later(0.05, publish)
    writer.pub("rows", b"one", told)
    writer.mpub("rows", [b"two", b"three"], told)

nsq.Reader(message_handler=take, nsqd_tcp_addresses=[f"127.0.0.1:{port}"], topic="rows", channel="test",
           max_in_flight=2)
loop.call_later(0.05, publish)
loop.call_later(8, loop.stop)
loop.start()
print(json.dumps([got, answers]))
"""


def test_nsq_serves_pynsq():
    with nsq.Nsq() as server:
        done = subprocess.run([sys.executable, "-c", PYNSQ, str(server.port)], capture_output=True, text=True,
                              timeout=20, check=True)
        got, answers = json.loads(done.stdout)
        assert sorted(got) == ["one", "three", "two"] and answers == ["b'OK'", "b'OK'"], done.stderr
        assert server.read_all("rows") == [b"one", b"two", b"three"]
        assert {"IDENTIFY", "PUB", "MPUB", "SUB", "RDY", "FIN"} <= set(server.commands)


def test_nsq_refuses_what_nsqd_refuses():
    def ask(server, *commands):
        with connected(server) as client:
            client.sendall(b"  V2" + b"".join(commands))
            client.shutdown(socket.SHUT_WR)
            return client.makefile("rb").read()

    def sized(body):
        return struct.pack(">i", len(body)) + body

    with nsq.Nsq(max_message=100) as server:
        assert ask(server, b"PUB rows\n", sized(b"one")) == b"\0\0\0\x06\0\0\0\0OK"
        assert b"E_BAD_TOPIC" in ask(server, b"PUB a/b\n", sized(b"x"))
        assert b"E_BAD_MESSAGE" in ask(server, b"PUB rows\n", sized(bytes(101)))
        assert b"E_INVALID" in ask(server, b"GET / HTTP/1.1\n")
        two_and_more = struct.pack(">i", 2) + sized(b"x") + sized(b"y") + b"z"
        assert b"E_BAD_BODY" in ask(server, b"MPUB rows\n", sized(two_and_more))
        server.fail_next("E_PUB_FAILED")
        assert b"E_PUB_FAILED" in ask(server, b"PUB rows\n", sized(b"two"))
        with connected(server) as client:
            client.sendall(b"  V2IDENTIFY\n" + sized(b'{"heartbeat_interval":100}'))
            time.sleep(0.3)
            assert b"_heartbeat_" in client.recv(1000)
        server.restart()
        assert server.read_all("rows") == [b"one"]
    with nsq.Nsq(secret="s") as server:
        assert b"E_AUTH_FIRST" in ask(server, b"PUB rows\n", sized(b"x"))
        assert b"E_AUTH_FAILED" in ask(server, b"AUTH\n", sized(b"wrong"))
        assert ask(server, b"AUTH\n", sized(b"s"), b"PUB rows\n", sized(b"x")).endswith(b"OK")


# --- ClickHouse ---


def test_clickhouse_executes_what_is_inserted(tmp_path):
    schema = formats.compile_schema(tmp_path)
    envelope = schema.Envelope()
    for number in range(3):
        envelope.row.add(timestamp_ns=1_800_000_000_000_000_000 + number, hostname="a", poll_sequence=number + 1,
                         netns_cookie=1 << 63, inet_diag_msg_socket_source=bytes([192, 0, 2, number]))
    message = envelope.SerializeToString()
    raw = dict(insert_deduplication_token="batch-1", async_insert=1, wait_for_async_insert=1,
               format_schema="xtcp_flat_record:XtcpFlatRecord")
    text = b"".join(b'{"timestamp_ns":%d,"hostname":"b","poll_sequence":%d}\n' % (1_800_000_000_000_000_000, number)
                    for number in range(70_000))
    as_text = "INSERT INTO xtcp_text SETTINGS insert_deduplication_token = 'batch-2' FORMAT JSONEachRow"
    with clickhouse.ClickHouse(user="xtcpd", password="secret") as server:
        insert = "INSERT INTO xtcp_raw FORMAT ProtobufList"
        server.post(insert, bytes([len(message) & 0x7F | 0x80, len(message) >> 7]) + message, **raw)
        server.post(as_text, gzip.compress(text), headers={"Content-Encoding": "gzip"})
        server.restart()
        server.post(insert, bytes([len(message) & 0x7F | 0x80, len(message) >> 7]) + message, **raw)
        server.post(as_text, text)
        assert [insert["rows"] for insert in server.inserts()] == [0, 0], "the tokens are known, also after a kill"
        assert server.count("xtcp_raw") == 3 and server.count("xtcp_text") == 70_000
        server.post(as_text.replace("batch-2", "batch-3"), text[:text.index(b"\n") + 1])
        assert server.inserts()[-1]["rows"] == 1 and server.inserts()[-1]["settings"] == {
            "insert_deduplication_token": "batch-3"}
        found = server.read_all("xtcp_raw", "poll_sequence, netns_cookie, hex(inet_diag_msg_socket_source) AS source")
        assert sorted(row["source"] for row in found) == ["C0000200", "C0000201", "C0000202"]
        assert {row["netns_cookie"] for row in found} == {1 << 63} and server.count() == 70_004


def test_clickhouse_refuses_as_clickhouse_does():
    def refused(statement, body=b"", **options):
        with pytest.raises(clickhouse.ClickHouseError) as caught:
            server.post(statement, body, **options)
        return caught.value.status, caught.value.code

    insert, row = "INSERT INTO xtcp_text FORMAT JSONEachRow", b'{"timestamp_ns":1,"hostname":"a"}\n'
    with clickhouse.ClickHouse(password="secret", old=True) as server:
        assert refused(insert.replace("xtcp_text", "nowhere"), row) == (404, 60)
        assert refused(insert, row, no_such_setting=1) == (404, 115)
        assert refused(insert, b'{"timestamp_ns":"x"}\n')[0] == 400
        assert refused(insert, row, headers={"X-ClickHouse-Key": "wrong"}) == (403, 516)
        assert server.count("xtcp_text") == 0
        server.script({"status": 503}, {"how": "reset", "execute": True})
        assert refused(insert, row)[0] == 503
        with pytest.raises((OSError, http.client.HTTPException)):
            server.post(insert, row, insert_deduplication_token="t")
        server.post(insert, row, insert_deduplication_token="t")
        assert [insert["rows"] for insert in server.inserts()[-3:]] == [0, 1, 0]
        for more in ({}, {"async_insert_deduplicate": 1}):
            server.post(insert, row, insert_deduplication_token="t", async_insert=1, **more)
        assert [insert["rows"] for insert in server.inserts()[-2:]] == [1, 0]
