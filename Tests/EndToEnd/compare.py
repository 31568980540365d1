"""Compares records with two outputs of ss, one taken before and one after the records, in the same namespace.

A socket whose text did not change between the two must agree in every token. Some tokens tick by themselves (the age of
the last segment, timers, the time a send queue was busy): those must lie between the two. What only grows (byte and
segment counters) must lie between the two on every socket. Identity must agree on every socket.
"""
from dataclasses import dataclass, field

import sstext

IDENTITY = ("local", "peer", "ino", "uid")
AGES = ("lastsnd", "lastrcv", "lastack")
BUSY = ("busy", "rwnd_limited", "sndbuf_limited")
COUNTERS = ("bytes_sent", "bytes_retrans", "bytes_acked", "bytes_received", "segs_out", "segs_in", "data_segs_out",
            "data_segs_in", "delivered", "delivered_ce", "dsack_dups", "reord_seen", "rcv_ooopack")
TICKING = {"timer", *AGES, *BUSY}


@dataclass
class Report:
    """What was compared and every disagreement, as text that names the socket, the token and all three values."""
    elapsed_ms: float = 0
    throughout: int = 0
    unchanged: int = 0
    tokens: int = 0
    names: set = field(default_factory=set)
    states: set = field(default_factory=set)
    unknown: list = field(default_factory=list)
    mismatches: list = field(default_factory=list)

    def add(self, other):
        for name in ("throughout", "unchanged", "tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.names |= other.names
        self.states |= other.states
        self.unknown += other.unknown
        self.mismatches += other.mismatches


def compare(before, after, records, cgroups, elapsed_ms=0):
    """`before`, `after`: sstext.parse(); `records`: dictionaries of jsonl of this namespace, in any order;
    `elapsed_ms`: from the start of the first ss to the end of the second."""
    report = Report(elapsed_ms=elapsed_ms)
    rendered = {}
    for record in records:
        tokens = sstext.render(record, cgroups)
        if tokens["cookie"] in rendered:
            report.mismatches.append(f"socket {tokens['cookie']:x}: two records in one poll")
        rendered[tokens["cookie"]] = tokens
    for cookie in before.keys() & after.keys():
        report.throughout += 1
        if cookie not in rendered:
            report.mismatches.append(f"socket {cookie:x}: no record; ss: {before[cookie]}")
            continue
        compare_socket(report, before[cookie], after[cookie], rendered[cookie])
    report.unknown = [tokens for cookie, tokens in rendered.items() if cookie not in before and cookie not in after]
    return report


def compare_socket(report, before, after, record):
    report.states.add(before["state"])

    def mismatch(name):
        report.mismatches.append(
            f"socket {record['cookie']:x} ({before['state']} {before['local']} {before['peer']}): {name}: "
            f"record {record.get(name)!r}, ss before {before.get(name)!r}, after {after.get(name)!r}")

    for name in IDENTITY:
        # A socket that is closed loses its inode, and TIME_WAIT reports no uid: then the two outputs of ss differ.
        if before.get(name) == after.get(name) != record.get(name):
            mismatch(name)
    if before["state"] == after["state"] != record["state"]:
        mismatch("state")
    for name in COUNTERS:
        low, value, high = (int(tokens.get(name, 0)) for tokens in (before, record, after))
        if before["state"] == after["state"] and not low <= value <= high:
            mismatch(name)
    if not is_unchanged(before, after):
        return
    report.unchanged += 1
    for name in sorted((before.keys() | record.keys()) - sstext.NOT_IN_RECORDS):
        if name in sstext.PRINTED_BY_SOME and name not in before:
            continue
        report.tokens += 1
        report.names.add(name)
        if not agrees(name, before, record, after, report.elapsed_ms):
            mismatch(name)


def is_unchanged(before, after):
    names = (before.keys() | after.keys()) - TICKING
    if any(before.get(name) != after.get(name) for name in names):
        return False
    # An age that fell, or a timer of another kind or retry, is a socket at work, whatever its counters say.
    if any(int(after.get(name, 0)) < int(before.get(name, 0)) for name in AGES):
        return False
    return timer_parts(before)[::2] == timer_parts(after)[::2]


def agrees(name, before, record, after, elapsed_ms):
    if name in AGES:
        return int(before.get(name, 0)) <= int(record.get(name, 0)) <= int(after.get(name, 0))
    if name in BUSY:
        return milliseconds(before.get(name)) <= milliseconds(record.get(name)) <= milliseconds(after.get(name))
    if name == "timer":
        return timer_agrees(before, record, after, elapsed_ms)
    return before.get(name) == record.get(name)


def milliseconds(text):
    return int(text.split("ms")[0]) if text else 0


def timer_parts(tokens):
    """(kind, expiry as text, retries)."""
    return tuple(tokens["timer"].strip("()").split(",")) if "timer" in tokens else ("off", "", "0")


def timer_agrees(before, record, after, elapsed_ms):
    kind, expires, retries = timer_parts(record)
    kind_before, expires_before, retries_before = timer_parts(before)
    if (kind, retries) != (kind_before, retries_before):
        return False
    if kind == "off":
        return True
    soonest, highest = sstext.timer_range(expires_before)
    lowest = sstext.timer_range(timer_parts(after)[1])[0]
    if lowest > highest or soonest <= elapsed_ms:  # it was armed anew in between, or may have been
        return True
    low, high = sstext.timer_range(expires)
    return lowest < high and low < highest
