"""/metrics, /healthz and /readyz, and the alerts that are made of them."""
import contextlib
import http.client
import json
import re
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

import bed
from daemon import Daemon

PROMETHEUS = bed.ROOT / "examples/prometheus"
PIPELINE = {"interval": "500ms", "align": "none", "namespaces": {"include": ["all"]},
            "sinks": {"out": {"type": "blackhole"}, "full": {"type": "file", "path": "/dev/full", "format": "jsonl",
                                                       "retry": {"give_up_after": "0s"}}}}


class Silence:
    """A client that begins a request and waits, in a thread, for the end of the connection."""

    def __init__(self, daemon):
        self.client = socket.create_connection(place(daemon), 60)
        self.client.sendall(b"GET /metr")
        self.began, self.got, self.lasted = time.monotonic(), None, None
        self.thread = threading.Thread(target=self.wait)
        self.thread.start()

    def wait(self):
        self.got = self.client.recv(100)
        self.lasted = time.monotonic() - self.began

    def end(self):
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.client.close()


@pytest.fixture(name="silence", scope="module")
def fixture_silence(tmp_path_factory):
    """Begun with the first test and looked at by the last, so that nobody waits for 30 s; of a daemon of its own, whose
    clients are no others."""
    with Daemon(tmp_path_factory.mktemp("silence"), {"web": {**PIPELINE, "interval": "1h"}}) as daemon:
        silence = Silence(daemon)
        yield silence
        silence.end()


@pytest.fixture(name="daemon", scope="module")
def fixture_daemon(tmp_path_factory, still, silence):  # `silence`: to begin it.
    pipelines = {"web": {**PIPELINE, "namespaces": still.selection}, "other": PIPELINE}
    with Daemon(tmp_path_factory.mktemp("metrics"), pipelines) as daemon:
        daemon.wait_for_polls(2, "web")
        yield daemon


def place(daemon):
    host, port = daemon.http.removeprefix("http://").rsplit(":", 1)
    return host, int(port)


def exchange(daemon, data, timeout=5):
    """What comes back until the end of the connection, for bytes as they are."""
    with socket.create_connection(place(daemon), timeout) as client:
        try:
            client.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        got = b""
        try:
            while chunk := client.recv(65536):
                got += chunk
        except ConnectionResetError:
            pass
        return got


def test_promtool_finds_nothing(daemon):
    status, text = daemon.get("/metrics")
    assert status == 200
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr, done


def test_numbers_are_those_of_status(daemon):
    daemon.wait_for_polls(3, "web")
    before, metrics, after = (ask() for ask in (daemon.pipelines, daemon.metrics, daemon.pipelines))
    least, most = (status["web"]["polls"]["complete"] for status in (before, after))
    assert least <= metrics['xtcpd_polls_total{pipeline="web",result="complete"}'] <= most <= least + 3
    assert metrics['xtcpd_records_total{pipeline="web",outcome="encoded"}'] > 1000
    assert metrics['xtcpd_namespaces{pipeline="web",state="selected"}'] == 12
    assert metrics['xtcpd_sink_up{pipeline="web",sink="out"}'] == 1
    assert metrics['xtcpd_sink_up{pipeline="web",sink="full"}'] == 0
    assert metrics['xtcpd_records_dropped_total{pipeline="web",sink="full",reason="no_space"}'] > 1000
    assert metrics["process_threads"] == daemon.proc.threads
    # Those of a poll come and go in between.
    bed.eventually(lambda: abs(daemon.metrics()["process_open_fds"] - len(daemon.proc.descriptors())) <= 1,
                   what="the same number of descriptors")


def test_rule_1_holds_in_the_metrics(daemon):
    """Between two polls; a scrape may fall into one, so that it is tried a few times."""
    def holds():
        metrics = daemon.metrics()

        def total(prefix, **labels):
            wanted = [f'{key}="{value}"' for key, value in labels.items()]
            return sum(value for name, value in metrics.items()
                       if name.startswith(prefix + "{") and all(label in name for label in wanted))
        reported = total("xtcpd_sockets_reported_total", pipeline="web")
        encoded = total("xtcpd_records_total", pipeline="web", outcome="encoded")
        sums = [reported == total("xtcpd_records_total", pipeline="web")]
        for sink in ("out", "full"):
            told = sum(total(name, pipeline="web", sink=sink) for name in (
                "xtcpd_records_dropped_total", "xtcpd_records_in_flight"))
            told += total("xtcpd_sink_records_total", pipeline="web", sink=sink, outcome="delivered")
            sums.append(encoded == told)
        return all(sums)
    bed.eventually(holds, 10, "sums that agree")


def test_health(daemon):
    assert daemon.get("/healthz") == (200, "ok\n")
    # The other pipeline reads all namespaces, and those of other tests come and go.
    bed.eventually(lambda: daemon.get("/readyz") == (200, "ok\n"), 20, "ready, though a sink cannot deliver")


def test_not_ready_before_the_first_complete_poll(tmp_path):
    late = {**PIPELINE, "interval": "1h", "align": "wallclock"}
    with Daemon(tmp_path, {"late": late}) as daemon:
        bed.eventually(lambda: daemon.status()["pipelines"], what="a pipeline")
        status, text = daemon.get("/readyz")
        assert status == 503 and "late has not completed a poll" in text
        assert daemon.get("/healthz")[0] == 200


class TestHTTP:
    def test_what_is_not_there_is_404(self, daemon):
        assert daemon.get("/")[0] == 404 and daemon.get("/metrics/x")[0] == 404
        assert daemon.get("/metrics?a=b")[0] == 200

    def test_head_has_no_body(self, daemon):
        request = urllib.request.Request(daemon.http + "/metrics", method="HEAD")
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.status == 200 and int(response.headers["content-length"]) > 1000 and not response.read()

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_other_methods_are_405(self, daemon, method):
        connection = http.client.HTTPConnection(*place(daemon), timeout=5)
        connection.request(method, "/metrics", body="x" * 100)
        response = connection.getresponse()
        assert response.status == 405 and response.headers["allow"] == "GET, HEAD"
        response.read()
        # The connection is still good.
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        connection.close()

    def test_requests_may_follow_one_another(self, daemon):
        got = exchange(daemon, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" * 3
                       + b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert got.count(b"HTTP/1.1 200") == 4 and got.count(b"ok\n") == 4

    @pytest.mark.parametrize("data", [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        b"POST /metrics HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n" + b"a" * 1_000_000,
    ])
    def test_what_is_too_long_ends_the_connection(self, daemon, data):
        got = exchange(daemon, data)
        assert got == b"" or got.startswith(b"HTTP/1.1 4"), got[:100]
        assert daemon.get("/healthz")[0] == 200

    @pytest.mark.parametrize("data", [
        b"\x00\xff" * 100, b"HELLO\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\ncontent-length: -1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
    def test_garbage_is_refused(self, daemon, data):
        assert not exchange(daemon, data + b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert daemon.get("/healthz")[0] == 200

    def test_no_more_than_32(self, daemon):
        clients = [socket.create_connection(place(daemon), 5) for _ in range(32)]
        try:
            clients[-1].sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert clients[-1].recv(100).startswith(b"HTTP/1.1 200")
            with socket.create_connection(place(daemon), 5) as one_more:
                try:
                    assert one_more.recv(100) == b""
                except ConnectionResetError:
                    pass
        finally:
            for client in clients:
                client.close()

        def answers():
            try:
                return daemon.get("/healthz")[0] == 200
            except OSError:
                return False
        bed.eventually(answers, what="room for another client")

    def test_a_port_that_is_taken_is_an_error(self, daemon, tmp_path):
        settings = {"global": {"metrics": {"listen": "%s:%d" % place(daemon)}}}
        second = Daemon(tmp_path, {"web": PIPELINE}, settings=settings)
        done = subprocess.run(second.arguments, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1 and "metrics.listen" in done.stderr and "EADDRINUSE" in done.stderr

    def test_it_listens_on_ipv6(self, tmp_path):
        with Daemon(tmp_path, {"web": PIPELINE}, settings={"global": {"metrics": {"listen": "[::1]:0"}}}) as daemon:
            assert daemon.http.startswith("http://[::1]:") and daemon.get("/healthz")[0] == 200
            daemon.wait_for_polls(1)


class TestPrometheus:
    def promtool(self, *arguments):
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=PROMETHEUS, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_alerts_are_well_formed(self):
        self.promtool("check", "rules", "alerts.yaml")
        self.promtool("check", "config", "prometheus.yaml")

    def test_alerts_fire_when_they_should(self):
        self.promtool("test", "rules", "alerts-test.yaml")

    def test_alerts_use_metrics_that_there_are(self, daemon):
        names = set(re.findall(r"xtcpd_[a-z_]+", (PROMETHEUS / "alerts.yaml").read_text()))
        there = {name.split("{")[0] for name in daemon.metrics()}
        assert names <= there, names - there

    def test_a_real_one_scrapes_it(self, daemon, tmp_path):
        config = tmp_path / "prometheus.yaml"
        config.write_text((PROMETHEUS / "prometheus.yaml").read_text()
                          .replace("127.0.0.1:9088", daemon.http.removeprefix("http://"))
                          .replace("scrape_interval: 15s", "scrape_interval: 200ms\n  scrape_timeout: 200ms")
                          .replace("alerts.yaml", str(PROMETHEUS / "alerts.yaml")))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = open(tmp_path / "log", "wb")
        prometheus = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            def query(expression):
                url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.request.quote(expression)}"
                try:
                    with urllib.request.urlopen(url, timeout=5) as response:
                        return json.load(response)["data"]["result"]
                except OSError:
                    return []
            bed.eventually(lambda: query('up{job="xtcpd"} == 1'), 30, "a scrape that worked")
            rate = bed.eventually(
                lambda: query('rate(xtcpd_records_total{pipeline="web",outcome="encoded"}[10s]) > 0'), 20, "a rate")
            assert rate[0]["metric"]["outcome"] == "encoded"
            bed.eventually(
                lambda: query('histogram_quantile(0.99, rate(xtcpd_poll_duration_seconds_bucket[10s]))'), 20,
                "a quantile")
        finally:
            bed.end(prometheus)
            log.close()


def test_silence_ends_after_30_s(silence):
    silence.thread.join(60)
    assert silence.got == b"" and 28 < silence.lasted < 34
