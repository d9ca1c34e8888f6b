"""What was refused with 503 does not run, and what needs no store runs without one."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import postlude.lifetime.process
from postlude import BackgroundTasks, JobState, Postlude
from postlude.errors import StoreClosed, StoreUnavailable
from postlude.job import NewJob
from postlude.stores.sqlite import SQLiteStore
from tests.face.conftest import Make, ended

ran: list[str] = []


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Always a file: these tests reach into its driver, or take it away."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def note(what: str) -> None:
    ran.append(what)


class Away:
    """A store that writes what it is given to insert and does not confirm it, and that takes nothing back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.away = True
        insert, withdraw = SQLiteStore.insert, SQLiteStore.withdraw
        error = error or StoreUnavailable("it is away")

        async def unconfirmed(store: SQLiteStore, jobs: Sequence[NewJob]) -> None:
            await insert(store, jobs)
            if self.away:
                raise error

        async def not_withdrawn(store: SQLiteStore, jobs: Sequence[NewJob]) -> None:
            if self.away:
                raise error
            await withdraw(store, jobs)

        monkeypatch.setattr(SQLiteStore, "insert", unconfirmed)
        monkeypatch.setattr(SQLiteStore, "withdraw", not_withdrawn)


def adding(app: FastAPI) -> None:
    @app.post("/{what}")
    def endpoint(what: str, tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(note, what).id)]


def runs_at_the_next_start(make: Make) -> list[str]:
    app, _ = make()
    adding(app)
    with TestClient(app) as client:
        ran.clear()
        client.post("/later")
    return ran


@pytest.mark.parametrize("error", [StoreUnavailable("it is away"), StoreClosed("it was closed")])
def test_where_each_request_has_a_loop_of_its_own_the_next_one_removes_what_was_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    app, durable = make()
    adding(app)
    client = TestClient(app)
    store = Away(monkeypatch, error)
    assert client.post("/refused").status_code == 503
    store.away = False
    ids = [client.post("/taken").json()[0] for _ in range(2)]
    ended(durable, *ids)
    process = durable._runtime.opening.here
    assert process is not None
    assert process.withdrawals.tasks == ()
    assert [job.state for job in durable.blocking.jobs.list()] == [JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert ran == ["taken", "taken"]


@pytest.mark.parametrize("way", ["lifespan", "close"])
def test_a_stop_removes_what_was_refused_shortly_before(make: Make, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    app, durable = make()
    adding(app)
    store = Away(monkeypatch)
    client = TestClient(app)
    if way == "lifespan":
        with client:
            assert client.post("/refused").status_code == 503
            store.away = False
    else:
        assert client.post("/refused").status_code == 503
        store.away = False
        durable.blocking.close()
    assert runs_at_the_next_start(make) == ["later"]


def test_what_cannot_be_removed_stays_owned_until_the_process_is_gone_and_that_is_said(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = make()
    adding(app)
    store = Away(monkeypatch)
    kept = len(postlude.lifetime.process._until_exit)
    with TestClient(app) as client:
        assert client.post("/refused").status_code == 503
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said[-1] == (
        "refused with 503, and not known to be removed from the store, which does not answer: "
        f"{__name__}:note; if they are there, they run when this process has ended"
    )
    assert len(postlude.lifetime.process._until_exit) == kept + 1
    store.away = False
    assert runs_at_the_next_start(make) == ["later"]


# Without a store


@pytest.fixture
def nowhere(tmp_path: Any) -> str:
    return f"sqlite:///{tmp_path / 'missing' / 'jobs.db'}"


def test_a_request_whose_calls_need_no_row_never_opens_the_store(nowhere: str) -> None:
    durable = Postlude(app := FastAPI(), nowhere)

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(lambda: ran.append("lambda"))
        tasks.add_task(lambda: ran.append("another"))

    assert TestClient(app).post("/").status_code == 200
    assert ran == ["lambda", "another"]
    assert durable._runtime.opening.here is None


@pytest.mark.parametrize("mode", ["refuse", "run_unsaved"])
def test_a_store_that_cannot_be_opened_is_one_that_does_not_store(
    nowhere: str, mode: Any, caplog: pytest.LogCaptureFixture
) -> None:
    Postlude(app := FastAPI(), nowhere, on_store_error=mode)
    adding(app)
    assert TestClient(app).post("/it").status_code == (503 if mode == "refuse" else 200)
    assert ran == ([] if mode == "refuse" else ["it"])
    [error] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "POSTLUDE_URL" in error


async def test_a_store_where_nobody_can_enlist_is_closed_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[SQLiteStore] = []

    async def refused(store: SQLiteStore, **_: object) -> int:
        stores.append(store)
        message = "locked"
        raise StoreUnavailable(message)

    monkeypatch.setattr(SQLiteStore, "enlist", refused)
    durable = Postlude(url=url)
    with pytest.raises(StoreUnavailable, match="locked"):
        await durable.enqueue(note, "it")
    with pytest.raises(StoreClosed):
        await stores[0].waiting_tasks()


def test_a_start_that_fails_after_the_worker_has_started_stops_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app, durable = make()

    async def refused(store: SQLiteStore, which: object) -> int:
        message = "locked"
        raise StoreUnavailable(message)

    with monkeypatch.context() as broken:
        broken.setattr(SQLiteStore, "count", refused)
        with pytest.raises(StoreUnavailable), TestClient(app):
            pass
    assert durable._runtime.opening.here is None
    with TestClient(app):
        ended(durable, str(durable.blocking.enqueue(note, "it").id))
    assert ran == ["it"]


# Closing at odd moments


def test_an_application_that_was_closed_while_it_ran_starts_again(make: Make) -> None:
    app, durable = make()

    @app.post("/close")
    async def close() -> None:
        await durable.close()

    with TestClient(app) as client:
        client.post("/close")
    with TestClient(app):
        ended(durable, str(durable.blocking.enqueue(note, "it").id))
    assert ran == ["it"]


def test_closing_from_another_thread_ends_the_worker_on_its_own_loop(make: Make) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(note, "it").id)]

    with TestClient(app) as client:
        process = durable._runtime.opening.here
        assert process is not None
        durable.blocking.close()
        assert process.loop is None
        assert process._stopping is None
        ended(durable, *client.post("/").json())
    assert ran == ["it"]


async def test_what_is_told_to_a_loop_that_was_closed_is_lost_without_an_error(url: str) -> None:
    durable = Postlude(url=url)
    await durable.jobs.list()
    process = durable._runtime.opening.here
    assert process is not None
    process.loop = asyncio.new_event_loop()
    process.loop.close()
    process.wake()
    process.tell("cancelled")
    durable._runtime.grace.begin()
    await durable.close()
    assert process.loop is None


def test_an_application_that_runs_nothing_gives_back_a_whole_chain_without_a_word(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    app, durable = make(worker="off")

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        for number in range(3):
            tasks.add_task(note, str(number))
        tasks.options(ordered=False).add_task(note, "beside")

    with TestClient(app) as client:
        client.post("/")
    assert [record.getMessage() for record in caplog.records if "was not recorded" in record.getMessage()] == []
    jobs = durable.blocking.jobs.list()
    assert [job.state for job in jobs] == [JobState.QUEUED] * 4
    assert [job.waiting for job in reversed(jobs)] == [False, True, True, False]


def test_what_is_answered_unsaved_runs_even_where_no_worker_does(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = make(worker="off", on_store_error="run_unsaved")
    adding(app)
    with TestClient(app) as client:
        Away(monkeypatch)
        assert client.post("/it").status_code == 200
    assert ran == ["it"]


def test_a_misspelt_variable_is_named_at_the_start(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("POSTLUDE_WORKERS", "off")
    app, _ = make()
    with TestClient(app):
        pass
    said = [record.getMessage() for record in caplog.records]
    assert "POSTLUDE_WORKERS in the environment is no setting of Postlude: did you mean POSTLUDE_WORKER?" in said
