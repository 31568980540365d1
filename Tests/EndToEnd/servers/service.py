"""A server in Python threads: a listener, a thread a connection, and an end as sudden as a killed process's."""
import contextlib
import ctypes
import os
import pathlib
import socket
import ssl
import tempfile
import threading
import time

from servers.ports import free_port

C_LIBRARY = ctypes.CDLL(None)
UNSPECIFIED = bytes(16)  # struct sockaddr of AF_UNSPEC


def reset(connection):
    """Sends RST now and wakes every thread that waits on the connection, which close() of another thread does not.

    connect(2) to AF_UNSPEC dissolves the association, for TCP by a reset (`tcp_disconnect`). Where that is refused (a
    Unix socket, Linux 6.5 with a waiting thread), the end is FIN."""
    C_LIBRARY.connect(connection.fileno(), UNSPECIFIED, len(UNSPECIFIED))
    with contextlib.suppress(OSError):
        # It fails where the reset did not, and has reads find the end all the same: OpenSSL would try for ever on
        # ENOTCONN. Not of ssl.SSLSocket: that would turn TLS off under the thread that reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Service:
    """A context manager. Those that inherit say in `serve(connection)` what a connection is served with, in a thread
    of its own; `connection` is a socket, or an ssl.SSLSocket after the handshake, and is closed afterwards.

    `tls`: the certificates.Pair it shows; with a `client_authority` clients must show one too. `path`: a Unix socket
    there, and not a port. `receive_buffer`: SO_RCVBUF of connections in bytes, for peers that do not read."""

    scheme = "tcp"

    def __init__(self, *, tls=None, client_authority=None, path=None, receive_buffer=None):
        self.context = tls.server_context(client_authority) if tls else None
        self.path = str(path) if path else None
        self.receive_buffer = receive_buffer
        self.port = None
        self.handshake_failures = []
        self.lock = threading.Lock()
        self.connections = {}
        self.listener = None
        self.alive = False

    def __enter__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="xtcpd-bed-")
        self.folder = pathlib.Path(self.holder.name)
        for attempt in range(5):
            self.port = None if self.path else free_port()
            try:
                self.start()
                return self
            except OSError:
                if self.path or attempt == 4:
                    self.holder.cleanup()
                    raise

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.holder.cleanup()

    @property
    def url(self):
        if self.path:
            return f"unix://{self.path}"
        return f"{self.scheme}{'s' if self.context else ''}://127.0.0.1:{self.port}"

    def start(self):
        self.listener = self._listen()
        self.alive = True
        self.acceptor = threading.Thread(target=self._accept, args=(self.listener,))
        self.acceptor.start()

    def _listen(self):
        listener = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.receive_buffer:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
            if self.path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path)
            listener.bind(self.path or ("127.0.0.1", self.port))
            listener.listen(512)
        except OSError:
            listener.close()
            raise
        return listener

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(connection,))
            with self.lock:
                if not self.alive:
                    connection.close()
                    return
                self.connections[connection] = thread
            thread.start()

    def _run(self, connection):
        """Serves a connection to its end. A peer that goes at any moment is what tests are made of."""
        raw = connection
        try:
            if self.context:
                connection = self._shake_hands(raw)
            if connection:
                self.serve(connection)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            with contextlib.suppress(OSError):
                (connection or raw).close()
            raw.close()
            with self.lock:
                self.connections.pop(raw, None)

    def _shake_hands(self, raw):
        """The connection with TLS; None, and a line in `handshake_failures`, if the client refuses it."""
        # Of a copy: kill() has to reach the connection that wrap_socket would take away.
        copy = raw.dup()
        try:
            return self.context.wrap_socket(copy, server_side=True)
        except (OSError, ssl.SSLError) as error:
            copy.close()
            self.handshake_failures.append(str(error))
            return None

    def serve(self, connection):
        raise NotImplementedError

    def kill(self):
        """What the kernel does to a process that is killed: no listener, every connection broken."""
        with self.lock:
            self.alive = False
            threads = list(self.connections.values())
            for connection in self.connections:
                reset(connection)
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in [self.acceptor, *threads]:
            thread.join(10)
            assert not thread.is_alive(), f"{type(self).__name__}: a connection did not end"

    stop = kill

    def restart(self, down=0.0):
        """kill(), `down` seconds without a server, then the same port again with what was recorded before."""
        if self.alive:
            self.kill()
        time.sleep(down)
        self.start()
