"""A job that is added in the caller's own transaction, on PostgreSQL: straight into the store, by one statement."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
import asyncpg
import psycopg
import pytest
import sqlalchemy
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from postlude import JobNotFound, JobState, Postlude, TransactionTasks, Within, task
from postlude.errors import CallError, StoreError
from postlude.stores.notifying import Change
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location
from tests.face.holding import ran
from tests.stores.places import new_namespace, open_place
from tests.within.callers import NOTE, ON_SERVERS, caller, look, new_database, notes, of_asyncpg, of_sqlite3
from tests.within.tasks import note, note_once


@task(queue="slow", priority=3, max_running=1)
def note_slowly(what: str) -> None:
    ran.append(what)


@pytest.fixture
def dsn(postgres: str) -> str:
    """A database of the application's own, in which the store is too."""
    return new_postgres(postgres)


def new_postgres(postgres: str) -> str:
    name = f"app_{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    dsn = postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (text text)")
    return dsn


@pytest.fixture
def url(dsn: str) -> str:
    return dsn


@pytest.mark.parametrize("kind", ON_SERVERS.names)
async def test_what_is_committed_together_is_there_together(kind: str, dsn: str, running: Postlude) -> None:
    async with caller(kind, dsn) as transaction:
        await transaction.note()
        first = await running.options(within=transaction.within).enqueue(note, "first")
        others = await running.options(within=transaction.within, delay=0.01).enqueue_many(note, [("second",), ("3",)])
        await transaction.commit()
    assert (await first.wait(30)).result == "noted first"
    for job in others:
        assert (await job.wait(30)).state is JobState.SUCCEEDED
    assert notes(dsn) == 1
    assert sorted(ran) == ["3", "first", "second"]


@pytest.mark.parametrize("kind", ON_SERVERS.names)
async def test_what_is_rolled_back_together_was_never_there(kind: str, dsn: str, durable: Postlude) -> None:
    async with caller(kind, dsn) as transaction:
        await transaction.note()
        jobs = [await durable.options(within=transaction.within).enqueue(each, "never") for each in (note, note_once)]
        with pytest.raises(JobNotFound, match="not committed"):
            await jobs[0].wait()
        await transaction.rollback()
    for job in jobs:
        with pytest.raises(JobNotFound, match="rolled back"):
            await job.refresh()
    assert notes(dsn) == 0
    assert await durable.jobs.list() == []


@pytest.mark.parametrize("kind", ON_SERVERS.blocking)
async def test_in_a_thread_that_cannot_await(kind: str, dsn: str, running: Postlude) -> None:
    def work() -> Any:
        with ON_SERVERS.blocking[kind](dsn) as transaction:
            transaction.note()
            job = running.blocking.options(within=transaction.within).enqueue(note, "kept")
            transaction.commit()
            return running.blocking.jobs.wait(job.id, timeout=30)

    assert (await anyio.to_thread.run_sync(work)).result == "noted kept"
    assert notes(dsn) == 1


async def test_in_a_pipeline_of_psycopg(dsn: str, running: Postlude) -> None:
    with psycopg.connect(dsn) as own, own.pipeline():
        jobs = [await running.options(within=own).enqueue(note, "blocking")]
    async with await psycopg.AsyncConnection.connect(dsn) as other, other.pipeline():
        jobs.append(await running.options(within=other).enqueue(note, "awaited"))
    assert [(await job.wait(30)).result for job in jobs] == ["noted blocking", "noted awaited"]


async def test_it_is_what_it_would_be_if_the_store_had_inserted_it(dsn: str, durable: Postlude) -> None:
    async with of_asyncpg(dsn) as transaction:
        options = {"delay": 0.1 + 0.2, "expires_after": 100 / 3, "retries": 2, "timeout": 7}
        within = durable.options(within=transaction.within, **options)  # type: ignore[arg-type]
        written = await within.enqueue(note_slowly, "\0 \u2028 'quoted' \"doubly\" %s $1 :calls")
        await transaction.commit()
    inserted = await durable.options(**options).enqueue(note_slowly, "x")  # type: ignore[arg-type]
    store = await durable._runtime.store()
    mine, plain = [(await store.get([job.id]))[0] for job in (written, inserted)]
    assert mine._replace(id=plain.id, arguments=plain.arguments, created_at=0, run_at=0, expires_at=0) == (
        plain._replace(created_at=0, run_at=0, expires_at=0)
    )
    assert mine.run_at - mine.created_at == pytest.approx(0.3)
    assert (mine.queue, mine.priority, mine.partition) == ("slow", 3, "")
    assert mine.arguments is not None
    assert durable._registry.of(note_slowly).codec.decode(mine.arguments)[0] == (
        "\0 \u2028 'quoted' \"doubly\" %s $1 :calls",
    )


@pytest.mark.parametrize("kind", ["Connection", "AsyncSession"])
async def test_others_hear_of_a_commit_of_which_the_library_tells(kind: str, dsn: str, durable: Postlude) -> None:
    """Also where the process that commits runs no jobs itself."""
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    other = PostgresStore(Location(dsn))
    await other.open()

    def hear(_: Change) -> None:
        loop.call_soon_threadsafe(heard.set)

    other.listen(hear)
    async with caller(kind, dsn) as transaction:
        await durable.options(within=transaction.within).enqueue(note, "first")
        assert not heard.is_set()
        await transaction.commit()
    await asyncio.wait_for(heard.wait(), 30)
    await other.close()


async def test_a_key_is_looked_at_when_the_transaction_is_committed(dsn: str, running: Postlude) -> None:
    async with of_asyncpg(dsn) as transaction:
        durable = running.options(within=transaction.within)
        jobs = [await durable.enqueue(note_once, what) for what in ("a", "b", "c")]
        assert ran == []
        await transaction.commit()
        assert {(await job.wait(30)).id for job in jobs} == {jobs[0].id}
    assert ran == ["a"]


async def test_two_transactions_at_a_time_with_one_key_wait_for_nobody(dsn: str, durable: Postlude) -> None:
    async with of_asyncpg(dsn) as one, of_asyncpg(dsn) as other:
        jobs = [await durable.options(within=each.within).enqueue(note_once, "x") for each in (one, other)]
        await other.commit()
        assert (await durable.jobs.get(jobs[1].id)).id == jobs[1].id
        await one.commit()
    assert (await durable.jobs.get(jobs[0].id)).id == jobs[1].id


async def test_without_a_transaction_it_is_committed_at_once(dsn: str, durable: Postlude) -> None:
    connection = await asyncpg.connect(dsn)
    job = await durable.options(within=connection).enqueue(note, "at once")
    await connection.close()
    assert (await durable.jobs.get(job.id)).state is JobState.QUEUED


async def test_a_savepoint_takes_its_jobs_along(dsn: str, durable: Postlude) -> None:
    async with of_asyncpg(dsn) as transaction:
        kept = await durable.options(within=transaction.within).enqueue(note, "kept")
        await transaction.within.execute("SAVEPOINT one")
        lost = await durable.options(within=transaction.within).enqueue(note, "lost")
        await transaction.within.execute("ROLLBACK TO one")
        await transaction.commit()
    assert (await durable.jobs.get(kept.id)).id == kept.id
    with pytest.raises(JobNotFound):
        await durable.jobs.get(lost.id)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_the_rows_and_the_tasks_of_a_request_are_one_commit(
    driver: str, dsn: str, app: FastAPI, running: Postlude
) -> None:
    engine = create_async_engine(dsn.replace("postgresql:", f"postgresql+{driver}:"), poolclass=sqlalchemy.NullPool)

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session, session.begin():
            yield session

    session = Depends(get_session, scope="function")

    @app.post("/{what}")
    async def endpoint(
        what: str, own: Annotated[AsyncSession, session], tasks: Annotated[TransactionTasks, Within(session)]
    ) -> list[str]:
        jobs = [tasks.add_task(note, f"{what} {n}") for n in range(2)]
        await own.execute(sqlalchemy.text(NOTE))
        if what == "raises":
            raise HTTPException(400)
        return [str(job.id) for job in jobs]

    client = TestClient(app)  # beside the one that runs the worker
    jobs = [running.blocking.jobs.wait(each, timeout=30) for each in client.post("/kept").json()]
    assert [job.result for job in jobs] == ["noted kept 0", "noted kept 1"]
    assert {job.chain for job in jobs} == {jobs[0].id}
    assert client.post("/raises").status_code == 400
    assert sum(running.blocking.jobs.count().values()) == 2
    assert notes(dsn) == 1
    assert ran == ["kept 0", "kept 1"]


# What is refused


@pytest.mark.parametrize("kind", ON_SERVERS.names)
async def test_another_database_is_refused(kind: str, postgres: str, durable: Postlude) -> None:
    async with caller(kind, new_postgres(postgres)) as transaction:
        with pytest.raises(CallError, match="does not lead to the database of the store, postgresql://"):
            await durable.options(within=transaction.within).enqueue(note, "no")


async def test_also_where_the_other_one_has_a_store(postgres: str, durable: Postlude) -> None:
    other = new_namespace(new_postgres(postgres))
    store = open_place(other)
    await store.open()
    async with of_asyncpg(other.partition("#")[0]) as transaction:
        with pytest.raises(CallError, match="does not lead to the database of the store"):
            await durable.options(within=transaction.within).enqueue(note, "no")
        await transaction.note()
        await transaction.commit()
    assert look(other.partition("#")[0], "SELECT count(*) FROM postlude.jobs") == 0
    await store.close()


@pytest.mark.parametrize("driver", ["asyncpg", "SQLAlchemy"])
async def test_a_role_that_may_not_is_told_what_to_grant(driver: str, dsn: str, durable: Postlude) -> None:
    await durable.jobs.count()
    role = f"web_{uuid.uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
    theirs = dsn.replace("//postlude@", f"//{role}@")
    async with caller("asyncpg" if driver == "asyncpg" else "AsyncSession", theirs) as transaction:
        with pytest.raises(StoreError, match=r"GRANT USAGE ON SCHEMA postlude TO .* INSERT ON postlude\.jobs"):
            await durable.options(within=transaction.within).enqueue(note, "no")
        await transaction.rollback()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"GRANT USAGE ON SCHEMA postlude TO {role}".encode())
        connection.execute(f"GRANT INSERT ON postlude.jobs, postlude.outbox TO {role}".encode())
    async with caller("asyncpg", theirs) as transaction:
        job = await durable.options(within=transaction.within).enqueue(note, "yes")
        await transaction.commit()
    assert (await durable.jobs.get(job.id)).state is JobState.QUEUED


async def test_whatever_else_the_database_says_is_raised_as_it_is(dsn: str, durable: Postlude) -> None:
    async with of_asyncpg(dsn) as transaction:
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await transaction.within.execute("SELEC")
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            await durable.options(within=transaction.within).enqueue(note, "no")


async def test_a_file_may_be_committed_together_with_jobs_on_a_server(
    dsn: str, running: Postlude, tmp_path: Path
) -> None:
    own = new_database(tmp_path)
    with of_sqlite3(own) as transaction:
        job = await running.options(within=transaction.within).enqueue(note, "from a file")
        transaction.commit()
        assert (await job.wait(30)).result == "noted from a file"


async def test_a_server_cannot_be_committed_together_with_a_file(dsn: str, tmp_path: Path, app: FastAPI) -> None:
    durable = Postlude(app, f"sqlite:///{tmp_path}/jobs.db")
    async with of_asyncpg(dsn) as transaction:
        with pytest.raises(CallError, match="Set POSTLUDE_URL to that database"):
            await durable.options(within=transaction.within).enqueue(note, "no")
    await durable.close()


def test_other_databases_are_refused(durable: Postlude) -> None:
    engine = sqlalchemy.create_mock_engine("mysql+pymysql://", lambda *_: None)  # the drivers of others are not here
    session = sqlalchemy.orm.Session(engine)  # type: ignore[arg-type]
    with pytest.raises(CallError):
        durable.options(within=session)
