"""What one namespace is shown takes no longer beside another one of the same schema, however many jobs that has."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from postlude.ids import job_id_at, new_token
from postlude.job import Event, JobState, Record
from postlude.stores.contract import Filter, Store
from postlude.stores.paging import Stretch
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.searching import Taken, text_on, values_of
from postlude.stores.postgres.session import Session, prefer_indexes
from postlude.stores.postgres.statements import sql
from postlude.stores.searching import Tally
from tests.stores.making import claim_of, ended, queued, staged
from tests.stores.places import HASTY

START = 1_700_000_000.0
NEIGHBOURS = 5_000
"""Jobs of the other namespace, in the same hour as the sixty of this one."""
MANY = """
INSERT INTO {schema}.jobs (namespace, id, task, state, arguments, created_at, run_at)
SELECT $1, (moment || '70008000' || lpad(to_hex(place), 12, '0'))::uuid, 'app:other', 'succeeded', '{}', $2, $2
FROM generate_series(1, $3::integer) AS place,
    lpad(to_hex((1000 * $2::float8)::bigint + place * 500), 12, '0') AS moment
"""
NUMBER = "SELECT id FROM {schema}.namespaces WHERE name = $1"


class Small:
    """The small namespace."""

    def __init__(self, store: Store, connection: asyncpg.Connection, schema: str, number: int) -> None:
        self.store, self.connection, self.schema = store, connection, schema
        self.session = Session(connection, schema, number)

    async def looked_at(self, statement: str, *values: object) -> int:
        """How many jobs a statement looks at."""
        prepared = await self.connection.prepare(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        return _looked_at(json.loads(await prepared.fetchval(*values))[0]["Plan"])


def _looked_at(plan: dict[str, Any]) -> int:
    own = plan.get("Actual Rows", 0) + plan.get("Rows Removed by Filter", 0)
    own = own * plan["Actual Loops"] if "Relation Name" in plan else 0
    return int(own) + sum(map(_looked_at, plan.get("Plans", ())))


@pytest.fixture
async def small(postgres: str) -> AsyncIterator[Small]:
    schema = f"s{uuid.uuid4().hex}"
    store = PostgresStore(Location(postgres, schema, "small"), patience=HASTY)
    other = PostgresStore(Location(postgres, schema, "big"), patience=HASTY)
    await store.open()
    await other.open()
    await other.close()
    connection = await asyncpg.connect(postgres)
    await prefer_indexes(connection)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    owner = await store.enlist()
    await add(store, owner, 30)
    big = await connection.fetchval(NUMBER.replace("{schema}", schema), "big")
    await connection.execute(MANY.replace("{schema}", schema), big, START, NEIGHBOURS)
    await add(store, owner, 30)
    await connection.execute(f"VACUUM ANALYZE {schema}.jobs")
    number = await connection.fetchval(NUMBER.replace("{schema}", schema), "small")
    yield Small(store, connection, schema, number)
    await store.close()
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


async def add(store: Store, owner: int, count: int) -> None:
    """So many jobs in the minutes from the start on, a third of them in each of three states."""
    jobs = []
    for number in range(count):
        made = queued() if number % 3 == 0 else staged(owner)
        at = START + 60 * number
        jobs.append(made._replace(id=job_id_at(int(at * 1e9), new_token()), created_at=at))
    await store.insert(jobs)
    events = {1: Event.SUCCEED, 2: Event.FAIL}
    await store.settle(
        [ended(claim_of(job), events[number % 3]) for number, job in enumerate(jobs) if job.state is JobState.STAGED]
    )


STATEMENTS = ("older", "newer", "edge_older", "edge_newer", "tally")
COUNTS = {"searching/count_any": (1_000,), "searching/count_queued": (1_000,), "portion": (0, 1_000)}
LOOK = 50


async def test_no_neighbours_are_passed(small: Small) -> None:
    """By a search, by what is counted, and by what is pruned; where they are, only up to the bound of a search."""
    session = small.session
    for way in ("newest", "queued", "all", "anybodys", "passing"):
        by_id = way in {"all", "anybodys", "passing"}
        taken, stretch = Taken(way, by_id=by_id, state=None), Stretch(0, 2**128 if by_id else 2**62)
        values = {
            **values_of(session, Filter(task="no:such"), taken, stretch),
            "look": LOOK,
            "limit": LOOK,
            "passed": LOOK,
        }
        for name in STATEMENTS if way in {"newest", "queued", "all"} else ("edge_older", "edge_newer"):
            text = text_on(name, way, small.schema)
            assert await small.looked_at(text.sql, *text.given(values)) <= 60, (name, way)
    for name, given in COUNTS.items():
        assert await small.looked_at(sql(name, small.schema), session.namespace, *given) <= 60, name


async def test_all_is_found_though_it_lies_between_those_of_a_neighbour(small: Small) -> None:
    """By the moments in the ids, which are in one order with those of all namespaces."""
    wanted, searching = Filter(since=START, until=START + 3_600), small.store.searching
    first = await searching.search(wanted, limit=40, look=100)
    assert (len(first.records), first.newer) == (40, None)
    rest = await searching.search(wanted, limit=40, look=100, place=first.older)
    assert (len(rest.records), rest.older) == (20, None)
    back = await searching.search(wanted, limit=40, look=100, place=rest.newer, newer=True)
    assert back.records == first.records
    # Where even its own are more than are looked at, it is found piece by piece.
    records: list[Record] = []
    place = None
    for _ in range(100):
        page = await searching.search(wanted, limit=40, look=9, place=place)
        records, place = [*records, *page.records], page.older
        if place is None:
            break
    assert records == [*first.records, *rest.records]
    assert await searching.tally(wanted, look=100) == Tally(
        {JobState.QUEUED: 20, JobState.SUCCEEDED: 20, JobState.FAILED: 20}
    )
