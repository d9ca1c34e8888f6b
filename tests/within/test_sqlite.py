"""A job that is added in the caller's own transaction, on SQLite: there if that commits, and never if it does not."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio.to_thread
import apsw
import pytest
import sqlalchemy
import sqlalchemy.orm
from fastapi import FastAPI

from postlude import JobNotFound, JobState, Postlude
from postlude.calls import NO_OPTIONS, with_options
from postlude.errors import CallError
from postlude.testing import capture, worker
from tests.face.holding import ran
from tests.within.callers import ON_FILES, caller, left, notes, of_aiosqlite, of_sqlite3
from tests.within.tasks import note, note_once


@pytest.mark.parametrize("kind", ON_FILES.names)
async def test_what_is_committed_together_is_there_together(kind: str, own: Path, running: Postlude) -> None:
    async with caller(kind, own) as transaction:
        await transaction.note()
        first = await running.options(within=transaction.within).enqueue(note, "first")
        others = await running.options(within=transaction.within, delay=0.01).enqueue_many(note, [("second",), ("3",)])
        await transaction.commit()
        assert (await first.wait(30)).result == "noted first"
        for job in others:
            assert (await job.wait(30)).state is JobState.SUCCEEDED
        assert (notes(own, kind), left(own, kind)) == (1, 0)
    assert sorted(ran) == ["3", "first", "second"]


@pytest.mark.parametrize("kind", ON_FILES.names)
async def test_what_is_rolled_back_together_was_never_there(kind: str, own: Path, running: Postlude) -> None:
    async with caller(kind, own) as transaction:
        await transaction.note()
        job = await running.options(within=transaction.within).enqueue(note, "never")
        with pytest.raises(JobNotFound, match="not committed"):
            await job.wait()
        await transaction.rollback()
    with pytest.raises(JobNotFound, match="rolled back"):
        await job.refresh()
    assert (notes(own, kind), left(own, kind), ran) == (0, 0, [])


@pytest.mark.parametrize("kind", ON_FILES.blocking)
async def test_in_a_thread_that_cannot_await(kind: str, own: Path, running: Postlude) -> None:
    def work() -> Any:
        with ON_FILES.blocking[kind](own) as transaction:
            transaction.note()
            lost = running.blocking.options(within=transaction.within).enqueue(note, "never")
            transaction.rollback()
            if kind == "apsw":
                transaction.within.execute("BEGIN")
            transaction.note()
            jobs = running.blocking.options(within=transaction.within).enqueue_many(note, [("kept",)])
            transaction.commit()
            return lost, running.blocking.jobs.wait(jobs[0].id, timeout=30)

    lost, kept = await anyio.to_thread.run_sync(work)
    assert kept.result == "noted kept"
    assert ran == ["kept"]
    assert notes(own, kind) == 1
    with pytest.raises(JobNotFound):
        await lost.refresh()


async def test_a_key_is_looked_at_when_the_job_reaches_the_store(own: Path, running: Postlude) -> None:
    with of_sqlite3(own) as transaction:
        durable = running.options(within=transaction.within)
        jobs = [await durable.enqueue(note_once, what) for what in ("a", "b", "c")]
        transaction.commit()
    assert {(await job.wait(30)).id for job in jobs} == {jobs[0].id}
    assert ran == ["a"]


@pytest.mark.usefixtures("no_blocking")
@pytest.mark.parametrize("kind", ON_FILES.awaited)
async def test_what_is_awaited_blocks_no_loop(kind: str, own: Path, durable: Postlude) -> None:
    async with caller(kind, own) as transaction:
        job = await durable.options(within=transaction.within).enqueue(note_once, "later")
        await transaction.commit()
    assert (await durable.jobs.get(job.id)).state is JobState.QUEUED


async def test_a_job_is_found_from_its_commit_on_also_where_no_worker_runs(own: Path, durable: Postlude) -> None:
    async with of_aiosqlite(own) as transaction:
        job = await durable.options(within=transaction.within).enqueue(note, "later")
        assert left(own) == 0
        await transaction.commit()
    assert left(own) == 1
    assert (await durable.jobs.get(job.id)).state is JobState.QUEUED
    assert left(own) == 0


async def test_also_to_be_cancelled(own: Path, durable: Postlude) -> None:
    with of_sqlite3(own) as transaction:
        job = await durable.options(within=transaction.within).enqueue(note, "never")
        transaction.commit()
    assert (await job.cancel()).state is JobState.CANCELLED


async def test_without_a_transaction_it_is_committed_at_once(own: Path, durable: Postlude) -> None:
    with closing(sqlite3.connect(own, isolation_level=None)) as connection:
        job = await durable.options(within=connection).enqueue(note, "at once")
    assert (await durable.jobs.get(job.id)).state is JobState.QUEUED


@pytest.mark.parametrize("kind", ON_FILES.names)
async def test_a_savepoint_takes_its_jobs_along(kind: str, own: Path, durable: Postlude) -> None:
    async with caller(kind, own) as transaction:
        await transaction.note()
        kept = await durable.options(within=transaction.within).enqueue(note, "kept")
        run = _runs(transaction.within)
        await run("SAVEPOINT inner_one")
        lost = await durable.options(within=transaction.within).enqueue(note, "lost")
        await run("ROLLBACK TO inner_one")
        await transaction.commit()
    assert (await durable.jobs.get(kept.id)).id == kept.id
    with pytest.raises(JobNotFound):
        await durable.jobs.get(lost.id)


def _runs(within: Any) -> Any:
    wrapped = type(within).__module__.startswith(("sqlalchemy", "sqlmodel"))

    async def run(statement: str) -> None:
        method = within.exec if "sqlmodel" in type(within).__module__ else within.execute
        result = method(sqlalchemy.text(statement) if wrapped else statement)
        if hasattr(result, "__await__"):
            await result

    return run


async def test_tests_run_what_was_committed(app: FastAPI, durable: Postlude, own: Path) -> None:
    async with worker(app) as tested:
        with of_sqlite3(own) as transaction:
            await durable.options(within=transaction.within).enqueue(note, "in a test")
            await tested.run_pending()
            assert ran == []
            transaction.commit()
        await tested.run_pending()
        assert ran == ["in a test"]


async def test_what_is_captured_is_written_nowhere(app: FastAPI, durable: Postlude, own: Path) -> None:
    with capture(app) as calls, of_sqlite3(own) as transaction:
        await durable.options(within=transaction.within).enqueue(note, "one")
        await anyio.to_thread.run_sync(lambda: durable.blocking.options(within=transaction.within).enqueue(note, "two"))
        transaction.commit()
    calls.assert_enqueued(note, "one")
    calls.assert_enqueued(note, "two")
    assert left(own) == 0


# What is refused


@pytest.mark.parametrize("wrong", [1, "sqlite:///app.db", object()])
def test_only_connections_and_sessions_are_taken(durable: Postlude, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a connection of sqlite3, .* or SQLModel .*; got"):
        durable.options(within=wrong)


def test_what_makes_sessions_is_told_from_one(durable: Postlude, own: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{own}")
    with pytest.raises(CallError, match="Take a connection of it"):
        durable.options(within=engine)  # type: ignore[arg-type]
    with pytest.raises(CallError, match="Call it"):
        durable.options(within=sqlalchemy.orm.sessionmaker(engine))  # type: ignore[arg-type]
    with pytest.raises(CallError, match="no database"):
        durable.options(within=sqlalchemy.orm.Session())


async def test_the_stores_own_file_is_refused_under_any_name(durable: Postlude, tmp_path: Path, own: Path) -> None:
    await durable.jobs.count()
    (tmp_path / "another name.db").symlink_to(tmp_path / "jobs.db")
    for path in (tmp_path / "jobs.db", tmp_path / "another name.db"):
        with (
            closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection,
            pytest.raises(CallError, match=r"the store's own file open .* Keep your tables in a file of their own"),
        ):
            await durable.options(within=connection).enqueue(note, "no")
    assert await durable.jobs.count() == dict.fromkeys(JobState, 0)


async def test_a_database_in_memory_is_refused(durable: Postlude) -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(CallError, match="in memory"):
        await durable.options(within=connection).enqueue(note, "no")


async def test_a_second_library_on_one_file_is_refused(durable: Postlude, own: Path) -> None:
    with of_sqlite3(own) as transaction:
        await durable.options(within=transaction.within).enqueue(note, "first")
        transaction.commit()
    with closing(apsw.Connection(str(own))) as connection, pytest.raises(CallError, match="read by sqlite3"):
        await durable.options(within=connection).enqueue(note, "no")
    assert left(own) == 1


async def test_one_that_is_awaited_is_not_for_threads(durable: Postlude, own: Path) -> None:
    async with of_aiosqlite(own) as transaction:
        options = durable.blocking.options(within=transaction.within)
        with pytest.raises(CallError, match=r"await durable\.options"):
            await anyio.to_thread.run_sync(lambda: options.enqueue(note, "no"))


def test_a_request_has_its_own_way() -> None:
    with pytest.raises(CallError, match="TransactionTasks"):
        with_options(NO_OPTIONS, within=object())  # type: ignore[call-arg]
