"""Parquet files read by programs that are not ours, and what `jsonl` says of the same rows."""
import collections
import datetime
import json
import random
import subprocess

import pyarrow
import pyarrow.compute

import bed


def decode(source, target, *arguments):
    """`xtcpd decode SOURCE --format parquet > TARGET`; the finished process."""
    with open(target, "wb") as output:
        return subprocess.run([bed.BINARY, "decode", source, "--format", "parquet", *arguments], stdout=output,
                              stderr=subprocess.PIPE, timeout=600, check=False)


def event_date(row):
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=row["timestamp_ns"] // (86_400 * 10**9))


def varint(value):
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded + bytes([value]))


def varied(messages, count):
    """`count` rows of format protobuf made of `messages`, with other numbers of tcp_info, up to the largest."""
    source = random.Random(1)
    # Up to 1262 the kernel's numbers are as wide as their columns.
    numbers = [(field.name, 2**32 if field.type == field.TYPE_UINT32 else 2**64)
               for field in messages[0].DESCRIPTOR.fields if 1215 <= field.number <= 1262]
    rows = []
    for index in range(count):
        message = type(messages[0])()
        message.CopyFrom(messages[index % len(messages)])
        message.record_counter = index + 1
        message.timestamp_ns += index * 10**11
        message.inet_diag_msg_socket_cookie += index // 50
        for name, end in source.sample(numbers, 12):
            # Absent and zero look the same here, so zero stays zero.
            if value := getattr(message, name):
                choices = [value, end - 1, source.randrange(1, end), source.randrange(1, 9)]
                setattr(message, name, source.choice(choices))
        body = message.SerializeToString()
        rows.append(varint(len(body)) + body)
    return b"".join(rows)


class Sums:
    """What jsonl lines say of every column: how many values, and the sum of numbers or of the bytes of texts."""

    def __init__(self, lines):
        self.rows = 0
        self.counts = collections.Counter()
        self.sums = collections.Counter()
        for line in lines:
            self.rows += 1
            for name, value in json.loads(line).items():
                self.counts[name] += 1
                self.sums[name] += len(value.encode()) if isinstance(value, str) else value

    def of(self, columns):
        """In the order of `query` and `arrow`."""
        return [self.rows] + [number for name in columns for number in (self.counts[name], self.sums[name])]


def query(columns, wide, length, source):
    """SQL for what `Sums.of` says. `columns`: {name: whether it is text}; `wide`: a type that holds every sum."""
    terms = ["count(*)"]
    for name, is_text in columns.items():
        value = length.format(name) if is_text else name
        terms += [f"count({name})", f"coalesce(sum(CAST({value} AS {wide})), 0)"]
    return "SELECT " + ", ".join(terms) + f" FROM {source}"


def duckdb_sums(connection, columns, path):
    statement = query(columns, "HUGEINT", "octet_length(encode({}))", f"read_parquet('{path}')")
    return list(connection.execute(statement).fetchone())


def clickhouse_sums(session, columns, path):
    statement = query(columns, "Nullable(Int128)", "length({})", f"file('{path}', 'Parquet')")
    return [int(cell) for cell in session.query(statement, "TSV").bytes().decode().split("\t")]


def arrow_sums(columns, table):
    numbers = [table.num_rows]
    for name, is_text in columns.items():
        column = table[name]
        values = pyarrow.compute.binary_length(column) if is_text else column
        total = pyarrow.compute.sum(values.cast(pyarrow.decimal128(38))).as_py()
        numbers += [len(column) - column.null_count, int(total or 0)]
    return numbers
