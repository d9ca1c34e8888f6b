"""A PostgreSQL server that is restarted, killed and replaced under load: nothing acknowledged is lost."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stores.cluster import Cluster, cluster
from tests.stores.load import Load
from tests.stores.places import new_namespace

BACK_WITHIN = 5.0
"""Seconds after the server takes connections again in which both processes must have gone on."""


@pytest.fixture
def place() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@contextmanager
def loaded(folder: Path, url: str) -> Iterator[Load]:
    """With two workers, of which each could take the other for dead; one of them is at a job that lasts."""
    dsn, _, namespace = new_namespace(url).partition("#")
    with Load(folder, dsn, namespace=namespace) as load:
        load.processes["works too"] = load.start("works", dsn)
        load.await_lines("up", 3)
        load.await_more("ended")
        assert min(load.numbers("started")) == 0
        yield load


def restart(how: str, place: Cluster) -> None:
    if how == "kill":
        place.kill()
    else:
        place.stop("fast" if how == "fast" else "immediate")
    place.start()


def check(load: Load) -> None:
    """All that was acknowledged has run, and nothing was run twice."""
    load.finish()
    started = load.numbers("started")
    assert len(started) == len(set(started)), "an attempt that lived through it was given to another"


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_a_restart_under_load_loses_and_doubles_nothing(how: str, place: Cluster, tmp_path: Path) -> None:
    with loaded(tmp_path, place.dsn) as load:
        restart(how, place)
        assert load.await_more("acknowledged") < BACK_WITHIN
        assert load.await_more("ended") < BACK_WITHIN
        check(load)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_ten_restarts_of_each_kind(place: Cluster, tmp_path: Path) -> None:
    dice = random.Random(20)
    hows = ["fast", "immediate", "kill"] * 10
    dice.shuffle(hows)
    with loaded(tmp_path, place.dsn) as load:
        for how in hows:
            load.await_more("ended", dice.randrange(5, 200))
            restart(how, place)
            assert load.await_more("acknowledged") < BACK_WITHIN
            assert load.await_more("ended") < BACK_WITHIN
        check(load)


def test_a_failover_to_a_synchronous_standby_loses_nothing(place: Cluster, tmp_path: Path) -> None:
    """Found by a URL that names both servers, as the page says."""
    standby = place.standby(place.folder.parent / "second")
    both = f"{place.folder},{standby.folder}&port=5432,5432&target_session_attrs=read-write"
    with loaded(tmp_path, f"postgresql://postlude@/postgres?host={both}") as load:
        place.kill()
        standby.promote()
        assert load.await_more("acknowledged") < BACK_WITHIN
        assert load.await_more("ended") < BACK_WITHIN
        check(load)
