"""Sockets in = records out, whatever the sizes: mode x format x batch rows x recv_batch x cqe_batch, 432 cells.

A cell is a pipeline with a file of its own; the 24 cells of one (mode, recv_batch, cqe_batch) share a daemon, or as
many of them as have descriptors for that many dumps at once.
"""
import collections
import concurrent.futures
import itertools

import pytest

import bed
import daemon
import formats

ROWS = [1, 1000, 10000]
SIZES = [1, 8, 4096]
CQE_SIZES = [1, 128, 4096]


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return formats.compile_schema(tmp_path_factory.mktemp("proto"))


@pytest.fixture(scope="module")
def crowd():
    """1,212 sockets in twelve namespaces in which nothing moves: more than a thousand, so that batches of that many
    rows are full, and several datagrams each."""
    with bed.Population(namespaces=12, v4=26, v6=12, mapped=6, listeners=4) as population:
        yield population


def cell(population, output, *, mode, name, rows, recv_batch, cqe_batch):
    return {
        "interval": "1h", "timeout": "30s", "align": "none",
        "namespaces": population.selection,
        "reader": {"mode": mode, "recv_batch": recv_batch, "cqe_batch": cqe_batch},
        "pools": {"receive_buffers": max(16, recv_batch)}, "batch": {"rows": rows},
        # A poll of batches of one row, 64 KiB each: how fast a loop's worker writes files is not asked here.
        "queue": {"bytes": "512MiB", "reserve": "0B"},
        "sinks": {"out": {"type": "file", "path": str(output), "format": name}},
    }


@pytest.mark.parametrize("mode", ["io_uring", "syscall"])
@pytest.mark.parametrize("recv_batch", SIZES)
@pytest.mark.parametrize("cqe_batch", CQE_SIZES)
def test_sockets_in_are_records_out(crowd, schema, tmp_path, mode, recv_batch, cqe_batch):
    cells = {f"{name}-{rows}": (name, tmp_path / f"{name}-{rows}", rows)
             for name, rows in itertools.product(formats.FORMATS, ROWS)}
    pipelines = {label: cell(crowd, path, mode=mode, name=name, rows=rows, recv_batch=recv_batch, cqe_batch=cqe_batch)
                 for label, (name, path, rows) in cells.items()}
    expected = crowd.keys()
    share = 4 if recv_batch > 1000 else len(cells)
    for labels in (list(cells)[start:start + share] for start in range(0, len(cells), share)):
        settings = {"global": {"resources": {"memory": "4GiB"}}}
        with daemon.Daemon(tmp_path, {label: pipelines[label] for label in labels}, settings=settings) as running:
            # Many at once, but fewer than there may be clients: one that has gone may still be counted.
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                list(pool.map(running.poll, labels))
        totals = running.totals()
        for label in labels:
            name, path, _ = cells[label]
            check_cell(label, formats.keys(name, path.read_bytes(), schema), totals[label], running.polls(label),
                       expected)


def check_cell(label, found, totals, polls, expected):
    delivered = totals["sinks"]["out"]["delivered"]
    assert totals["reported"] == totals["encoded"] == delivered == len(found), (label, totals)
    by_poll = collections.defaultdict(list)
    for sequence, namespace, cookie in found:
        by_poll[sequence].append((namespace, cookie))
    assert [(poll["sequence"], poll["incomplete"]) for poll in polls] == [(1, 0), (2, 0)], (label, polls)
    for sequence in (1, 2):
        assert len(by_poll[sequence]) == len(expected), (label, sequence)
        assert set(by_poll[sequence]) == expected, (label, sequence)


@pytest.mark.parametrize("path", [("reader", "recv_batch"), ("reader", "cqe_batch"), ("pools", "receive_buffers")])
@pytest.mark.parametrize("value", [0, 4097])
def test_sizes_out_of_range_are_errors(tmp_path, path, value):
    group, key = path
    text = (f"version: 1\npipelines:\n  p:\n    {group}:\n      {key}: {value}\n"
            "    sinks: {out: {type: blackhole}}\n")
    file = tmp_path / "xtcpd.yaml"
    file.write_text(text)
    done = bed.xtcpd("check", "--config", file)
    assert done.returncode == bed.EXIT_INVALID_CONFIGURATION
    assert f"{file}:5:" in done.stderr + done.stdout and "4096" in done.stderr + done.stdout
    assert bed.xtcpd("run", "--config", file).returncode == bed.EXIT_INVALID_CONFIGURATION


def test_the_greatest_sizes_are_accepted(tmp_path):
    file = tmp_path / "xtcpd.yaml"
    file.write_text("version: 1\npipelines:\n  p:\n    reader: {recv_batch: 4096, cqe_batch: 4096}\n"
                    "    pools: {receive_buffers: 4096}\n    sinks: {out: {type: blackhole}}\n")
    assert bed.xtcpd("check", "--config", file).returncode == 0
