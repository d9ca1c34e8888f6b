"""When the store does not answer, the client is gone, or the process is told to stop in the middle."""

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import BackgroundTasks, JobState, Postlude, task
from postlude.errors import StoreUnavailable
from postlude.job import NewJob
from postlude.stores.sqlite import SQLiteStore
from tests.face.conftest import Make, Serve, ended, until

ran: list[str] = []
gate = threading.Event()
begun = threading.Event()
inside: list[threading.Event] = []
"""One for each thread that is in a task, set when it leaves."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Always a file: these tests reach into its driver, or take it away."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    ran.clear()
    gate.clear()
    begun.clear()
    yield
    gate.set()
    while inside:
        assert inside.pop().wait(30), "a thread of this test would run on in the next"


def note(what: str) -> None:
    ran.append(what)


async def forever() -> None:
    begun.set()
    await asyncio.Event().wait()


async def until_gate() -> None:
    """Runs on through a cancelled request, and ends when the test says so."""
    begun.set()
    await until(gate.is_set)
    ran.append("to its end")


def in_thread() -> None:
    over = threading.Event()
    inside.append(over)
    begun.set()
    gate.wait(30)
    ran.append("in a thread, to its end")
    over.set()


@task(interrupted="hold")
async def held_forever() -> None:
    begun.set()
    await asyncio.Event().wait()


def adding(app: FastAPI, *calls: Any) -> None:
    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(*call).id) for call in calls]


# 51: the store breaks in the middle of the day


class Broken:
    """Inserts fail, after they were written or before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, written: bool) -> None:
        self.broken = True
        self.withdrawn = threading.Event()
        insert, withdraw = SQLiteStore.insert, SQLiteStore.withdraw

        async def failing(store: SQLiteStore, jobs: Sequence[NewJob]) -> None:
            if written or not self.broken:
                await insert(store, jobs)
            if self.broken:
                message = "database or disk is full"
                raise StoreUnavailable(message)

        async def noted(store: SQLiteStore, jobs: Sequence[NewJob]) -> None:
            await withdraw(store, jobs)
            self.withdrawn.set()

        monkeypatch.setattr(SQLiteStore, "insert", failing)
        monkeypatch.setattr(SQLiteStore, "withdraw", noted)


@pytest.mark.parametrize("written", [True, False])
def test_51_the_client_is_told_to_come_back_and_nothing_is_left_half_done(
    make: Make, monkeypatch: pytest.MonkeyPatch, written: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app, durable = make()
    adding(app, (note, "a"), (note, "b"))
    with TestClient(app) as client:
        store = Broken(monkeypatch, written=written)
        answer = client.post("/")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.json() == {"detail": "The background work of this request could not be stored. Try again."}
        assert store.withdrawn.wait(30)
        assert durable.blocking.jobs.list() == []
        assert ran == []
        store.broken = False
        ended(durable, *client.post("/").json())
    assert ran == ["a", "b"]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    failed = "the store did not do what it was asked (committing the tasks of a request): database or disk is full"
    assert errors == [f"{failed} [postlude status]"]


def test_51_run_unsaved_answers_runs_counts_and_says_so(
    make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app, durable = make(on_store_error="run_unsaved")
    adding(app, (note, "a"), (note, "b"))
    with serve(app) as client:
        store = Broken(monkeypatch, written=False)
        assert client.post("/").status_code == 200
        store.broken = False
        ended(durable, *client.post("/").json())
        while len(ran) < 4:
            client.get("/")  # a turn of the loop on which the unsaved ones run
    assert sorted(ran) == ["a", "a", "b", "b"]
    assert durable._runtime.events.counts["CallsUnsaved"] == 1
    [error] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    names = f"{__name__}:note, {__name__}:note"
    assert error == f"{names} run WITHOUT having been stored: database or disk is full [postlude status]"
    assert len(durable.blocking.jobs.list()) == 2


def test_51_what_was_to_run_later_is_refused_and_not_run_at_once(
    make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, durable = make(on_store_error="run_unsaved")

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.options(delay=3600).add_task(note, "next week")

    with serve(app) as client:
        Broken(monkeypatch, written=False)
        assert client.post("/").status_code == 503
    assert ran == []
    assert durable._runtime.events.counts["CallsUnsaved"] == 0


async def test_an_enqueue_that_is_not_confirmed_raises(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    durable = Postlude(url=url)
    await durable.jobs.list()
    Broken(monkeypatch, written=False)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await durable.enqueue(note, "it")
    await durable.close()


def test_an_application_whose_store_was_replaced_by_something_else_stops_all_the_same(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = make(shutdown_grace=0)
    adding(app, (note, "it"))
    with TestClient(app) as client:
        for each in tmp_path.glob("jobs.db*"):
            each.rename(tmp_path / f"aside-{each.name}")
        (tmp_path / "jobs.db").write_bytes(b"not a database " * 20)
        assert [client.post("/").status_code for _ in range(2)] == [503, 503]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not [line for line in said if "failed and goes on" in line]
    assert any("announcing the stop" in line and "is not a database at all" in line for line in said)
    assert (tmp_path / "jobs.db").read_bytes() == b"not a database " * 20


# 7 and 8: the client is gone


@pytest.mark.parametrize("calls", [[(until_gate,)], [(until_gate,), (note, "after")]], ids=["one", "chain"])
async def test_a_cancelled_request_cancels_no_task_even_where_it_runs_its_own(url: str, calls: list[Any]) -> None:
    app = FastAPI()
    durable = Postlude(app, url=url)
    adding(app, *calls)
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: object) -> None:
        answered.set()

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
        "http_version": "1.1",
        "root_path": "",
    }
    request = asyncio.ensure_future(app(scope, receive, send))
    await answered.wait()
    await until(begun.is_set)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert ran == []
    gate.set()
    for job in await durable.jobs.list():
        assert (await job.wait(timeout=30)).state is JobState.SUCCEEDED
    assert ran == ["to its end", "after"][: len(calls)]
    await durable.close()


# 5: the process is told to stop


def test_05_what_runs_longer_than_the_grace_is_given_back_and_runs_at_the_next_start(make: Make, url: str) -> None:
    app, _ = make(shutdown_grace=0)
    adding(app, (forever,), (note, "behind"))
    with TestClient(app) as client:
        first, second = client.post("/").json()
        assert begun.wait(30)
    after = Postlude(url=url)
    jobs = [after.blocking.jobs.get(one) for one in (first, second)]
    assert [job.state for job in jobs] == [JobState.QUEUED, JobState.QUEUED]
    assert [(job.attempts, job.interruptions) for job in jobs] == [(0, 0), (0, 0)], "a stop is no interruption"
    assert [job.waiting for job in jobs] == [False, True]
    after.blocking.jobs.cancel(first)
    assert after.blocking.jobs.get(second).cancelled_by == jobs[0].id
    after.blocking.close()


def test_05_a_held_task_that_is_told_to_stop_never_runs_again_by_itself(make: Make, url: str) -> None:
    app, _ = make(shutdown_grace=0)
    adding(app, (held_forever,))
    with TestClient(app) as client:
        [one] = client.post("/").json()
        assert begun.wait(30)
    after = Postlude(url=url)
    job = after.blocking.jobs.get(one)
    assert (job.state, job.attempts, job.interruptions) == (JobState.FAILED, 1, 1)
    assert job.reason is not None
    assert "interrupted='hold'" in job.reason
    after.blocking.close()


def test_05_what_ends_within_the_grace_has_succeeded(make: Make, url: str) -> None:
    app, _ = make(shutdown_grace=30)
    adding(app, (in_thread,))
    with TestClient(app) as client:
        [one] = client.post("/").json()
        assert begun.wait(30)
        timer = threading.Timer(0.05, gate.set)
        timer.start()
    timer.join()
    after = Postlude(url=url)
    assert after.blocking.jobs.get(one).state is JobState.SUCCEEDED
    after.blocking.close()


def test_05_a_thread_that_does_not_end_is_named_and_nobody_else_gets_its_job_while_it_lives(
    make: Make, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = make(shutdown_grace=0)
    adding(app, (in_thread,))
    with TestClient(app) as client:
        [one] = client.post("/").json()
        assert begun.wait(30)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    name = f"{__name__}:in_thread"
    assert [line for line in said if not line.startswith("The store ")] == [
        f"still running when the grace was over: {name}",
        (
            f"{name}: still running after the 0 s that shutdown_grace allows. What does not end before the "
            "process does is kept, and runs again from its beginning at the next start; Postlude(shutdown_grace=...) "
            "gives it longer"
        ),
    ]
    after = Postlude(app := FastAPI(), url=url)
    with TestClient(app):
        assert after.blocking.jobs.get(one).state in {JobState.STAGED, JobState.RUNNING}
    assert ran == []
