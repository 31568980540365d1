"""A TCP relay before a server: it can be cut, frozen, slowed and reset, and counts the bytes each way."""
import contextlib
import socket
import ssl
import threading
import time

from servers.service import Service, reset

CHUNK = 65536


class Relay(Service):
    """Passes connections to `target` (a port on loopback, or a server with a `.port`).

    cut()       no listener, connections reset: a killed server, as its clients see it
    restore()   it listens again at the same port
    freeze()    connections are accepted, nothing passes in either direction: a peer that hangs
    resume()    what was held passes
    reset()     connections that are open get RST, new ones are served
    throttle()  so many bytes a second each way, together; None: as fast as it goes

    `to_server` and `to_client` count bytes as they passed. With `tls` the relay ends TLS and passes what was in it,
    so `to_server` counts payload alone: it is 0 as long as a client has refused every certificate."""

    def __init__(self, target, *, tls=None, client_authority=None):
        super().__init__(tls=tls, client_authority=client_authority)
        self.target = target
        self.to_server = self.to_client = self.accepted = 0
        self.passing = threading.Event()
        self.passing.set()
        self.rate = None

    @property
    def target_port(self):
        return getattr(self.target, "port", self.target)

    def cut(self):
        self.resume()
        self.kill()

    restore = Service.start

    def freeze(self):
        self.passing.clear()

    def resume(self):
        self.passing.set()

    def reset(self):
        with self.lock:
            for connection in self.connections:
                reset(connection)

    def throttle(self, bytes_per_second):
        self.rate = bytes_per_second

    def stop(self):
        self.resume()
        if self.alive:
            super().stop()

    def restart(self, down=0.0):
        if self.alive:
            self.cut()
        time.sleep(down)
        self.restore()

    def serve(self, connection):
        self.accepted += 1
        self._wait_while_frozen(connection)
        with socket.create_connection(("127.0.0.1", self.target_port), 10) as server:
            server.settimeout(None)
            for end in (connection, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pass, args=(server, connection, "to_client"))
            back.start()
            self._pass(connection, server, "to_server")
            back.join()

    def _wait_while_frozen(self, connection):
        self.passing.wait()
        if not self.alive:
            raise OSError("cut")

    def _pass(self, source, target, counter):
        """Until one end closes; then the other is told so. A reset is passed on as a reset."""
        try:
            while data := source.recv(min(CHUNK, self.rate or CHUNK)):
                self._wait_while_frozen(source)
                target.sendall(data)
                with self.lock:
                    setattr(self, counter, getattr(self, counter) + len(data))
                if self.rate:
                    time.sleep(len(data) / self.rate)
            if isinstance(target, ssl.SSLSocket):
                # There is no half-closed TLS here: what came is passed, then it is over.
                reset(target)
            else:
                target.shutdown(socket.SHUT_WR)
        except (OSError, ssl.SSLError):
            for end in (source, target):
                with contextlib.suppress(OSError):
                    reset(end)
