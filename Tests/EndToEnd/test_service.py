"""The service manager's protocol, and the systemd unit: what it permits is enough."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

import bed
from daemon import Daemon

UNIT = bed.ROOT / "packaging/systemd/xtcpd.service"
PIPELINE = {"interval": "300ms", "align": "none", "namespaces": {"include": ["all"]},
            "sinks": {"out": {"type": "blackhole"}}}


class Manager:
    """A service manager that listens. A context manager."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def environment(self, **variables):
        return {**os.environ, "NOTIFY_SOCKET": self.name, **variables}

    def next(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def wait_for(self, key):
        while True:
            message = self.next()
            if key in message:
                return message


@pytest.fixture(name="manager", params=["path", "abstract"])
def fixture_manager(request, tmp_path):
    with Manager(f"@xtcpd-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")) as manager:
        yield manager


def test_the_life_of_a_service(manager, tmp_path):
    with Daemon(tmp_path / "d", {"web": PIPELINE}, environment=manager.environment()) as daemon:
        ready = manager.next()
        assert ready["READY"] == "1" and "1 pipeline, generation 1" in ready["STATUS"]
        assert daemon.status()["state"] == "running", "ready means that it can be asked"
        before = time.monotonic_ns() // 1000
        daemon.hangup()
        reloading = manager.next()
        assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) >= before
        verdict = manager.next()
        assert verdict["READY"] == "1" and "last reload" in verdict["STATUS"]
        daemon.process.send_signal(signal.SIGTERM)
        assert manager.next()["STOPPING"] == "1"


def test_the_watchdog_is_fed(tmp_path):
    with Manager(str(tmp_path / "notify")) as manager:
        environment = manager.environment(WATCHDOG_USEC="400000")
        with Daemon(tmp_path / "d", {"web": PIPELINE}, environment=environment) as daemon:
            start = time.monotonic()
            for _ in range(10):
                assert manager.wait_for("WATCHDOG")["WATCHDOG"] == "1"
            assert 1.2 < time.monotonic() - start < 4
            # The main thread that feeds it is the one that would hang.
            daemon.process.send_signal(signal.SIGSTOP)
            manager.socket.settimeout(1)
            with pytest.raises(TimeoutError):
                while True:
                    manager.next()
            daemon.process.send_signal(signal.SIGCONT)


def test_another_ones_watchdog_is_not_fed(tmp_path):
    with Manager(str(tmp_path / "notify")) as manager:
        environment = manager.environment(WATCHDOG_USEC="100000", WATCHDOG_PID="1")
        with Daemon(tmp_path / "d", {"web": PIPELINE}, environment=environment) as daemon:
            daemon.wait_for_polls(3)
            assert manager.next()["READY"] == "1"
            manager.socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                manager.wait_for("WATCHDOG")


def test_a_configuration_that_is_refused_is_never_ready(tmp_path):
    with Manager(str(tmp_path / "notify")) as manager:
        broken = tmp_path / "broken.yaml"
        broken.write_text("version: 1\npipelines: {}\n")
        done = bed.xtcpd("run", "--config", broken, env=manager.environment())
        assert done.returncode == bed.EXIT_INVALID_CONFIGURATION
        manager.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            manager.next()


class TestUnit:
    """Without systemd as process 1 a unit cannot be started; its parts are applied by other means."""

    def settings(self, key):
        """The values of a key, in the order of the file."""
        return [line.split("=", 1)[1] for line in UNIT.read_text().splitlines() if line.startswith(key + "=")]

    def copy(self, folder):
        """The unit with a binary that exists."""
        path = folder / "xtcpd.service"
        path.write_text(UNIT.read_text().replace("/usr/bin/xtcpd", str(bed.BINARY)))
        return path

    def test_verify(self, tmp_path):
        done = subprocess.run(["systemd-analyze", "verify", self.copy(tmp_path)], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr

    def test_the_recorded_exposure_is_current(self, tmp_path):
        done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", self.copy(tmp_path)],
                              capture_output=True, text=True, check=True)
        score = re.search(r"exposure level for xtcpd.service: ([0-9.]+)", done.stdout).group(1)
        recorded = re.search(r"exposure level of ([0-9.]+)", (bed.ROOT / "docs/running.md").read_text()).group(1)
        assert score == recorded

    def test_a_refused_configuration_is_not_tried_again(self):
        assert self.settings("RestartPreventExitStatus") == ["64 77 78"]
        assert self.settings("Type") == ["notify"] and self.settings("ExecReload") == ["/usr/bin/xtcpd reload"]

    def allowed_calls(self):
        """Numbers of the system calls that SystemCallFilter= leaves."""
        listing = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True,
                                 check=True).stdout
        sets = {}
        for line in listing.splitlines():
            if line.startswith("@"):
                members = sets.setdefault(line.strip(), [])
            elif line.startswith("    ") and not line.strip().startswith("#"):
                members.append(line.strip())

        def expand(name):
            return set().union(*map(expand, sets[name])) if name.startswith("@") else {name}

        calls = set(expand("@default"))
        for value in self.settings("SystemCallFilter"):
            names = set().union(*map(expand, value.lstrip("~").split()))
            calls = calls - names if value.startswith("~") else calls | names
        header = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").read_text()
        numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", header))
        return sorted(int(numbers[name]) for name in calls if name in numbers)

    def confined(self):
        """A prefix that applies the capabilities, the filter and a mount namespace as the unit does."""
        filtered = ",".join(map(str, self.allowed_calls()))
        return ["unshare", "--mount", "--propagation", "slave", *with_capabilities(self.capabilities()),
                str(bed.TOOLS / "under-filter"), filtered]

    def capabilities(self):
        return [name.removeprefix("CAP_").lower() for name in self.settings("CapabilityBoundingSet")[0].split()]

    def test_what_it_permits_is_enough(self, tmp_path, still):
        out = tmp_path / "rows.jsonl"
        web = {**PIPELINE, "interval": "1h", "namespaces": still.selection, "reader": {"mode": "io_uring"},
               "sinks": {"out": {"type": "file", "path": str(out), "format": "jsonl"}}}
        plain = {**PIPELINE, "interval": "1h", "namespaces": still.selection, "reader": {"mode": "syscall"}}
        with Daemon(tmp_path / "d", {"web": web, "plain": plain}, prefix=self.confined()) as daemon:
            daemon.poll("web", 2)
            daemon.poll("plain", 2)
            assert daemon.proc.folder.joinpath("status").read_text().count("Seccomp:\t2") == 1
            assert not [line for line in daemon.raw if "missing CAP" in line or "denied" in line], daemon.raw
            assert daemon.status()["state"] == "running" and daemon.get("/readyz")[0] == 200
            assert all(int(poll["incomplete"]) == 0 for poll in daemon.polls())
        assert len({row["netns"] for row in map(json.loads, out.read_text().splitlines())}) == len(still.names)


def with_capabilities(names):
    return ["setpriv", "--bounding-set", ",".join(["-all"] + ["+" + name for name in names])]


class TestEachCapabilityIsNeeded:
    ALL = ["sys_admin", "sys_ptrace", "net_admin", "dac_read_search"]

    def dumps(self, folder, selection, missing):
        """{result: count} of the first polls, and the gaps that were logged."""
        prefix = with_capabilities([name for name in self.ALL if name != missing])
        pipelines = {"web": {**PIPELINE, "namespaces": {"include": [selection]}}}
        with Daemon(folder, pipelines, prefix=prefix) as daemon:
            daemon.wait_for_polls(2)
            values = daemon.metrics()
            gaps = [line for line in daemon.raw if "missing CAP_" in line]
        return {result: values[f'xtcpd_dumps_total{{pipeline="web",result="{result}"}}']
                for result in ("complete", "denied")}, gaps

    def test_with_all_of_them_nothing_is_missing(self, tmp_path, still):
        dumps, gaps = self.dumps(tmp_path, {"name": still.prefix + "*"}, None)
        assert dumps["complete"] > 0 and dumps["denied"] == 0 and not gaps

    def test_sys_admin(self, tmp_path, still):
        dumps, gaps = self.dumps(tmp_path, {"name": still.prefix + "*"}, "sys_admin")
        assert dumps["complete"] == 0 and dumps["denied"] > 0 and "CAP_SYS_ADMIN" in gaps[0]

    @pytest.mark.parametrize("missing", [None, "sys_ptrace"])
    def test_sys_ptrace(self, tmp_path, missing):
        holder = subprocess.Popen(["unshare", "--net", "setpriv", "--reuid", "65534", "--regid", "65534",
                                   "--clear-groups", "sleep", "60"])
        try:
            def settled():
                return os.stat(f"/proc/{holder.pid}").st_uid == 65534
            bed.eventually(settled, what="the holder's own user")
            inode = os.stat(f"/proc/{holder.pid}/ns/net").st_ino
            dumps, gaps = self.dumps(tmp_path, {"inode": inode}, missing)
            assert (dumps["complete"] > 0) == (missing is None) and bool(gaps) == (missing is not None)
        finally:
            bed.end(holder)

    @pytest.mark.parametrize("missing", [None, "dac_read_search"])
    def test_dac_read_search(self, tmp_path, missing):
        private = tmp_path / "private"
        private.mkdir()
        place = private / "ns"
        place.touch()
        subprocess.run(["unshare", "--net", "sh", "-c", f"mount --bind /proc/self/ns/net {place}"], check=True)
        os.chown(private, 65534, 65534)
        os.chmod(private, 0o700)
        try:
            dumps, gaps = self.dumps(tmp_path / "d", {"path": str(place)}, missing)
            assert (dumps["complete"] > 0) == (missing is None) and bool(gaps) == (missing is not None)
        finally:
            subprocess.run(["umount", place], check=True)

    def test_net_admin(self, tmp_path, still):
        _, gaps = self.dumps(tmp_path, {"name": still.prefix + "*"}, "net_admin")
        assert len(gaps) == 1 and "CAP_NET_ADMIN" in gaps[0] and "marks" in gaps[0]
