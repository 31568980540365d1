"""The http sink: rows arrive, refusals and time-outs are what they should be, and nothing secret is told."""
import json
import re
import socket
import time

import pytest
import yaml

import bed
import daemon
import received
import steady
from servers import certificates as authority
from servers.http import Answer, Http, busy, endless, hang, trickle
from servers.service import Service

SECRETS = {"password": "pw-kQ7zW3vX9p", "token": "tok-kQ7zW3vX9p", "header": "key-kQ7zW3vX9p"}
MODES = pytest.mark.parametrize("mode", ["io_uring", "syscall"])
IN_HASTE = {"global": {"reload": {"drain_timeout": "0s"}}}


class Server(Http):
    """Counts the connections that sent something, and answers as `behaviour(request)` says, if there is one."""

    def __init__(self, behaviour=None, **options):
        super().__init__(**options)
        self.behaviour, self.served = behaviour, 0

    def serve(self, connection):
        self.served += 1
        super().serve(connection)

    def answer(self, request):
        return self.behaviour(request) if self.behaviour else super().answer(request)


class Silent(Service):
    """Never answers; reads what comes, or not."""

    scheme = "http"

    def __init__(self, reads, **options):
        super().__init__(**options)
        self.reads, self.served = reads, 0

    def serve(self, connection):
        self.served += 1
        while self.alive and (not self.reads or connection.recv(1 << 16)):
            if not self.reads:
                time.sleep(0.02)


class EndlessHeaders(Service):
    scheme = "http"
    served = 0

    def serve(self, connection):
        self.served += 1
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


@pytest.fixture(name="certificates", scope="module")
def fixture_certificates(tmp_path_factory):
    return authority.Certificates(tmp_path_factory.mktemp("certificates"))


def pipeline(crowd, sink, *, mode="io_uring", interval="200ms", **sinks):
    retry = {"initial": "50ms", "max": "200ms"}
    return {"interval": interval, "align": "none", "namespaces": crowd.selection, "reader": {"mode": mode},
            "sinks": {"out": {"type": "http", "retry": retry, **sink}, **sinks}}


def sink_of(running, name="p"):
    return running.sink(name, "out")


def dropped(running, name="p"):
    return {drop["reason"]: drop["rows"] for drop in sink_of(running, name)["dropped"]}


@pytest.mark.parametrize("mode,encoding,compression", [
    ("io_uring", "jsonl", "none"), ("syscall", "jsonl", "none"), ("io_uring", "protobuf_list", "zstd"),
    ("syscall", "csv", "gzip")])
def test_every_row_arrives(steady_crowd, tmp_path, mode, encoding, compression):
    """steady.ROWS of them, with the values of the jsonl of the same polls."""
    with Server() as server:
        sink = {"type": "http", "url": server.url + "/rows?a=b", "format": encoding, "compression": compression,
                "queue": {"bytes": "64MiB", "when_full": "block"}}
        one = steady.pipeline(steady_crowd, tmp_path, {"out": sink}, reader={"mode": mode})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            steady.poll(running, "p")
            bed.eventually(lambda: sink_of(running)["delivered"] >= steady.ROWS, 30, "all rows")
        reference = steady.reference(running, tmp_path, "p")
        totals = running.totals()["p"]["sinks"]["out"]
        assert totals["delivered"] == totals["encoded"] == len(reference) >= steady.ROWS
        if encoding == "csv":
            report = received.compare_table(reference, encoding, server.read_all())
        else:
            report = received.compare(reference, received.lines(encoding, server.read_all(), tmp_path))
        report.check()
        assert server.served <= 3, "connections are kept"
        requests = server.accepted()
        kinds = {"jsonl": "application/x-ndjson", "protobuf_list": "application/x-protobuf"}
        assert requests[0].headers["Content-Type"].startswith(kinds.get(encoding, "text/csv"))
        assert requests[0].method == "POST" and requests[0].path == "/rows?a=b"
        assert requests[0].headers["User-Agent"].startswith("xtcpd/")
        names = [request.headers["X-Xtcpd-Batch-Id"] for request in requests]
        assert len(set(names)) == len(names) and all(re.fullmatch("[0-9a-f]{16}-[0-9]+", name) for name in names)


def test_statuses_say_what_becomes_of_rows(few, tmp_path):
    """2xx: delivered; 4xx: dropped by name; the others are tried again with the same batch id."""
    for status, reason in {201: None, 204: None, 400: "rejected", 403: "rejected", 413: "too_large"}.items():
        with Server(default=Answer(status, body=b"because" if status != 204 else b"")) as server:
            with daemon.Daemon(tmp_path / str(status), {"p": pipeline(few, {"url": server.url})}) as running:
                running.wait_for_polls(3)
                if reason:
                    bed.eventually(lambda running=running: dropped(running), 20, f"{status} drops")
                    assert set(dropped(running)) == {reason}
                    running.wait_for_log(str(status), "because")
                else:
                    bed.eventually(lambda running=running: sink_of(running)["delivered"] >= 40, 20, "delivered")
    for status in (302, 408, 429, 500, 503):
        with Server() as server:
            server.script(*[status] * 3)
            one = pipeline(few, {"url": server.url}, interval="1h")
            with daemon.Daemon(tmp_path / str(status), {"p": one}) as running:
                bed.eventually(lambda running=running: sink_of(running)["delivered"], 20, f"{status} is tried again")
            assert server.statuses() == [status] * 3 + [200]
            assert not running.totals()["p"]["sinks"]["out"]["dropped"]
            assert len({request.headers["X-Xtcpd-Batch-Id"] for request in server.requests}) == 1
            assert len({request.raw for request in server.requests}) == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(few, tmp_path, as_date):
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 4)) if as_date else 2
    with Server() as server:
        server.script(busy(retry_after=when))
        with daemon.Daemon(tmp_path, {"p": pipeline(few, {"url": server.url}, interval="1h")}) as running:
            bed.eventually(lambda: sink_of(running)["delivered"], 10, "delivered in the end")
        assert 1.8 <= server.requests[1].time - server.requests[0].time <= 4.2


def test_an_answer_is_read_so_far_and_no_farther(few, tmp_path):
    with Server(default=endless()) as server:
        with daemon.Daemon(tmp_path / "endless", {"p": pipeline(few, {"url": server.url})}) as running:
            bed.eventually(lambda: sink_of(running)["delivered"] >= 60, 10, "the status says that it has them")
            assert running.proc.peak_rss_mib < 100
    for name, server in {"trickle": Server(default=trickle()), "hang": Server(default=hang()),
                         "headers": EndlessHeaders()}.items():
        with server:
            one = pipeline(few, {"url": server.url, "timeout": "1500ms"}, interval="1h")
            with daemon.Daemon(tmp_path / name, {"p": one}, settings=IN_HASTE) as running:
                bed.eventually(lambda server=server: server.served >= 2, 10, f"{name}: it is tried again")
                assert sink_of(running)["delivered"] == 0
                assert running.proc.peak_rss_mib < 100


@MODES
@pytest.mark.parametrize("reads", [True, False])
def test_a_server_that_never_answers_is_given_up(steady_crowd, few, tmp_path, reads, mode):
    """And other pipelines do not notice."""
    with Silent(reads, receive_buffer=4096) as server, Server() as other:
        pipelines = {"p": pipeline(steady_crowd, {"url": server.url, "timeout": "1s"}, mode=mode, interval="1h"),
                     "q": pipeline(few, {"url": other.url}, mode=mode)}
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE) as running:
            bed.eventually(lambda: server.served >= 3, 10, "one attempt after the other")
            running.wait_for_log("sink out", "127.0.0.1", "timed out")
            assert sink_of(running)["delivered"] == 0
            bed.eventually(lambda: sink_of(running, "q")["delivered"] >= 100, what="rows of the other one")
            assert running.longest_gap("q") < 1


def test_a_server_that_does_not_read_stalls_and_is_left(steady_crowd, tmp_path):
    with Silent(reads=False, receive_buffer=4096) as server:
        one = pipeline(steady_crowd, {"url": server.url, "timeout": "1h", "stall_timeout": "1s"}, interval="1h")
        with daemon.Daemon(tmp_path, {"p": one}, settings=IN_HASTE) as running:
            bed.eventually(lambda: server.served >= 2, 15, "another attempt")
            assert sink_of(running)["delivered"] == 0


def test_a_server_that_comes_and_goes(few, tmp_path):
    """What it missed it gets when it is back. What it took without saying so comes twice."""
    with Server() as server:
        one = steady.pipeline(few, tmp_path, pipeline(few, {"url": server.url})["sinks"], interval="100ms")
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            running.wait_for_polls(3)
            for _ in range(5):
                server.kill()
                running.wait_for_polls(len(running.polls()) + 5)
                running.wait_for_log("Connection refused")
                server.start()
                held = len(server.accepted())
                bed.eventually(lambda held=held: len(server.accepted()) > held, 10, "it is back")
        totals = running.totals()["p"]["sinks"]["out"]
        assert totals["delivered"] == totals["encoded"]
        reference = steady.reference(running, tmp_path, "p")
        rows = [line for body in server.read_all() for line in body.splitlines()]
        received.compare(reference, rows).check(duplicates=True)


def test_who_asks_is_told(few, tmp_path):
    logins = {"basic": {"username": "u", "password": "p w"}, "bearer": {"bearer_token": "tok"}, "none": {}}
    with Server() as server:
        sinks = {name: pipeline(few, {"url": server.url + "/" + name, "method": "PUT", "batch_header": "none",
                                      "headers": {"X-One": "1 2", "Content-Type": "text/x"}, **login}, interval="1h")
                 for name, login in logins.items()}
        with daemon.Daemon(tmp_path, sinks) as running:
            bed.eventually(lambda: len(server.accepted()) == 3, 10, "three")
            assert running.verdicts() == []
        told = {request.path[1:]: request.headers for request in server.accepted()}
        assert told["basic"]["Authorization"] == "Basic dTpwIHc=" and told["bearer"]["Authorization"] == "Bearer tok"
        assert "Authorization" not in told["none"]
        assert all(headers["X-One"] == "1 2" and headers["Content-Type"] == "text/x" for headers in told.values())
        assert all("X-Xtcpd-Batch-Id" not in headers for headers in told.values())
        assert {request.method for request in server.accepted()} == {"PUT"}


@MODES
def test_only_the_right_certificate_is_sent_to(few, certificates, tmp_path, mode):
    for name in (*certificates.REFUSED, "good"):
        pair = getattr(certificates, name)
        with Server(tls=pair) as server:
            one = pipeline(few, {"url": server.url, "tls": {"ca_file": str(certificates.authority.certificate)}},
                           mode=mode)
            with daemon.Daemon(tmp_path / name, {"p": one}, settings=IN_HASTE) as running:
                if name == "good":
                    bed.eventually(lambda running=running: sink_of(running)["delivered"] >= 60, 10, "delivered")
                else:
                    running.wait_for_log("sink out", "certificate")
                    # Whom a certificate names is looked at when the handshake is over.
                    bed.eventually(lambda server=server: len(server.handshake_failures) + server.served >= 3, 10,
                                   "it is tried again")
                    assert not server.requests, name
    with Server(tls=certificates.self_signed) as server:
        one = pipeline(few, {"url": server.url, "tls": {"verify": False}}, mode=mode)
        with daemon.Daemon(tmp_path / "unverified", {"p": one}) as running:
            bed.eventually(lambda: sink_of(running)["delivered"] >= 20, 10, "delivered as asked")


def test_a_certificate_of_its_own_is_shown(few, certificates, tmp_path):
    with Server(tls=certificates.good, client_authority=certificates.authority) as server:
        tls = {"ca_file": str(certificates.authority.certificate)}
        shown = {**tls, "cert_file": str(certificates.client.certificate), "key_file": str(certificates.client.key)}
        pipelines = {"p": pipeline(few, {"url": server.url, "tls": shown}),
                     "q": pipeline(few, {"url": server.url, "tls": tls})}
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE) as running:
            bed.eventually(lambda: sink_of(running)["delivered"] >= 60, 10, "delivered")
            assert sink_of(running, "q")["delivered"] == 0


def test_a_file_that_is_missing_is_an_error_of_the_start(few, tmp_path):
    path = tmp_path / "xtcpd.yaml"
    one = pipeline(few, {"url": "https://127.0.0.1:1", "tls": {"ca_file": "/nowhere.pem"}})
    path.write_text(yaml.safe_dump({"version": 1, "pipelines": {"p": one}}))
    done = bed.xtcpd("run", "--config", path, timeout=20)
    assert done.returncode == 1 and "sink out: cannot read /nowhere.pem: No such file" in done.stderr


def test_no_secret_is_told_even_by_a_server_that_repeats_it(few, tmp_path):
    def echo(request):
        words = [value for _, value in request.headers.items()]
        return Answer(503, body=" ".join(words).encode())
    with Server(echo) as server:
        sinks = {
            "a": {"bearer_token": SECRETS["token"]},
            "b": {"username": "u", "password": SECRETS["password"]}, "c": {"headers": {"X-Key": SECRETS["header"]}}}
        pipelines = {name: pipeline(few, {"url": server.url, **sink}) for name, sink in sinks.items()}
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE) as running:
            bed.eventually(lambda: len(server.requests) >= 12, 10, "requests")
            running.wait_for_log("status 503")
            told = [running.get("/metrics")[1], json.dumps(running.status()), running.command("status").stdout]
        shown = "".join(told + running.raw)
        # Basic authentication is base64 of name and password.
        for secret in (*SECRETS.values(), "dTpwdy1rUTd6VzN2WDlw"):
            assert secret not in shown, [line for line in shown.splitlines() if secret in line][:3]


def test_an_unreachable_server_is_told_at_the_start(few, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with daemon.Daemon(tmp_path, {"p": pipeline(few, {"url": url}, interval="1h")}, settings=IN_HASTE) as running:
            running.wait_for_log("sink out", "refused", timeout=10)
