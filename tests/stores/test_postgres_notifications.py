"""Clause 41 on PostgreSQL: who is told what, by which means, and that nobody needs to be."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from postlude.stores.notifying import Change
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.presence import Patience, Presence
from tests.stores.places import new_namespace, server

DEADLINE = 15.0


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with server() as dsn:
        yield dsn


@pytest.fixture
def location(dsn: str) -> Location:
    dsn, _, namespace = new_namespace(dsn).partition("#")
    return Location(dsn, namespace=namespace)


class Listening(list[Change]):
    """A store as another process has it, and what it has heard."""

    def __init__(self, store: PostgresStore) -> None:
        super().__init__()
        self.store = store
        store.listen(self.append)


async def come(condition: Callable[[], object]) -> None:
    """It comes from the database, by way of a thread."""
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, "nobody was told"
        await asyncio.sleep(0.001)


async def listened(*some: Listening) -> None:
    """Return when the database knows that they listen: what was told before that nobody hears."""
    presences = [presence_of(each) for each in some]
    await come(lambda: all(each._connection and each._notifications._listens is each._connection for each in presences))


def presence_of(listening: Listening) -> Presence:
    opened = listening.store._open
    assert opened is not None
    return opened.presence


@asynccontextmanager
async def another(location: Location, number: int) -> AsyncIterator[Listening]:
    """As in another process: what has another patience has a connection of its own."""
    store = PostgresStore(location, patience=Patience(lease=30.0 + number, extend_every=3600.0, calm=0.0))
    await store.open()
    yield Listening(store)
    await store.close()


async def test_what_one_process_tells_the_others_hear_and_no_other_namespace(location: Location) -> None:
    stranger = location._replace(namespace="another")
    async with (
        another(location, 1) as teller,
        another(location, 2) as first,
        another(location, 3) as second,
        another(stranger, 4) as elsewhere,
    ):
        await listened(first, second, elsewhere)
        teller.store.notify("queued")
        await come(lambda: first == second == ["queued"])
        teller.store.notify("paused")
        teller.store.notify("cancelled")
        await come(lambda: sorted(first) == sorted(second) == ["cancelled", "paused", "queued"])
        assert teller == elsewhere == []


async def test_stores_of_one_process_tell_each_other_without_the_database(location: Location) -> None:
    async with another(location, 1) as one, another(location, 1) as other:
        one.store.notify("queued")
        assert (one, other) == ([], ["queued"])


async def test_many_come_as_few_and_the_last_one_comes(location: Location) -> None:
    async with another(location, 1) as teller, another(location, 2) as listener:
        await listened(listener)
        for _ in range(1000):
            teller.store.notify("queued")
        await come(lambda: listener)
        told = len(listener)
        teller.store.notify("queued")
        await come(lambda: len(listener) > told)
        assert len(listener) <= 5


async def test_a_connection_that_was_cut_listens_again(location: Location) -> None:
    async with another(location, 1) as teller, another(location, 2) as listener:
        await listened(listener)
        before = presence_of(listener)._connection
        assert before is not None
        connection = await asyncpg.connect(location.dsn)
        await connection.execute("SELECT pg_terminate_backend($1)", before.get_server_pid())
        await connection.close()
        await come(lambda: presence_of(listener)._connection is not before)
        await listened(listener)
        teller.store.notify("queued")
        await come(lambda: listener)


async def test_to_tell_where_nothing_answers_or_after_the_end_raises_nothing(location: Location) -> None:
    store = PostgresStore(location)
    store.notify("queued")
    await store.open()
    store.notify("queued")
    await store.close()
    store.notify("queued")
