"""`Annotated[TransactionTasks, Within(session)]`: what a request writes and what it adds are one commit."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
import sqlalchemy
from fastapi import BackgroundTasks as FastAPITasks
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from postlude import BackgroundTasks, Job, JobState, Postlude, TransactionTasks, Within, task
from postlude.errors import CallError, InstallError, NotStorable
from postlude.testing import capture
from tests.face.holding import ran
from tests.within.callers import NOTE, left, notes
from tests.within.tasks import note


@task(key="one")
def note_once(what: str) -> None:
    ran.append(what)


def fail(what: str) -> None:
    ran.append(what)
    raise ValueError(what)


class Database:
    """Engines of the application, in both ways."""

    def __init__(self, own: Path) -> None:
        self.blocking = sqlalchemy.create_engine(f"sqlite:///{own}")
        self.awaited: AsyncEngine = create_async_engine(f"sqlite+aiosqlite:///{own}")


@pytest.fixture
def database(own: Path) -> Iterator[Database]:
    database = Database(own)
    yield database
    database.blocking.dispose()
    asyncio.run(database.awaited.dispose())


@pytest.fixture(params=["async", "sync"])
def session(request: pytest.FixtureRequest, database: Database) -> Any:
    """What an endpoint's session depends on: committed in the exit of the dependency, after the endpoint."""

    async def get_async_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(database.awaited) as session, session.begin():
            yield session

    def get_session() -> Iterator[Session]:
        with Session(database.blocking) as session, session.begin():
            yield session

    return Depends(get_async_session if request.param == "async" else get_session, scope="function")


async def write(session: Any) -> None:
    done = session.execute(sqlalchemy.text(NOTE))
    if hasattr(done, "__await__"):
        await done


async def commit(session: Any) -> None:
    done = session.commit()
    if hasattr(done, "__await__"):
        await done


async def begin_nested(session: Any) -> Any:
    inner = session.begin_nested()
    return await inner if hasattr(inner, "__await__") else inner


@contextmanager
def serving(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def ended(durable: Postlude, ids: list[str]) -> list[Job[Any]]:
    return [durable.blocking.jobs.wait(each, timeout=30) for each in ids]


def test_rows_and_tasks_are_one_commit(app: FastAPI, durable: Postlude, own: Path, session: Any) -> None:
    @app.post("/{what}")
    async def endpoint(
        what: str, own_session: Annotated[Any, session], tasks: Annotated[TransactionTasks, Within(session)]
    ) -> list[str]:
        jobs = [tasks.add_task(note, f"{what} {n}") for n in range(3)]
        await write(own_session)
        assert [job.state for job in jobs] == [JobState.QUEUED] * 3
        if what == "raises":
            raise HTTPException(400)
        return [str(job.id) for job in jobs]

    with serving(app) as client:
        jobs = ended(durable, client.post("/kept").json())
        assert [job.result for job in jobs] == ["noted kept 0", "noted kept 1", "noted kept 2"]
        assert {job.chain for job in jobs} == {jobs[0].id}
        assert jobs[0].origin["route"] == "POST /{what}"
        assert client.post("/raises").status_code == 400
        assert sum(durable.blocking.jobs.count().values()) == 3
    assert ran == ["kept 0", "kept 1", "kept 2"]
    assert (notes(own), left(own)) == (1, 0)


def test_a_commit_in_the_endpoint_takes_what_was_added_before_it(
    app: FastAPI, durable: Postlude, own: Path, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(database.awaited) as session:
            yield session

    SessionDep = Annotated[AsyncSession, Depends(get_session)]  # noqa: N806 - as FastAPI's pages name it

    @app.post("/")
    async def endpoint(session: SessionDep, tasks: Annotated[TransactionTasks, Within(SessionDep)]) -> list[str]:
        before = tasks.add_task(note, "before")
        await write(session)
        await session.commit()
        assert (await before.refresh()).state in {JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED}
        again = tasks.add_task(note, "again")
        async with session.begin():
            await write(session)
        tasks.add_task(note, "after")
        return [str(before.id), str(again.id)]

    with serving(app) as client:
        jobs = ended(durable, client.post("/").json())
        assert {job.chain for job in jobs} == {None}
        assert sum(durable.blocking.jobs.count().values()) == 2
    assert sorted(ran) == ["again", "before"]
    assert notes(own) == 2
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.startswith("tests.within.tasks:note lost: no commit of the session came after")


def test_a_savepoint_takes_its_tasks_along(app: FastAPI, durable: Postlude, session: Any) -> None:
    @app.post("/")
    async def endpoint(
        own_session: Annotated[Any, session], tasks: Annotated[TransactionTasks, Within(session)]
    ) -> list[str]:
        jobs = [tasks.add_task(note, "outer")]
        for what, rolled_back in (("kept", False), ("lost", True)):
            inner = await begin_nested(own_session)
            jobs.append(tasks.add_task(note, what))
            done = inner.rollback() if rolled_back else inner.commit()
            if hasattr(done, "__await__"):
                await done
        return [str(job.id) for job in jobs[:2]]

    with serving(app) as client:
        ended(durable, client.post("/").json())
        assert sum(durable.blocking.jobs.count().values()) == 2
    assert ran == ["outer", "kept"]


def test_a_commit_around_open_savepoints_takes_their_tasks_along(app: FastAPI, durable: Postlude, session: Any) -> None:
    @app.post("/")
    async def endpoint(
        own_session: Annotated[Any, session], tasks: Annotated[TransactionTasks, Within(session)]
    ) -> list[str]:
        jobs = [tasks.add_task(note, "outer")]
        for what in ("inner", "innermost"):
            await begin_nested(own_session)
            jobs.append(tasks.add_task(note, what))
        return [str(job.id) for job in jobs]

    with serving(app) as client:
        ended(durable, client.post("/").json())
    assert ran == ["outer", "inner", "innermost"]


def test_a_savepoint_that_fails_at_its_end_leaves_what_was_added_before_it(
    app: FastAPI, durable: Postlude, own: Path, database: Database
) -> None:
    def get_session() -> Iterator[Session]:
        with Session(database.blocking) as session, session.begin():
            yield session

    @app.post("/")
    def endpoint(
        session: Annotated[Session, Depends(get_session)], tasks: Annotated[TransactionTasks, Within(get_session)]
    ) -> str:
        job = tasks.add_task(note, "outer")
        outer = session.begin_nested()
        tasks.add_task(note, "with the savepoint")
        session.begin_nested()

        @sqlalchemy.event.listens_for(session, "after_transaction_end", once=True)
        def refuse(*_: object) -> None:
            raise KeyError

        with pytest.raises(KeyError):
            outer.commit()
        outer.rollback()
        return str(job.id)

    with serving(app) as client:
        ended(durable, [client.post("/").json()])
    assert ran == ["outer"]
    assert left(own) == 0


def test_what_a_flush_in_the_commit_adds_is_committed(app: FastAPI, durable: Postlude, session: Any) -> None:
    @app.post("/")
    async def endpoint(
        own_session: Annotated[Any, session], tasks: Annotated[TransactionTasks, Within(session)]
    ) -> list[str]:
        raw = own_session if isinstance(own_session, Session) else own_session.sync_session
        added: list[str] = []

        @sqlalchemy.event.listens_for(raw, "after_flush_postexec")
        def mail(*_: object) -> None:
            tasks.add_task(note, f"flush {len(added)}")
            added.append("a flush")
            if len(added) == 1:
                raw.add(Note(text="one more"))

        raw.add(Note(text="flushed in the commit"))
        return [str(tasks.add_task(note, "endpoint").id)]

    with serving(app) as client:
        ended(durable, client.post("/").json())
        ended(durable, [str(job.id) for job in durable.blocking.jobs.list()])
    assert ran == ["endpoint", "flush 0", "flush 1"]


def test_what_was_added_behind_the_commit_is_told_also_if_the_session_had_begun_again(
    app: FastAPI, durable: Postlude, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def get_session() -> Iterator[Session]:
        with Session(database.blocking) as session:
            yield session

    @app.post("/")
    def endpoint(
        session: Annotated[Session, Depends(get_session)], tasks: Annotated[TransactionTasks, Within(get_session)]
    ) -> None:
        session.add(row := Note(text="committed"))
        session.commit()
        session.refresh(row)
        tasks.add_task(note, "behind")
        session.close()
        session.add(Note(text="the next"))
        session.commit()

    with serving(app) as client:
        client.post("/")
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.startswith("tests.within.tasks:note lost: no commit of the session came after")
    assert ran == []


def test_what_an_endpoint_added_that_raised_is_no_loss(
    app: FastAPI, durable: Postlude, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "postlude")

    def get_session() -> Iterator[Session]:
        with Session(database.blocking) as session:
            yield session

    @app.post("/")
    def endpoint(tasks: Annotated[TransactionTasks, Within(get_session)]) -> None:
        tasks.add_task(note, "never")
        raise HTTPException(400)

    with serving(app) as client:
        assert client.post("/").status_code == 400
    said = [record.levelno for record in caplog.records if "was rolled back" in record.getMessage()]
    assert said == [logging.INFO]
    assert ran == []


def test_in_order_and_not(app: FastAPI, durable: Postlude, session: Any) -> None:
    @app.post("/")
    async def endpoint(
        own_session: Annotated[Any, session], tasks: Annotated[TransactionTasks, Within(session)]
    ) -> list[str]:
        jobs = [tasks.add_task(fail, "first"), tasks.add_task(note, "behind it")]
        jobs.append(tasks.options(ordered=False, delay=0.01).add_task(note, "beside it"))
        return [str(job.id) for job in jobs]

    with serving(app) as client:
        states = [job.state for job in ended(durable, client.post("/").json())]
    assert states == [JobState.FAILED, JobState.CANCELLED, JobState.SUCCEEDED]
    assert sorted(ran) == ["beside it", "first"]


def test_a_commit_that_fails_takes_its_tasks_along(app: FastAPI, durable: Postlude, own: Path, session: Any) -> None:
    @app.post("/")
    async def endpoint(
        own_session: Annotated[Any, session], tasks: Annotated[TransactionTasks, Within(session)]
    ) -> None:
        tasks.add_task(note, "never")
        await write(own_session)
        raw = own_session if isinstance(own_session, Session) else own_session.sync_session

        @sqlalchemy.event.listens_for(raw, "before_flush")
        def refuse(*_: object) -> None:
            raise ValueError

        raw.add(Note(text="flushed in the commit"))

    with serving(app) as client:
        assert client.post("/").status_code == 500
        assert durable.blocking.jobs.list() == []
    assert (notes(own), left(own), ran) == (0, 0, [])


class Base(sqlalchemy.orm.DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    text: sqlalchemy.orm.Mapped[str] = sqlalchemy.orm.mapped_column(primary_key=True)


@pytest.mark.parametrize("lifespan", [False, True])
def test_where_no_lifespan_runs_the_job_waits_for_a_worker(
    app: FastAPI, durable: Postlude, session: Any, *, lifespan: bool
) -> None:
    @app.post("/")
    def endpoint(tasks: Annotated[TransactionTasks, Within(session)]) -> str:
        return str(tasks.add_task(note_once, "later").id)

    client = TestClient(app)
    if lifespan:
        with client:
            ended(durable, [client.post("/").json()])
        assert ran == ["later"]
    else:
        job = durable.blocking.jobs.get(client.post("/").json())
        assert job.state is JobState.QUEUED


def test_both_kinds_of_tasks_in_one_request(app: FastAPI, durable: Postlude, session: Any) -> None:
    def helper(tasks: FastAPITasks) -> None:
        tasks.add_task(note, "by a helper")

    @app.post("/")
    async def endpoint(plain: BackgroundTasks, tasks: Annotated[TransactionTasks, Within(session)]) -> list[str]:
        helper(tasks)
        jobs = [tasks.add_task(note, "bound"), plain.add_task(note, "plain")]
        return [str(job.id) for job in jobs]

    with serving(app) as client:
        ended(durable, client.post("/").json())
    assert sorted(ran) == ["bound", "by a helper", "plain"]


def test_a_pool_that_has_no_connection_left_keeps_no_event_loop(
    app: FastAPI, durable: Postlude, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{own}", pool_size=1, max_overflow=0, pool_timeout=3)
    held, asked, connect = engine.connect(), threading.Event(), engine.connect

    def ask() -> sqlalchemy.Connection:
        asked.set()
        return connect()

    monkeypatch.setattr(engine, "connect", ask)

    async def get_session() -> AsyncIterator[Session]:
        with Session(engine) as session:
            yield session

    @app.post("/")
    async def endpoint(tasks: Annotated[TransactionTasks, Within(get_session)]) -> None:
        """The first that asks how this engine adds jobs."""

    @app.post("/give-back")
    async def give_back() -> None:
        held.close()

    with serving(app) as client, ThreadPoolExecutor(1) as thread:
        first = thread.submit(client.post, "/")
        assert asked.wait(30)
        assert client.post("/give-back").status_code == 200
        assert first.result(30).status_code == 200
    engine.dispose()


def test_what_is_captured_is_what_was_committed(app: FastAPI, durable: Postlude, own: Path, session: Any) -> None:
    @app.post("/{what}")
    async def endpoint(what: str, tasks: Annotated[TransactionTasks, Within(session)]) -> None:
        tasks.add_task(note, what)
        if what == "raises":
            raise HTTPException(400)

    with capture(app) as calls:
        TestClient(app).post("/kept")
        TestClient(app).post("/raises")
    assert [call.args for call in calls] == [("kept",)]
    with pytest.raises(AssertionError, match="was rolled back"):
        calls.assert_enqueued(note, "raises")
    assert left(own) == 0


def test_disabled_they_are_fastapis_own(session: Any, monkeypatch: pytest.MonkeyPatch, app: FastAPI, url: str) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    ran.clear()
    Postlude(app, url)

    @app.post("/")
    async def endpoint(tasks: Annotated[TransactionTasks, Within(session)]) -> None:
        tasks.add_task(note, "plainly")

    TestClient(app).post("/")
    assert ran == ["plainly"]


# What is refused


def client_of(app: FastAPI, session: Any, use: Any) -> TestClient:
    @app.post("/")
    async def endpoint(tasks: Annotated[TransactionTasks, Within(session)]) -> None:
        use(tasks)

    return TestClient(app)


def test_what_the_commit_says_cannot_be_said_otherwise(app: FastAPI, durable: Postlude, session: Any) -> None:
    with pytest.raises(CallError, match="if_raised says"):
        client_of(app, session, lambda tasks: tasks.options(if_raised="keep")).post("/")


def test_what_cannot_be_stored_cannot_be_committed(app: FastAPI, durable: Postlude, session: Any) -> None:
    with pytest.raises(NotStorable):
        client_of(app, session, lambda tasks: tasks.add_task(lambda: None)).post("/")


def test_what_does_not_tell_of_its_commits_is_refused(app: FastAPI, durable: Postlude, database: Database) -> None:
    def connection() -> Iterator[Any]:
        with database.blocking.connect() as connection:
            yield connection

    with pytest.raises(CallError, match=r"durable\.options\(within="):
        client_of(app, connection, lambda tasks: tasks.add_task(note, "x")).post("/")


def test_an_application_without_postlude_is_told(session: Any) -> None:
    with pytest.raises(InstallError, match="not installed"):
        client_of(FastAPI(), session, lambda tasks: tasks.add_task(note, "x")).post("/")


@pytest.mark.parametrize("wrong", [None, 1, Annotated[Session, "nothing"]])
def test_a_dependency_is_expected(wrong: Any) -> None:
    with pytest.raises(CallError, match="expected what a session depends on"):
        Within(wrong)
