"""Sockets in = records out, whatever the sizes: mode x format x batch rows x recv_batch x cqe_batch, 432 cells.

A cell is a pipeline with a file of its own; the 24 cells of one (mode, recv_batch, cqe_batch) share a daemon, or as
many of them as have descriptors for that many dumps at once.
"""
import collections
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


def cell(population, output, *, mode, name, rows, recv_batch, cqe_batch):
    interval = 1000 if recv_batch > 1000 else 3000
    return {
        "interval": f"{interval}ms", "timeout": f"{interval - 100}ms", "align": "none",
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
def test_sockets_in_are_records_out(still, schema, tmp_path, mode, recv_batch, cqe_batch):
    cells = {f"{name}-{rows}": (name, tmp_path / f"{name}-{rows}", rows)
             for name, rows in itertools.product(formats.FORMATS, ROWS)}
    pipelines = {label: cell(still, path, mode=mode, name=name, rows=rows, recv_batch=recv_batch, cqe_batch=cqe_batch)
                 for label, (name, path, rows) in cells.items()}
    expected = {(namespace, cookie) for namespace, sockets in still.ss().items() for cookie in sockets}
    share = 4 if recv_batch > 1000 else len(cells)
    for labels in (list(cells)[start:start + share] for start in range(0, len(cells), share)):
        settings = {"global": {"resources": {"memory": "4GiB"}}}
        with daemon.Daemon(tmp_path, {label: pipelines[label] for label in labels}, settings=settings) as running:
            for label in labels:
                running.wait_for_polls(2, label)
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
    whole = [int(poll["sequence"]) for poll in polls if int(poll["incomplete"]) == 0]
    assert len(whole) >= 2, (label, polls)
    for sequence in whole:
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
