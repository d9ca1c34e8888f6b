"""A network between the processes and the database that is cut, stuck, or swallows everything, under load."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.cluster import Cluster, cluster
from tests.stores.load import Load
from tests.stores.places import new_namespace
from tests.stores.proxy import Proxy

LEASE = 30.0


@pytest.fixture
def place() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def proxy(place: Cluster) -> Iterator[Proxy]:
    with Proxy(place.socket) as proxy:
        yield proxy


@pytest.fixture
def namespace() -> str:
    return new_namespace("").removeprefix("#")


def check(load: Load, place: Cluster, again: int = 0) -> None:
    """All that was acknowledged has run, nothing was settled twice, and at most so many were begun twice."""
    load.finish()
    started = load.numbers("started")
    assert len(started) - len(set(started)) <= again
    deadline = time.monotonic() + 2 * LEASE
    while states := place.ask("SELECT DISTINCT state FROM postlude.jobs WHERE state <> 'succeeded'"):
        assert time.monotonic() < deadline, f"left: {states}"
    # Every attempt that was settled as anything else than a success has a line.
    assert int(place.ask("SELECT count(*) FROM postlude.attempts")) <= again


def test_connections_that_are_reset_under_load(place: Cluster, proxy: Proxy, namespace: str, tmp_path: Path) -> None:
    dice = random.Random(4)
    with Load(tmp_path, proxy.dsn, namespace=namespace) as load:
        load.await_more("ended")
        for _ in range(10):
            proxy.cut()
            load.await_more("acknowledged", dice.randrange(1, 20))
        load.await_more("ended")
        check(load, place)


@pytest.mark.soak
def test_connections_that_swallow_everything_under_load(
    place: Cluster, proxy: Proxy, namespace: str, tmp_path: Path
) -> None:
    with Load(tmp_path, proxy.dsn, namespace=namespace) as load:
        load.await_more("ended")
        for _ in range(5):
            proxy.drop()
            assert load.await_more("acknowledged") < LEASE
            assert load.await_more("ended") < LEASE
        check(load, place)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_worker_that_is_cut_off_for_a_minute(place: Cluster, proxy: Proxy, namespace: str, tmp_path: Path) -> None:
    """Another one takes over what it was at; it does so once, whatever the first one says when it is back."""
    with Load(tmp_path, place.dsn, what=("adds",), namespace=namespace) as load:
        load.processes["stuck"] = load.start("works", proxy.dsn)
        load.await_more("ended")
        load.processes["free"] = load.start("works", place.dsn)
        load.await_more("up", 1)
        load.await_more("ended")
        proxy.stall()
        begin = time.monotonic()
        while time.monotonic() < begin + 60:
            assert load.await_more("ended", seconds=5) < 5
        proxy.go_on()
        load.await_more("ended", 200)
        check(load, place, again=100)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_network_that_is_stuck_for_a_minute_for_everybody(
    place: Cluster, proxy: Proxy, namespace: str, tmp_path: Path
) -> None:
    with Load(tmp_path, proxy.dsn, namespace=namespace) as load:
        load.await_more("ended")
        proxy.stall()
        begin = time.monotonic()
        while time.monotonic() < begin + 60:
            load.await_more("refused", 1)
        proxy.go_on()
        assert load.await_more("acknowledged") < LEASE
        assert load.await_more("ended") < LEASE
        check(load, place)
