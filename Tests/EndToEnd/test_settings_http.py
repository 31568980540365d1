"""The settings of sinks that send requests take effect at run time. See test_settings.py."""
import contextlib
import json
import socket
import urllib.parse

import pytest

import bed
import daemon
from servers import certificates as authority
from servers.http import Http, hang
from servers.ports import free_port
from shown import shows

IN_HASTE = {"global": {"reload": {"drain_timeout": "0s"}}}
KINDS = ("http", "clickhouse", "s3")


@pytest.fixture(name="certificates", scope="module")
def fixture_certificates(tmp_path_factory):
    return authority.Certificates(tmp_path_factory.mktemp("certificates"))


def of_all(*names):
    """The settings of these names of each kind."""
    return shows(*[f"{kind}.{name}" for kind in KINDS for name in names])


def sink(kind, url, **more):
    own = {"http": {"url": url}, "clickhouse": {"url": url, "batch": {"max_age": "0s"}},
           "s3": {"endpoint": url, "region": "r", "bucket": "rows", "access_key": "a", "secret_key": "s",
                  "path_style": True, "batch": {"max_age": "0s"}}}[kind]
    return {"type": kind, "retry": {"initial": "20ms", "max": "50ms"}, **own, **more}


def pipeline(few, out, interval="200ms"):
    return {"interval": interval, "align": "none", "namespaces": few.selection, "sinks": {"out": out}}


def requests_of(few, tmp_path, sinks):
    """{name: the first request of the sink by this name}, of one run of all of them."""
    found = {}
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Http()) for name in sinks}
        pipelines = {name: pipeline(few, make(servers[name].url)) for name, make in sinks.items()}
        with daemon.Daemon(tmp_path, pipelines) as running:
            bed.eventually(lambda: all(map(sent, servers.values())), 15, f"a request of each; log: {running.raw[-3:]}")
        for name, server in servers.items():
            request = sent(server)[0]
            found[name] = request.method, request.path, request.headers, request.raw, request.body
    return found


def sent(server):
    """Requests that bring rows."""
    return [request for request in server.accepted() if request.method != "GET"]


@shows("http.url", "http.method", "http.headers", "http.username", "http.password", "http.bearer_token",
       "http.batch_header")
def test_requests_of_http(few, tmp_path):
    found = requests_of(few, tmp_path, {
        "plain": lambda url: sink("http", url + "/a?b=c"),
        "put": lambda url: sink("http", url, method="PUT", headers={"X-A": "b"}, batch_header="X-Name"),
        "basic": lambda url: sink("http", url, username="u", password="p"),
        "bearer": lambda url: sink("http", url, bearer_token="t"),
    })
    assert found["plain"][:2] == ("POST", "/a?b=c") and found["put"][:2] == ("PUT", "/")
    assert "X-A" not in found["plain"][2] and found["put"][2]["X-A"] == "b"
    assert "X-Xtcpd-Batch-Id" in found["plain"][2] and "X-Xtcpd-Batch-Id" not in found["put"][2]
    assert found["put"][2]["X-Name"]
    assert "Authorization" not in found["plain"][2]
    assert found["basic"][2]["Authorization"] == "Basic dTpw" and found["bearer"][2]["Authorization"] == "Bearer t"


@shows("clickhouse.url", "clickhouse.database", "clickhouse.table", "clickhouse.username", "clickhouse.password",
       "clickhouse.format_schema", "clickhouse.settings")
def test_requests_of_clickhouse(few, tmp_path):
    def parameters(name):
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(inserts[name][1]).query))
    inserts = {}
    with Http() as server:
        more = {"database": "d", "table": "t`x", "username": "u", "password": "p", "format_schema": "a:B",
                "settings": {"async_insert": "0", "max_threads": "3"}}
        pipelines = {"plain": pipeline(few, sink("clickhouse", server.url + "/plain")),
                     "more": pipeline(few, sink("clickhouse", server.url + "/more", **more)),
                     "jsonl": pipeline(few, sink("clickhouse", server.url + "/jsonl", format="jsonl"))}
        with daemon.Daemon(tmp_path, pipelines):
            def each():
                for request in server.accepted():
                    if "INSERT" in request.path:
                        inserts.setdefault(urllib.parse.urlsplit(request.path).path[1:],
                                           (request.method, request.path, request.headers))
                return len(inserts) == 3
            bed.eventually(each, 15, "inserts")
    plain, told = parameters("plain"), parameters("more")
    assert plain["query"] == "INSERT INTO `xtcp_raw` FORMAT ProtobufList" and plain["database"] == "default"
    assert parameters("jsonl")["query"] == "INSERT INTO `xtcp_text` FORMAT JSONEachRow"
    assert plain["format_schema"] == "xtcp_flat_record:XtcpFlatRecord" and plain["async_insert"] == "1"
    assert told["query"] == "INSERT INTO `t\\`x` FORMAT ProtobufList" and told["database"] == "d"
    assert (told["format_schema"], told["async_insert"], told["max_threads"]) == ("a:B", "0", "3")
    assert "X-ClickHouse-User" not in inserts["plain"][2]
    assert inserts["more"][2]["X-ClickHouse-User"] == "u" and inserts["more"][2]["X-ClickHouse-Key"] == "p"


@shows("s3.endpoint", "s3.region", "s3.bucket", "s3.prefix", "s3.path_style", "s3.access_key", "s3.secret_key",
       "s3.session_token")
def test_requests_of_s3(few, tmp_path):
    found = requests_of(few, tmp_path, {
        "plain": lambda url: sink("s3", url),
        "other": lambda url: sink("s3", url, region="x-1", bucket="other", prefix="{pipeline}.", access_key="k",
                                  session_token="t"),
        "host": lambda url: sink("s3", url.replace("127.0.0.1", "localhost"), path_style=False),
    })
    assert found["plain"][1].startswith("/rows/xtcpd/pipeline%3Dplain/host%3D")
    assert found["other"][1].startswith("/other/other.")
    assert found["host"][1].startswith("/xtcpd/") and found["host"][2]["Host"].startswith("rows.localhost:")
    assert "Credential=a/" in found["plain"][2]["Authorization"] and "/r/s3/" in found["plain"][2]["Authorization"]
    assert "Credential=k/" in found["other"][2]["Authorization"] and "/x-1/s3/" in found["other"][2]["Authorization"]
    assert found["other"][2]["X-Amz-Security-Token"] == "t"
    # That the secret key signs is what test_sink_s3 shows with Amazon's own code.


@of_all("compression")
@pytest.mark.parametrize("kind", KINDS)
def test_bodies_are_compressed(few, tmp_path, kind):
    found = requests_of(few, tmp_path, {
        name: lambda url, name=name: sink(kind, url, compression=name, format="jsonl")
        for name in ("none", "gzip", "zstd")})
    for name, (_, path, headers, raw, body) in found.items():
        assert headers.get("Content-Encoding", "none") == name
        assert all(json.loads(line) for line in body.splitlines())
        assert name == "none" or len(raw) < len(body) / 3
        assert kind != "s3" or path.endswith({"none": ".jsonl", "gzip": ".gz", "zstd": ".zst"}[name])


@of_all("timeout", "stall_timeout")
def test_requests_take_so_long(few, tmp_path):
    """One impatient sink of each kind and setting, and a patient one of each kind."""
    long = {"timeout": "1h", "stall_timeout": "1h"}
    settings = {f"{kind}-{setting}": (kind, {**long, setting: "1s"}) for kind in KINDS for setting in long}
    settings |= {f"{kind}-patient": (kind, long) for kind in KINDS}
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Http(default=hang())) for name in settings}
        pipelines = {name: pipeline(few, sink(kind, servers[name].url, **times), "1h")
                     for name, (kind, times) in settings.items()}
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE):
            # libcurl takes the speed of the last five seconds, so that what stalls is noticed some seconds later.
            for name, server in servers.items():
                if not name.endswith("patient"):
                    bed.eventually(lambda server=server: len(server.requests) >= 3, 60, f"{name} tries again and again")
            assert all(len(servers[f"{kind}-patient"].requests) <= 2 for kind in KINDS)


@of_all("connect_timeout")
@pytest.mark.parametrize("kind", KINDS)
def test_connecting_takes_so_long(few, tmp_path, kind):
    """A listener whose queue is full does not answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        pipelines = {"hasty": pipeline(few, sink(kind, url, connect_timeout="300ms"), "1h"),
                     "patient": pipeline(few, sink(kind, url, connect_timeout="5m"), "1h")}
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE) as running:
            running.wait_for_log("sink out", "hasty")
            assert not any("sink out" in line and "patient" in line for line in running.raw)
        for client in waiting:
            client.close()


@of_all("tls.ca_file", "tls.cert_file", "tls.key_file", "tls.verify")
@pytest.mark.parametrize("kind", KINDS)
def test_connections_are_secured(few, certificates, tmp_path, kind):
    trusted = {"ca_file": str(certificates.authority.certificate)}
    shown = {**trusted, "cert_file": str(certificates.client.certificate), "key_file": str(certificates.client.key)}
    with Http(tls=certificates.good, client_authority=certificates.authority) as strict, \
            Http(tls=certificates.good) as server:
        settings = {"shown": (strict, shown), "not_shown": (strict, trusted), "trusted": (server, trusted),
                    "unknown": (server, {}), "unverified": (server, {"verify": False})}
        pipelines = {name: pipeline(few, sink(kind, peer.url, tls=tls)) for name, (peer, tls) in settings.items()}
        with daemon.Daemon(tmp_path, pipelines, settings=IN_HASTE) as running:
            right = ("shown", "trusted", "unverified")
            bed.eventually(lambda: all(running.sink(name, "out")["delivered"] >= 20 for name in right), 10, "delivered")
            assert all(running.sink(name, "out")["delivered"] == 0 for name in ("not_shown", "unknown"))


@of_all("batch.bytes", "batch.rows", "batch.max_age")
@pytest.mark.parametrize("kind", KINDS)
def test_batches_go_together(few, tmp_path, kind):
    """49 rows a poll."""
    limits = {"age": {"max_age": "1s", "bytes": "8MiB"}, "rows": {"max_age": "1h", "rows": 200, "bytes": "64MiB"},
              "bytes": {"max_age": "1h", "bytes": "256KiB"}, "none": {"max_age": "1h", "bytes": "8MiB"}}
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Http()) for name in limits}
        pipelines = {name: pipeline(few, sink(kind, servers[name].url, format="jsonl", batch=limit), "100ms")
                     for name, limit in limits.items()}
        with daemon.Daemon(tmp_path, pipelines):
            bed.eventually(lambda: all(len(sent(servers[name])) >= 2 for name in ("age", "rows", "bytes")), 20,
                           "requests")
            assert not sent(servers["none"])
        second = {name: sent(servers[name])[1].body for name in ("age", "rows", "bytes")}
        rows = {name: body.count(b"\n") for name, body in second.items()}
        assert 200 <= rows["rows"] < 300 and 5 <= rows["age"] / 49 <= 14, rows
        assert 256 << 10 <= len(second["bytes"]) < 512 << 10, len(second["bytes"])
