"""The process of clickhouse.ClickHouse: HTTP before, chDB behind. `python -m servers.clickhouse_front OPTIONS`."""
import base64
import json
import pathlib
import re
import signal
import ssl
import sys
import threading
import urllib.parse
import uuid

import chdb.session

from servers.http import Answer, Http

SCHEMA = pathlib.Path(__file__).resolve().parents[3] / "schema"
WINDOW = 10000

# What is no setting in a URL (https://clickhouse.com/docs/interfaces/http).
NOT_SETTINGS = {"query", "database", "default_format", "user", "password", "quota_key", "query_id", "session_id",
                "session_timeout", "session_check", "stacktrace", "role", "compress", "decompress", "buffer_size",
                "wait_end_of_query"}
INSERT = re.compile(r"\s*INSERT\s+INTO\s+(?:TABLE\s+)?([\w.`]+)\s*(\([^)]*\))?\s*(?:SETTINGS\s+(.+?)\s+)?"
                    r"FORMAT\s+(\w+)[ \t]*(?:\n|$)", re.IGNORECASE | re.DOTALL)
SETTING = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|[^,\s]+)\s*(?:,|$)")

STATUS_OF = {
    401: "REQUIRED_PASSWORD",
    403: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED ACCESS_DENIED",
    400: "BAD_ARGUMENTS CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE CANNOT_PARSE_QUOTED_STRING CANNOT_PARSE_NUMBER "
         "CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_INPUT_ASSERTION_FAILED DUPLICATE_COLUMN ILLEGAL_COLUMN "
         "THERE_IS_NO_COLUMN SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    404: "UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_DATABASE UNKNOWN_SETTING "
         "UNKNOWN_FORMAT",
    501: "NOT_IMPLEMENTED", 503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK", 408: "TIMEOUT_EXCEEDED",
}


class Refused(Exception):
    """As ClickHouse says it: code, name, text."""

    def __init__(self, code, name, text):
        super().__init__(f"Code: {code}. DB::Exception: {text} ({name}) (version {chdb.engine_version})\n")
        self.code, self.name = code, name


def refusal(error):
    """Of an exception of chDB, whose text says it twice."""
    found = re.search(r"Code: (\d+)\. DB::Exception: (?:Code: \d+\. DB::Exception: )?(.*?)\.?\s*\(([A-Z_0-9]+)\)",
                      str(error), re.DOTALL)
    return Refused(int(found[1]), found[3], found[2]) if found else Refused(1001, "STD_EXCEPTION", str(error))


def quoted(text):
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def settings_of(text):
    """{name: value} of a SETTINGS clause."""
    return {name: value[1:-1].replace("\\'", "'").replace("\\\\", "\\") if value.startswith("'") else value
            for name, value in SETTING.findall(text or "")}


class Engine:
    """chDB with the tables of schema/. One statement at a time."""

    def __init__(self, folder, old):
        self.folder, self.old = folder, old
        self.lock = threading.Lock()
        self.session = chdb.session.Session(str(folder / "data"))
        text = re.sub(r"--.*", "", (SCHEMA / "clickhouse.sql").read_text(encoding="utf-8"))
        for statement in filter(str.strip, text.split(";")):
            self.session.query(statement)
        for table in ("xtcp_raw", "xtcp_text"):
            self.session.query(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = {WINDOW}")

    def run(self, statement, output, settings, database):
        clause = ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())
        with self.lock:
            try:
                self.session.query(f"USE {database}")
                if clause:
                    # Checked here, since not every statement takes a clause.
                    self.session.query(f"SELECT 1 SETTINGS {clause}")
                return self.session.query(statement, output).bytes()
            except Exception as error:
                raise refusal(error) from None

    def insert(self, table, columns, layout, path, settings, database):
        """Returns the number of rows that the table has more."""
        if self.old:
            asynchronous = settings.get("async_insert", "0") not in ("0", "false")
            deduplicates = settings.get("async_insert_deduplicate", "0") not in ("0", "false")
            if asynchronous and not deduplicates:
                settings = {**settings, "deduplicate_insert_select": "disable"}
        # An INSERT SELECT stands for the INSERT here: its blocks must be the same when it comes again.
        settings = {"deduplicate_insert_select": "enable_even_for_bad_queries", "max_threads": 1,
                    "max_insert_threads": 1, "input_format_parallel_parsing": 0, **settings}
        if "format_schema" in settings:
            settings["format_schema"] = self._schema(settings["format_schema"])
        clause = ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())
        source = f"SELECT {columns[1:-1] if columns else '*'} FROM file({quoted(path)}, {quoted(layout)})"
        with self.lock:
            try:
                self.session.query(f"USE {database}")
                before = self._count(table)
                if path.stat().st_size:
                    self.session.query(f"INSERT INTO {table} {columns or ''} {source} SETTINGS {clause}")
                return self._count(table) - before
            except Exception as error:
                raise refusal(error) from None

    @staticmethod
    def _schema(name):
        """A server finds schemas in its format_schema_path, and nowhere else."""
        if "/" in name:
            raise Refused(36, "BAD_ARGUMENTS", "Schema file is outside of format_schema_path")
        return f"{SCHEMA}/{name}"

    def _count(self, table):
        return int(self.session.query(f"SELECT count() FROM {table}", "TSV").bytes())


class Front(Http):
    """Statements come in the parameter `query`, or at the beginning of the body."""

    def __init__(self, options):
        super().__init__()
        self.user, self.password = options["user"], options["password"]
        self.port, self.folder = options["port"], pathlib.Path(options["folder"]) / "requests"
        self.folder.mkdir(exist_ok=True)
        if options["tls"]:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*options["tls"])
        self.engine = Engine(pathlib.Path(options["folder"]), options["old"])
        self.scripted, self.inserts = [], []

    def answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        if url.path == "/ping":
            return Answer(body=b"Ok.\n")
        if url.path == "/bed/script":
            self.scripted += json.loads(request.body)
            return Answer()
        if url.path == "/bed/inserts":
            return Answer(body=json.dumps(self.inserts).encode())
        try:
            return self._execute(request, dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True)))
        except Refused as error:
            status = next((status for status, names in STATUS_OF.items() if error.name in names.split()), 500)
            return Answer(status, {"X-ClickHouse-Exception-Code": str(error.code)}, str(error).encode())
        finally:
            request.raw_path.unlink()

    def _check_user(self, headers, parameters):
        user = headers.get("X-ClickHouse-User") or parameters.get("user") or "default"
        password = headers.get("X-ClickHouse-Key") or parameters.get("password") or ""
        kind, _, value = headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            user, _, password = base64.b64decode(value).decode().partition(":")
        if (user, password) != (self.user, self.password):
            raise Refused(516, "AUTHENTICATION_FAILED", f"{user}: Authentication failed: password is incorrect, or "
                          "there is no user with such name.")

    def _execute(self, request, parameters):
        self._check_user(request.headers, parameters)
        database = request.headers.get("X-ClickHouse-Database") or parameters.get("database") or "default"
        settings = {name: value for name, value in parameters.items() if name not in NOT_SETTINGS}
        try:
            text = request.body
        except Exception as error:
            raise Refused(36, "BAD_ARGUMENTS", f"cannot decode the body: {error}") from None
        data = parameters["query"].encode() + b"\n" + text if "query" in parameters else text
        insert = INSERT.match(data[:65536].decode("latin-1"))
        if insert:
            return self._insert(request, insert, data[insert.end():], settings, database)
        if request.method == "GET" and not re.match(r"\s*(SELECT|SHOW|DESCRIBE|EXPLAIN|WITH)\b", data.decode(), re.I):
            raise Refused(164, "READONLY", "Cannot execute query in readonly mode: use POST")
        output = request.headers.get("X-ClickHouse-Format") or parameters.get("default_format") or "TSV"
        return Answer(body=self.engine.run(data.decode(), output, settings, database))

    def _insert(self, request, insert, data, settings, database):
        table, columns, clause, layout = insert.groups()
        settings = {**settings, **settings_of(clause)}
        told = {"table": table, "format": layout, "settings": settings, "bytes": len(data), "rows": 0, "code": 0,
                "status": 200, "headers": {name: value for name, value in request.headers.items()
                                           if name not in ("Authorization", "X-ClickHouse-Key")}}
        scripted = self.scripted.pop(0) if self.scripted else None
        self.inserts.append(told)
        try:
            if not scripted or scripted.pop("execute", False):
                path = self.folder / f"{uuid.uuid4()}"
                path.write_bytes(data)
                try:
                    told["rows"] = self.engine.insert(table, columns, layout, path, settings, database)
                finally:
                    path.unlink()
        except Refused as error:
            told["code"], told["status"] = error.code, None
            raise
        if scripted:
            told["status"] = scripted.get("status", 200)
            return Answer(**{**scripted, "body": scripted.get("body", "").encode()})
        summary = {"read_rows": str(told["rows"]), "written_rows": str(told["rows"])}
        return Answer(headers={"X-ClickHouse-Summary": json.dumps(summary), "Content-Type": "text/plain"})


def main():
    front = Front(json.loads(sys.argv[1]))
    # Blocked before threads start, so that none of them is told instead of sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    front.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    front.stop()
    front.engine.session.close()


if __name__ == "__main__":
    main()
