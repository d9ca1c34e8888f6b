"""Clauses 42 and 43: callers who add jobs in transactions of their own."""

import asyncpg
import pytest

from postlude.callers.contract import Statement
from postlude.errors import StoreError
from postlude.ids import new_job_id
from postlude.job import NewJob, Terms
from postlude.stores.callers import Outbox
from postlude.stores.contract import Filter, Store
from postlude.stores.jobtexts import text_of
from tests.stores.making import keyed, queued, read
from tests.stores.places import open_place


async def test_clause_42_an_outbox_is_known_to_whoever_opens_the_store_later(store: Store, url: str) -> None:
    assert await store.outboxes() == []
    outbox = Outbox("/srv/app.db", "sqlite3", "mark")
    assert await store.put_outbox(outbox) == outbox
    other = open_place(url)
    await other.open()
    assert await other.outboxes() == [outbox]
    await other.close()


async def test_clause_42_the_first_library_at_a_path_stays(store: Store) -> None:
    first = Outbox("/srv/app.db", "sqlite3", "mark")
    await store.put_outbox(first)
    assert await store.put_outbox(first._replace(library="apsw", mark="other")) == first
    assert await store.put_outbox(Outbox("/srv/other.db", "apsw", "third")) == Outbox("/srv/other.db", "apsw", "third")
    assert sorted(await store.outboxes()) == [first, ("/srv/other.db", "apsw", "third")]


async def add(store: Store, url: str, jobs: list[NewJob], *, commit: bool = True) -> bool:
    """As a caller does, in a transaction of its own; returns whether it was the right database."""
    direct = await store.direct()
    assert direct is not None
    straight = all(job.terms.key is None for job in jobs)
    connection = await asyncpg.connect(url.partition("#")[0])
    try:
        transaction = connection.transaction()
        await transaction.start()
        statement = Statement(direct.sql).written("$1")
        here: bool = await connection.fetchval(statement, text_of(jobs, {**direct.head, "straight": straight}))
        await (transaction.commit() if commit else transaction.rollback())
    finally:
        await connection.close()
    return here


@pytest.fixture
async def shared(store: Store) -> Store:
    """One whose database others may write to."""
    if await store.direct() is None:
        assert await store.relay(limit=10) == 0
        pytest.skip("nobody else writes to its file")
    return store


async def test_clause_43_what_a_caller_has_added_is_what_the_store_would_have_inserted(shared: Store, url: str) -> None:
    terms = Terms("slow", -3, 100 / 3, "part")
    first = queued(terms=terms, policy='{"retries":1}', origin='{"route":"/"}', run_at=0.1 + 0.2)
    second = queued(after=first.id, chain=first.id)
    assert await add(shared, url, [first, second])
    plain = [job._replace(id=new_job_id()) for job in (first, second)]
    plain[1] = plain[1]._replace(after=plain[0].id, chain=plain[0].id)
    await shared.insert(plain)
    for mine, theirs in zip((first, second), plain, strict=True):
        record, other = await read(shared, mine), await read(shared, theirs)
        assert record == other._replace(id=mine.id, after=mine.after, chain=record.chain)
    assert [(await read(shared, job)).waiting for job in (first, second)] == [False, True]


async def test_clause_43_what_is_rolled_back_was_never_there(shared: Store, url: str) -> None:
    jobs = [queued(), keyed()]
    for job in jobs:
        assert await add(shared, url, [job], commit=False)
    assert await shared.relay(limit=10) == 0
    assert await shared.get([job.id for job in jobs]) == []


async def test_clause_43_a_key_is_looked_at_by_the_next_relay(shared: Store, url: str) -> None:
    holder, answered = keyed("k"), keyed("k")
    behind = queued(after=answered.id, chain=answered.id)
    await shared.insert([holder])
    assert await add(shared, url, [answered, behind])
    assert await shared.get([answered.id, behind.id]) == []
    other = open_place(url)
    await other.open()
    assert [await other.relay(limit=1) for _ in range(3)] == [1, 1, 0]
    await other.close()
    assert (await read(shared, answered.id)).id == holder.id
    assert (await read(shared, behind)).after == holder.id


async def test_clause_43_what_cannot_be_inserted_holds_up_nothing_and_is_named(shared: Store, url: str) -> None:
    first, last = keyed("first"), keyed("last")
    twice = keyed("twice")
    await shared.insert([twice])
    for job in (first, twice, last):
        assert await add(shared, url, [job])
    connection = await asyncpg.connect(url.partition("#")[0])
    rows = "postlude.outbox WHERE job LIKE '%first%'"
    await connection.execute(f"INSERT INTO postlude.outbox (namespace, job) SELECT namespace, 'no job' FROM {rows}")
    assert await shared.relay(limit=10) == 2
    assert len(await shared.get([first.id, last.id])) == 2
    with pytest.raises(StoreError, match=r"stays there: correct the row with the seq \d+ in postlude\.outbox"):
        await shared.relay(limit=10)
    await connection.execute("DELETE FROM postlude.outbox WHERE job = 'no job' OR job LIKE '%twice%'")
    await connection.close()
    assert await shared.relay(limit=10) == 0


async def test_clause_43_in_another_database_nothing_changes(shared: Store, url: str) -> None:
    direct = await shared.direct()
    assert direct is not None
    elsewhere = direct._replace(head={**direct.head, "database": "1 other"})
    connection = await asyncpg.connect(url.partition("#")[0])
    text = text_of([queued()], {**elsewhere.head, "straight": True})
    assert not await connection.fetchval(Statement(direct.sql).written("$1"), text)
    await connection.close()
    assert await shared.count(Filter()) == {}
