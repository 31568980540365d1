"""A stand-in for nsqd: its TCP protocol, version 2 (https://nsq.io/clients/tcp_protocol_spec.html)."""
import json
import re
import struct
import threading
import time

from servers.service import Service

RESPONSE, ERROR, MESSAGE = 0, 1, 2
NAME = re.compile(r"[.a-zA-Z0-9_-]{1,64}(#ephemeral)?")
# nsqd ends the connection after an error, but not after these.
ENDURED = ("E_FIN_FAILED", "E_REQ_FAILED", "E_TOUCH_FAILED")


class ProtocolError(Exception):
    def __init__(self, code, why=""):
        super().__init__(f"{code} {why}".strip())
        self.code = code


class Nsq(Service):
    """Keeps what is published, by topic, in memory, and before it answers OK: kill() loses nothing that was
    acknowledged. A channel gets every message of its topic; one that is not finished goes to another consumer once
    its consumer has gone. `secret`: what AUTH must say first. Of TLS and compression it says that it has none."""

    scheme = "nsq"

    def __init__(self, *, secret=None, max_message=1 << 20, max_body=5 << 20, heartbeat=30.0, **options):
        super().__init__(**options)
        self.secret, self.max_message, self.max_body, self.heartbeat = secret, max_message, max_body, heartbeat
        self.topics = {}
        self.channels = {}
        self.failures = []
        self.commands = []
        self.changed = threading.Condition()

    def fail_next(self, code, count=1):
        """The next so many PUB and MPUB get this error: E_PUB_FAILED, E_MPUB_FAILED, ..."""
        self.failures += [code] * count

    def serve(self, connection):
        Conversation(self, connection).run()

    def publish(self, topic, bodies):
        with self.changed:
            self.topics.setdefault(topic, []).extend(bodies)
            self.changed.notify_all()

    def channel(self, topic, name):
        with self.changed:
            return self.channels.setdefault((topic, name), Channel())

    def read_all(self, topic):
        """The bodies published so far, in order."""
        with self.changed:
            return list(self.topics.get(topic, []))


class Channel:
    """Where a channel stands in its topic, and what came back."""

    def __init__(self):
        self.position = 0
        self.returned = []

    def take(self, topic):
        """The number of the next message of the topic, or None."""
        if self.returned:
            return self.returned.pop(0)
        if self.position < len(topic):
            self.position += 1
            return self.position - 1
        return None


class Conversation:
    """One connection: commands are obeyed here, messages and heartbeats are sent by a second thread."""

    def __init__(self, server, connection):
        self.server, self.connection = server, connection
        self.file = connection.makefile("rb")
        self.sending = threading.Lock()
        self.heartbeat = server.heartbeat
        self.heard = time.monotonic()
        self.authorized = server.secret is None
        self.topic = self.channel = None
        self.ready = 0
        self.in_flight = {}
        self.open = True

    def run(self):
        if self.file.read(4) != b"  V2":
            return self.send(ERROR, b"E_BAD_PROTOCOL")
        sender = threading.Thread(target=self._send_what_comes)
        sender.start()
        try:
            while self.open and (line := self.file.readline()):
                self._obey(line)
        finally:
            with self.server.changed:
                self.open = False
                if self.channel:
                    self.channel.returned += self.in_flight.values()
                self.server.changed.notify_all()
            sender.join()
            self.file.close()

    def send(self, kind, data):
        with self.sending:
            self.connection.sendall(struct.pack(">ii", len(data) + 4, kind) + data)

    def _obey(self, line):
        self.heard = time.monotonic()
        name, *words = line.decode("latin-1").strip().split(" ")
        self.server.commands.append(name)
        try:
            command = COMMANDS.get(name)
            if not command:
                raise ProtocolError("E_INVALID", f"invalid command {name}")
            answer = command(self, *words)
            if answer:
                self.send(RESPONSE, answer)
        except (ProtocolError, TypeError, ValueError, struct.error) as error:
            known = isinstance(error, ProtocolError)
            self.send(ERROR, str(error).encode() if known else b"E_INVALID " + str(error).encode())
            self.open = known and error.code in ENDURED

    def _body(self, limit, code):
        size, = struct.unpack(">i", self.file.read(4))
        if not 0 < size <= limit:
            raise ProtocolError(code, f"size {size} of at most {limit}")
        body = self.file.read(size)
        if len(body) < size:
            raise ProtocolError(code, "cut")
        return body

    def identify(self):
        asked = json.loads(self._body(self.server.max_body, "E_BAD_BODY"))
        if asked.get("heartbeat_interval", 0) > 0:
            self.heartbeat = asked["heartbeat_interval"] / 1000
        if asked.get("heartbeat_interval") == -1:
            self.heartbeat = float("inf")
        if not asked.get("feature_negotiation"):
            return b"OK"
        return json.dumps({"max_rdy_count": 2500, "version": "1.3.0", "max_msg_timeout": 900000, "msg_timeout": 60000,
                           "tls_v1": False, "deflate": False, "deflate_level": 6, "max_deflate_level": 6,
                           "snappy": False, "sample_rate": 0, "auth_required": self.server.secret is not None,
                           "output_buffer_size": 16384, "output_buffer_timeout": 250}).encode()

    def auth(self):
        if self._body(self.server.max_body, "E_BAD_BODY").decode() != self.server.secret:
            raise ProtocolError("E_AUTH_FAILED")
        self.authorized = True
        return b'{"identity":"","identity_url":"","permission_count":1}'

    def _name(self, name, code):
        if not NAME.fullmatch(name) or len(name) > 64:
            raise ProtocolError(code, f'"{name}" is not valid')
        if not self.authorized:
            raise ProtocolError("E_AUTH_FIRST")
        return name

    def pub(self, topic):
        topic = self._name(topic, "E_BAD_TOPIC")
        body = self._body(self.server.max_message, "E_BAD_MESSAGE")
        return self._publish(topic, [body])

    def mpub(self, topic):
        topic = self._name(topic, "E_BAD_TOPIC")
        body = self._body(self.server.max_body, "E_BAD_BODY")
        count, = struct.unpack_from(">i", body)
        bodies, position = [], 4
        for _ in range(count):
            size, = struct.unpack_from(">i", body, position)
            if not 0 < size <= self.server.max_message or position + 4 + size > len(body):
                raise ProtocolError("E_BAD_MESSAGE", f"size {size}")
            bodies.append(body[position + 4:position + 4 + size])
            position += 4 + size
        if not bodies or position != len(body):
            raise ProtocolError("E_BAD_BODY", f"{count} messages do not fill {len(body)} bytes")
        return self._publish(topic, bodies)

    def _publish(self, topic, bodies):
        if self.server.failures:
            raise ProtocolError(self.server.failures.pop(0), "as the test wants")
        self.server.publish(topic, bodies)
        return b"OK"

    def sub(self, topic, channel):
        self._name(topic, "E_BAD_TOPIC")
        self._name(channel, "E_BAD_CHANNEL")
        if self.channel:
            raise ProtocolError("E_INVALID", "subscribed already")
        self.topic, self.channel = topic, self.server.channel(topic, channel)
        return b"OK"

    def rdy(self, count="1"):
        with self.server.changed:
            self.ready = int(count)
            self.server.changed.notify_all()

    def fin(self, identity):
        with self.server.changed:
            if self.in_flight.pop(identity, None) is None:
                raise ProtocolError("E_FIN_FAILED", f"{identity} is not in flight")
            self.server.changed.notify_all()

    def req(self, identity, _):
        with self.server.changed:
            if identity not in self.in_flight:
                raise ProtocolError("E_REQ_FAILED", f"{identity} is not in flight")
            self.channel.returned.append(self.in_flight.pop(identity))
            self.server.changed.notify_all()

    def touch(self, identity):
        if identity not in self.in_flight:
            raise ProtocolError("E_TOUCH_FAILED", f"{identity} is not in flight")

    def nop(self):
        """The answer to a heartbeat: heard, that is all."""

    def cls(self):
        with self.server.changed:
            self.ready = 0
        return b"CLOSE_WAIT"

    def _next(self):
        """(number, body) to send now, or None; called with the lock held."""
        if not self.channel or len(self.in_flight) >= self.ready:
            return None
        topic = self.server.topics.get(self.topic, [])
        number = self.channel.take(topic)
        if number is None:
            return None
        self.in_flight[f"{number:016x}"] = number
        return number, topic[number]

    def _send_what_comes(self):
        beat = time.monotonic()
        try:
            while self.open:
                with self.server.changed:
                    found = self._next()
                    if found is None and self.open:
                        self.server.changed.wait(0.1)
                if found:
                    number, body = found
                    self.send(MESSAGE, struct.pack(">qH16s", time.time_ns(), 1, b"%016x" % number) + body)
                now = time.monotonic()
                if now - beat >= self.heartbeat:
                    beat = now
                    self.send(RESPONSE, b"_heartbeat_")
                if now - self.heard > 2 * self.heartbeat + 1:
                    self.open = False
                    self.connection.shutdown(2)
        except OSError:
            self.open = False


COMMANDS = {"IDENTIFY": Conversation.identify, "AUTH": Conversation.auth, "PUB": Conversation.pub,
            "MPUB": Conversation.mpub, "SUB": Conversation.sub, "RDY": Conversation.rdy, "FIN": Conversation.fin,
            "REQ": Conversation.req, "TOUCH": Conversation.touch, "NOP": Conversation.nop, "CLS": Conversation.cls}
