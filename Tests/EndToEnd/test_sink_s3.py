"""The s3 sink, into a bucket of moto, which checks signatures and rights."""
import gzip
import json
import re
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import chdb
import pytest
import zstandard

import bed
import daemon
import received
import steady
from servers import certificates as authority
from servers.http import Answer, Http
from servers.s3 import REGION, S3

IN_HASTE = {"global": {"reload": {"drain_timeout": "0s"}}}
KEY = "AKIAkQ7zW3vX9p"
SECRET = "secret-kQ7zW3vX9p"
TOKEN = "token-kQ7zW3vX9p"


def sink(server, **more):
    keys = {"access_key": KEY, "secret_key": SECRET}
    if isinstance(server, S3):
        keys = {"access_key": server.access_key, "secret_key": server.secret_key}
    return {"type": "s3", "endpoint": server.url, "region": REGION, "bucket": "xtcp", "path_style": True,
            "retry": {"initial": "50ms", "max": "200ms"}, **keys, **more}


def pipeline(crowd, out, interval="200ms"):
    return {"interval": interval, "align": "none", "namespaces": crowd.selection, "sinks": {"out": out}}


def plain(key, data):
    if key.endswith(".gz"):
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if key.endswith(".zst") else data


@pytest.mark.parametrize("mode,encoding,compression,ending", [
    ("io_uring", "jsonl", "none", "jsonl"), ("syscall", "protobuf_list", "zstd", "pb.zst"),
    ("io_uring", "csv", "gzip", "csv.gz"), ("syscall", "parquet", "none", "parquet")])
def test_every_row_arrives(steady_crowd, tmp_path, mode, encoding, compression, ending):
    """steady.ROWS of them, with credentials that may write and nothing else."""
    with S3() as server:
        out = sink(server, format=encoding, compression=compression, batch={"bytes": "16MiB", "max_age": "10s"},
                   queue={"bytes": "64MiB", "when_full": "block"})
        one = steady.pipeline(steady_crowd, tmp_path, {"out": out}, reader={"mode": mode})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            steady.poll(running, "p")
        reference = steady.reference(running, tmp_path, "p")
        totals = running.totals()["p"]["sinks"]["out"]
        assert totals["delivered"] == totals["encoded"] == len(reference) >= steady.ROWS
        objects = server.read_all()
        for key in objects:
            shape = r"xtcpd/pipeline=p/host=[^/]+/date=\d{4}-\d\d-\d\d/hour=\d\d/[0-9a-f]{16}-\d+\." + re.escape(ending)
            assert re.fullmatch(shape, key), key
        told = server.describe(next(iter(objects)))
        assert told.get("ContentEncoding", "") == {"none": "", "gzip": "gzip", "zstd": "zstd"}[compression]
        bodies = [plain(key, data) for key, data in objects.items()]
        if encoding == "parquet":
            for number, body in enumerate(bodies):
                (tmp_path / f"{number}.parquet").write_bytes(body)
            found = chdb.query(f"SELECT count(), sum(inet_diag_msg_socket_cookie), sum(tcp_info_rtt) FROM "
                               f"file('{tmp_path}/*.parquet', Parquet)", "JSONCompactEachRow").bytes()
            rows = [json.loads(line) for line in reference]
            expected = [len(rows), *(sum(row.get(name) or 0 for row in rows)
                                     for name in ("inet_diag_msg_socket_cookie", "tcp_info_rtt"))]
            assert [int(number) for number in json.loads(found)] == expected
            return
        if encoding == "csv":
            report = received.compare_table(reference, encoding, bodies)
        else:
            report = received.compare(reference, received.lines(encoding, bodies, tmp_path))
        report.check()


def is_signed(request, secret=SECRET):
    """Signs the request anew with Amazon's own code and compares."""
    said = dict(part.split("=", 1) for part in request.headers["Authorization"].split(" ", 1)[1].split(", "))
    names = said["SignedHeaders"].split(";")
    url = f"http://{request.headers['Host']}{request.path}"
    again = botocore.awsrequest.AWSRequest(request.method, url,
                                           {name: request.headers[name] for name in names if name != "host"})
    again.context["timestamp"] = request.headers["X-Amz-Date"]
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(KEY, secret), "s3", REGION)
    canonical = signer.canonical_request(again)
    signature = signer.signature(signer.string_to_sign(again, canonical), again)
    return signature == said["Signature"] and {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names)


@pytest.mark.parametrize("token", [None, TOKEN])
def test_signatures_are_what_amazon_would_sign(few, tmp_path, token):
    with Http() as server:
        more = {"session_token": token} if token else {}
        out = sink(server, prefix="a b/ü=({date})/*'", batch={"max_age": "0s"}, compression="gzip", **more)
        with daemon.Daemon(tmp_path, {"p": pipeline(few, out)}) as running:
            bed.eventually(lambda: len(server.accepted()) >= 3, 10, "puts")
        for request in server.accepted():
            assert request.method == "PUT"
            assert urllib.parse.unquote(request.path).startswith("/xtcp/a b/ü=(")
            assert is_signed(request) and not is_signed(request, "another")
            assert request.headers.get("X-Amz-Security-Token") == token
            assert request.headers["Authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={KEY}/")


def test_what_is_tried_again_replaces_the_same_object(few, tmp_path):
    """Whatever the answer says, but for an object that is too large."""
    denied = Answer(403, body=f"<Error><Code>AccessDenied</Code><Message>{KEY} {SECRET}</Message></Error>".encode())
    with Http() as server:
        server.script(500, 503, denied, 404, 200)
        with daemon.Daemon(tmp_path / "again", {"p": pipeline(few, sink(server), "1h")}) as running:
            running.wait_for_polls(1)
        assert running.totals()["p"]["sinks"]["out"]["dropped"] == 0
        assert len({request.path for request in server.requests}) == 1 and len(server.requests) == 5
        assert len({request.raw for request in server.requests}) == 1
        running.wait_for_log("AccessDenied")
        assert SECRET not in "".join(running.raw) and KEY not in "".join(running.raw)
    large = Answer(400, body=b"<Error><Code>EntityTooLarge</Code></Error>")
    with Http(default=large) as server:
        one = pipeline(few, sink(server, batch={"max_age": "0s"}))
        with daemon.Daemon(tmp_path / "large", {"p": one}) as running:
            bed.eventually(lambda: running.sink("p", "out")["dropped"], 10, "dropped")
            assert {drop["reason"] for drop in running.sink("p", "out")["dropped"]} == {"too_large"}


def test_the_bucket_may_stand_before_the_host(few, tmp_path):
    """localhost is what each name below localhost is."""
    with Http() as server:
        out = sink(server, endpoint=f"http://localhost:{server.port}", path_style=False, batch={"max_age": "0s"})
        with daemon.Daemon(tmp_path, {"p": pipeline(few, out)}) as running:
            bed.eventually(server.accepted, 10, "a put")
            assert running.proc.threads >= 2
        request = server.accepted()[0]
        assert request.headers["Host"] == f"xtcp.localhost:{server.port}" and request.path.startswith("/xtcpd/")
        assert is_signed(request)


def test_only_the_right_certificate_is_sent_to(few, tmp_path):
    certificates = authority.Certificates(tmp_path / "certificates")
    for name in ("expired", "wrong_name", "self_signed", "good"):
        with Http(tls=getattr(certificates, name)) as server:
            out = sink(server, tls={"ca_file": str(certificates.authority.certificate)}, batch={"max_age": "0s"})
            with daemon.Daemon(tmp_path / name, {"p": pipeline(few, out)}, settings=IN_HASTE) as running:
                if name == "good":
                    bed.eventually(server.accepted, 10, "a put")
                else:
                    running.wait_for_log("sink out", "certificate")
                    assert not server.requests
