"""What a record costs on any machine: instructions (callgrind) and bytes, on a capture that is the same everywhere.

Limits are a tenth above what was measured when they were set. A figure that grows says what changed; one that is meant
to grow gets another limit here, in the change that makes it grow."""
import random
import re
import struct
import subprocess

import pytest

import bed

SOCKETS_A_DATAGRAM = 65
TCP_INFO = 280

# {format: (instructions in user space, bytes) a record}
LIMITS = {"protobuf_list": (3900, 450), "protobuf": (3900, 450), "jsonl": (8150, 3530), "msgpack": (4550, 2960)}


def attribute(kind, payload):
    length = 4 + len(payload)
    return struct.pack("<HH", length, kind) + payload + bytes(-length % 4)


def socket(draw):
    """A socket as the kernel of 6.18 tells of it with every attribute that most have: 504 bytes or so."""
    family = draw.choice([2, 2, 2, 10])
    source, destination = (draw.randbytes(4) + bytes(12) if family == 2 else draw.randbytes(16) for _ in range(2))
    header = struct.pack("<BBBB", family, 1, 0, 0) + struct.pack(">HH", 443, draw.randrange(1024, 65536))
    identity = source + destination + struct.pack("<IQ", 0, draw.getrandbits(40))
    rest = struct.pack("<IIIII", 0, 0, draw.randrange(2) * 1448, 1000, draw.getrandbits(24))
    # Most counters of a connection are small, some are large.
    numbers = [draw.getrandbits(draw.choice([0, 0, 4, 8, 16, 24, 32])) for _ in range(TCP_INFO // 4)]
    memory = [draw.getrandbits(draw.choice([0, 12, 20])) for _ in range(9)]
    return header + identity + rest + attribute(8, b"\0") + attribute(5, b"\0") + attribute(
        2, struct.pack(f"<{TCP_INFO // 4}I", *numbers)) + attribute(4, b"cubic\0") + attribute(
        7, struct.pack("<9I", *memory)) + attribute(17, struct.pack("<I", 0)) + attribute(
        21, struct.pack("<Q", 1)) + attribute(22, b"\1\0")


def message(payload, sequence=1):
    length = 16 + len(payload)
    return struct.pack("<IHHII", length, 18, 2, sequence, 1) + payload + bytes(-length % 4)


def capture(path, datagrams):
    """A pcap file of so many datagrams of a dump (link type 253)."""
    draw = random.Random(7)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 253))
        for number in range(datagrams):
            data = b"".join(message(socket(draw)) for _ in range(SOCKETS_A_DATAGRAM))
            # ARPHRD_NETLINK, protocol NETLINK_SOCK_DIAG, in network byte order.
            cooked = struct.pack(">HH10xH", 4, 824, 4)
            file.write(struct.pack("<IIII", 1_700_000_000 + number, 0, len(cooked + data), len(cooked + data)))
            file.write(cooked + data)


def decode(binary, path, name):
    """Instructions, and bytes written."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(binary), "decode",
                           str(path), "--format", name], capture_output=True, check=True, timeout=300)
    return int(re.search(rb"Collected : (\d+)", done.stderr)[1]), len(done.stdout)


@pytest.fixture(name="cost", scope="module")
def fixture_cost(tmp_path_factory):
    """Of a record in a format: what more records cost more."""
    folder = tmp_path_factory.mktemp("costs")
    few, many = 10, 30
    for count in (few, many):
        capture(folder / f"{count}.pcap", count)
    # Valgrind stumbles over the debug information of this compiler.
    binary = folder / "xtcpd"
    subprocess.run(["strip", "-o", str(binary), str(bed.BINARY)], check=True)

    def cost(name):
        runs = [decode(binary, folder / f"{count}.pcap", name) for count in (few, many)]
        records = (many - few) * SOCKETS_A_DATAGRAM
        return tuple((after - before) / records for before, after in zip(*runs))

    return cost


@pytest.mark.parametrize("name", LIMITS)
def test_a_record_costs_no_more_than_it_did(cost, name):
    instructions, size = cost(name)
    print(f"{name}: {instructions:.0f} instructions and {size:.1f} bytes a record")
    assert size > 0 and instructions > 0
    assert instructions <= LIMITS[name][0] and size <= LIMITS[name][1], (instructions, size)
