"""The sockets that bench.py measures on: Benchmarks/population.c, in namespaces of their own. Nothing moves in them."""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".build/bed"

# As in population.c: connections come in chunks, and client ports start again at FIRST_CLIENT_PORT in each.
CHUNK_CONNECTIONS, FIRST_CLIENT_PORT = 9000, 10000


class Population:
    """Namespaces, each with `sockets` sockets in connections (70% IPv4, 20% IPv6, 10% v4-mapped) and six listeners or
    more. A context manager: its end takes them away."""

    serial = 0

    def __init__(self, sockets, namespaces=1):
        Population.serial += 1
        self.prefix = f"xb{os.getpid()}-{Population.serial}-"
        self.sockets = sockets
        connections = sockets // 2
        v6, mapped = connections // 5, connections // 10
        counts = {"namespaces": namespaces, "plain": 1, "v4": connections - v6 - mapped, "v6": v6, "mapped": mapped}
        self.arguments = [TOOLS / "population", "--prefix", self.prefix]
        for name, count in counts.items():
            self.arguments += [f"--{name}", str(count)]

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench: the population did not stand (exit {self.process.wait()})")
        self.paths = [namespace["path"] for namespace in json.loads(line)["namespaces"]]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)

    @property
    def selection(self):
        """`namespaces:` of a pipeline that reads this population and nothing else."""
        return {"include": [{"name": self.prefix + "*"}]}

    def source_ports(self, share):
        """A range of local ports that `share` of the sockets have, as a filter writes it, and how many these are."""
        connections = self.sockets // 2
        chunks = -(-connections // CHUNK_CONNECTIONS)
        width = max(1, round(share * self.sockets / chunks))
        return f"{FIRST_CLIENT_PORT}-{FIRST_CLIENT_PORT + width - 1}", width * chunks
