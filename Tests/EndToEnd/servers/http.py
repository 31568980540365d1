"""An HTTP server of another make than libcurl: Python's, with answers that a test scripts."""
import base64
import dataclasses
import http.server
import pathlib
import time
import zlib

import zstandard

from servers.service import Service, reset


@dataclasses.dataclass
class Answer:
    """What a request is answered with. `accepted` says whether its body counts as taken, if not by the status."""
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    delay: float = 0
    how: str = "whole"
    accepted: bool = None

    @property
    def takes(self):
        return 200 <= self.status < 300 if self.accepted is None else self.accepted


def busy(status=503, retry_after=None):
    """503 or 429; `retry_after` in seconds, or an HTTP date."""
    return Answer(status, {} if retry_after is None else {"Retry-After": str(retry_after)})


def late(seconds, status=200):
    return Answer(status, delay=seconds)


def endless(status=200):
    """A body that does not end, as fast as it is read."""
    return Answer(status, how="endless")


def trickle(status=200, pause=1.0):
    """A byte of the body every `pause` seconds, for ever."""
    return Answer(status, how="trickle", delay=pause)


def hang():
    """The request is read and never answered."""
    return Answer(how="hang", accepted=False)


def lost(accepted=True):
    """The request is taken (or not), and the connection reset in place of an answer."""
    return Answer(how="reset", accepted=accepted)


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: object
    raw_path: pathlib.Path
    time: float
    status: int = None
    accepted: bool = False

    @property
    def raw(self):
        """The body as it was sent."""
        return self.raw_path.read_bytes()

    @property
    def body(self):
        """The body without its content encodings."""
        data = self.raw
        for coding in reversed(self.headers.get("Content-Encoding", "identity").lower().split(",")):
            data = DECODERS[coding.strip()](data)
        return data


def unzip(data):
    stream = zlib.decompressobj(wbits=47)  # gzip or zlib, with a header and a checksum
    plain = stream.decompress(data) + stream.flush()
    assert stream.eof and not stream.unused_data, "a gzip body is cut, or more follows"
    return plain


DECODERS = {"identity": bytes, "gzip": unzip, "deflate": unzip,
            "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(data)}


class Http(Service):
    """Records every request with its body, and answers with what `script()` put first, then always with `default`.

    `basic`: (user, password), `bearer`: a token; a request without gets 401 and is not taken."""

    scheme = "http"

    def __init__(self, *, basic=None, bearer=None, default=None, **options):
        super().__init__(**options)
        self.default = default or Answer()
        self.authorization = f"Bearer {bearer}" if bearer else None
        if basic:
            self.authorization = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        self.requests = []
        self.answers = []

    def script(self, *answers):
        """The next requests get these answers; numbers are statuses."""
        with self.lock:
            self.answers += [Answer(answer) if isinstance(answer, int) else answer for answer in answers]

    def serve(self, connection):
        Handler(connection, connection.getpeername(), self)

    def answer(self, request):
        """Decides; those that inherit may do more."""
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            return Answer(401, {"WWW-Authenticate": self.authorization.split()[0]})
        with self.lock:
            return self.answers.pop(0) if self.answers else self.default

    def statuses(self):
        return [request.status for request in self.requests]

    def accepted(self):
        """The requests that were taken."""
        return [request for request in list(self.requests) if request.accepted]

    def read_all(self):
        """The decoded bodies of the requests that were taken."""
        return [request.body for request in self.accepted()]


class Handler(http.server.BaseHTTPRequestHandler):
    """Of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Nothing is printed."""

    def handle_one_request(self):
        super().handle_one_request()
        # The base class ends the connection at the end of the file; here also at the end of the server.
        self.close_connection = self.close_connection or not self.server.alive

    def do_POST(self):
        with self.server.lock:
            path = self.server.folder / f"body-{len(self.server.requests)}"
            request = Request(self.command, self.path, self.headers, path, time.time())
            path.touch()
            self.server.requests.append(request)
        with open(path, "wb") as file:
            for piece in self.pieces():
                file.write(piece)
        answer = self.server.answer(request)
        request.accepted = answer.takes
        request.status = answer.status
        if answer.how == "whole":
            self.pause(answer.delay)
            self.send_whole(answer)
        elif answer.how == "hang":
            self.pause(3600)
        elif answer.how == "reset":
            request.status = None
            reset(self.connection)
            self.close_connection = True
        else:
            self.send_for_ever(answer)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST

    def pieces(self):
        """The body, whether it has a length or comes in chunks."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.read(min(left, 1 << 20))
            left -= len(piece)
            yield piece

    def read(self, size):
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("the request is cut")
        return data

    def pause(self, seconds):
        """As long, unless the server ends."""
        deadline = time.monotonic() + seconds
        while self.server.alive and time.monotonic() < deadline:
            time.sleep(min(0.02, max(0, deadline - time.monotonic())))

    def send_whole(self, answer):
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self._headers_buffer.append(b"\r\n" + (b"" if self.command == "HEAD" else answer.body))
        self.flush_headers()

    def send_for_ever(self, answer):
        self.close_connection = True
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        piece = b"x" * 65536 if answer.how == "endless" else b"x"
        while self.server.alive:
            self.wfile.write(piece)
            self.pause(answer.delay)
