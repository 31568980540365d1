"""Every example is checked, follows the schema that editors use, and runs."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess

import pytest
import yaml

import bed
import daemon
import holder

FOLDER = bed.ROOT / "examples"
# {example: the pipelines that have rows in the test}
EXAMPLES = {
    "quickstart.yaml": {"sockets"}, "low-impact.yaml": {"host"}, "two-pipelines.yaml": {"host", "containers"},
    "tenants/xtcpd.yaml": {"platform", "tenant-07", "tenant-23"}, "fleet/xtcpd.yaml": {"host", "web"},
    "sinks/kafka.yaml": {"host", "listeners"}, "sinks/nats.yaml": {"host"},
    "sinks/valkey.yaml": {"host"}, "sinks/nsq.yaml": {"host"},
    "sinks/http.yaml": {"host"}, "sinks/clickhouse.yaml": {"host"}, "sinks/s3.yaml": {"host"},
}
# Their server is not there: what they have not sent when they stop is dropped by that name.
ALONE = {f"sinks/{name}.yaml" for name in ("kafka", "nats", "valkey", "nsq", "http", "clickhouse", "s3")}
READ_ALL = {"sockets", "containers", "platform"}
OTHERS = {"prometheus"}
SERVER = [["10.1.2.3", 443]]
CONNECTIONS = [["10.9.9.9", 40000 + number, "10.1.2.3", 443] for number in range(60)]


def test_no_example_is_left_out():
    found = {path.name for path in FOLDER.iterdir()}
    assert found == {name.partition("/")[0] for name in EXAMPLES} | OTHERS


def files(example):
    """The example and what it includes."""
    path = FOLDER / example
    return [path, *sorted(path.parent.glob("conf.d/*.yaml"))] if "/" in example else [path]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_valid(example):
    for command in (("check",), ("check", "--for", "cpus=8,nofile=65536,memlock=8MiB"), ("config", "show", "--origin")):
        done = bed.xtcpd(*command, "--config", FOLDER / example)
        assert done.returncode == 0 and "warning" not in done.stderr, done.stderr


def test_every_example_follows_the_schema(tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text(bed.xtcpd("schema", "config").stdout)
    # A checker of schemas knows no tags: `!override` is for who reads several files.
    plain = []
    for example in EXAMPLES:
        for path in files(example):
            plain.append(tmp_path / path.relative_to(FOLDER))
            plain[-1].parent.mkdir(parents=True, exist_ok=True)
            plain[-1].write_text(path.read_text().replace("!override ", ""))
    # All of them in one run: most of what the checker takes is its start.
    checker = bed.ROOT / ".venv/bin/check-jsonschema"
    followed = subprocess.run([checker, "--schemafile", schema, *plain], capture_output=True, text=True, check=False)
    assert followed.returncode == 0, followed.stdout


def quickened(value, output):
    """The same with short intervals, and with files below a folder of the test."""
    if isinstance(value, dict):
        return {key: "400ms" if key == "interval" else quickened(inner, output) for key, inner in value.items()}
    if isinstance(value, list):
        return [quickened(inner, output) for inner in value]
    return value.replace("/var/log/xtcpd", str(output)) if isinstance(value, str) else value


class Loader(yaml.SafeLoader):
    """Keeps `!override`."""


class Override:
    def __init__(self, value):
        self.value = value


Loader.add_constructor("!override", lambda loader, node: Override(loader.construct_scalar(node)))
yaml.SafeDumper.add_representer(
    Override, lambda dumper, override: dumper.represent_scalar("!override", override.value))


@pytest.fixture(name="sockets")
def fixture_sockets():
    """Connections in the host's namespace, in one of a web server and in those of two tenants."""
    with contextlib.ExitStack() as stack:
        for name in ("web", "tenant-07", "tenant-23"):
            stack.enter_context(holder.Holder(SERVER, CONNECTIONS, name=f"{name}-{os.getpid()}"))
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
        for _ in range(100):
            stack.enter_context(socket.create_connection(server.getsockname()))
            stack.enter_context(server.accept()[0])
        yield


@pytest.mark.usefixtures("sockets")
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example, tmp_path):
    """As it stands, but quicker, with its files below the folder of the test, and so that it can be asked."""
    output = tmp_path / "out"
    output.mkdir()
    for path in files(example)[1:]:
        (tmp_path / "conf.d").mkdir(exist_ok=True)
        part = quickened(yaml.load(path.read_text(), Loader), output)
        (tmp_path / "conf.d" / path.name).write_text(yaml.safe_dump(part))
    settings = quickened(yaml.load((FOLDER / example).read_text(), Loader), output)
    assert settings.pop("version") == 1
    of_process = settings.setdefault("global", {})
    of_process["log"] = {"level": "debug", "format": "json"}
    for key in ("control", "metrics", "data_dir"):
        of_process.pop(key, None)
    if example in ALONE:
        of_process["reload"] = {"drain_timeout": "300ms"}  # For a server that is not there.
    pipelines = settings.pop("pipelines")
    with daemon.Daemon(tmp_path, pipelines, settings=settings) as running:
        names = set(running.pipelines())
        for name in names:
            # What reads everything reads whatever else is on this host, at an interval that is not meant for it.
            (running.wait_for_polls if name in READ_ALL else running.wait_for_complete_polls)(1, name)
        for name in EXAMPLES[example]:
            bed.eventually(lambda name=name: running.pipelines()[name]["sockets"]["encoded"], 10, f"rows of {name}")
    assert EXAMPLES[example] <= names and len(names) == (51 if "tenants" in example else len(EXAMPLES[example]))
    for name, counts in running.totals().items():
        if name not in READ_ALL:
            dropped = "dropped_shutdown" if example in ALONE else "nothing"
            assert counts["failed"] < counts["polls"], name
            assert all(sink["dropped"] == sink.get(dropped, 0) for sink in counts["sinks"].values()), counts
    assert example == "quickstart.yaml" or all(path.stat().st_size for path in output.iterdir())


AS_PRINTED = """
set -e
mount -t tmpfs xtcpd-test /var/lib
mount -t tmpfs xtcpd-test "$1"
mkdir "$1/netns"
mount --rbind /run/netns "$1/netns"
mount --rbind "$1" /run
ip link set lo up
exec "$2" run --config "$3"
"""


def test_a_bit_of_everything_starts_as_printed(tmp_path):
    """Its own paths and its own port, in namespaces of mounts and of the network that the test makes."""
    (tmp_path / "run").mkdir()
    path = tmp_path / "xtcpd.yaml"
    shutil.copy(bed.ROOT / "Tests/EndToEnd/everything.yaml", path)
    with holder.Holder(SERVER, CONNECTIONS, name=f"cni-{os.getpid()}"), \
            holder.Holder(SERVER, CONNECTIONS, name=f"cni-test-{os.getpid()}"):
        process = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-c", AS_PRINTED, "sh", tmp_path / "run", bed.BINARY, path],
            stderr=subprocess.PIPE, text=True)
        root = pathlib.Path(f"/proc/{process.pid}/root")
        try:
            bed.eventually((root / "run/xtcpd/control.sock").exists, what="the control socket")

            def web():
                with daemon.Client(root / "run/xtcpd/control.sock") as client:
                    pipelines = client.ask({"command": "status"})["status"]["pipelines"]
                return pipelines[1] if pipelines[1]["sockets"]["encoded"] else None
            found = bed.eventually(web, 10, "rows of web")
            assert found["name"] == "web" and found["namespaces"] == 1 and found["mode"] == "io_uring"
            bed.eventually((root / "var/lib/xtcpd/last-good").exists, what="a last good configuration")
        finally:
            code = bed.end(process)
            log = process.stderr.read()
            process.stderr.close()
    assert code == 0, log
