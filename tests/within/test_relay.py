"""Between the outboxes and the store: what is moved when, and what goes wrong on the way."""

import asyncio
import os
import re
import sqlite3
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from postlude import Postlude
from postlude.callers import caller_of
from postlude.errors import JobNotFound, StoreError, StoreUnavailable
from postlude.services.relay import LOOK_EVERY, SOON, Relay
from postlude.stores import outbox as outboxes
from postlude.stores.callers import Outbox
from postlude.stores.contract import Filter, Store
from postlude.stores.outbox import OutboxFile
from tests.stores.making import keyed, queued
from tests.stores.places import open_place
from tests.within.callers import caller, left, new_database, of_sqlite3
from tests.within.tasks import note


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = open_place(url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def refused() -> list[StoreError]:
    return []


@pytest.fixture
async def relay(store: Store, woken: list[str], refused: list[StoreError]) -> AsyncIterator[Relay]:
    relay = Relay(store, queued=lambda: woken.append("worker"), refused=refused.append)
    yield relay
    relay.close()


async def leave(durable: Postlude, path: Path, *what: str) -> list[UUID]:
    """Jobs in an outbox, committed; nobody has moved them."""
    with of_sqlite3(path) as transaction:
        jobs = await durable.options(within=transaction.within).enqueue_many(note, [(each,) for each in what])
        transaction.commit()
    return [job.id for job in jobs]


async def there(store: Store) -> set[UUID]:
    return {record.id for record in await store.list(Filter(), limit=100, before=None)}


def break_one(path: Path) -> None:
    """Leave something in the outbox that is no job."""
    with closing(sqlite3.connect(path)) as connection:
        text = '{"arguments": "hunter2"}'
        connection.execute("INSERT INTO postlude_outbox SELECT 'broken', store, ? FROM postlude_outbox", (text,))
        connection.commit()


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))
    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()


def is_there(path: Path) -> bool:
    return path.exists()


def in_a_child(holds: Callable[[], bool]) -> bool:
    """Whether it holds right after a fork."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: there are threads
        child = os.fork()
    if not child:
        os._exit(0 if holds() else 1)
    return os.waitpid(child, 0)[1] == 0


HEARS = ["apsw", "Connection", "Session", "SQLModel", "AsyncConnection", "AsyncSession", "SQLModel async"]


@pytest.mark.parametrize("kind", HEARS)
async def test_these_tell_of_their_commit(kind: str, own: Path) -> None:
    heard: list[str] = []
    async with caller(kind, own) as transaction:
        within = caller_of(transaction.within)
        await transaction.note()
        hear: Callable[[], None] = lambda: heard.append(kind)  # noqa: E731 - the very same, twice
        within.on_commit(hear)
        within.on_commit(hear)
        await transaction.rollback()
        assert heard == []
        if kind == "apsw":
            transaction.within.execute("BEGIN")
        await transaction.note()
        await transaction.commit()
        assert heard == [kind]


async def test_what_this_process_writes_is_looked_for_soon_and_then_ever_more_seldom(relay: Relay) -> None:
    assert await relay.run_once() == LOOK_EVERY
    relay.expect(straight=False)
    pauses = [await relay.run_once() for _ in range(9)]
    assert pauses == [SOON, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, LOOK_EVERY, LOOK_EVERY]


async def test_what_is_written_into_the_store_itself_is_told_to_the_worker_for_a_while(
    relay: Relay, woken: list[str]
) -> None:
    await relay.run_once()
    assert woken == []
    relay.expect(straight=True)
    for _ in range(20):
        await relay.run_once()
    assert 5 < len(woken) < 15


async def test_the_worker_hears_of_what_was_moved(
    relay: Relay, store: Store, durable: Postlude, own: Path, woken: list[str]
) -> None:
    ids = await leave(durable, own, "one", "two")
    await relay.run_once()
    assert woken == ["worker"]
    assert await there(store) == set(ids)
    assert left(own) == 0


async def test_two_that_move_the_same_double_nothing(
    store: Store,
    relay: Relay,
    durable: Postlude,
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: list[StoreError],
) -> None:
    ids = await leave(durable, own, *map(str, range(5)))
    both_have_read = asyncio.Barrier(2)
    missing = Relay._missing

    async def read_together(self: Relay, jobs: Any) -> Any:
        found = await missing(self, jobs)
        if len(jobs) == 5:
            await both_have_read.wait()
        return found

    monkeypatch.setattr(Relay, "_missing", read_together)
    other = Relay(store, queued=lambda: None, refused=refused.append)
    await asyncio.gather(relay.look(), other.look())
    other.close()
    assert await there(store) == set(ids)
    assert left(own) == 0
    assert refused == []


async def test_what_had_left_for_the_store_before_is_not_inserted_again(
    store: Store, relay: Relay, durable: Postlude, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await leave(durable, own, "one")

    async def fail(self: OutboxFile, job_ids: Iterable[UUID]) -> None:
        message = "locked"
        raise StoreUnavailable(message)

    with monkeypatch.context() as patch:
        patch.setattr(OutboxFile, "remove", fail)
        with pytest.raises(StoreUnavailable):
            await relay.look()
    assert (await there(store), left(own)) == (set(ids), 1)
    await relay.look()
    assert (await there(store), left(own)) == (set(ids), 0)


async def test_what_could_not_be_removed_from_its_outbox_is_not_moved(
    store: Store, relay: Relay, durable: Postlude, own: Path
) -> None:
    ids = await leave(durable, own, "one")
    with closing(sqlite3.connect(own, isolation_level=None)) as connection:
        connection.execute("CREATE TRIGGER kept BEFORE DELETE ON postlude_outbox BEGIN SELECT RAISE(FAIL, 'full'); END")
        with pytest.raises(StoreUnavailable, match="full"):
            await relay.look()
        assert (await there(store), left(own)) == (set(), 1)
        connection.execute("DROP TRIGGER kept")
    await relay.look()
    assert (await there(store), left(own)) == (set(ids), 0)


async def test_nor_is_one_that_another_job_has_answered(store: Store, relay: Relay) -> None:
    holder, answered = keyed(), keyed()
    await store.insert([holder])
    await store.insert([answered])
    assert await relay._insert([answered, fresh := queued()]) == {}
    assert await there(store) == {holder.id, fresh.id}


async def test_a_job_that_the_store_does_not_take_keeps_no_other_and_is_named_once(
    store: Store,
    relay: Relay,
    durable: Postlude,
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: list[StoreError],
) -> None:
    good, bad = await leave(durable, own, "good", "bad")
    insert = store.insert

    async def refuse(jobs: Any) -> Any:
        if bad in [job.id for job in jobs]:
            message = "no"
            raise StoreError(message)
        return await insert(jobs)

    monkeypatch.setattr(store, "insert", refuse)
    for _ in range(3):
        await relay.look()
    (said,) = refused
    assert re.search(rf"does not take it: no\. .* delete the row with the id {bad}", str(said))
    assert await there(store) == {good}
    assert left(own) == 1


async def test_what_is_no_job_stays_and_is_named_once(
    store: Store, relay: Relay, durable: Postlude, own: Path, refused: list[StoreError]
) -> None:
    ids = await leave(durable, own, "one")
    break_one(own)
    for _ in range(3):
        await relay.look()
    (said,) = refused
    assert re.search(r"expected a job .* \(KeyError: 'id'\).* correct the row with the id broken", str(said))
    assert "hunter2" not in str(said)
    assert await there(store) == set(ids)
    assert left(own) == 1


async def test_whatever_keeps_others_from_being_moved_one_that_is_unknown_is_not_found(
    durable: Postlude, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "BUSY_SECONDS", 0.05)
    (job_id,) = await leave(durable, own, "one")
    break_one(own)
    with closing(sqlite3.connect(own, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(JobNotFound):
            await durable.jobs.get(queued().id)
        connection.execute("ROLLBACK")
    with pytest.raises(JobNotFound):
        await durable.jobs.get(queued().id)
    assert (await durable.jobs.get(job_id)).id == job_id


async def test_one_outbox_that_does_not_answer_keeps_no_other(
    store: Store, relay: Relay, durable: Postlude, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "BUSY_SECONDS", 0.05)
    (tmp_path / "other").mkdir()
    other = new_database(tmp_path / "other")
    ids = [*await leave(durable, own, "one"), *await leave(durable, other, "two")]
    with closing(sqlite3.connect(own, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            StoreUnavailable, match=r"app\.db did not answer .* locked.* What was committed there stays"
        ):
            await relay.look()
        assert await there(store) == {ids[1]}
        assert (left(own), left(other)) == (1, 0)
        connection.execute("ROLLBACK")
    await relay.look()
    assert await there(store) == set(ids)
    assert left(own) == 0


async def test_a_file_that_is_gone_is_nobodys_fault_and_one_in_its_place_is_read(
    store: Store, relay: Relay, durable: Postlude, own: Path, tmp_path: Path
) -> None:
    first = await leave(durable, own, "one")
    await relay.look()
    move_away(own)
    await relay.look()
    assert not is_there(own)
    second = await leave(durable, new_database(tmp_path), "two")
    await relay.look()
    assert await there(store) == {*first, *second}


async def test_two_applications_on_one_file_take_each_its_own(
    store: Store, relay: Relay, durable: Postlude, own: Path, tmp_path: Path
) -> None:
    ids = await leave(durable, own, "one")
    other = Postlude(url=f"sqlite:///{tmp_path}/other.db", worker="off")
    theirs = await leave(other, own, "theirs")
    await relay.look()
    assert (await there(store), left(own)) == (set(ids), 1)
    assert (await other.jobs.get(theirs[0])).id == theirs[0]
    await other.close()
    assert left(own) == 0


async def test_a_store_that_was_replaced_is_told_of_the_outboxes_again(
    store: Store, relay: Relay, tmp_path: Path
) -> None:
    outbox = Outbox(str(tmp_path / "app.db"), "sqlite3")
    assert await relay.know(outbox) == outbox
    relay._known["/other.db"] = Outbox("/other.db", "sqlite3", "1")  # as if the store had lost it
    await relay.look()
    assert len(await store.outboxes()) == 2


async def test_nothing_is_open_at_a_fork_and_both_sides_go_on(
    store: Store, relay: Relay, durable: Postlude, own: Path
) -> None:
    await leave(durable, own, "one")
    await relay.look()
    (file,) = relay._files.values()
    assert file._connection is not None
    assert in_a_child(lambda: file._connection is None)
    ids = await leave(durable, own, "two")
    await relay.look()
    assert set(ids) < await there(store)
    assert left(own) == 0
