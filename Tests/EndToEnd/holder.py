"""A process that holds sockets in a network namespace of its own: exactly those that a test asks for."""
import json
import os
import pathlib
import socket
import subprocess
import sys

import bed


class Holder:
    """A context manager. `listeners`: [address, port] each; `connections`: [from, port, to, port] each, to one of the
    listeners, both ends in here. With a `name` the namespace is mounted at /run/netns/NAME, else only the process
    holds it."""

    def __init__(self, listeners=(), connections=(), name=None):
        self.plan = json.dumps({"listeners": listeners, "connections": connections})
        self.name = name

    def __enter__(self):
        if self.name:
            subprocess.run(["ip", "netns", "add", self.name], check=True)
            inside = ["nsenter", f"--net=/run/netns/{self.name}"]
        else:
            inside = ["unshare", "--net"]
        self.process = subprocess.Popen([*inside, sys.executable, __file__, self.plan], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, f"the holder did not stand: exit {self.process.wait()}"
        told = json.loads(line)
        self.inode, self.cookie = told["inode"], told["cookie"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        if self.name:
            self.unmount()

    def unmount(self):
        if pathlib.Path("/run/netns", self.name).exists():
            subprocess.run(["ip", "netns", "delete", self.name], check=True)

    @property
    def pid(self):
        return self.process.pid

    def enter_cgroup(self, directory):
        """Moves the process into a control group that exists."""
        pathlib.Path(directory, "cgroup.procs").write_text(str(self.pid), encoding="ascii")


def names_in_file(path):
    """The namespaces whose rows are in a jsonl file so far."""
    if not path.exists():
        return set()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return {json.loads(line)["netns"] for line in lines if line.endswith("\n")}


def wait_for_name(path, name, timeout=10):
    bed.eventually(lambda: name in names_in_file(path), timeout, f"rows of {name} in {path}")


def hold(plan):
    """What runs inside."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in {address for address, _ in plan["listeners"]} | {end[0] for end in plan["connections"]}:
        if not address.startswith(("127.", "::ffff:")) and address not in ("::1", "::", "0.0.0.0"):
            width = 128 if ":" in address else 32
            subprocess.run(["ip", "address", "add", f"{address}/{width}", "dev", "lo", "nodad"]
                           if ":" in address else ["ip", "address", "add", f"{address}/{width}", "dev", "lo"],
                           check=True)
    held = []

    def new(address):
        held.append(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return held[-1]

    listeners = {}
    for address, port in plan["listeners"]:
        listener = new(address)
        listener.bind((address, port))
        listener.listen(100)
        listeners[address, port] = listener
    for source, source_port, destination, port in plan["connections"]:
        client = new(source)
        client.bind((source, source_port))
        client.connect((destination, port))
        held.append(listeners[destination, port].accept()[0])
    probe = socket.socket()
    so_netns_cookie = 71
    cookie = int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, so_netns_cookie, 8), sys.byteorder)
    probe.close()
    print(json.dumps({"inode": os.stat("/proc/self/ns/net").st_ino, "cookie": cookie}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    hold(json.loads(sys.argv[1]))
