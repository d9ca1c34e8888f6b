"""A role or a database may have another default isolation: what waited for a lock still sees what was committed."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from postlude.job import Terms
from postlude.limits import Limit
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.session import Session
from tests.stores.bouncer import bouncer, needs_pgbouncer
from tests.stores.making import limited
from tests.stores.places import HASTY, new_namespace, say, server


@pytest.fixture(scope="module")
def direct() -> Iterator[str]:
    with server() as dsn:
        say(dsn, "ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'")
        yield dsn


@pytest.fixture(params=["straight", pytest.param("pooled", marks=needs_pgbouncer)])
def location(request: pytest.FixtureRequest, direct: str) -> Iterator[Location]:
    namespace = new_namespace("").removeprefix("#")
    if request.param == "straight":
        yield Location(direct, namespace=namespace)
        return
    with bouncer(direct, "transaction") as pooled:
        yield Location(pooled, namespace=namespace, direct=direct)


async def test_a_limit_counts_what_was_claimed_while_it_was_waited_for(location: Location) -> None:
    store = PostgresStore(location, patience=HASTY)
    await store.open()
    owner = await store.enlist()
    first, second = (limited("p", terms=Terms(queue=queue, partition="p")) for queue in "ab")
    await store.insert([first, second])
    connection = await asyncpg.connect(location.straight.dsn)
    other = Session(connection, location.schema, store._now()._namespace)
    limits, queues = {"app:work": Limit(max_running=1)}, {"b": None}
    async with other.transaction():
        await other.lock([("limit", "app:work")])
        claiming = asyncio.ensure_future(
            store.claim(owner=owner, tasks=["app:work"], limit=9, now=10.0, idle=False, limits=limits, queues=queues)
        )
        async with asyncio.timeout(10):
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
        running = "UPDATE postlude.jobs SET state = 'running', owner = 1, claim = 1 WHERE id = $1"
        await connection.execute(running, first.id)
    assert (await claiming).claims == []
    await connection.close()
    await store.dismiss(owner)
    await store.close()
