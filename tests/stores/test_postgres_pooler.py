"""PgBouncer between the processes and the database: what it may share, what it may not, and that this is found out."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from postlude.errors import StoreLocationError
from postlude.job import Event, JobState
from postlude.stores.contract import Filter
from postlude.stores.notifying import Change
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.lacking import lacking_at, migrate_at
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.pooling import shares_sessions
from postlude.stores.postgres.presence import Patience
from tests.stores.bouncer import bouncer, needs_pgbouncer
from tests.stores.making import ask, claim_all, ended, keyed, limited, queued
from tests.stores.places import new_namespace, server

pytestmark = needs_pgbouncer


@pytest.fixture(scope="module")
def direct() -> Iterator[str]:
    with server() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def pooled(direct: str) -> Iterator[str]:
    with bouncer(direct, "transaction") as dsn:
        yield dsn


def location(dsn: str, direct: str | None = None) -> Location:
    return Location(dsn, namespace=new_namespace("").removeprefix("#"), direct=direct)


@asynccontextmanager
async def opened(location: Location, number: int = 0) -> AsyncIterator[PostgresStore]:
    """As in another process, if it has another number: of another patience, it has a direct connection of its own."""
    store = PostgresStore(location, patience=Patience(lease=30.0 + number, second_look=0.0, calm=0.0))
    await store.open()
    yield store
    await store.close()


async def test_transaction_mode_without_a_direct_way_is_refused_with_the_cure(pooled: str) -> None:
    with pytest.raises(StoreLocationError, match=r"pool_mode = transaction.*POSTLUDE_DIRECT_URL"):
        async with opened(location(pooled)):
            pass


async def test_a_direct_way_that_leads_through_it_too_is_refused(direct: str, pooled: str) -> None:
    with pytest.raises(StoreLocationError, match="POSTLUDE_DIRECT_URL"):
        async with opened(location(direct, direct=pooled)):
            pass


@pytest.mark.parametrize(("mode", "shared"), [("session", False), ("transaction", True), ("statement", True)])
@pytest.mark.parametrize("size", [2, 3, 20])
@pytest.mark.parametrize("in_turn", [True, False])
async def test_what_a_pooler_shares_is_seen(direct: str, mode: str, shared: bool, size: int, in_turn: bool) -> None:
    with bouncer(direct, mode, size, in_turn=in_turn) as dsn:
        for _ in range(5):
            assert await shares_sessions(Location(dsn).options(), within=10) is shared


async def test_the_server_itself_is_no_pooler(direct: str) -> None:
    assert not await shares_sessions(Location(direct).options(), within=10)


async def test_session_mode_needs_no_direct_way(direct: str) -> None:
    with bouncer(direct, "session", 20) as dsn:
        async with opened(location(dsn)) as store:
            owner = await store.enlist()
            await store.insert([queued()])
            assert len(await claim_all(store, owner)) == 1
            await store.dismiss(owner)


async def test_with_a_direct_way_many_do_everything_at_once(direct: str, pooled: str) -> None:
    """Three processes with twelve connections share two sessions."""
    place = location(pooled, direct)
    async with opened(place, 1) as one, opened(place, 2) as two, opened(place, 3) as three:
        stores = one, two, three
        owners = [await store.enlist() for store in stores]

        async def add(store: PostgresStore, number: int) -> None:
            await store.insert([queued(), limited("p"), keyed(f"{number % 7}")])

        async def run(store: PostgresStore, owner: int) -> None:
            while claims := (await ask(store, owner, limits=None, limit=7)).claims:
                await store.settle([ended(claim, Event.SUCCEED) for claim in claims])

        await asyncio.gather(*(add(store, number) for number in range(40) for store in stores))
        await asyncio.gather(*(run(store, owner) for store, owner in zip(stores, owners, strict=True)))
        counts = await one.count(Filter())
        assert counts == {JobState.SUCCEEDED: 40 * 3 * 2 + 7}
        assert await one.orphans(limit=9) == []
        for store, owner in zip(stores, owners, strict=True):
            await store.dismiss(owner)


async def test_what_is_missing_is_seen_and_made_through_it(direct: str, pooled: str) -> None:
    """By the command line, each of whose statements may be in another session."""
    place = Location(pooled, schema="by_hand", direct=direct)
    for missing in (True, False):
        assert {bool(script) for *_, script in await asyncio.gather(*(lacking_at(place) for _ in range(5)))} == {
            missing
        }
        await asyncio.gather(*(migrate_at(place) for _ in range(5)))


async def test_notifications_take_the_direct_way(direct: str, pooled: str) -> None:
    place = location(pooled, direct)
    async with opened(place, 1) as teller, opened(place, 2) as listener:
        heard: list[Change] = []
        listener.listen(heard.append)
        async with asyncio.timeout(10):
            while not heard:
                teller.notify("paused")  # again, until it listens
                await asyncio.sleep(0.02)
        assert set(heard) == {"paused"}
