"""Receivers of datagrams that keep up with a burst of 100,000 rows, and say what the kernel dropped."""
import contextlib
import os
import socket
import struct
import tempfile
import threading
import time

from servers.ports import free_port

SO_RCVBUFFORCE = 33
LARGEST = 65536


class Datagrams:
    """A UDP port, or a Unix datagram socket at a path of its own with `unix=True`. A context manager.

    `receive_buffer` is in bytes, beyond net.core.rmem_max where CAP_NET_ADMIN permits: a datagram takes its size
    rounded up and some 250 bytes more. A small one, or `pause()`, makes drops."""

    def __init__(self, *, unix=False, receive_buffer=512 << 20):
        self.unix, self.receive_buffer = unix, receive_buffer
        self.datagrams = []
        self.port = self.path = None
        self.dropped_before = 0

    def __enter__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="xtcpd-bed-")
        if self.unix:
            self.path = f"{self.holder.name}/datagrams.sock"
        for attempt in range(5):
            try:
                if not self.unix:
                    self.port = free_port(socket.SOCK_DGRAM)
                self.start()
                return self
            except OSError:
                if attempt == 4:
                    self.holder.cleanup()
                    raise

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.holder.cleanup()

    @property
    def url(self):
        return f"unix://{self.path}" if self.unix else f"udp://127.0.0.1:{self.port}"

    def start(self):
        self.socket = socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, self.receive_buffer // 2)
            # Often enough to notice the end; a blocked recv would not wake up when another thread closes the socket.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
            if self.unix:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path)
            self.socket.bind(self.path if self.unix else ("127.0.0.1", self.port))
        except OSError:
            self.socket.close()
            raise
        self.running, self.reading = True, threading.Event()
        self.reading.set()
        self.thread = threading.Thread(target=self._receive)
        self.thread.start()

    def _receive(self):
        while self.running:
            self.reading.wait()
            with contextlib.suppress(BlockingIOError):
                while self.reading.is_set():
                    self.datagrams.append(self.socket.recv(LARGEST))

    def pause(self):
        """Reads no more: the kernel's buffer fills, then it drops (UDP) or the sender waits (Unix)."""
        self.reading.clear()

    def resume(self):
        self.reading.set()

    def kill(self):
        """Closes the socket. What the kernel still held for it is gone, and is not among the `dropped`."""
        self.dropped_before = self.dropped
        self.running = False
        self.reading.set()
        self.thread.join()
        self.socket.close()

    def stop(self):
        if self.running:
            self.kill()

    def restart(self, down=0.0):
        self.stop()
        time.sleep(down)
        self.start()

    @property
    def received(self):
        return len(self.datagrams)

    @property
    def dropped(self):
        """Datagrams that the kernel dropped for want of room: the column `drops` of /proc/net/udp."""
        if self.unix or not self.running:
            return self.dropped_before
        inode = str(os.fstat(self.socket.fileno()).st_ino)
        with open("/proc/self/net/udp", encoding="ascii") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        return self.dropped_before + next(int(row[12]) for row in rows if row[9] == inode)

    def read_all(self, quiet=0.3):
        """Every datagram so far: once none has come for `quiet` seconds."""
        count = -1
        while count < len(self.datagrams):
            count = len(self.datagrams)
            time.sleep(quiet)
        return list(self.datagrams)
