"""How a store learns what time it is at the database, and tells whoever goes by it."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

import postlude.stores.postgres.ahead
import postlude.stores.postgres.presence
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.ahead import Ahead
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.presence import Patience
from tests.stores.places import new_namespace

FAR: float = 3600.0


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of this machine, as far as the driver asks it."""

    def set_wrong(seconds: float) -> None:
        for module in (postlude.stores.postgres.ahead, postlude.stores.postgres.presence):
            monkeypatch.setattr(module, "machine_time", lambda: time.time() + seconds)

    return set_wrong


def store_at(dsn: str, patience: Patience = Patience()) -> PostgresStore:  # noqa: B008 - immutable
    url, _, namespace = new_namespace(dsn).partition("#")
    return PostgresStore(Location(url, namespace=namespace), patience=patience)


async def test_it_is_told_at_the_opening_and_warned_about(postgres: str, wrong: Callable[[float], None]) -> None:
    wrong(-FAR)
    told: list[float] = []
    store = store_at(postgres)
    description = await store.open(told.append)
    await store.close()
    assert told[-1] == pytest.approx(FAR, abs=5)
    assert "This machine's clock is 3600 s behind the database's." in description.warnings[0]


async def test_where_both_agree_nobody_is_told_of_much(postgres: str) -> None:
    told: list[float] = []
    store = store_at(postgres)
    assert (await store.open(told.append)).warnings == ()
    await store.close()
    assert all(abs(seconds) < 1 for seconds in told)


async def test_it_is_told_again_when_the_clock_is_set_while_the_store_is_open(
    postgres: str, wrong: Callable[[float], None]
) -> None:
    told = threading.Event()
    store = store_at(postgres, Patience(extend_every=0.05))
    await store.open(lambda seconds: told.set() if abs(seconds + FAR) < 5 else None)
    await store.enlist()
    assert not told.is_set()
    wrong(FAR)
    assert await asyncio.to_thread(told.wait, 15)
    await store.close()


def test_what_the_way_there_and_back_can_explain_is_no_difference() -> None:
    told: list[float] = []
    ahead = Ahead()
    ahead.follow("one", told.append)
    ahead.compare(100.0, 100.9, 101.0)
    assert told == []
    ahead.compare(100.0, 102.0, 101.0)
    ahead.compare(100.0, 102.4, 101.0)
    assert told == [1.5]
    late: list[float] = []
    ahead.follow("another", late.append)
    assert late == [1.5]
    ahead.leave("one")
    ahead.compare(100.0, 100.0, 100.0)
    assert (told, late) == ([1.5], [1.5, 0.0])
