"""Namespaces that come and go fifty times a second, under names that move: every row's name and cookie belong together.

CHURN_SECONDS sets how long (`make soak`: 60)."""
import contextlib
import csv
import os
import subprocess
import time

import bed
import daemon

SECONDS = int(os.environ.get("CHURN_SECONDS", "8"))
RATE, LIFETIME_MS = 50, 350
MODES = ("io_uring", "syscall")
# No more than is looked at: there are many rows.
COLUMNS = ["netns", "netns_inode", "netns_cookie", "inet_diag_msg_socket_source"]


class Churn:
    """Runs the generator and knows what it made: {netns cookie: (number, inode, names)}."""

    def __init__(self):
        self.prefix = f"xc{os.getpid()}-"

    def __enter__(self):
        self.process = subprocess.Popen(
            [bed.TOOLS / "namespaces", self.prefix, str(RATE), str(SECONDS), str(LIFETIME_MS)],
            stdout=subprocess.PIPE, text=True)
        return self

    def finish(self):
        text, _ = self.process.communicate(timeout=SECONDS + 30)
        assert self.process.returncode == 0
        made = {}
        for line in text.splitlines():
            number, cookie, inode, *names = line.split()
            made[int(cookie)] = (int(number), int(inode), set(names))
        return made

    def __exit__(self, *_):
        bed.end(self.process)


def check_row(row, made):
    """The row's name and inode are those of the namespace that its cookie names, and so is its socket."""
    number, inode, names = made[row["netns_cookie"]]
    assert row["netns_inode"] == inode, row
    # Between its creation and its mount a namespace is known by the generator's process only.
    assert row["netns"] in names | {f"net:[{inode}]"}, (row, names)
    host = 256 + number & 0xFFFF
    assert row["inet_diag_msg_socket_source"].startswith(f"127.{host >> 8}.{host & 255}."), (row, number)


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {**row, "netns_inode": int(row["netns_inode"]), "netns_cookie": int(row["netns_cookie"])}


def test_names_and_cookies_belong_together_under_churn(still, tmp_path):
    """To a daemon of each mode, beside each other."""
    prefix = f"xc{os.getpid()}-*"
    glob = {"global": {"discovery": {"interval": "200ms"}, "log": {"level": "debug", "format": "json"}}}
    with contextlib.ExitStack() as stack:
        daemons = {}
        for mode in MODES:
            settings = {"interval": "200ms", "align": "none", "reader": {"mode": mode},
                        "namespaces": {"include": [{"name": prefix}, {"name": "net:*"}, *still.selection["include"]]},
                        "sinks": {"out": {"type": "file", "path": str(tmp_path / mode), "format": "csv",
                                          "columns": COLUMNS}}}
            daemons[mode] = stack.enter_context(daemon.Daemon(tmp_path / f"of-{mode}", {"p": settings}, settings=glob))
        for running in daemons.values():
            running.wait_for_polls(3)
        before = {mode: running.proc.descriptors() for mode, running in daemons.items()}
        threads = {mode: {running.proc.threads} for mode, running in daemons.items()}
        with Churn() as churn:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                time.sleep(0.1)
                for mode, running in daemons.items():
                    running.check_alive()
                    threads[mode].add(running.proc.threads)
            made = churn.finish()
        for mode, running in daemons.items():
            running.wait_for_polls(len(running.polls()) + 3)
            # A dump may be under way at any moment, so a look may catch a descriptor at work: none may stay.
            bed.eventually(lambda mode=mode, running=running: kinds(running.proc.descriptors()) == kinds(before[mode]),
                           what="no descriptor left behind")
            threads[mode].add(running.proc.threads)
    assert len(made) == RATE * SECONDS
    for mode, running in daemons.items():
        assert len(threads[mode]) == 1, f"the number of threads changed: {threads}"
        rows = list(rows_of(tmp_path / mode))
        strangers = [row for row in rows if row["netns"].startswith(f"xc{os.getpid()}-")
                     and row["netns_cookie"] not in made]
        assert strangers == []
        rows = [row for row in rows if row["netns_cookie"] in made]
        for row in rows:
            check_row(row, made)
        seen = {row["netns_cookie"] for row in rows}
        assert len(seen) > len(made) / 4, f"{mode} saw only {len(seen)} of {len(made)} namespaces: that shows little"
        second_names = sum(row["netns"] not in ("", f"net:[{row['netns_inode']}]") for row in rows)
        assert second_names > 0
        assert running.totals()["p"]["failed"] == 0


def kinds(descriptors):
    """{kind: how many}: `socket:[123]` and `/proc/1/ns/net` change their numbers, not what they are."""
    counts = {}
    for target in descriptors.values():
        kind = target.split(":[")[0]
        counts[kind] = counts.get(kind, 0) + 1
    return counts
