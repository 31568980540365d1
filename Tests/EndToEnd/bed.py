"""The machinery of the end-to-end tests: the binary, populations, namespaces, what /proc says of a process."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import sstext

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".build/bed"
BINARY = pathlib.Path(os.environ.get("XTCPD_BINARY", ROOT / ".build/release/xtcpd"))

EXIT_USAGE, EXIT_MISSING_RIGHT, EXIT_INVALID_CONFIGURATION = 64, 77, 78


def xtcpd(*arguments, timeout=60, prefix=(), **options):
    """Runs a command of xtcpd to its end; text unless `text=False` is given."""
    options.setdefault("text", True)
    return subprocess.run([*prefix, BINARY, *arguments], capture_output=True, timeout=timeout, check=False, **options)


def end(process, timeout=20):
    """Ends a process that a test started, by its own handle: SIGTERM first, SIGKILL if that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"process {process.pid} ({process.args[0]}) ignored SIGTERM for {timeout} s") from None
    return process.returncode


LONGEST_CALL = """
import socket, struct, time
sock = socket.socket(16, socket.SOCK_RAW, 4)  # AF_NETLINK, NETLINK_SOCK_DIAG
# struct nlmsghdr; struct inet_diag_req: TCPDIAG_GETSOCK walks both families, as xtcpd does
body = struct.pack("=BBBB48xII", 2, 0, 0, 0xFE, 0xFFF, 0)
request = struct.pack("=IHHII", 16 + len(body), 18, 0x301, 1, 0) + body
longest, done = 0, False
while not done:
    started = time.perf_counter()
    if request:
        sock.send(request)
        answer, request = b"", None
    else:
        answer = sock.recv(65536)
        done = struct.unpack_from("=H", answer, 4)[0] in (2, 3)
    longest = max(longest, time.perf_counter() - started)
print(longest * 1000)
"""


class Population:
    """Real sockets in namespaces of their own; see Benchmarks/population.c for the settings. A context manager."""

    serial = 0

    def __init__(self, **settings):
        Population.serial += 1
        self.prefix = f"xe{os.getpid()}-{Population.serial}-"
        arguments = [str(TOOLS / "population"), "--prefix", self.prefix]
        for name, value in settings.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        self.arguments = arguments

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the population did not stand: exit {self.process.wait()}")
        self.namespaces = json.loads(line)["namespaces"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(30) == 0, "a process of the population died while the test ran"

    @property
    def names(self):
        return [namespace["name"] for namespace in self.namespaces]

    @property
    def selection(self):
        """`namespaces:` of a pipeline that reads this population and nothing else."""
        return {"include": [{"name": self.prefix + "*"}]}

    def longest_call_ms(self):
        """The longest of the netlink calls (send, receives) that a dump of the first namespace takes, in ms."""
        done = subprocess.run(["nsenter", f"--net={self.namespaces[0]['path']}", sys.executable, "-c", LONGEST_CALL],
                              capture_output=True, text=True, timeout=60, check=True)
        return float(done.stdout)

    def ss(self):
        """{netns cookie: {socket cookie: tokens}}."""
        return {cookie: sstext.parse(text) for cookie, text in self.texts_of_ss().items()}

    def texts_of_ss(self):
        """{netns cookie: text}: what ss() reads; for who looks twice and has time to read it afterwards."""
        return {namespace["cookie"]: text_of_ss(namespace["path"], *sstext.OPTIONS) for namespace in self.namespaces}

    def keys(self):
        """{(netns cookie, socket cookie)} of what ss sees: all that is asked of it where values are not compared."""
        return {(namespace["cookie"], int(cookie, 16)) for namespace in self.namespaces
                for cookie in re.findall(r"\bsk:([0-9a-f]+)", text_of_ss(namespace["path"], "-tanHe"))}


def text_of_ss(path, *options):
    # nsenter and not `ip netns exec`: the latter mounts another /sys, and ss could not name cgroups.
    return subprocess.run(["nsenter", f"--net={path}", "ss", *options], capture_output=True, text=True, timeout=60,
                          check=True).stdout


def ss(path):
    return sstext.parse(text_of_ss(path, *sstext.OPTIONS))


def cgroup_paths():
    """{cgroup id: path as ss prints it}: the id is the inode of the directory in the version 2 hierarchy."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        roots = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    paths = {}
    for root in roots[:1]:
        for directory, _, _ in os.walk(root):
            paths[os.stat(directory).st_ino] = directory.removeprefix(root) or "/"
    return paths


def records_of(text):
    """Records of jsonl text, as dictionaries."""
    return [json.loads(line) for line in text.splitlines()]


def group_by(records, key):
    groups = {}
    for record in records:
        groups.setdefault(record[key], []).append(record)
    return groups


class Process:
    """What /proc says of a running process."""

    def __init__(self, pid):
        self.folder = pathlib.Path(f"/proc/{pid}")

    def status(self, name):
        for line in (self.folder / "status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise KeyError(name)

    def mask(self, name):
        """A mask of signals (SigBlk, SigIgn, ...); 0 once the process has ended."""
        try:
            for line in (self.folder / "status").read_text().splitlines():
                if line.startswith(name + ":"):
                    return int(line.split()[1], 16)
        except (FileNotFoundError, ProcessLookupError):
            pass
        return 0

    @property
    def threads(self):
        return self.status("Threads")

    @property
    def peak_rss_mib(self):
        return self.status("VmHWM") / 1024

    def cpu_seconds(self):
        """User and system time so far."""
        fields = (self.folder / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        """{number: what it is}."""
        found = {}
        for link in (self.folder / "fd").iterdir():
            try:
                found[int(link.name)] = os.readlink(link)
            except FileNotFoundError:  # closed between listing and reading
                pass
        return found


def sockets_of_the_host():
    """TCP sockets of all namespaces, but those in TIME_WAIT."""
    return int(re.search(r"^TCP: .* alloc (\d+)", pathlib.Path("/proc/net/sockstat").read_text(), re.M)[1])


def eventually(condition, timeout=20, what="condition"):
    """Waits until `condition()` is true, and returns what it gave."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)
