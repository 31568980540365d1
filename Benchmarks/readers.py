"""What xtcpd is measured beside: the kernel alone, a naive collector, ss, and the encoder without a kernel.

Each call is one reading. Figures are dictionaries with `cpu_ns` (user + system) and `wall_ns`."""
import json
import os
import pathlib
import subprocess
import sys
import time

from populations import ROOT, TOOLS

ENCODE_BENCHMARK = ROOT / ".build/release/EncodeBenchmark"


def run_tool(name, population, *arguments):
    done = subprocess.run([TOOLS / name, *arguments, *population.paths], capture_output=True, text=True, timeout=300,
                          check=False)
    if done.returncode:
        sys.exit(f"bench: {name} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def floor(population, iterations=1, capture=None):
    """Benchmarks/floor.c: the kernel alone, asked as xtcpd asks it."""
    return run_tool("floor", population, "--iterations", str(iterations), *(["--capture", capture] if capture else []))


def naive(population, counting=False):
    """Benchmarks/naive.c: one pass over the namespaces, two dumps and a new socket for each."""
    return run_tool("naive", population, "--iterations", "1", "--count", str(int(counting)))


def ss(population, options):
    """ss in the only namespace of a population."""
    started, rss = time.monotonic_ns(), 0
    process = subprocess.Popen(["nsenter", f"--net={population.paths[0]}", "ss", options], stdout=subprocess.DEVNULL)
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
    return {"cpu_ns": (usage.ru_utime + usage.ru_stime) * 1e9, "wall_ns": time.monotonic_ns() - started,
            "rss_kib": rss}


def encode(capture, name):
    """ns a record of one format, from what the kernel sent to encoded bytes; None if the benchmark is not built."""
    if not ENCODE_BENCHMARK.exists():
        return None
    done = subprocess.run([ENCODE_BENCHMARK, capture, name], capture_output=True, text=True, timeout=120, check=False)
    for line in done.stdout.splitlines():
        words = line.split()
        if words[:1] == [name]:
            return float(words[1])
    sys.exit(f"bench: EncodeBenchmark ended with {done.returncode}: {done.stdout} {done.stderr}")


def status_of(pid):
    """The numbers of /proc/PID/status; a process that has just ended has few."""
    found = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.split()[:1] and value.split()[0].isdigit():
            found[name] = int(value.split()[0])
    return found
