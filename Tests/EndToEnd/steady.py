"""A known number of rows at a known rate, and the same rows as jsonl to compare what a sink delivered with."""
import os

import bed

# How many rows tests that compare each of them want: fewer in `make test` than in `make soak`.
ROWS = int(os.environ.get("STEADY_ROWS", "40000"))
SOCKETS = 2000
INTERVAL = 0.1
RATE = round(SOCKETS / INTERVAL)  # rows a second
REFERENCE = "reference"


def population():
    """2,000 sockets in four namespaces in which nothing moves: 20,000 rows a second when it is polled every 100 ms."""
    return bed.Population(namespaces=4, v4=150, v6=80, mapped=15, listeners=1)


def pipeline(crowd, folder, sinks, *, interval="1h", **more):
    """A pipeline that gives each row to `sinks` and to a jsonl file. With the interval of 1h it polls once by itself,
    and then as often as `poll()` asks; with 100ms it is the steady stream that fault tests want."""
    # The file has a long queue and waits for room: it must not lose what it is compared with.
    reference = {"type": "file", "path": str(folder / "reference.jsonl"), "format": "jsonl",
                 "queue": {"bytes": "64MiB", "when_full": "block"}}
    # A dump waits for sinks that have no room, on a busy machine for longer than it may by default.
    patience = {"timeout": "1m"} if interval == "1h" else {}
    return {"interval": interval, "align": "none", "namespaces": crowd.selection, "pools": {"batches": 8},
            "sinks": {**sinks, REFERENCE: reference}, **patience, **more}


def poll(running, name, rows=ROWS):
    """Polls so often that the pipeline has given that many rows, at the rate of 20,000 a second."""
    assert rows % SOCKETS == 0
    running.wait_for_polls(1, name)
    more = rows // SOCKETS - len(running.polls(name))
    if more > 0:
        done = running.command("poll", name, "--count", str(more), "--every", f"{INTERVAL * 1000:.0f}ms",
                               timeout=60 + more)
        assert done.returncode == 0, done.stderr or done.stdout[-300:]


def reference(running, folder, name):
    """The lines of jsonl of every row that the pipeline encoded. Only after the daemon has stopped."""
    totals = running.totals()[name]
    told = totals["sinks"][REFERENCE]
    lines = (folder / "reference.jsonl").read_bytes().splitlines()
    assert told["dropped"] == told["in_flight"] == 0 and len(lines) == told["delivered"] == totals["encoded"], \
        (len(lines), totals)
    return lines
