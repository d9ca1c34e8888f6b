"""An index of a table that is in use is built beside all writes, whatever happens meanwhile."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from postlude.errors import StoreError, StoreUnavailable
from postlude.stores.contract import Store
from postlude.stores.postgres import PostgresStore, connecting
from postlude.stores.postgres.lacking import lacking_at, migrate_at
from postlude.stores.postgres.location import Location
from tests.stores.making import queued
from tests.stores.places import HASTY
from tests.stores.proxy import Proxy

BUILDING = """
SELECT pid FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query ILIKE '%CREATE INDEX%' AND position($1 in query) > 0
"""
MIGRATE = """
import asyncio, sys
from postlude.stores.postgres.lacking import migrate_at
from postlude.stores.postgres.location import Location

asyncio.run(migrate_at(Location(*sys.argv[1:])))
"""
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"


@pytest.fixture
async def place(postgres: str, admin: asyncpg.Connection) -> AsyncIterator[Location]:
    location = Location(postgres, f"s{uuid.uuid4().hex}")
    yield location
    await admin.execute(f"DROP SCHEMA {location.schema} CASCADE")


@pytest.fixture
async def store(place: Location, admin: asyncpg.Connection) -> AsyncIterator[Store]:
    """Of a process of a release that does not know the last migration, which runs."""
    store = PostgresStore(place, patience=HASTY)
    await store.open()
    await store.insert([queued()])
    await admin.execute(f"DROP INDEX {place.schema}.jobs_of_key")
    await admin.execute(f"DELETE FROM {place.schema}.migrations WHERE version = 5")
    yield store
    await store.close()


@pytest.fixture
async def held_up(postgres: str, place: Location, store: Store) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that has written, and stays open until its connection is closed."""
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"BEGIN; UPDATE {place.schema}.jobs SET run_at = 2")
    yield connection
    await connection.close()


async def builder(admin: asyncpg.Connection, place: Location) -> int:
    """The process of the server that builds the index, when it waits."""
    async with asyncio.timeout(10):
        while True:
            pid: int | None = await admin.fetchval(BUILDING, place.schema)
            if pid is not None:
                return pid


async def oid(admin: asyncpg.Connection, place: Location) -> int | None:
    found: int | None = await admin.fetchval("SELECT to_regclass($1)::oid", f"{place.schema}.jobs_of_key")
    return found


async def versions(admin: asyncpg.Connection, place: Location) -> list[int]:
    return [row[0] for row in await admin.fetch(f"SELECT version FROM {place.schema}.migrations ORDER BY version")]


async def test_jobs_are_added_while_it_is_built(
    store: Store, place: Location, admin: asyncpg.Connection, held_up: asyncpg.Connection
) -> None:
    building = asyncio.create_task(migrate_at(place))
    await builder(admin, place)
    await asyncio.wait_for(store.insert([queued()]), 5)
    assert not building.done()
    await held_up.close()
    await asyncio.wait_for(building, 10)
    assert await admin.fetchval(VALID, f"{place.schema}.jobs_of_key")
    assert await versions(admin, place) == [1, 2, 3, 4, 5]


async def begin_and_cut_off(place: Location, admin: asyncpg.Connection) -> None:
    building = asyncio.create_task(migrate_at(place))
    await admin.execute("SELECT pg_terminate_backend($1)", await builder(admin, place))
    with pytest.raises(StoreError):
        await building


async def test_one_that_was_cut_off_is_built_again(
    store: Store, place: Location, admin: asyncpg.Connection, held_up: asyncpg.Connection
) -> None:
    await begin_and_cut_off(place, admin)
    assert await admin.fetchval(VALID, f"{place.schema}.jobs_of_key") is False, "that is what is left of it"
    assert await versions(admin, place) == [1, 2, 3, 4]
    await held_up.close()
    await migrate_at(place)
    assert await admin.fetchval(VALID, f"{place.schema}.jobs_of_key")
    assert await versions(admin, place) == [1, 2, 3, 4, 5]


async def test_the_script_builds_again_what_was_cut_off(
    store: Store, place: Location, admin: asyncpg.Connection, held_up: asyncpg.Connection
) -> None:
    await begin_and_cut_off(place, admin)
    await held_up.close()
    for statement in (await lacking_at(place))[3].removesuffix(";\n").split(";\n"):
        await admin.execute(statement)
    assert await admin.fetchval(VALID, f"{place.schema}.jobs_of_key")
    assert await versions(admin, place) == [1, 2, 3, 4, 5]


async def test_the_script_says_that_an_index_is_being_built(
    store: Store, place: Location, admin: asyncpg.Connection, held_up: asyncpg.Connection
) -> None:
    """By then nobody can say whether it will be whole: to carry the script out would build it twice."""
    before = (await lacking_at(place))[3]
    building = asyncio.create_task(migrate_at(place))
    await builder(admin, place)
    script = (await lacking_at(place))[3]
    assert script.startswith("-- An index of these tables is being built just now. Wait for its end")
    assert script.endswith(before), "and then what is missing"
    await held_up.close()
    await asyncio.wait_for(building, 10)
    assert (await lacking_at(place))[3] == ""


async def test_one_whose_client_was_killed_is_finished_and_not_begun_anew(
    store: Store, place: Location, admin: asyncpg.Connection, held_up: asyncpg.Connection
) -> None:
    """As at a start that takes longer than its probe allows: the server goes on with it, and one of them gets there."""
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, *place[:2])
    pid, built = await builder(admin, place), await oid(admin, place)
    killed.kill()
    await killed.wait()
    starting = asyncio.create_task(migrate_at(place))
    done, _ = await asyncio.wait({starting}, timeout=0.5)  # which has nothing to tell while it waits
    assert (done, await builder(admin, place)) == (set(), pid)
    await held_up.close()
    await asyncio.wait_for(starting, 10)
    assert await oid(admin, place) == built
    assert await admin.fetchval(VALID, f"{place.schema}.jobs_of_key")
    assert await versions(admin, place) == [1, 2, 3, 4, 5]


async def test_one_that_a_person_builds_is_waited_for(
    store: Store, place: Location, admin: asyncpg.Connection, held_up: asyncpg.Connection, postgres: str
) -> None:
    person = await asyncpg.connect(postgres, server_settings={"deadlock_timeout": "50ms"})
    _, create, _ = (await lacking_at(place))[3].split(";\n", 2)
    building = asyncio.create_task(person.execute(create))
    await builder(admin, place)
    built = await oid(admin, place)
    starting = asyncio.create_task(migrate_at(place))
    done, _ = await asyncio.wait({building, starting}, timeout=0.5)  # of a deadlock it would be told
    assert done == set()
    await held_up.close()
    await asyncio.wait_for(asyncio.gather(building, starting), 10)
    await person.close()
    assert await oid(admin, place) == built
    assert await versions(admin, place) == [1, 2, 3, 4, 5]


async def test_of_many_that_start_at_once_one_builds_it(
    store: Store, place: Location, admin: asyncpg.Connection, held_up: asyncpg.Connection
) -> None:
    starting = [asyncio.create_task(migrate_at(place)) for _ in range(4)]
    await builder(admin, place)
    assert len(await admin.fetch(BUILDING, place.schema)) == 1
    await held_up.close()
    await asyncio.wait_for(asyncio.gather(*starting), 10)
    assert await admin.fetchval(VALID, f"{place.schema}.jobs_of_key")
    assert await versions(admin, place) == [1, 2, 3, 4, 5]


async def test_a_start_that_waits_for_it_can_be_given_up(
    store: Store, place: Location, admin: asyncpg.Connection, held_up: asyncpg.Connection
) -> None:
    """Whether it builds or waits for who builds: a script that is interrupted ends."""
    builds = asyncio.create_task(PostgresStore(place, patience=HASTY).open())
    await builder(admin, place)
    waits = asyncio.create_task(PostgresStore(place, patience=HASTY).open())
    async with asyncio.timeout(10):
        while not await admin.fetchval(TRYING):  # noqa: ASYNC110 - the server tells nobody of it
            await asyncio.sleep(0.01)
    for given_up in (waits, builds):
        given_up.cancel()
        done, _ = await asyncio.wait({given_up}, timeout=5)
        assert done == {given_up}
        assert given_up.cancelled()
    assert await admin.fetch(BUILDING, place.schema) == [], "nor is it built"


async def test_who_waits_for_it_notices_that_the_server_is_gone_without_a_word(
    store: Store, place: Location, admin: asyncpg.Connection, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "DIRECT_WITHIN", 0.5)
    monkeypatch.setattr(connecting, "_FAREWELL_WITHIN", 0.5)
    await admin.execute("SELECT pg_advisory_lock(hashtextextended('postlude index ' || $1, 0))", place.schema)
    with Proxy(f"{postgres.partition('host=')[2]}/.s.PGSQL.5432") as proxy:
        starting = asyncio.create_task(migrate_at(place._replace(direct=proxy.dsn)))
        async with asyncio.timeout(10):
            while not await admin.fetchval(TRYING):  # noqa: ASYNC110 - the server tells nobody of it
                await asyncio.sleep(0.01)
        proxy.drop()
        done, _ = await asyncio.wait({starting}, timeout=5)
    assert done == {starting}
    with pytest.raises(StoreUnavailable):
        await starting


TRYING = """
SELECT count(*) FROM pg_stat_activity
WHERE query LIKE 'SELECT pg_try_advisory_lock(hash%'
"""
