"""The last good configuration: kept as it is written, used at the start in place of an invalid one, said everywhere."""
import json
import os
import shutil
import stat
import subprocess

import pytest

import bed
import daemon
from shown import shows
from test_service import Manager

GOOD = {"web": {"interval": "200ms", "align": "none", "label": "${env:LABEL}", "namespaces": {"include": ["host"]},
                "sinks": {"out": {"type": "blackhole"}}}}
SECRET = "a-label-from-outside"


class Host:
    """What there is over several starts: a folder with the configuration and `data_dir`, and an environment."""

    def __init__(self, folder, fallback="last_good"):
        self.folder = folder
        self.kept = folder / "data/last-good"
        self.environment = {**os.environ, "LABEL": SECRET}
        of_process = {"reload": {"settle": "0s"}, "control": {"socket": str(folder / "c.sock")}}
        if fallback:
            of_process["reload"]["boot_fallback"] = fallback
        self.settings = {"global": of_process}

    def daemon(self, text=None, *, write=True, **options):
        """One that finds this text where its configuration should be; None: a good one, False: no file."""
        options.setdefault("environment", self.environment)
        running = daemon.Daemon(self.folder, GOOD, settings=self.settings, **options)
        if text is False:
            running.path.unlink()
        elif text is not None:
            running.path.write_text(text)
        return running

    def good_text(self):
        return self.daemon().path.read_text()

    def run_once(self):
        """Leaves a last good configuration behind."""
        with self.daemon() as running:
            running.wait_for_polls(1)
        return running.path.read_text()

    def refusal(self, text=None, **environment):
        """What a start says that does not succeed."""
        done = subprocess.run(self.daemon(text).arguments, env={**self.environment, **environment},
                              capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == bed.EXIT_INVALID_CONFIGURATION, done
        return done.stderr


@pytest.fixture(name="host")
def fixture_host(tmp_path):
    return Host(tmp_path)


def test_it_is_kept_as_it_is_written(host):
    umask = os.umask(0)
    try:
        text = host.run_once()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(host.kept.stat().st_mode) == 0o600
    assert os.listdir(host.kept.parent) == ["last-good"]
    kept = host.kept.read_bytes()
    assert text.encode() in kept and b"${env:LABEL}" in kept and SECRET.encode() not in kept


def test_a_reload_replaces_it_and_a_refused_one_does_not(host):
    with host.daemon() as running:
        running.wait_for_polls(1)
        # It is kept by another thread than the one that polls.
        bed.eventually(host.kept.exists, what="a last good configuration")
        first = host.kept.read_bytes()
        text = running.path.read_text()
        running.path.write_text(text.replace("200ms", "200"))
        assert running.hang_up()["result"] == "refused"
        assert host.kept.read_bytes() == first
        running.path.write_text(text.replace("200ms", "300ms"))
        assert running.hang_up()["result"] == "applied"
        assert b"300ms" in host.kept.read_bytes()
        assert stat.S_IMODE(host.kept.stat().st_mode) == 0o600


# {what is wrong: (what becomes of the text, whether it still says where `data_dir` is)}
BROKEN = {
    "a wrong key": (lambda text: text.replace("interval:", "intervall:"), True),
    "no YAML any more": (lambda text: text + "  web: [\n", True),
    "cut": (lambda text: text[:text.index("${env")], True),
    "over budget": (lambda text: text.replace("  reload:", "  resources: {threads: 2, loops: 2}\n  reload:").replace(
        "pipelines:", "pipelines:\n  more: {sinks: {o: {type: blackhole}}}"), True),
    "empty": (lambda text: "", False),
    "missing": (lambda text: False, False),
    "garbage": (lambda text: "\x00\x01\x02" * 100, False),
}


@shows("global.reload.boot_fallback")
@pytest.mark.parametrize("mistake", BROKEN)
def test_it_is_started_in_place_of_an_invalid_one(host, mistake):
    good = host.run_once()
    change, says_where = BROKEN[mistake]
    # systemd's StateDirectory= says where, if the file cannot any more.
    with Manager(str(host.folder / "notify")) as manager:
        environment = {**host.environment, **manager.environment(LABEL=SECRET)}
        if not says_where:
            environment["STATE_DIRECTORY"] = str(host.kept.parent)
        with host.daemon(change(good), environment=environment) as running:
            bed.eventually(lambda: running.pipelines()["web"]["polls"]["complete"] >= 2, what="polls")
            assert "DEGRADED" in manager.wait_for("READY")["STATUS"]
            configuration = running.status()["configuration"]
            assert configuration["state"] == "last_good" and configuration["is_degraded"]
            told = running.command("status").stdout
            assert "last good" in told and "DEGRADED" in told, told
            assert info(running) == "last_good"
            running.wait_for_log("last good configuration", str(running.path))
            refused = running.hang_up()
            assert refused["result"] == "refused" and info(running) == "last_good"
            # The mended file says what runs already: even so it is current again.
            running.path.write_text(good)
            assert running.hang_up()["result"] in ("applied", "unchanged")
            assert running.status()["configuration"]["state"] == "current" and info(running) == "current"
            assert not running.status()["configuration"]["is_degraded"]
            assert "DEGRADED" not in running.command("status").stdout


def info(running):
    name, = [name for name in running.metrics() if name.startswith("xtcpd_config_info")]
    return name.split('state="')[1].split('"')[0]


def test_a_change_ends_it_too(host):
    good = host.run_once()
    with host.daemon(good.replace("200ms", "200")) as running:
        bed.eventually(lambda: running.status()["configuration"]["is_degraded"], what="the last good one")
        running.path.write_text(good.replace("200ms", "300ms"))
        assert running.hang_up()["result"] == "applied"
        assert info(running) == "current" and running.interval_ms("web") == 300
    assert b"300ms" in host.kept.read_bytes()


@pytest.mark.parametrize("fallback", [None, "none"])
def test_it_is_not_started_unless_asked_for(tmp_path, fallback):
    host = Host(tmp_path, fallback)
    good = host.run_once()
    assert host.kept.exists()
    assert "intervall" in host.refusal(good.replace("interval:", "intervall:"))


def test_it_is_not_started_if_the_invalid_one_says_so(host):
    good = host.run_once()
    host.refusal(good.replace("last_good", "none").replace("interval:", "intervall:"))


def test_none_is_there(host):
    host.refusal(host.good_text().replace("interval:", "intervall:"))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage", "empty", "folder"])
def test_a_damaged_one_is_an_error_that_says_so(host, damage):
    good = host.run_once()
    kept = host.kept.read_bytes()
    if damage == "folder":
        host.kept.unlink()
        host.kept.mkdir()
    else:
        host.kept.write_bytes({"truncated": kept[:-7], "garbage": b"garbage", "empty": b"",
                               "flipped": kept[:-20] + bytes([kept[-20] ^ 1]) + kept[-19:]}[damage])
    told = host.refusal(good.replace("interval:", "intervall:"))
    assert "intervall" in told and str(host.kept) in told


def test_what_it_needs_from_outside_has_to_be_there(host):
    good = host.run_once()
    del host.environment["LABEL"]
    told = host.refusal(good.replace("interval:", "intervall:"))
    assert "not valid here any more" in told and "LABEL" in told


def test_includes_are_in_it(host):
    (host.folder / "conf.d").mkdir()
    (host.folder / "conf.d/10-more.yaml").write_text(
        "pipelines: {more: {interval: 200ms, align: none, namespaces: {include: [host]}, "
        "sinks: {o: {type: blackhole}}}}\n")
    host.settings["include"] = ["conf.d/*.yaml"]
    good = host.run_once()
    shutil.rmtree(host.folder / "conf.d")
    with host.daemon(good.replace("interval:", "intervall:")) as running:
        for name in ("web", "more"):
            bed.eventually(
                lambda name=name: running.pipelines()[name]["polls"]["complete"] >= 1, what=f"polls of {name}")
        hashes = running.status()["configuration"]["hash"]
        # What is there without conf.d is another configuration.
        running.path.write_text(good)
        assert running.hang_up()["result"] == "applied"
        assert set(running.pipelines()) == {"web"} and running.status()["configuration"]["hash"] != hashes


def test_what_cannot_be_kept_harms_nothing(host):
    host.kept.parent.write_text("no folder")
    with host.daemon() as running:
        running.wait_for_polls(1)
        running.wait_for_log("warning", "is not kept", "boot_fallback")
        assert json.loads(running.command("status", "--format", "json").stdout)["state"] == "running"
