"""Namespaces that come and go fifty times a second, under names that move: every row's name and cookie belong together.

CHURN_SECONDS sets how long (`make soak`: 60)."""
import os
import subprocess
import time

import pytest

import bed
import daemon

SECONDS = int(os.environ.get("CHURN_SECONDS", "8"))
RATE, LIFETIME_MS = 50, 350


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


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_names_and_cookies_belong_together_under_churn(still, tmp_path, mode):
    output = tmp_path / "rows.jsonl"
    prefix = f"xc{os.getpid()}-*"
    settings = {"interval": "200ms", "align": "none", "reader": {"mode": mode},
                "namespaces": {"include": [{"name": prefix}, {"name": "net:*"}, *still.selection["include"]]},
                "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}
    glob = {"global": {"discovery": {"interval": "200ms"}, "log": {"level": "debug", "format": "json"}}}
    with daemon.Daemon(tmp_path, {"p": settings}, settings=glob) as running:
        running.wait_for_polls(3)
        before = running.proc.descriptors()
        threads = {running.proc.threads}
        with Churn() as churn:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                time.sleep(0.1)
                running.check_alive()
                threads.add(running.proc.threads)
            made = churn.finish()
        running.wait_for_polls(len(running.polls()) + 3)
        # A dump may be under way at any moment, so a look may catch a descriptor at work: none may stay.
        bed.eventually(lambda: kinds(running.proc.descriptors()) == kinds(before), 5, "no descriptor left behind")
        threads.add(running.proc.threads)
    assert len(threads) == 1, f"the number of threads changed: {threads}"
    rows = [row for row in bed.records_of(output.read_text()) if row["netns_cookie"] in made]
    for row in rows:
        check_row(row, made)
    seen = {row["netns_cookie"] for row in rows}
    assert len(made) == RATE * SECONDS
    assert len(seen) > len(made) / 4, f"only {len(seen)} of {len(made)} namespaces were seen: the test shows little"
    second_names = sum(row["netns"] not in ("", f"net:[{row['netns_inode']}]") for row in rows)
    assert second_names > 0
    strangers = [row for row in bed.records_of(output.read_text()) if row["netns"].startswith(f"xc{os.getpid()}-")
                 and row["netns_cookie"] not in made]
    assert strangers == []
    assert running.totals()["p"]["failed"] == 0


def kinds(descriptors):
    """{kind: how many}: `socket:[123]` and `/proc/1/ns/net` change their numbers, not what they are."""
    counts = {}
    for target in descriptors.values():
        kind = target.split(":[")[0]
        counts[kind] = counts.get(kind, 0) + 1
    return counts
