"""The clickhouse sink, into tables of a ClickHouse: rows arrive once, errors are what they are."""
import pytest

import bed
import daemon
import steady
from servers import certificates as authority
from servers.clickhouse import ClickHouse

IN_HASTE = {"global": {"reload": {"drain_timeout": "0s"}}}
SECRET = "pw-kQ7zW3vX9p"
# TOO_MANY_PARTS, MEMORY_LIMIT_EXCEEDED, TIMEOUT_EXCEEDED, NETWORK_ERROR;
# UNKNOWN_TABLE, SYNTAX_ERROR, AUTHENTICATION_FAILED
TRANSIENT, FINAL = (252, 241, 159, 210), (60, 62, 516)


def sink(server, **more):
    return {"type": "clickhouse", "url": server.url, "retry": {"initial": "50ms", "max": "200ms"}, **more}


def pipeline(crowd, out, interval="200ms"):
    return {"interval": interval, "align": "none", "namespaces": crowd.selection, "sinks": {"out": out}}


def dropped(running):
    return {drop["reason"]: drop["rows"] for drop in running.sink("p", "out")["dropped"]}


def refusal(code, status=500):
    return {"status": status, "headers": {"X-ClickHouse-Exception-Code": str(code)},
            "body": f"Code: {code}. DB::Exception: because of it"}


@pytest.mark.parametrize("mode,encoding,compression", [
    ("io_uring", "protobuf_list", "none"), ("syscall", "protobuf_list", "zstd"), ("io_uring", "jsonl", "gzip")])
def test_every_row_arrives(steady_crowd, tmp_path, mode, encoding, compression):
    """steady.ROWS of them, several batches an insert, with the values of the jsonl of the same polls."""
    table = "xtcp_raw" if encoding == "protobuf_list" else "xtcp_text"
    with ClickHouse(user="xtcpd", password=SECRET) as server:
        out = sink(server, format=encoding, compression=compression, username="xtcpd", password=SECRET,
                   batch={"bytes": "4MiB", "max_age": "2s"}, queue={"when_full": "block"})
        one = steady.pipeline(steady_crowd, tmp_path, {"out": out}, reader={"mode": mode})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            steady.poll(running, "p")
            bed.eventually(lambda: running.sink("p", "out")["delivered"] >= steady.ROWS, 30, "all rows")
        reference = steady.reference(running, tmp_path, "p")
        inserts = server.inserts()
        assert server.count(table) == len(reference) >= steady.ROWS
        assert 2 <= len(inserts) < sum(map(len, reference)) / (3 << 20), "batches go together"
        settings = inserts[0]["settings"]
        assert settings["wait_for_async_insert"] == settings["async_insert"] == "1"
        assert len({insert["settings"]["insert_deduplication_token"] for insert in inserts}) == len(inserts)
        assert all(SECRET not in line for line in running.raw)
        assert server.differences(reference, table) == []


def test_an_insert_that_comes_twice_is_there_once(few, tmp_path):
    """Executed, and the answer lost: the same rows come again under the same token, although more wait by then."""
    for old in (False, True):
        with ClickHouse(old=old) as server:
            server.script({"how": "reset", "execute": True}, {"status": 503})
            out = sink(server, batch={"max_age": "500ms"})
            with daemon.Daemon(tmp_path / str(old), {"p": pipeline(few, out)}) as running:
                bed.eventually(lambda running=running: running.sink("p", "out")["delivered"] >= 200, 20, "delivered")
            totals = running.totals()["p"]["sinks"]["out"]
            assert server.count("xtcp_raw") == totals["delivered"] == totals["encoded"]
            tokens = [insert["settings"]["insert_deduplication_token"] for insert in server.inserts()]
            assert tokens[0] == tokens[1] == tokens[2] != tokens[3]


def test_errors_that_pass_are_tried_again_and_others_are_not(few, tmp_path):
    with ClickHouse() as server:
        server.script(*[refusal(code) for code in TRANSIENT], {"status": 503}, {"how": "reset"})
        one = pipeline(few, sink(server, batch={"max_age": "0s"}))
        with daemon.Daemon(tmp_path / "transient", {"p": one}) as running:
            bed.eventually(lambda: running.sink("p", "out")["delivered"] >= 40, 20, "delivered in the end")
            running.wait_for_log("Code: 252", "because of it")
        totals = running.totals()["p"]["sinks"]["out"]
        assert totals["dropped"] == 0 and server.count("xtcp_raw") == totals["encoded"]
    for code in FINAL:
        with ClickHouse() as server:
            server.script(refusal(code))
            one = pipeline(few, sink(server, batch={"max_age": "0s"}))
            with daemon.Daemon(tmp_path / str(code), {"p": one}) as running:
                bed.eventually(lambda running=running: running.sink("p", "out")["delivered"] >= 40, 20, "what follows")
                running.wait_for_log(f"Code: {code}", "because of it")
                assert set(dropped(running)) == {"rejected"}


def test_the_server_says_what_is_wrong(few, tmp_path):
    with ClickHouse(user="u", password=SECRET) as server:
        right = {"username": "u", "password": SECRET, "batch": {"max_age": "0s"}}
        wrong = {"table": sink(server, **{**right, "table": "nowhere"}),
                 "setting": sink(server, **right, settings={"no_such_setting": "1"}),
                 "login": sink(server, **{**right, "password": "wrong-" + SECRET})}
        words = {"table": "UNKNOWN_TABLE", "setting": "UNKNOWN_SETTING", "login": "AUTHENTICATION_FAILED"}
        for name, out in wrong.items():
            with daemon.Daemon(tmp_path / name, {"p": pipeline(few, out)}, settings=IN_HASTE) as running:
                running.wait_for_log("sink out", words[name], timeout=10)
                bed.eventually(lambda running=running: dropped(running), 20, "rejected")
                assert set(dropped(running)) == {"rejected"}
                assert SECRET not in "".join(running.raw)
        assert server.count("xtcp_raw") == 0


def test_only_the_right_certificate_is_sent_to(few, tmp_path):
    certificates = authority.Certificates(tmp_path / "certificates")
    for name in ("expired", "wrong_name", "self_signed", "good"):
        with ClickHouse(tls=getattr(certificates, name)) as server:
            out = sink(server, tls={"ca_file": str(certificates.authority.certificate)}, batch={"max_age": "0s"})
            with daemon.Daemon(tmp_path / name, {"p": pipeline(few, out)}, settings=IN_HASTE) as running:
                if name == "good":
                    bed.eventually(lambda running=running: running.sink("p", "out")["delivered"] >= 40, 10, "delivered")
                else:
                    running.wait_for_log("sink out", "certificate")
                    assert server.inserts() == []


def test_a_server_that_is_killed_again_and_again(steady_crowd, tmp_path):
    """Deduplication makes at least once exactly once."""
    with ClickHouse() as server:
        out = sink(server, batch={"bytes": "1MiB", "max_age": "300ms"}, queue={"bytes": "256MiB"})
        one = steady.pipeline(steady_crowd, tmp_path, {"out": out})
        with daemon.Daemon(tmp_path, {"p": one}) as running:
            for _ in range(2):
                steady.poll(running, "p", len(running.polls("p")) * steady.SOCKETS + 10_000)
                server.restart(down=0.5)
            bed.eventually(lambda: running.sink("p", "out")["queued_rows"] == 0, 40, "all is delivered")
        reference = steady.reference(running, tmp_path, "p")
        totals = running.totals()["p"]["sinks"]["out"]
        assert totals["delivered"] == totals["encoded"] == len(reference)
        assert server.differences(reference) == []
