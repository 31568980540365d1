"""xtcpd as bench.py runs it: one pipeline to blackhole that polls when it is asked to, and what each poll takes."""
import json
import os
import pathlib
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from populations import ROOT, TOOLS
from readers import status_of

BINARY = pathlib.Path(os.environ.get("XTCPD_BINARY", ROOT / ".build/release/xtcpd"))
EXIT_INVALID_CONFIGURATION = 78


class Refused(Exception):
    """This build knows no such setting, or does not permit it here."""


class Collector:
    """The daemon. It polls once by itself, when it has started, and then once for each `poll()`, so that nothing else
    that is measured runs at the same time. A context manager."""

    serial = 0

    def __init__(self, run, selection, mode, *, format="protobuf_list", level="debug", interval="1h", discovery=None,
                 preload=None, **settings):
        Collector.serial += 1
        self.run = run
        self.folder = run.folder / f"d{Collector.serial}"
        self.folder.mkdir()
        self.counters = self.folder / "allocations"
        reader = {"mode": mode, **settings.pop("reader", {})}
        pipeline = {"interval": interval, "align": "none", "reader": reader, "namespaces": selection,
                    "sinks": {"out": {"type": "blackhole", "format": format}}, **settings}
        process = {"log": {"level": level, "format": "json"}, "control": {"socket": str(self.folder / "control")},
                   "metrics": {"listen": "none"}, "data_dir": str(self.folder)}
        if discovery:
            process["discovery"] = {"interval": discovery}
        # JSON is YAML.
        self.configuration = self.folder / "xtcpd.yaml"
        self.configuration.write_text(json.dumps({"version": 1, "global": process, "pipelines": {"bench": pipeline}}))
        self.environment = dict(os.environ)
        if preload:
            self.environment |= {"LD_PRELOAD": str(TOOLS / preload), "XTCPD_ALLOCATIONS": str(self.counters)}
        self.polls, self.last_lines = queue.SimpleQueue(), []
        self.most_tasks, self.fewest_tasks = 0, None

    def __enter__(self):
        self.process = subprocess.Popen([BINARY, "run", "--config", self.configuration], stderr=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, text=True, env=self.environment)
        self.log_reader = threading.Thread(target=self.read_log, daemon=True)
        self.log_reader.start()
        deadline = time.monotonic() + 10
        self.control = socket.socket(socket.AF_UNIX)
        while self.control.connect_ex(str(self.folder / "control")):
            if self.process.poll() == EXIT_INVALID_CONFIGURATION:
                self.control.close()
                self.log_reader.join(5)
                raise Refused("".join(self.last_lines[-6:]))
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.fail("does not answer at its control socket")
            time.sleep(0.01)
        self.answers = self.control.makefile("rb")
        return self

    def __exit__(self, kind, *_):
        self.control.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.log_reader.join(5)
        self.process.stderr.close()
        if code and kind is None:
            self.fail(f"ended with {code}")

    def fail(self, text):
        sys.exit(f"bench: xtcpd {text}; its log ends with\n{''.join(self.last_lines[-5:])}")

    def read_log(self):
        for line in self.process.stderr:
            self.last_lines = [*self.last_lines[-9:], line]
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("message") == "poll":
                self.polls.put(entry)

    def ask(self, command, timeout=60, **request):
        """The answer at the control socket; meanwhile the threads are counted."""
        self.control.sendall(json.dumps({"command": command, **request}).encode() + b"\n")
        answer, deadline = b"", time.monotonic() + timeout
        self.control.settimeout(0.01)
        while not answer.endswith(b"\n"):
            self.count_tasks()
            try:
                part = self.control.recv(65536)
            except TimeoutError:
                part = b""
                if time.monotonic() < deadline:
                    continue
            if not part:
                self.fail(f"does not answer to {command}")
            answer += part
        found = json.loads(answer)
        if not found["ok"]:
            self.fail(f"answers {found}")
        return found

    def count_tasks(self):
        tasks = len(os.listdir(f"/proc/{self.process.pid}/task"))
        self.most_tasks = max(self.most_tasks, tasks)
        self.fewest_tasks = tasks if self.fewest_tasks is None else min(self.fewest_tasks, tasks)

    def cpu_ns(self):
        # The CPU clock of another process (clock_getcpuclockid(3)): every thread of it, ended ones included.
        return int(time.clock_gettime(~self.process.pid << 3 | 2) * 1e9)

    def warm_up(self, polls):
        """The poll that comes by itself, then others. From here on the threads are counted."""
        self.logged(None)
        for _ in range(polls - 1):
            self.poll()
        self.most_tasks, self.fewest_tasks = 0, None
        self.previous = self.cpu_ns()

    def poll(self):
        """One poll. CPU is what the process used since the end of the one before it: nothing of it is left out."""
        answer = self.ask("poll", pipeline="bench")["poll"]
        entry = self.logged(answer["sequence"])
        now = self.cpu_ns()
        counts = {name: int(entry[name]) for name in ("sockets", "filtered", "sampled_out", "encoded")}
        found = {"cpu_ns": now - getattr(self, "previous", now), "wall_ns": int(answer["duration_ns"]), **counts,
                 "full": int(entry["full"]) if "full" in entry else None}
        self.previous = now
        self.run.check(answer["result"] == "complete", f"a poll was {answer['result']}: {entry}")
        self.run.check(counts["sockets"] == counts["filtered"] + counts["sampled_out"] + counts["encoded"],
                       f"reported is not filtered + sampled out + encoded: {counts}")
        return found

    def logged(self, sequence):
        """The log's entry of that poll; of the next one, whichever it is, where `sequence` is None."""
        while True:
            try:
                entry = self.polls.get(timeout=60)
            except queue.Empty:
                self.fail("logs no poll")
            if sequence is None or int(entry["sequence"]) == int(sequence):
                return entry

    def polls_so_far(self):
        """Polls of the pipeline since it started, however they ended. The daemon allocates for its answer."""
        (pipeline,) = self.ask("status")["status"]["pipelines"]
        return sum(count for name, count in pipeline["polls"].items() if name in ("complete", "partial", "failed"))

    def allocations(self):
        """Calls that allocated, and their bytes, since the process started (Benchmarks/allocations.c)."""
        return struct.unpack("QQ", self.counters.read_bytes())

    @property
    def peak_rss_kib(self):
        return status_of(self.process.pid)["VmHWM"]
