"""What runs in a loop goes by the index that was made for it, whatever was queued when the statistics were gathered."""

import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from postlude.ids import new_job_id
from postlude.job import Event, JobState
from postlude.stores.contract import Filter
from postlude.stores.paging import Stretch
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.searching import Taken, text_on, values_of
from postlude.stores.postgres.session import Session, prefer_indexes
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
        ("end_many", ([],) * 15, "jobs_id_key"),
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


WAYS = {
    "newest": "jobs_pkey",
    "by_id": "jobs_id_key",
    "of_chain": "jobs_of_chain",
    "of_key": "jobs_of_key",
    "by_state": "jobs_by_state",
    "claimed": "jobs_claimed",
    "these": "jobs_pkey",
    "queued": "jobs_pkey",
    "all": "jobs_pkey",
    "anybodys": "jobs_id_key",
    "passing": "jobs_id_key",
}


EDGES = ("edge_older", "edge_newer")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (name, way)
        for way in WAYS
        for name in (EDGES if way in {"anybodys", "passing"} else ("older", "newer", *EDGES, "tally"))
    ],
)
async def test_a_search_goes_by_the_index_of_its_way(connection: asyncpg.Connection, name: str, way: str) -> None:
    text = text_on(name, way, SCHEMA)
    session = Session(connection, SCHEMA, 1)
    by_id = way in {"by_id", "all", "anybodys", "passing"}
    taken = Taken(way, by_id=by_id, state=JobState.FAILED, these=[1, 2])
    wanted = {"of_key": Filter(key="k"), "of_chain": Filter(chain=new_job_id())}.get(way, Filter(task="app:work"))
    values = {**values_of(session, wanted, taken, Stretch(0, 9)), "look": 9, "limit": 9, "passed": 9}
    statement = await connection.prepare(f"EXPLAIN {text.sql}")
    plan = "\n".join(row[0] for row in await statement.fetch(*text.given(values)))
    assert WAYS[way] in plan
    assert "Seq Scan" not in plan
    # What is claimed, or of one chain, is little; and the tally has no order.
    assert "Sort" not in plan or way in {"claimed", "of_chain", "these", "all"} or name == "tally"


@pytest.mark.parametrize("name", ["count_queued", "queued_seqs"])
async def test_what_is_queued_is_found_by_the_indexes_of_claims(connection: asyncpg.Connection, name: str) -> None:
    plan = await plan_of(connection, f"searching/{name}", 1, 10)
    assert "Seq Scan" not in plan
    assert "jobs_pkey" not in plan


LANES = (["default"], ["app:work"], [0], time.time(), 10)


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("count_free", LANES, "jobs_claimable"),
        ("count_behind", (["app:work"], 10), "jobs_behind"),
        ("running", (), "jobs_claimed"),
        ("limit_running", ("app:work", 10), "jobs_limited"),
        ("limit_started", ("app:work", 9.0, 1.0, 10), "starts_"),
        ("statistics", (60, 5, "both"), "statistics_pkey"),
        ("cut_statistics", (60, 5), "statistics_pkey"),
    ],
)
async def test_what_is_seen_is_found_by_an_index(
    connection: asyncpg.Connection, name: str, values: tuple[object, ...], index: str
) -> None:
    plan = await plan_of(connection, f"seeing/{name}", 1, *values)
    assert index in plan
    assert "Seq Scan on jobs" not in plan
