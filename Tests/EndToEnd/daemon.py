"""A running `xtcpd run`: its configuration, its log as objects, its end."""
import json
import subprocess
import threading

import yaml

import bed


class Daemon:
    """Starts xtcpd with a configuration (a dictionary) and reads its log. A context manager: leaving it stops xtcpd
    and checks that it ended well and that its counters hold."""

    def __init__(self, folder, pipelines, *, settings=None, prefix=(), environment=None, stdout=subprocess.DEVNULL,
                 expect_exit=0):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "xtcpd.yaml"
        settings = settings or {}
        settings.setdefault("global", {}).setdefault("log", {"level": "debug", "format": "json"})
        self.path.write_text(yaml.safe_dump({"version": 1, **settings, "pipelines": pipelines}, sort_keys=False))
        self.arguments = [*prefix, str(bed.BINARY), "run", "--config", str(self.path)]
        self.environment = environment
        self.stdout = stdout
        self.expect_exit = expect_exit
        self.log = []
        self.raw = []

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

    def polls(self, pipeline=None):
        """The log's poll summaries so far."""
        return [entry for entry in list(self.log) if entry["message"] == "poll"
                and pipeline in (None, entry.get("pipeline"))]

    def wait_for_polls(self, count, pipeline=None, timeout=30):
        def enough():
            self.check_alive()
            polls = self.polls(pipeline)
            return polls if len(polls) >= count else None
        return bed.eventually(enough, timeout, f"{count} polls of {pipeline or 'any pipeline'}; log: {self.raw[-5:]}")

    def wait_for_log(self, *words, timeout=5):
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
            numbers = {key: int(value) for key, value in entry.items() if value.isdigit()}
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
                assert counts["encoded"] == sink["delivered"] + sink["dropped"] + sink["in_flight"], (pipeline, counts)
        return totals
