"""A running `xtcpd run`: its configuration, its log as objects, its end."""
import contextlib
import copy
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import yaml

import bed


class Daemon:
    """Starts xtcpd with a configuration (a dictionary) and reads its log. A context manager: leaving it stops xtcpd
    and checks that it ended well and that its counters hold. Each has a control socket of its own and, unless the
    settings say otherwise, an HTTP server at a port that the kernel chose."""

    def __init__(self, folder, pipelines, *, settings=None, prefix=(), environment=None, stdout=subprocess.DEVNULL,
                 expect_exit=0):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "xtcpd.yaml"
        self.settings = settings or {}
        # Not in the folder of the test: a socket's path has at most 107 bytes.
        self.sockets = tempfile.TemporaryDirectory(prefix="xtcpd-")
        self.socket = self.settings.get("global", {}).get("control", {}).get(
            "socket", f"{self.sockets.name}/control.sock")
        self.write(pipelines)
        self.arguments = [*prefix, str(bed.BINARY), "run", "--config", str(self.path)]
        self.environment = environment
        self.stdout = stdout
        self.expect_exit = expect_exit
        self.log = []
        self.raw = []

    def text(self, pipelines, settings=None):
        """The configuration with these pipelines; `settings` in place of those of the beginning."""
        settings = copy.deepcopy(self.settings if settings is None else settings)
        of_process = settings.setdefault("global", {})
        of_process.setdefault("log", {"level": "debug", "format": "json"})
        of_process.setdefault("control", {}).setdefault("socket", self.socket)
        of_process.setdefault("metrics", {"listen": "127.0.0.1:0"})
        of_process.setdefault("data_dir", str(self.folder / "data"))
        # Files are written as a whole here; a reload need not wait until they are old.
        of_process.setdefault("reload", {}).setdefault("settle", "0s")
        return yaml.safe_dump({"version": 1, **settings, "pipelines": pipelines}, sort_keys=False)

    def write(self, pipelines, settings=None):
        """Writes the configuration file, as a whole: a reload never sees a part of it."""
        beside = self.path.with_suffix(".new")
        beside.write_text(self.text(pipelines, settings))
        beside.rename(self.path)

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdout=self.stdout, stderr=subprocess.PIPE, text=True,
                                        env=self.environment)
        self.reader = threading.Thread(target=self._read_log)
        self.reader.start()
        return self

    def _read_log(self):
        for line in self.process.stderr:
            self.raw.append(line)
            if line.startswith("{"):
                self.log.append(json.loads(line))

    def __exit__(self, kind, *_):
        try:
            code = self.stop()
        finally:
            if self.process.stdout:
                self.process.stdout.close()
            self.sockets.cleanup()
        if kind is None:
            self.check_totals()
            assert code == self.expect_exit, f"xtcpd ended with {code}:\n" + "".join(self.raw[-20:])

    def stop(self):
        code = bed.end(self.process)
        self.reader.join(10)
        self.process.stderr.close()
        return code

    @property
    def proc(self):
        return bed.Process(self.process.pid)

    def ask(self, request, timeout=20):
        """Sends a request (a dictionary, or bytes as they are) to the control socket and returns its answer."""
        bed.eventually(lambda: os.path.exists(self.socket) or self.check_alive(), what="a control socket")
        with Client(self.socket, timeout) as client:
            return client.ask(request)

    def command(self, name, *arguments, **options):
        """Runs a command of xtcpd against this daemon."""
        return bed.xtcpd(name, "--socket", self.socket, *arguments, **options)

    def status(self):
        return self.ask({"command": "status"})["status"]

    def reload(self, **request):
        """The verdict of a reload."""
        return self.ask({"command": "reload", **request})["verdict"]

    def hangup(self):
        self.process.send_signal(signal.SIGHUP)

    def verdicts(self):
        """Those in the log so far: result, and the whole text with what the plan said."""
        found = []
        for entry in list(self.log):
            words = entry["message"].split()
            if words[:1] == ["reload"] and words[1:2] and words[1].rstrip(":") in ("applied", "unchanged", "refused"):
                found.append({"result": words[1].rstrip(":"), "text": entry["message"]})
            elif words[:1] == ["reload:"] and found:
                found[-1]["text"] += "\n" + entry["message"]
        return found

    def verdict_after(self, act, timeout=20):
        """The verdict of the reload that `act` brings about."""
        count = len(self.verdicts())
        act()
        bed.eventually(lambda: len(self.verdicts()) > count, timeout, f"a verdict; log: {self.raw[-5:]}")
        time.sleep(0.02)  # for the lines that follow it
        return self.verdicts()[count]

    def hang_up(self):
        """SIGHUP, and the verdict that follows."""
        return self.verdict_after(self.hangup)

    def reload_with(self, pipelines, settings=None):
        """Writes another configuration, SIGHUP, and the verdict."""
        self.write(pipelines, settings)
        return self.hang_up()

    def pipelines(self):
        """{name: what status says of it}"""
        return {report["name"]: report for report in self.status()["pipelines"]}

    def interval_ms(self, pipeline):
        return self.pipelines()[pipeline]["interval_ns"] / 1e6

    def pool(self, pipeline, name):
        return next(pool for pool in self.pipelines()[pipeline]["pools"] if pool["name"] == name)

    def sink(self, pipeline, name):
        return next(sink for sink in self.pipelines()[pipeline]["sinks"] if sink["name"] == name)

    def rings(self):
        return sum(target == "anon_inode:[io_uring]" for target in self.proc.descriptors().values())

    def lasting(self):
        """{descriptor: target} of what stays open between two polls; sockets and namespaces of dumps come and go."""
        return {number: target for number, target in self.proc.descriptors().items()
                if not target.startswith(("socket:", "/proc/", "net:", "/run/netns/"))}

    def thread_names(self):
        names = []
        for task in (self.proc.folder / "task").iterdir():
            # A library's thread may end in between.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                names.append((task / "comm").read_text().strip())
        return names

    def blocks_hangup(self):
        return self.proc.mask("SigBlk") >> (signal.SIGHUP - 1) & 1 == 1

    def ends(self, pipeline):
        """When its polls ended, in seconds of the wall clock."""
        return [datetime.datetime.fromisoformat(poll["time"].replace("Z", "+00:00")).timestamp()
                for poll in self.polls(pipeline)]

    def gaps(self, pipeline):
        """The times between the ends of two polls in a row, in seconds."""
        ends = self.ends(pipeline)
        return [later - earlier for earlier, later in zip(ends, ends[1:])]

    def longest_gap(self, pipeline):
        return max(self.gaps(pipeline))

    @property
    def http(self):
        """Where the HTTP server is: http://ADDRESS."""
        return re.search(r"http://[^/]*", self.wait_for_log("metrics at http://")).group()

    def get(self, path):
        """(status, text) of a path of the HTTP server."""
        try:
            with urllib.request.urlopen(self.http + path, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self):
        """{name{labels} as written: value}."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def polls(self, pipeline=None):
        """The log's poll summaries so far."""
        return [entry for entry in list(self.log) if entry["message"] == "poll"
                and pipeline in (None, entry.get("pipeline"))]

    def complete_polls(self, pipeline=None):
        """Those that read every namespace to its end. What others lack they say: `incomplete`."""
        return [poll for poll in self.polls(pipeline) if int(poll["incomplete"]) == 0]

    def wait_for_complete_polls(self, count, pipeline=None, timeout=60):
        """Where each poll counts that had the time: a loaded machine lets some run into their timeout."""
        def enough():
            self.check_alive()
            polls = self.complete_polls(pipeline)
            return polls if len(polls) >= count else None
        return bed.eventually(enough, timeout, f"{count} complete polls of {pipeline or 'any pipeline'}; "
                              f"log: {self.raw[-5:]}")

    def wait_for_polls(self, count, pipeline=None, timeout=30):
        def enough():
            self.check_alive()
            polls = self.polls(pipeline)
            return polls if len(polls) >= count else None
        return bed.eventually(enough, timeout, f"{count} polls of {pipeline or 'any pipeline'}; log: {self.raw[-5:]}")

    def poll(self, pipeline="p", count=1):
        """Has a pipeline poll now, one after the other, and returns the log's summaries of these polls. For a pipeline
        with a long interval, whose timeout is as long: no load of the machine makes such a poll incomplete."""
        self.wait_for_polls(1, pipeline)  # The first comes by itself.
        asked = []
        for _ in range(count):
            answer = self.ask({"command": "poll", "pipeline": pipeline})
            assert answer["ok"], answer
            asked.append(answer["poll"]["sequence"])

        def told():
            found = [poll for poll in self.polls(pipeline) if int(poll["sequence"]) in asked]
            return found if len(found) == len(asked) else None
        return bed.eventually(told, what=f"polls {asked} in the log")

    def wait_for_log(self, *words, timeout=20):
        """The first log line that contains every word (any case)."""
        def found():
            for line in list(self.raw):
                if all(word.lower() in line.lower() for word in words):
                    return line
            return None
        return bed.eventually(found, timeout, f"a log line with {words}; log: {self.raw[-10:]}")

    def check_alive(self):
        code = self.process.poll()
        assert code is None, f"xtcpd ended with {code}:\n" + "".join(self.raw[-20:])

    def totals(self):
        """{pipeline: the totals logged at the end, with `sinks`: {sink: its totals} and `dumps`: how those ended that
        did not reach their end}. Only after stop()."""
        totals = {}
        for entry in (entry for entry in self.log if entry["message"] == "totals"):
            numbers = {key: int(value) for key, value in entry.items() if str(value).isdigit()}
            if "sink" in entry:
                totals[entry["pipeline"]]["sinks"][entry["sink"]] = numbers
            elif "complete_dumps" in entry:
                totals[entry["pipeline"]]["dumps"] = numbers
            else:
                totals[entry["pipeline"]] = {**numbers, "sinks": {}, "dumps": {}}
        return totals

    def check_totals(self):
        """Rule 1 of the design: nothing is lost unnamed. Returns the totals."""
        totals = self.totals()
        assert totals, self.raw[-10:]
        for pipeline, counts in totals.items():
            told = counts["filtered"] + counts["sampled_out"] + counts["encoded"]
            assert counts["reported"] == told, (pipeline, counts)
            for sink in counts["sinks"].values():
                came = sink["encoded"] + sink["restored"]
                assert came == sink["delivered"] + sink["dropped"] + sink["in_flight"], (pipeline, counts)
        return totals


class Client:
    """A client of the control socket. A context manager."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """The next answer; None at the end of the connection."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, request):
        self.send(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
        return self.answer()
