"""Peers of the tcp and unix sinks: one that records whole streams, and those that misbehave."""
import dataclasses
import socket
import ssl
import threading

from servers.service import Service

CHUNK = 1 << 20


@dataclasses.dataclass
class Stream:
    """What one connection brought, in a file."""
    path: object
    ended: bool = False
    length: int = 0

    @property
    def data(self):
        return self.path.read_bytes()


class StreamSink(Service):
    """Reads connections to their ends and keeps every byte, a Stream for each in the order they came.

    `close_after`: closes each connection once so many bytes have come, with more still unread: the peer gets RST, as
    from a server that was killed."""

    def __init__(self, *, close_after=None, **options):
        super().__init__(**options)
        self.close_after = close_after
        self.streams = []
        self.arrived = threading.Condition()

    def serve(self, connection):
        with self.arrived:
            stream = Stream(self.folder / f"stream-{len(self.streams)}")
            self.streams.append(stream)
        with open(stream.path, "wb", buffering=0) as file:
            try:
                while data := self.receive(connection, stream):
                    file.write(data)
                    with self.arrived:
                        stream.length += len(data)
                        self.arrived.notify_all()
                if isinstance(connection, ssl.SSLSocket) and self.close_after is None:
                    connection.unwrap()
            finally:
                stream.ended = True

    def receive(self, connection, stream):
        left = CHUNK if self.close_after is None else self.close_after - stream.length
        return connection.recv(min(CHUNK, left)) if left > 0 else b""

    @property
    def received(self):
        """In bytes, over all connections."""
        return sum(stream.length for stream in self.streams)

    def wait_for(self, length, timeout=30):
        """Until so many bytes have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.received >= length, timeout), \
                f"{self.received} of {length} bytes within {timeout} s"

    def read_all(self):
        """The bytes of each connection."""
        return [stream.data for stream in self.streams]


class Unread(Service):
    """Accepts connections and never reads; `receive_buffer` keeps what the kernel takes for it small. Entering a
    connection with TLS takes the handshake and nothing after it."""

    def __init__(self, *, receive_buffer=4096, **options):
        super().__init__(receive_buffer=receive_buffer, **options)
        self.ended = threading.Event()

    def start(self):
        self.ended.clear()
        super().start()

    def serve(self, connection):
        self.ended.wait()

    def kill(self):
        self.ended.set()
        super().kill()

    stop = kill


class Trickle(Unread):
    """Reads one byte every `pause` seconds, and counts them in `received`."""

    def __init__(self, *, pause=1.0, **options):
        super().__init__(**options)
        self.pause = pause
        self.received = 0

    def serve(self, connection):
        while not self.ended.wait(self.pause) and connection.recv(1):
            self.received += 1


class Unaccepting(Service):
    """Listens and never accepts. Once its queue of two is full, connecting hangs: the kernel drops the SYNs."""

    def _listen(self):
        listener = super()._listen()
        listener.listen(1)
        return listener

    def _accept(self, listener):
        """Nothing: the kernel completes what fits into the queue."""

    def fill(self):
        """Takes the places in the queue; returns the sockets, to be held."""
        held = []
        while len(held) < 8:
            client = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET)
            client.settimeout(0.2)
            try:
                client.connect(self.path or ("127.0.0.1", self.port))
            except OSError:
                client.close()
                return held
            held.append(client)
        raise AssertionError("the queue of a listener has no end")
