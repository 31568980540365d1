"""timestamp_ns is the time of the kernel's look at the socket, also when receives are far apart.

Each connection sends one byte at a known moment. `last_data_sent` is its age when the kernel filled the row in, so
timestamp_ns - last_data_sent must give that moment, however long the row waited in the socket or in a buffer.
"""
import os
import subprocess
import time

import pytest

import bed
import daemon

TOLERANCE_NS = 20_000_000


class Senders:
    """Connections in a namespace of their own, and when each of their sockets sent last."""

    CODE = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
pairs = []
for _ in range(int(sys.argv[1])):
    client = socket.create_connection(listener.getsockname())
    pairs.append((client, listener.accept()[0]))
for number, (client, server) in enumerate(pairs):
    client.sendall(b"x")
    moment = time.time_ns()
    server.recv(1)
    cookie = int.from_bytes(client.getsockopt(socket.SOL_SOCKET, 57, 8), sys.byteorder)  # SO_COOKIE
    print(cookie, moment)
    if number % 10 == 0:
        time.sleep(0.01)
print("done", flush=True)
sys.stdin.read()
"""

    def __init__(self, namespace, count):
        self.arguments = ["nsenter", f"--net={namespace['path']}", "/usr/bin/python3", "-c", self.CODE, str(count)]

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.moments = {}
        while (words := self.process.stdout.readline().split()) != ["done"]:
            cookie, moment = map(int, words)
            self.moments[cookie] = moment
        return self.moments

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def quiet():
    with bed.Population(namespaces=1) as population:
        yield population


def check_moments(rows, moments, least_spread_ns=0):
    errors = {}
    for row in rows:
        moment = moments.get(row["inet_diag_msg_socket_cookie"])
        if moment is not None:
            seen = row["timestamp_ns"] - row["tcp_info_last_data_sent"] * 1_000_000
            errors[row["inet_diag_msg_socket_cookie"]] = seen - moment
    assert len(errors) == len(moments)
    worst = max(errors.values(), key=abs)
    wrong = sum(abs(error) > TOLERANCE_NS for error in errors.values())
    assert wrong == 0, f"{wrong} rows are off, the worst by {worst / 1e6:.1f} ms"
    times = [row["timestamp_ns"] for row in rows]
    assert max(times) - min(times) >= least_spread_ns, "the receives were not apart: the test shows nothing"


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_timestamps_without_pauses(quiet, tmp_path, mode):
    with Senders(quiet.namespaces[0], 200) as moments:
        done = bed.xtcpd("snapshot", "--all", "--format", "jsonl", "--mode", mode)
        rows = [row for row in bed.records_of(done.stdout) if row["netns"] in quiet.names]
        check_moments(rows, moments)


def test_timestamps_with_a_pause_before_every_receive(quiet, tmp_path):
    """strace holds every receive back for 300 ms before it enters the kernel: what it returns was filled in when the
    receive before it returned."""
    output = tmp_path / "rows.jsonl"
    pipeline = {"interval": "60s", "timeout": "50s", "align": "none", "namespaces": quiet.selection,
                "reader": {"mode": "syscall"},
                "sinks": {"out": {"type": "file", "path": str(output), "format": "jsonl"}}}
    calls = "recvfrom,recvmsg"
    prefix = ("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}",
              "-e", f"inject={calls}:delay_enter=300000")
    with Senders(quiet.namespaces[0], 400) as moments:
        running = daemon.Daemon(tmp_path, {"p": pipeline}, prefix=prefix)
        with running:
            running.wait_for_polls(1, timeout=60)
            # SIGTERM to strace does not reach xtcpd: end the child itself.
            (child,) = open(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read().split()
            os.kill(int(child), 15)
            running.process.wait(10)
        check_moments(bed.records_of(output.read_text()), moments, least_spread_ns=2_000_000_000)


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
def test_timestamps_when_the_reader_of_stdout_pauses(quiet, tmp_path, mode):
    """Small pools and a pipe that is read in gulps: the dump waits in the kernel for batches and buffers."""
    pipeline = {"interval": "60s", "timeout": "50s", "align": "none", "namespaces": quiet.selection,
                "reader": {"mode": mode, "recv_batch": 1}, "pools": {"receive_buffers": 1, "batches": 2},
                "batch": {"rows": 20}, "queue": {"bytes": "64KiB", "when_full": "block"},
                "sinks": {"out": {"type": "stdout", "format": "jsonl"}}}
    text = b""
    with Senders(quiet.namespaces[0], 150) as moments:
        expected = len(bed.ss(quiet.namespaces[0]["path"]))
        with daemon.Daemon(tmp_path, {"p": pipeline}, stdout=subprocess.PIPE) as running:
            pipe = running.process.stdout.fileno()
            deadline = time.monotonic() + 40
            while text.count(b"\n") < expected:
                assert time.monotonic() < deadline, "the rows stopped coming"
                time.sleep(0.15)
                text += os.read(pipe, 1 << 17)
            running.wait_for_polls(1)
        check_moments(bed.records_of(text.decode()), moments, least_spread_ns=1_000_000_000)
