#!/usr/bin/env python3
"""What xtcpd costs, beside what the kernel alone costs and what ss costs, in one run on one population.

usage: bench.py [--sockets 100000] [--polls 7] [--formats LIST] [--modes LIST] [--output FILE] [--check]

CPU is user + system of the whole process per poll, wall is the poll's; medians over --polls polls after two that warm
up. A machine's speed changes while this runs (other guests, clocks), by more than what is measured here: so the floor
(Benchmarks/floor.c) is measured again behind every poll, and `x floor` is the median of the ratios of such neighbours.
--check makes a missed target the exit code.
"""
import argparse
import json
import os
import pathlib
import resource
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".build/bed"
BINARY = pathlib.Path(os.environ.get("XTCPD_BINARY", ROOT / ".build/release/xtcpd"))
FORMATS = ["protobuf_list", "protobuf", "jsonl", "proto_json", "proto_text", "csv", "tsv", "msgpack"]
WARM_UP = 2
TARGET_RATIO, TARGET_RSS_MIB = 1.35, 24


class Population:
    def __init__(self, sockets):
        self.prefix = f"xb{os.getpid()}-"
        connections = sockets // 2
        v6, mapped = connections // 5, connections // 10
        self.arguments = [TOOLS / "population", "--prefix", self.prefix, "--plain", "1", "--v4",
                          str(connections - v6 - mapped), "--v6", str(v6), "--mapped", str(mapped)]

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench: the population did not stand (exit {self.process.wait()})")
        (self.namespace,) = json.loads(line)["namespaces"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)


def measure_floor(population, iterations):
    done = subprocess.run([TOOLS / "floor", "--iterations", str(iterations), population.namespace["path"]],
                          capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def measure_ss(population, floors, runs):
    cpu, wall, ratios, rss = [], [], [], 0
    for _ in range(runs):
        started = time.monotonic_ns()
        process = subprocess.Popen(["nsenter", f"--net={population.namespace['path']}", "ss", "-tanHieOmo"],
                                   stdout=subprocess.DEVNULL)
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            # Not ru_maxrss: that keeps the size of this interpreter, from before the exec.
            rss = max(rss, status_of(process.pid).get("VmHWM", 0))
            time.sleep(0.005)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"bench: ss ended with {process.returncode}")
        wall.append(time.monotonic_ns() - started)
        cpu.append((usage.ru_utime + usage.ru_stime) * 1e9)
        floors.append(measure_floor(population, 1))
        ratios.append(cpu[-1] / floors[-1]["cpu_ns"])
    return {"cpu_ns": statistics.median(cpu), "ratio": statistics.median(ratios), "wall_ns": statistics.median(wall),
            "rss_kib": rss, "threads": 1}


def status_of(pid):
    """The numbers of /proc/PID/status; a process that has just ended has few."""
    found = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.split()[:1] and value.split()[0].isdigit():
            found[name] = int(value.split()[0])
    return found


class Daemon:
    """xtcpd with one pipeline to blackhole, and what it uses, poll by poll."""

    def __init__(self, folder, population, name, mode):
        self.counters = folder / f"allocations-{name}-{mode}"
        configuration = folder / f"{name}-{mode}.yaml"
        pipeline = {"interval": "2s", "timeout": "1900ms", "align": "none", "reader": {"mode": mode},
                    "namespaces": {"include": [{"name": population.prefix + "*"}]},
                    "sinks": {"out": {"type": "blackhole", "format": name}}}
        # JSON is YAML.
        # Nobody asks it anything: it shall not be in the way of an xtcpd that runs here.
        process = {"log": {"level": "debug", "format": "json"}, "control": {"socket": "none"},
                   "metrics": {"listen": "none"}, "data_dir": str(folder)}
        configuration.write_text(json.dumps({"version": 1, "global": process, "pipelines": {"bench": pipeline}}))
        environment = {**os.environ, "LD_PRELOAD": str(TOOLS / "allocations.so"),
                       "XTCPD_ALLOCATIONS": str(self.counters)}
        self.process = subprocess.Popen([BINARY, "run", "--config", configuration], stderr=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, text=True, env=environment)

    def next_poll(self):
        """The log's summary of the next poll, once it is over."""
        for line in self.process.stderr:
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("message") == "poll":
                if int(entry["incomplete"]) != 0:
                    sys.exit(f"bench: an incomplete poll: {line}")
                return entry
        sys.exit(f"bench: xtcpd ended with {self.process.wait()}")

    def cpu_ns(self):
        # The CPU clock of another process (clock_getcpuclockid(3)): every thread of it, ended ones included.
        return int(time.clock_gettime(~self.process.pid << 3 | 2) * 1e9)

    def allocations(self):
        return struct.unpack("QQ", self.counters.read_bytes())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.stderr.read()
        if self.process.wait(10):
            sys.exit(f"bench: xtcpd ended with {self.process.returncode}")
        self.process.stderr.close()


def measure_daemon(folder, population, name, mode, polls, floors):
    daemon = Daemon(folder, population, name, mode)
    for _ in range(WARM_UP):
        daemon.next_poll()
    cpu, wall, ratios, threads, previous = [], [], [], 0, daemon.cpu_ns()
    calls_before, bytes_before = daemon.allocations()
    for _ in range(polls):
        poll = daemon.next_poll()
        now = daemon.cpu_ns()
        cpu.append(now - previous)
        wall.append(int(poll["ms"]) * 1e6)
        previous, threads = now, max(threads, status_of(daemon.process.pid)["Threads"])
        floors.append(measure_floor(population, 1))
        ratios.append(cpu[-1] / floors[-1]["cpu_ns"])
    calls, allocated = daemon.allocations()
    peak = status_of(daemon.process.pid)["VmHWM"]
    result = {"format": name, "mode": mode, "sockets": int(poll["sockets"]), "cpu_ns": statistics.median(cpu),
              "ratio": statistics.median(ratios), "wall_ns": statistics.median(wall), "rss_kib": peak,
              "threads": threads,
              "allocations": (calls - calls_before) / polls, "allocated_bytes": (allocated - bytes_before) / polls}
    daemon.stop()
    return result


def line_of(label, row, sockets):
    allocations = f"{row['allocations']:.0f}" if "allocations" in row else ""
    return (f"{label:<28} {row['cpu_ns'] / sockets:>9.0f} {row.get('ratio', 1):>9.2f} "
            f"{row['wall_ns'] / 1e6:>8.0f} "
            f"{row['rss_kib'] / 1024:>8.1f} {row.get('threads', 1):>7} {allocations:>11}")


def run(options, folder):
    floors, rows = [], []
    print(f"{'':<28} {'ns/socket':>9} {'x floor':>9} {'wall ms':>8} {'RSS MiB':>8} {'threads':>7} {'allocs/poll':>11}")
    with Population(options.sockets) as population:
        floors.append(measure_floor(population, options.polls))
        sockets = floors[0]["sockets"]
        print(line_of("C floor (recv and discard)", floors[0], sockets), flush=True)
        for mode in options.modes:
            for name in options.formats:
                rows.append(measure_daemon(folder, population, name, mode, options.polls, floors))
                print(line_of(f"xtcpd {name}, {mode}", rows[-1], rows[-1]["sockets"]), flush=True)
        ss = measure_ss(population, floors, options.polls)
        print(line_of("ss -tanHieOmo", ss, sockets), flush=True)
    with Population(max(options.sockets // 10, 20)) as population:
        small = measure_daemon(folder, population, options.formats[0], options.modes[0], options.polls, [])
    low, high = (pick(floor["cpu_ns"] for floor in floors) / sockets for pick in (min, max))
    print(f"\n{sockets} sockets; the floor was between {low:.0f} and {high:.0f} ns a socket over the run")
    return {"sockets": sockets, "floors": floors, "xtcpd": rows, "xtcpd_small": small, "ss": ss}


def verdicts(results):
    """(text, met) of every target."""
    rows, small = results["xtcpd"], results["xtcpd_small"]
    found = []
    for row in rows:
        if row["format"] == "protobuf_list":
            found.append((f"protobuf_list, {row['mode']}: {row['ratio']:.2f} x floor (at most {TARGET_RATIO})",
                          row["ratio"] <= TARGET_RATIO))
    most = max(row["rss_kib"] for row in rows) / 1024
    found.append((f"peak RSS {most:.1f} MiB (at most {TARGET_RSS_MIB})", most <= TARGET_RSS_MIB))
    # One more log line or timer in a poll is no growth; a thousandth of an allocation a socket is none either.
    grown = rows[0]["allocations"] - small["allocations"]
    found.append((f"allocations a poll: {small['allocations']:.0f} at {small['sockets']} sockets, "
                  f"{rows[0]['allocations']:.0f} at {rows[0]['sockets']}",
                  grown <= max(20, (rows[0]["sockets"] - small["sockets"]) / 1000)))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sockets", type=int, default=100000)
    parser.add_argument("--polls", type=int, default=7)
    parser.add_argument("--formats", type=lambda text: text.split(","), default=FORMATS)
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["io_uring", "syscall"])
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / ".build/bench.json")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, to make a network namespace with sockets")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        results = run(options, pathlib.Path(folder))
    options.output.write_text(json.dumps(results, indent=1))
    found = verdicts(results)
    for text, met in found:
        print(("met     " if met else "MISSED  ") + text)
    print(f"figures: {options.output}")
    sys.exit(1 if options.check and not all(met for _, met in found) else 0)


if __name__ == "__main__":
    main()
