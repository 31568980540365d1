"""Compares what a sink delivered with the jsonl of the same polls, row by row and value by value."""
import collections
import json
from dataclasses import dataclass, field

import bed
import formats

# A row's key. The start of the poll stands for boot_id: poll_sequence begins again when the daemon does.
KEY = ("pipeline", "poll_start_ns", "poll_sequence", "netns_cookie", "inet_diag_msg_socket_cookie")
BINARY = ("protobuf_list", "protobuf", "msgpack")


@dataclass
class Report:
    """`missing`, `extra`: keys; `duplicates`: {key: copies beyond the first}; `different`: {key: {column: (reference,
    received)}}."""
    expected: int = 0
    received: int = 0
    missing: list = field(default_factory=list)
    extra: list = field(default_factory=list)
    duplicates: dict = field(default_factory=dict)
    different: dict = field(default_factory=dict)

    def check(self, *, missing=0, duplicates=False):
        """That exactly so many rows are missing, none is there that was not polled, none has another value, and none
        is there twice unless duplicates are allowed."""
        assert (len(self.missing) == missing and not self.extra and not self.different
                and (duplicates or not self.duplicates)), str(self)

    def __str__(self):
        first = next(iter(self.different.items()), None)
        return (f"{self.expected} rows expected, {self.received} received: {len(self.missing)} missing "
                f"{self.missing[:3]}, {len(self.extra)} extra {self.extra[:3]}, {sum(self.duplicates.values())} "
                f"duplicates {list(self.duplicates)[:3]}, {len(self.different)} different {first}")


def lines(layout, payloads, folder):
    """Lines of jsonl of payloads in this format: messages, objects, bodies or whole streams."""
    data = b"".join(payloads)
    if layout == "jsonl":
        return data.splitlines()
    assert layout in BINARY, layout
    if not data:
        return []
    path = folder / f"received.{layout}"
    path.write_bytes(data)
    done = bed.xtcpd("decode", path, "--input-format", layout, "--format", "jsonl", text=False, timeout=300)
    path.unlink()
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def compare(reference, received):
    """Both: lines of jsonl, in any order. Lines that are alike to the last byte need no parsing."""
    expected, copies = set(reference), collections.Counter(received)
    assert len(expected) == len(reference), "the reference has a row twice"
    if copies.keys() - expected:
        return compare_rows(map(json.loads, reference), map(json.loads, received))
    missing = [key_of(json.loads(line)) for line in expected - copies.keys()]
    duplicates = {key_of(json.loads(line)): count - 1 for line, count in copies.items() if count > 1}
    return Report(len(reference), len(received), missing=missing, duplicates=duplicates)


def key_of(row):
    return tuple(row.get(name) for name in KEY)


def compare_rows(reference, received):
    """As compare(), of dictionaries."""
    expected = {key_of(row): row for row in reference}
    return compare_values(expected, ((key_of(row), row) for row in received), lambda row: row)


def compare_table(reference, layout, payloads, columns=None):
    """As compare(), of csv or tsv. `columns`: their names where no payload has a header; else each has. The columns of
    the key have to be among them."""
    names, found = columns, []
    for payload in payloads:
        table = formats.table(layout, payload)
        names = names or table[0]
        found += table if columns else table[1:]
    if not names:
        return Report(len(reference), missing=[key_of(json.loads(line)) for line in reference])
    places = [names.index(name) for name in KEY]

    def with_key(cells):
        return tuple(cells[place] for place in places), cells
    expected = dict(with_key(cells_of(json.loads(line), names)) for line in reference)
    return compare_values(expected, map(with_key, found), lambda cells: dict(zip(names, cells)))


def cells_of(row, names):
    """As csv writes them."""
    values = map(row.get, names)
    return ["" if value is None else value if type(value) is str else str(int(value)) for value in values]


def compare_values(expected, received, named):
    """`expected`: {key: value}, `received`: pairs of both; `named` makes a dictionary of a value."""
    report, seen = Report(len(expected)), collections.Counter()
    for key, value in received:
        report.received += 1
        if key not in expected:
            report.extra.append(key)
            continue
        seen[key] += 1
        if value != expected[key]:
            report.different[key] = differences(named(expected[key]), named(value))
    report.missing = [key for key in expected if key not in seen]
    report.duplicates = {key: count - 1 for key, count in seen.items() if count > 1}
    return report


def differences(expected, found):
    """{column: (reference, received)}"""
    return {name: (expected.get(name), found.get(name)) for name in expected.keys() | found.keys()
            if expected.get(name) != found.get(name)}
