"""Readers of every output format that know nothing of xtcpd's own code: Python's libraries and protoc's classes."""
import csv
import importlib
import io
import ipaddress
import json
import re
import subprocess
import sys

import msgpack
from google.protobuf import json_format, text_format

import bed

FORMATS = ["protobuf_list", "protobuf", "jsonl", "proto_json", "proto_text", "csv", "tsv", "msgpack"]
KEY = ("poll_sequence", "netns_cookie", "inet_diag_msg_socket_cookie")
STATES = ["", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
          "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"]


def compile_schema(folder):
    """The module that protoc makes of `xtcpd schema proto`; the .proto lies beside it."""
    done = bed.xtcpd("schema", "proto")
    assert done.returncode == 0, done.stderr
    (folder / "xtcp_flat_record.proto").write_text(done.stdout)
    subprocess.run(["protoc", f"--proto_path={folder}", f"--python_out={folder}", "xtcp_flat_record.proto"], check=True)
    sys.path.insert(0, str(folder))
    return importlib.import_module("xtcp_flat_record_pb2")


def delimited(data):
    """The messages of a length-delimited stream (an unsigned varint before each)."""
    position = 0
    while position < len(data):
        length = shift = 0
        while True:
            byte = data[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert position + length <= len(data), "the last message is cut"
        yield data[position:position + length]
        position += length


def envelopes(data, schema):
    return [schema.Envelope.FromString(message) for message in delimited(data)]


def messages(name, data, schema):
    """XtcpFlatRecord messages of the four formats that are protobuf's."""
    if name == "protobuf_list":
        return [row for envelope in envelopes(data, schema) for row in envelope.row]
    if name == "protobuf":
        return [schema.XtcpFlatRecord.FromString(message) for message in delimited(data)]
    if name == "proto_json":
        parsed = [json_format.Parse(line, schema.Envelope()) for line in data.decode().splitlines()]
        return [row for envelope in parsed for row in envelope.row]
    # Fields of a repeated text format add up, so the whole file is one Envelope.
    return list(text_format.Parse(data.decode(), schema.Envelope()).row)


def rows(name, data):
    """Dictionaries of the formats that name their columns; csv and tsv give text, without the empty cells."""
    if name == "jsonl":
        return [json.loads(line) for line in data.decode().splitlines()]
    if name == "msgpack":
        return list(msgpack.Unpacker(io.BytesIO(data), raw=False))
    header, *lines = table(name, data)
    return [{name: cell for name, cell in zip(header, line) if cell} for line in lines]


def table(name, data):
    """The cells of csv or tsv, line by line."""
    text = data.decode()
    if name == "csv":
        found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    else:
        found = [[unescape(cell) for cell in line.split("\t")] for line in text.splitlines()]
    assert all(len(line) == len(found[0]) for line in found), "a line has more or fewer cells than the first"
    return found


def unescape(cell):
    return re.sub(r"\\([tnr\\])", lambda match: {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}[match.group(1)], cell)


def keys(name, data, schema):
    """(poll sequence, netns cookie, socket cookie) of every row, cheaply."""
    if name in ("protobuf_list", "protobuf"):
        return [tuple(getattr(row, field) for field in KEY) for row in messages(name, data, schema)]
    if name == "proto_json":
        found = [row for line in data.decode().splitlines() for row in json.loads(line).get("row", [])]
        names = ("pollSequence", "netnsCookie", "inetDiagMsgSocketCookie")
        return [tuple(int(row.get(field, 0)) for field in names) for row in found]
    if name == "proto_text":
        found = [re.findall(rf"\b{field}: (\d+)", data.decode()) for field in KEY]
        assert len({len(column) for column in found}) == 1
        return [tuple(map(int, row)) for row in zip(*found)]
    if name in ("csv", "tsv"):
        header, *lines = table(name, data)
        places = [header.index(field) for field in KEY]
        return [tuple(int(line[place]) for place in places) for line in lines]
    return [tuple(int(row[field]) for field in KEY) for row in rows(name, data)]


def message_value(field, value):
    """A protobuf value as jsonl writes it."""
    if field.type == field.TYPE_BYTES:
        address = ipaddress.ip_address(value)
        mapped = address.ipv4_mapped if address.version == 6 else None
        return f"::ffff:{mapped}" if mapped else str(address)
    return value


def differences(row, message):
    """What a jsonl row and a protobuf message disagree on. An unset number is 0; an absent jsonl field is unset."""
    found = []
    fields = message.DESCRIPTOR.fields_by_name
    for name in row.keys() | {field.name for field, _ in message.ListFields()}:
        if name not in fields:
            found.append(f"{name}: in jsonl and not in the .proto")
            continue
        ours, theirs = row.get(name), message_value(fields[name], getattr(message, name))
        if ours in (True, False) and not isinstance(ours, str):
            ours = int(ours)
        if isinstance(ours, str) and isinstance(theirs, int) and theirs < len(STATES):
            theirs = STATES[theirs]
        if ours != theirs and not (ours is None and theirs in (0, "")):
            found.append(f"{name}: jsonl {ours!r}, protobuf {theirs!r}")
    return found
