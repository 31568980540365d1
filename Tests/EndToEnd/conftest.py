"""Fixtures. Without root, without the binary or without a tool these tests fail; none is skipped for that."""
import os

import pytest

import bed
import steady


def pytest_configure(config):
    needed = (bed.BINARY, bed.TOOLS / "population", bed.TOOLS / "kafka-mock")
    missing = [str(path) for path in needed if not path.exists()]
    if missing:
        raise pytest.UsageError(f"not built: {', '.join(missing)}; run `make test`")
    if os.geteuid() != 0:
        raise pytest.UsageError("these tests make network namespaces and need root")


@pytest.fixture(scope="module")
def crowd():
    """More than 20,000 sockets of every kind in four namespaces, with traffic, opening and closing going on.

    Of a module and not of the session: half-open and half-closed ones are given up by the kernel after some minutes."""
    with bed.Population(namespaces=4, v4=1300, v6=800, mapped=500, listeners=50, time_wait=200, churn=10,
                        half_closed=24, stuffed=16, lossy=12, syn_sent=4, syn_received=8, mptcp=4, active=100,
                        rate=200) as population:
        yield population


@pytest.fixture(scope="session")
def still():
    """1,824 sockets in twelve namespaces in which nothing moves: every poll must give the same set."""
    with bed.Population(namespaces=12, v4=40, v6=20, mapped=10, listeners=6) as population:
        yield population


@pytest.fixture(scope="session")
def cgroups():
    return bed.cgroup_paths()


@pytest.fixture(scope="module")
def steady_crowd():
    """2,000 sockets in which nothing moves (steady.py)."""
    with steady.population() as population:
        yield population


@pytest.fixture(scope="module")
def few():
    """41 sockets that stand still."""
    with bed.Population(namespaces=1, v4=20) as population:
        yield population
