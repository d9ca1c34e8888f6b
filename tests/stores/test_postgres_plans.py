"""What runs in a loop goes by the index that was made for it, whatever was queued when the statistics were gathered."""

import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from postlude.ids import new_job_id
from postlude.job import Event
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.session import prefer_indexes
from postlude.stores.postgres.statements import sql
from tests.stores.making import claim_all, ended, queued
from tests.stores.places import HASTY, server

SCHEMA = "postlude"
LANE = (["default"], ["app:work"], [0], [0.0], [0])
NOWHERE: tuple[list[object], ...] = ([], [], [], [], [], [])


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with server() as dsn:
        yield dsn


@pytest.fixture
async def connection(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    """To a store in which everything had ended when the statistics were gathered."""
    store = PostgresStore(Location(postgres), patience=HASTY)
    await store.open()
    owner = await store.enlist()
    await store.insert([queued() for _ in range(20)])
    claims = await claim_all(store, owner, limit=20)
    await store.settle([ended(claim, Event.SUCCEED) for claim in claims])
    await store.dismiss(owner)
    await store.close()
    connection = await asyncpg.connect(postgres)
    await prefer_indexes(connection)
    await connection.execute(f"VACUUM ANALYZE {SCHEMA}.jobs")
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    yield connection
    await connection.close()


async def plan_of(connection: asyncpg.Connection, name: str, *values: object) -> str:
    statement = await connection.prepare(f"EXPLAIN {sql(name, SCHEMA)}")
    async with connection.transaction():
        return "\n".join(row[0] for row in await statement.fetch(*values))


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("look", (1,), "jobs_claimable"),
        ("look_on", (1, *LANE, *NOWHERE), "jobs_claimable"),
        ("take", (1, *LANE, time.time(), 200, "running", 7, 8), "jobs_claimable"),
        ("take", (1, *LANE, time.time(), 200, "running", 7, 8), "jobs_pkey"),
        ("due", (1, "default", "app:work", 0, 0.0, 0, time.time(), 200), "jobs_claimable"),
        ("succeed", ("succeeded", [], [], [], [], [], [], [], False), "jobs_id_key"),
        ("owners", (1, True), "jobs_claimed"),
        ("glances", ([new_job_id()], [0]), "jobs_id_key"),
        ("glances", ([new_job_id()], [0]), "logs_of_job"),
    ],
)
async def test_by_its_index(connection: asyncpg.Connection, name: str, values: tuple[object, ...], index: str) -> None:
    plan = await plan_of(connection, name, *values)
    assert index in plan
    assert "Seq Scan on jobs" not in plan
    assert "jobs_by_state" not in plan
