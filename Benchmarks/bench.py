#!/usr/bin/env python3
"""What xtcpd costs, beside what the kernel alone costs, what a naive collector costs and what ss costs.

usage: bench.py [--sockets 100000] [--only one,many] [--polls 7] [--modes LIST] [--formats LIST] [--output FILE]
                [--check]

Each population (measures.py) is made, measured and taken away in turn; --sockets scales those that are large. CPU is
user + system of the whole process per poll, wall is the poll's; medians over --polls polls after some that warm up.
`x floor` is the median of the ratios of a poll and the floor (Benchmarks/floor.c) measured right behind it.
Rows that do not add up make the run fail, and with --check so does a target that is not met.
"""
import argparse
import json
import os
import pathlib
import platform
import resource
import sys
import tempfile

from measures import MEASURES
from populations import ROOT
from targets import print_verdicts, verdicts

FORMATS = ["protobuf_list", "protobuf", "jsonl", "proto_json", "proto_text", "csv", "tsv", "msgpack"]


class Run:
    """What measures are given: how much to measure, where to put files, whom to tell."""

    def __init__(self, options, folder):
        self.sockets, self.polls, self.modes, self.formats = (
            options.sockets, options.polls, options.modes, options.formats)
        self.folder = folder
        self.mismatches = []

    def check(self, holds, text):
        """Notes what does not add up. The run goes on and fails at its end."""
        if not holds:
            self.mismatches.append(text)
            print(f"  WRONG   {text}", flush=True)

    def say(self, text):
        print(text, flush=True)

    def show(self, row):
        """Prints a line of a table as soon as it is known, and gives it back."""
        ratio = f"{row['floor_ratio']:.2f}" if row["floor_ratio"] else ""
        self.say(f"{row['label']:<34} {row['sockets']:>8} {row['cpu_ns_per_record']:>9.0f} {ratio:>8} "
                 f"{row['cpu_ns'] / 1e6:>9.2f} {row['wall_ns'] / 1e6:>9.2f} {row['rss_kib'] / 1024:>8.1f} "
                 f"{row['threads']:>7}")
        return row


def measure(run, name):
    print(f"\n{name}: {MEASURES[name].__doc__.strip()}")
    if name != "allocations":
        print(f"{'':<34} {'records':>8} {'ns/record':>9} {'x floor':>8} {'CPU ms':>9} {'wall ms':>9} {'RSS MiB':>8} "
              f"{'threads':>7}", flush=True)
    found = MEASURES[name](run)
    if "note" in found:
        print(f"  {found['note']}", flush=True)
    return found


def words(text):
    return [word for word in text.split(",") if word]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sockets", type=int, default=100000)
    parser.add_argument("--only", type=words, default=list(MEASURES), help=f"of {','.join(MEASURES)}")
    parser.add_argument("--polls", type=int, default=7)
    parser.add_argument("--formats", type=words, default=FORMATS)
    parser.add_argument("--modes", type=words, default=["io_uring", "syscall"])
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / ".build/bench.json")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    unknown = set(options.only) - set(MEASURES)
    if unknown or options.sockets < 1000:
        parser.error(f"no such population: {','.join(unknown)}" if unknown else "--sockets: at least 1000")
    if os.geteuid() != 0:
        sys.exit("bench: needs root, to make network namespaces with sockets")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the load average is {load:.1f}: what else runs here makes figures less steady, wall time most of all")
    with tempfile.TemporaryDirectory(prefix="xtcpd-bench-") as folder:
        run = Run(options, pathlib.Path(folder))
        populations = {name: measure(run, name) for name in MEASURES if name in options.only}
    found = verdicts(populations)
    print_verdicts(found)
    for text in run.mismatches:
        print(f"WRONG   {text}")
    results = {"kernel": platform.release(), "cpus": os.cpu_count(), "load": load, "sockets": options.sockets,
               "populations": populations, "targets": found, "mismatches": run.mismatches}
    options.output.write_text(json.dumps(results, indent=1))
    print(f"figures: {options.output}")
    sys.exit(1 if run.mismatches or options.check and not all(each["met"] for each in found) else 0)


if __name__ == "__main__":
    main()
