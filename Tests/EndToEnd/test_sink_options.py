"""Options of sinks that cannot be: errors of `xtcpd check` with a line and a column, and without a secret."""
import re

import pytest
import yaml

import bed
from test_secrets import SINKS

SECRET = "pw-kQ7zW3vX9p"
TLS = {"enabled": True}
# {type of sink: {case: (options, what the error says)}}
WRONG = {
    "file": {
        "relative": ({"path": "rows"}, "path"),
        "place": ({"path": "/x/{nothing}"}, "{nothing}"),
        "mode": ({"mode": "rw"}, "mode"),
        "size": ({"rotate": {"bytes": "1B"}}, "rotate.bytes"),
        "compression": ({"format": "parquet", "compression": "zstd"}, "`compression` is for the other formats"),
        "fsync": ({"fsync": "always"}, "fsync"),
        "another's": ({"password": SECRET}, "unknown key `password`"),
    },
    "tcp": {
        "address": ({"address": "nowhere"}, "a host and port"),
        "port": ({"address": "n:0"}, "a host and port"),
        "time": ({"send_timeout": "1ms"}, "send_timeout"),
        "key": ({"tls": {**TLS, "cert_file": "/c"}}, "needs `tls.key_file`"),
        "format": ({"format": "parquet"}, "does not write parquet"),
    },
    "unix": {"path": ({"path": "x"}, "path"), "tls": ({"tls": TLS}, "tls")},
    "udp": {
        "address": ({"address": "[::1"}, "a host and port"),
        "size": ({"max_datagram": "64KiB"}, "max_datagram"),
        "format": ({"format": "proto_json"}, "does not write proto_json"),
    },
    "unixgram": {"path": ({"path": ""}, "path"), "size": ({"max_datagram": 1}, "max_datagram")},
    "kafka": {
        "brokers": ({"brokers": ["nowhere"]}, "a host and port"),
        "topic": ({"topic": "no/slash"}, "the name of a topic"),
        "place": ({"topic": "x-{nothing}"}, "{nothing}"),
        "key": ({"key": "cookies"}, "key"),
        "size": ({"max_message_bytes": "1B"}, "max_message_bytes"),
        "password": ({"sasl": {"mechanism": "plain", "username": "u"}}, "needs `sasl.password`"),
        "mechanism": ({"sasl": {"password": SECRET}}, "is not used without `sasl.mechanism`"),
        "server name": ({"tls": {**TLS, "server_name": "x"}}, "server_name"),
    },
    "nats": {
        "server": ({"servers": ["nowhere"]}, "a host and port"),
        "subject": ({"subject": "xtcp.*"}, "a subject"),
        "user": ({"user": "u"}, "`user` needs `password`"),
        "both": ({"user": "u", "password": SECRET, "token": SECRET}, "exclude each other"),
        "in a line": ({"token": SECRET, "nothing": 1}, "nothing"),
        "names": ({"servers": ["a:4222", "b:4222"], "tls": TLS}, "need `tls.server_name`"),
    },
    "valkey": {
        "address": ({"address": "nowhere"}, "a host and port"),
        "place": ({"key": "xtcp.{nothing}"}, "{nothing}"),
        "no password": ({"username": "u"}, "`username` needs `password`"),
        "empty": ({"password": ""}, "it is empty"),
        "length": ({"command": "publish", "max_length": 5}, "`max_length` is of streams"),
        "command": ({"command": "lpush"}, "one of xadd, publish"),
    },
    "nsq": {
        "topic": ({"topic": "x/y"}, "a topic of 1 to 64"),
        "long": ({"topic": "x" * 60 + "#ephemeral"}, "a topic of 1 to 64"),
        "tls": ({"tls": TLS}, "tls"),
        "format": ({"format": "parquet"}, "does not write parquet"),
    },
    "http": {
        "url": ({"url": "ftp://n/"}, "url"),
        "misspelt": ({"pasword": SECRET}, "unknown key `pasword`"),
        "user in it": ({"url": f"http://u:{SECRET}@n/"}, "url"),
        "method": ({"method": "GET"}, "method"),
        "two ways": ({"username": "u", "password": SECRET, "bearer_token": SECRET}, "bearer_token"),
        "header": ({"headers": {"X-A": "b\nc"}}, "headers"),
    },
    "clickhouse": {
        "url": ({"url": "n:8123"}, "url"),
        "format": ({"format": "csv"}, "does not write csv"),
    },
    "s3": {
        "endpoint": ({"endpoint": "n"}, "endpoint"),
        "bucket": ({"bucket": "No"}, "bucket"),
        "key": ({"access_key": None}, "access_key"),
    },
}
CASES = [(kind, case) for kind, cases in WRONG.items() for case in cases]


def test_no_type_is_left_out():
    assert set(WRONG) == set(SINKS)


@pytest.mark.parametrize("kind,case", CASES, ids=[f"{kind}: {case}" for kind, case in CASES])
def test_wrong_options_are_errors_with_a_place(tmp_path, kind, case):
    options, words = WRONG[kind][case]
    sink = {key: value for key, value in {"type": kind, **SINKS[kind], **options}.items() if value is not None}
    path = tmp_path / "xtcpd.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "pipelines": {"web": {"sinks": {"out": sink}}}}))
    done = bed.xtcpd("check", "--config", path)
    assert done.returncode == bed.EXIT_INVALID_CONFIGURATION, done.stdout
    errors = [line for line in done.stderr.splitlines() if re.search(r"xtcpd.yaml:\d+:\d+: error", line)]
    assert any(words in line for line in errors), done.stderr
    assert SECRET not in done.stderr
