"""What a user meets first: check, the schemas, exit codes."""
import json
import os
import pathlib
import subprocess

import pytest
import yaml

import bed


def check(folder, text):
    file = folder / "xtcpd.yaml"
    file.write_text(text)
    done = bed.xtcpd("check", "--config", file, timeout=20)
    return done.returncode, done.stdout + done.stderr


def test_quickstart_prints_records_as_make_run_shows_them():
    process = subprocess.Popen([bed.BINARY, "run", "--config", bed.ROOT / "examples/quickstart.yaml"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    row = json.loads(process.stdout.readline())
    process.send_signal(2)  # Ctrl-C
    process.stdout.read()
    assert process.wait(7) == 0
    process.stdout.close()
    assert row["netns"] and row["inet_diag_msg_socket_cookie"] and row["timestamp_ns"]


def test_all_errors_come_at_once_with_place_excerpt_and_nearest_key(tmp_path):
    code, text = check(tmp_path, """version: 1
pipelines:
  web:
    intervall: 10s
    timeout: 5
    batch:
      rows: many
    sinks:
      out:
        type: blackhole
        formt: jsonl
""")
    assert code == bed.EXIT_INVALID_CONFIGURATION
    for line, column, word in ((4, 5, "interval"), (5, 14, "timeout"), (7, 13, "rows"), (11, 9, "format")):
        assert f"xtcpd.yaml:{line}:{column}: error:" in text and word in text
    assert "^" in text and "    intervall: 10s" in text


@pytest.mark.parametrize("text, words", [
    ("version: 1\npipelines:\n\tweb: {}\n", [":3:", "tab"]),
    ("version: 1\nversion: 1\n", [":2:", "version"]),
    ("version: 2\n", [":1:", "version"]),
    ("version: 1\npipelines: {w: {interval: 5s, timeout: 5s, sinks: {o: {type: blackhole}}}}\n", [":2:", "timeout"]),
    ("version: 1\npipelines: {w: {queue: {byte: 1MiB}, sinks: {o: {type: blackhole}}}}\n", [":2:", "bytes"]),
    ("version: 1\npipelines: {w: {sinks: {o: {type: blackhole, columns: [inet_diag_msg_stat], format: csv}}}}\n",
     [":2:", "inet_diag_msg_state"]),
    ("version: 1\npipelines: {w: {reader: {recv_batch: 32}, sinks: {o: {type: blackhole}}}}\n",
     [":2:", "recv_batch", "receive_buffers"]),
])
def test_mistakes_are_told_where_they_are(tmp_path, text, words):
    code, output = check(tmp_path, text)
    assert code == bed.EXIT_INVALID_CONFIGURATION
    for word in words:
        assert word in output, output


TWO_PIPELINES = """version: 1
global: {resources: {threads: %s, memory: %s}}
pipelines:
  host: {interval: %s, sinks: {out: {type: file, path: %s}}}
  web: {sinks: {out: {type: blackhole}}}
"""


def test_check_adds_up_what_a_configuration_asks_for(tmp_path):
    file = tmp_path / "xtcpd.yaml"
    file.write_text(TWO_PIPELINES % ("auto", "256MiB", "10s", "/x"))
    done = bed.xtcpd("check", "--config", file, "--for", "cpus=8,nofile=65536,memlock=8MiB")
    assert done.returncode == 0 and "threads: 4 = 1 main + 2 loops + 1 file worker\n" in done.stdout
    assert bed.xtcpd("check", "--config", file, "--for", "cpus=many").returncode == 64

    code, text = check(tmp_path, TWO_PIPELINES % (2, "256MiB", "10s", "/x"))
    assert code == bed.EXIT_INVALID_CONFIGURATION
    assert "xtcpd.yaml:2:31: error: threads: budget 2, asked 3 = 1 main + 1 loop + 1 file worker" in text
    large = "defaults: {batch: {bytes: 8MiB}}\n"
    code, text = check(tmp_path, TWO_PIPELINES % ("auto", "16MiB", "10s", "/x") + large)
    assert code == bed.EXIT_INVALID_CONFIGURATION and "memory: budget 16MiB, asked " in text


def test_plan_compares_two_files(tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(TWO_PIPELINES % ("auto", "256MiB", "10s", "/x"))

    def plan(text):
        new.write_text(text)
        return bed.xtcpd("plan", "--config", new, "--against", old, "--detailed-exitcode", "--for", "cpus=4")

    same = plan(old.read_text())
    assert (same.returncode, same.stdout) == (0, "host: keep\nweb: keep\n")
    changed = plan(TWO_PIPELINES % ("auto", "256MiB", "5s", "/y"))
    assert (changed.returncode, changed.stdout) == (
        2, "host: rebuild (interval 10s -> 5s, sinks.out.path)\nweb: keep\n")
    assert plan(TWO_PIPELINES % (2, "256MiB", "10s", "/x")).returncode == bed.EXIT_INVALID_CONFIGURATION
    assert bed.xtcpd("plan", "--against", old).returncode == bed.EXIT_USAGE


@pytest.mark.parametrize("name, file", [
    ("proto", "schema/xtcp_flat_record.proto"), ("clickhouse", "schema/clickhouse.sql"), ("fields", "docs/fields.md"),
    ("config", "schema/config.schema.json")])
def test_committed_schemas_are_what_the_binary_prints(name, file):
    done = bed.xtcpd("schema", name)
    assert done.returncode == 0
    assert done.stdout == (bed.ROOT / file).read_text()


@pytest.mark.parametrize("arguments", [
    ["runn"], ["run"], ["snapshot", "--no-such-option"], ["schema", "xml"], ["decode"]])
def test_usage_errors_have_their_exit_code(arguments):
    done = bed.xtcpd(*arguments)
    assert done.returncode == bed.EXIT_USAGE and done.stderr


def test_check_needs_no_rights(tmp_path):
    os.chmod(tmp_path, 0o755)
    file = tmp_path / "xtcpd.yaml"
    file.write_text("version: 1\npipelines: {w: {sinks: {o: {type: stdout}}}}\n")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    path = pathlib.Path("/tmp") / f"xtcpd-check-{os.getpid()}.yaml"
    path.write_bytes(file.read_bytes())
    try:
        assert bed.xtcpd("check", "--config", path, prefix=nobody).returncode == 0
    finally:
        path.unlink()


def fleet(folder):
    """A main file with an include, a profile and a value from outside."""
    (folder / "conf.d").mkdir()
    main = folder / "xtcpd.yaml"
    main.write_text("""version: 1
include: [conf.d/*.yaml]
defaults: {interval: 5s, sinks: {hole: {}}}
profiles: {slow: {interval: 1m}}
sinks: {hole: {type: blackhole}}
""")
    (folder / "conf.d/10-web.yaml").write_text("pipelines:\n  web:\n    extends: [slow]\n    label: ${env:SECRET}\n")
    return main


def test_check_as_json_tells_hash_and_places(tmp_path):
    main = fleet(tmp_path)
    done = bed.xtcpd("check", "--config", main, "--format", "json", env={"SECRET": "correct horse"})
    verdict = json.loads(done.stdout)
    assert done.returncode == 0 and done.stdout.count("\n") == 1
    assert verdict["valid"] and verdict["pipelines"] == ["web"] and verdict["diagnostics"] == []
    text = bed.xtcpd("check", "--config", main, env={"SECRET": "another"}).stdout
    assert f"hash: {verdict['hash']}" in text

    (tmp_path / "conf.d/20-bad.yaml").write_text("pipelines: {web: {intervall: 1s}}\n")
    done = bed.xtcpd("check", "--config", main, "--format", "json", env={"SECRET": "correct horse"})
    assert done.returncode == bed.EXIT_INVALID_CONFIGURATION
    verdict = json.loads(done.stdout)
    assert not verdict["valid"]
    [diagnostic] = verdict["diagnostics"]
    assert diagnostic["file"] == str(tmp_path / "conf.d/20-bad.yaml")
    assert (diagnostic["severity"], diagnostic["line"], diagnostic["column"]) == ("error", 1, 19)
    assert diagnostic["suggestion"] == "interval" and "intervall" in diagnostic["message"]


def test_what_is_not_there_in_ci_is_a_warning_if_asked_for(tmp_path):
    main = fleet(tmp_path)
    done = bed.xtcpd("check", "--config", main, env={})
    assert done.returncode == bed.EXIT_INVALID_CONFIGURATION and "SECRET" in done.stderr
    done = bed.xtcpd("check", "--config", main, "--unresolved", "warn", env={})
    assert done.returncode == 0 and "warning" in done.stderr and "SECRET" in done.stderr


def test_config_show_says_the_same_and_no_secret(tmp_path):
    main = fleet(tmp_path)
    secret = {"SECRET": "correct horse"}
    shown = bed.xtcpd("config", "show", "--config", main, env=secret)
    assert shown.returncode == 0 and "correct horse" not in shown.stdout and "${env:SECRET}" in shown.stdout
    again = tmp_path / "again.yaml"
    again.write_text(shown.stdout)
    assert bed.xtcpd("config", "show", "--config", again, env=secret).stdout == shown.stdout
    origin = bed.xtcpd("config", "show", "--config", main, "--origin", env=secret)
    assert f"interval: 1m  # {main}:4:19 (replaces {main}:3:12)" in origin.stdout
    assert yaml.safe_load(origin.stdout) == yaml.safe_load(shown.stdout)


def test_values_from_outside_are_not_logged(tmp_path):
    """A path that cannot be opened is named by its spelling in the file."""
    main = tmp_path / "xtcpd.yaml"
    main.write_text('version: 1\npipelines: {p: {sinks: {f: {type: file, path: "${env:OUT}"}}}}\n')
    done = bed.xtcpd("run", "--config", main, env={"OUT": "/nonexistent-folder/secret-file"}, timeout=20)
    assert done.returncode != 0
    assert "secret-file" not in done.stderr and "${env:OUT}" in done.stderr
