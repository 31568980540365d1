"""ClickHouse: an HTTP server that executes what it gets in chDB, the embedded ClickHouse, on the tables of schema/.

Its process is clickhouse_front.py. The tables are plain MergeTree with non_replicated_deduplication_window set, so the
deduplication of insert_deduplication_token is ClickHouse's own and lasts over kill() and restart()."""
import json
import pathlib
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

from servers.process import Program


class ClickHouseError(Exception):
    """An answer that is not 200: `status`, and the exception's `code`."""

    def __init__(self, status, code, text):
        super().__init__(f"{status}: {text}")
        self.status, self.code = status, code


class ClickHouse(Program):
    """Tables xtcp_raw and xtcp_text and the view xtcp, in database default. `password` is of `user`.

    Settings of the URL and of the statement are given to ClickHouse, so one that does not exist is an error. An
    insert is executed at once whether async_insert says so or not, and answered when its rows are in the table, as
    wait_for_async_insert=1 wants. `old`: as servers without deduplicate_insert, which deduplicate an asynchronous
    insert only if async_insert_deduplicate=1 is said too."""

    scheme = "http"
    start_timeout = 30

    def __init__(self, *, user="default", password="", tls=None, old=False):
        super().__init__()
        self.user, self.password, self.tls, self.old = user, password, tls, old

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def arguments(self):
        options = {"port": self.port, "folder": str(self.folder), "user": self.user, "password": self.password,
                   "old": self.old, "tls": [str(self.tls.certificate), str(self.tls.key)] if self.tls else None}
        # The packages of the tests are found beside this one.
        return ["env", f"PYTHONPATH={pathlib.Path(__file__).parents[1]}", sys.executable, "-m",
                "servers.clickhouse_front", json.dumps(options)]

    def is_ready(self):
        try:
            return self._ask("/ping") == b"Ok.\n"
        except (OSError, ClickHouseError):
            return False

    def _ask(self, path, body=None, headers=None):
        context = ssl._create_unverified_context() if self.tls else None  # pylint: disable=protected-access
        request = urllib.request.Request(self.url + path, body, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            code = int(error.headers.get("X-ClickHouse-Exception-Code", 0))
            raise ClickHouseError(error.code, code, error.read().decode()) from None

    def post(self, statement, body=b"", *, headers=None, **settings):
        """A request as a client would make it; returns the answer's body."""
        query = urllib.parse.urlencode({"query": statement, **settings})
        who = {"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password} if self.password else {}
        return self._ask(f"/?{query}", body, {**who, **(headers or {})})

    def query(self, statement):
        """Rows of a SELECT, as dictionaries. 64-bit numbers are numbers."""
        return [json.loads(line) for line in self.post(statement, default_format="JSONEachRow").splitlines()]

    def count(self, table="xtcp"):
        return self.query(f"SELECT count() AS count FROM {table}")[0]["count"]

    def read_all(self, table="xtcp", columns="*"):
        """Every row: of xtcp_raw, xtcp_text, or of the view of both."""
        return self.query(f"SELECT {columns} FROM {table}")

    def differences(self, reference, table="xtcp_raw", limit=5):
        """Compares a table with lines of jsonl, each of them once, inside ClickHouse: [] if the same rows are there.
        Else the first that are not there once in both, with the number of copies. Of xtcp_raw it asks the view, so the
        text table must be empty; it is not afterwards. Only once for a server."""
        other = "xtcp_text" if table == "xtcp_raw" else "reference"
        if other == "reference":
            self.post("CREATE TABLE reference AS xtcp_text")
        assert self.count(other) == 0, f"{other} has rows already"
        self.post(f"INSERT INTO {other} FORMAT JSONEachRow", b"\n".join(reference))
        both = "xtcp" if table == "xtcp_raw" else "(SELECT * FROM xtcp_text UNION ALL SELECT * FROM reference)"
        unequal = self.query(f"SELECT *, count() AS copies FROM {both} GROUP BY ALL HAVING copies != 2 LIMIT {limit}")
        # Twice in the table and never in the reference makes two copies as well; then another one is missing.
        assert unequal or self.count(table) == self.count(other) == len(reference)
        return unequal

    def script(self, *answers):
        """What the next inserts meet: each {"status": 503, "headers": {}, "body": "", "delay": seconds, "how":
        "whole"|"hang"|"reset", "execute": whether the rows go into the table before}."""
        self._ask("/bed/script", json.dumps(answers).encode())

    def inserts(self):
        """Of each insert since the start: table, format, settings, headers (without secrets), bytes, status, code, and
        the rows that it added, which is 0 for a duplicate."""
        return json.loads(self._ask("/bed/inserts"))
