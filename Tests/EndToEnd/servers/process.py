"""A server that is a program of its own."""
import pathlib
import signal
import subprocess
import tempfile
import time

import bed
from servers.ports import answers, free_port


class Program:
    """Starts a program on a free loopback port and ends it. Those that inherit say how it is started, in
    `arguments()`, and when it answers, in `is_ready()`; `scheme` makes the URL."""

    scheme = "tcp"
    start_timeout = 20

    def __init__(self):
        self.port = None
        self.process = None

    def __enter__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="xtcpd-bed-")
        self.folder = pathlib.Path(self.holder.name)
        try:
            self.prepare()
            self._start_somewhere()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self._leave()

    def _start_somewhere(self):
        """Between choosing a port and binding it another process may take it."""
        for attempt in range(5):
            self.port = free_port()
            try:
                return self.start()
            except AssertionError:
                if attempt == 4 or self.running:
                    raise

    def _leave(self):
        if self.running:
            self.kill()
        self.holder.cleanup()

    def prepare(self):
        """Before the first start: what the program needs in its folder."""

    def arguments(self):
        raise NotImplementedError

    def is_ready(self):
        return answers(self.port)

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Starts it, at its port and with the data that it has, and waits until it answers."""
        with open(self.folder / "output", "ab") as output:
            self.process = subprocess.Popen(self.arguments(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            cwd=self.folder)
        deadline = time.monotonic() + self.start_timeout
        while not self.is_ready():
            assert self.running, f"{self} ended with {self.process.returncode}:\n{self.output()}"
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self} does not answer after {self.start_timeout} s:\n{self.output()}")
            time.sleep(0.02)
        # It is ours that answers, and not what took the port before it could.
        assert self.running, f"{self} ended with {self.process.returncode}:\n{self.output()}"

    def output(self):
        """The end of what it printed so far."""
        return (self.folder / "output").read_text(errors="replace")[-2000:]

    def kill(self):
        """SIGKILL; returns when the process has gone."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM, and SIGKILL with a failure if that is not enough."""
        if self.process is not None:
            self.resume()
            bed.end(self.process)

    def freeze(self):
        """SIGSTOP: the kernel goes on accepting connections and bytes until its buffers are full."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def restart(self, down=0.0):
        """SIGKILL, `down` seconds without a server, then a new start at the same port with the same data."""
        if self.running:
            self.kill()
        time.sleep(down)
        self.start()

    def __str__(self):
        return f"{type(self).__name__} at {self.url}"
