"""What stands behind `${env:}`, `${file:}` and `${credential:}` is nowhere to be seen but in rows."""
import contextlib
import json
import os
import re
import subprocess

import pytest
import yaml

import bed
import daemon
import shown
from servers.ports import free_port
from test_settings_delivery import full_disk

MARK = "kQ7zW3vX9p"
# Every one holds the mark at its beginning, so that one that is cut shows it too.
SHAPES = {
    "plain": MARK + "-plain", "long": (MARK + "-long-") * 12, "quoted": MARK + '"\'\\quoted',
    "spaced": MARK + " ü {[: ", "lines": MARK + "\nlines",
}


def assert_hidden(text, what):
    assert MARK not in text, (what, [line for line in text.splitlines() if MARK in line][:3])


@pytest.fixture(name="outside", params=["env", "file", "credential"])
def fixture_outside(request, tmp_path):
    return Outside(request.param, tmp_path)


class Outside:
    """One place that values come from."""

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, folder / "credentials"
        self.folder.mkdir(mode=0o700)
        self.environment = {**os.environ}
        if kind == "credential":
            self.environment["CREDENTIALS_DIRECTORY"] = str(self.folder)

    def put(self, name, value):
        """Puts a value there and says how a configuration spells it."""
        if self.kind == "env":
            self.environment[name.upper()] = value
            return f"${{env:{name.upper()}}}"
        (self.folder / name).write_text(value)
        return f"${{file:{self.folder}/{name}}}" if self.kind == "file" else f"${{credential:{name}}}"


# What a sink of each type needs at least.
SINKS = {
    "file": {"path": "/x"}, "unix": {"path": "/x"}, "unixgram": {"path": "/x"}, "udp": {"address": "n:1"},
    "tcp": {"address": "n:1"}, "kafka": {"brokers": ["n:1"], "topic": "t"},
    "nats": {"servers": ["n:1"], "subject": "s"}, "valkey": {"address": "n:1", "key": "k"},
    "nsq": {"address": "n:1", "topic": "t"}, "http": {"url": "http://n"}, "clickhouse": {"url": "http://n"},
    "s3": {"endpoint": "http://n", "region": "r", "bucket": "rows", "access_key": "a", "secret_key": "s"},
}


def configuration(**settings):
    return {"version": 1, **settings}


def with_value(path, value):
    """A configuration in which the setting at this path (as the tests of settings call it) has a value."""
    table, _, key = path.partition(".")
    for part in reversed(key.split(".")):
        value = {part: value}
    sink = {"type": "blackhole"}
    if table == "global":
        return configuration(**{"global": value}, pipelines={"p": {"sinks": {"o": sink}}})
    if table == "pipeline":
        return configuration(pipelines={"p": {"sinks": {"o": sink}, **value}})
    if table != "sink":
        sink = {"type": table, **SINKS[table]}
    return configuration(pipelines={"p": {"sinks": {"o": {**sink, **value}}}})


def test_no_setting_shows_what_it_was_given(outside, tmp_path):
    """Each setting gets a secret from each place, which is an error for most of them; and in a list, from one place."""
    path = tmp_path / "xtcpd.yaml"
    valid = 0
    names = sorted(shown.all_settings() - {"include", "defaults", "profiles", "sinks", "pipeline.sinks"})
    for number, name in enumerate(names):
        turn = number + ("env", "file", "credential").index(outside.kind)
        shape = list(SHAPES)[turn % len(SHAPES)]
        spelling = outside.put(shape, SHAPES[shape])
        for value in (spelling, [spelling]) if turn % 3 == 0 else (spelling,):
            path.write_text(yaml.safe_dump(with_value(name, value)))
            done = bed.xtcpd("check", "--config", path, "--format", "json", env=outside.environment)
            assert_hidden(done.stdout + done.stderr, name)
            if done.returncode == 0:
                valid += 1
                for command in (("config", "show", "--origin"), ("plan", "--against", path)):
                    again = bed.xtcpd(*command, "--config", path, env=outside.environment)
                    assert_hidden(again.stdout + again.stderr, (name, command))
    assert valid > 10


def test_selectors_and_text_output_neither(outside, tmp_path):
    path = tmp_path / "xtcpd.yaml"
    for shape, value in SHAPES.items():
        spelling = outside.put(shape, value)
        for selector in ({"name": spelling}, {"path": spelling}, {"cgroup": spelling}, {"pid": spelling}, spelling):
            path.write_text(yaml.safe_dump(with_value("pipeline.namespaces.include", [selector])))
            for command in (("check",), ("config", "show"), ("config", "show", "--origin"), ("run",)):
                if command == ("run",) and shape != "lines":
                    continue
                done = bed.xtcpd(*command, "--config", path, env=outside.environment) if command != ("run",) else (
                    subprocess.run(["timeout", "5", bed.BINARY, "run", "--config", path], env=outside.environment,
                                   capture_output=True, text=True, check=False))
                assert_hidden(done.stdout + done.stderr, (selector, command))


def everything_told(running, environment):
    """{what: text} of all that a daemon says of itself."""
    told = {"log": "".join(running.raw), "metrics": running.get("/metrics")[1], "health": running.get("/healthz")[1],
            "ready": running.get("/readyz")[1], "status": json.dumps(running.status(), ensure_ascii=False)}
    for command in (["status"], ["status", "--format", "json"], ["plan"], ["reload"]):
        done = running.command(*command, env=environment)
        told[" ".join(command)] = done.stdout + done.stderr
    told["cmdline"] = (running.proc.folder / "cmdline").read_text()
    told["threads"] = " ".join(running.thread_names())
    for file in (running.folder / "data").rglob("*"):
        # One that takes another's place bears another name before.
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            told[str(file)] = file.read_text(errors="replace")
    return told


def test_a_daemon_tells_it_to_nobody(outside, tmp_path):
    """One sink fails all the time, and its path is a secret; so are some columns, the only place where they show."""
    with full_disk(tmp_path / "full"):
        secret_folder = tmp_path / "full" / (MARK + "-folder")
        secret_folder.mkdir()
        texts = {key: outside.put(key, MARK + "-" + key) for key in ("label", "tag", "location", "hostname")}
        one = {
            "interval": "100ms", "align": "none", "label": texts["label"], "tag": texts["tag"],
            "namespaces": {"include": ["host", {"name": outside.put("name", MARK + "-*")}]},
            "retry": {"initial": "10ms", "max": "50ms", "give_up_after": "200ms"},
            "sinks": {"failing": {"type": "file", "path": outside.put("path", str(secret_folder / "rows.jsonl"))},
                      "fine": {"type": "file", "path": str(tmp_path / "rows.jsonl")}}}
        settings = {"global": {"location": texts["location"], "hostname": texts["hostname"],
                               "reload": {"settle": "0s", "drain_timeout": "1s"},
                               "log": {"level": "trace", "format": "json"}}}
        with daemon.Daemon(tmp_path, {"p": one}, settings=settings, environment=outside.environment) as running:
            running.wait_for_polls(3)
            bed.eventually(lambda: running.sink("p", "failing")["problem"], what="a failing sink")
            problem = running.sink("p", "failing")["problem"]
            assert "ENOSPC" in problem and "${" in problem, problem
            row = bed.records_of((tmp_path / "rows.jsonl").read_text().rpartition("\n")[0])[0]
            assert (row["label"], row["tag"]) == (MARK + "-label", MARK + "-tag")
            assert (row["location"], row["hostname"]) == (MARK + "-location", MARK + "-hostname")
            hide(running, outside)
            # Another value behind the same spelling, and another setting.
            if outside.kind != "env":
                outside.put("label", MARK + "-another")
                running.write({"p": {**one, "interval": "150ms"}})
                verdict = running.reload()
                assert verdict["result"] == "applied" and "label" in json.dumps(verdict), verdict
                assert_hidden(json.dumps(verdict), "verdict")
                hide(running, outside)
            # What goes speaks of its path until it has gone.
            plain = {**one, "sinks": {"fine": one["sinks"]["fine"]}}
            running.write({"p": plain})
            assert running.reload()["result"] == "applied"
            running.wait_for_log("sink failing of pipeline p has gone")
            hide(running, outside)
            # Refused, for the very value, or for what it names.
            for wrong in ({"interval": outside.put("label", MARK + "-label") if outside.kind == "env" else
                           outside.put("interval", MARK)},
                          {"sinks": {"f": {"type": "file", "path": texts["label"]}}},
                          {"sinks": {"f": {"type": "file", "path": nowhere(outside)}}}):
                running.write({"p": {**plain, **wrong}})
                verdict = running.reload()
                assert verdict["result"] == "refused", wrong
                assert_hidden(json.dumps(verdict), "verdict")
                hide(running, outside)
            held = (running.proc.folder / "environ").read_bytes().count(MARK.encode())
            put = sum(value.count(MARK) for value in outside.environment.values())
            assert held == put and (put > 0) == (outside.kind == "env")
        assert_hidden("".join(running.raw), "log")


def nowhere(outside):
    """A path that cannot be opened. The environment of a process that runs is what it is: there, one more key of it."""
    return "/no/such/" + (outside.put("nowhere", MARK + "/x") if outside.kind != "env" else "${env:TAG}/x")


def hide(running, outside):
    for what, text in everything_told(running, outside.environment).items():
        assert_hidden(text, what)


def test_the_end_and_a_failed_start_tell_nothing(outside, tmp_path):
    started = {}  # Some end by themselves, others after 2 s: all of them beside each other.
    for setting, value in (("control", {"socket": outside.put("socket", f"/proc/{MARK}/c.sock")}),
                           ("control", {"group": outside.put("group", MARK)}),
                           ("paths", {"proc": outside.put("proc", f"/nowhere/{MARK}")}),
                           ("paths", {"netns": [outside.put("netns", f"/nowhere/{MARK}")]}),
                           ("data_dir", outside.put("data", f"/proc/{MARK}"))):
        one = {"interval": "100ms", "align": "none", "namespaces": {"include": ["host"]},
               "sinks": {"o": {"type": "blackhole"}}}
        settings = {"global": {setting: value, "log": {"level": "trace", "format": "text"}}}
        broken = daemon.Daemon(tmp_path / re.sub(r"\W", "", str(value)), {"p": one}, settings=settings)
        started[str(value)] = broken, subprocess.Popen(
            ["timeout", "2", *broken.arguments], env=outside.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
    for value, (_, process) in started.items():
        told = process.communicate(timeout=60)[0]
        assert_hidden(told, value)
        assert told


def test_sinks_keep_what_they_log_in_with_to_themselves(outside, tmp_path):
    """Each fails all the time: nobody listens. Their names, their servers and their problems are told, not more."""
    def secret(name):
        return outside.put(name, f"{MARK}-{name}")
    port = free_port()
    server, url = f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"
    sinks = {
        "kafka": {"brokers": [server], "topic": "t", "timeout": "1s", "sasl": {
            "mechanism": "plain", "username": secret("ku"), "password": secret("kp")}},
        "nats": {"servers": [server], "subject": "s", "timeout": "1s", "user": secret("nu"), "password": secret("np")},
        "token": {"type": "nats", "servers": [server], "subject": "t", "timeout": "1s", "token": secret("nt")},
        "valkey": {"address": server, "key": "k", "username": secret("vu"), "password": secret("vp")},
        "nsq": {"address": server, "topic": "t", "secret": secret("qs")},
        "http": {"url": url, "username": secret("hu"), "password": secret("hp"), "headers": {"X-Key": secret("hh")}},
        "bearer": {"type": "http", "url": url + "/b", "bearer_token": secret("ht")},
        "clickhouse": {"url": url, "username": secret("cu"), "password": secret("cp"), "batch": {"max_age": "0s"}},
        "s3": {"endpoint": url, "region": "r", "bucket": "rows", "access_key": secret("sa"),
               "secret_key": secret("ss"), "session_token": secret("st"), "batch": {"max_age": "0s"}}}
    with bed.Population(namespaces=1, v4=5) as few:
        one = {"interval": "200ms", "align": "none", "namespaces": few.selection,
               "retry": {"initial": "10ms", "max": "50ms", "give_up_after": "400ms"},
               "sinks": {name: {"type": name, **sink} for name, sink in sinks.items()}}
        settings = {"global": {"reload": {"settle": "0s", "drain_timeout": "0s"},
                               "log": {"level": "trace", "format": "json"}}}
        with daemon.Daemon(tmp_path, {"p": one}, settings=settings, environment=outside.environment) as running:
            for name in sinks:
                bed.eventually(lambda name=name: running.sink("p", name).get("problem"), 20, f"{name} fails")
            told = everything_told(running, outside.environment)
    for what, text in told.items():
        assert_hidden(text, what)
    assert_hidden("".join(running.raw), "the log at the end")
