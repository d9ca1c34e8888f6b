"""`Depends` in a task: what it gives is there when the task runs, is closed after it, and is never stored."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, Request
from fastapi.testclient import TestClient

from postlude import BackgroundTasks, Cancel, Jobs, JobState, Snooze, current_job, task
from postlude.errors import CallError, TaskDeclarationError
from tests.face.conftest import Make, Serve, ended

ran: list[Any] = []
tenant: ContextVar[str] = ContextVar("tenant", default="none")
folder = Path()


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path: Path) -> None:
    global folder  # noqa: PLW0603 - what the dependencies see of the test
    ran.clear()
    folder = tmp_path


class Session:
    def __init__(self) -> None:
        self.state = "open"


def get_settings() -> dict[str, str]:
    ours = threading.current_thread().name.startswith("postlude-")
    ran.append(f"settings in {'a thread of Postlude' if ours else 'a thread of the server'}")
    return {"tenant": "blue"}


async def get_session(settings: Annotated[dict[str, str], Depends(get_settings)]) -> AsyncIterator[Session]:
    tenant.set(settings["tenant"])
    session = Session()
    try:
        yield session
        session.state = "committed"
    except BaseException as error:
        session.state = f"rolled back by {type(error).__name__}"
        raise
    finally:
        ran.append(session.state)


def get_connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(folder / "own.db", check_same_thread=False)
    with connection:
        yield connection
    connection.close()


def add_user(name: str, session: Session = Depends(get_session)) -> None:
    ran.append((name, session.state, tenant.get(), current_job().attempt))
    if name == "nobody":
        raise ValueError(name)
    if name == "later" and ran.count("rolled back by Snooze") == 0:
        raise Snooze(0)
    if name == "never":
        raise Cancel


async def add_user_on_the_loop(session: Annotated[Session, Depends(get_session)], name: str) -> None:
    add_user(name, session)


def write_row(text: str, connection: Annotated[sqlite3.Connection, Depends(get_connection)]) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS rows (text TEXT)")
    connection.execute("INSERT INTO rows VALUES (?)", (text,))


def who(request: Request) -> str:
    return str(request.url)


def greet(name: str, sender: str = Depends(who)) -> None:
    ran.append((name, sender))


async def look_at_itself(jobs: Jobs) -> None:
    ran.append((jobs, (await jobs.get(current_job().id)).id == current_job().id))


def say_which_jobs(jobs: Jobs = Depends()) -> None:
    ran.append((jobs, True))


async def get_jobs(jobs: Jobs) -> Jobs:
    return jobs


async def look_by_a_dependency(found: Any = Depends(get_jobs)) -> None:
    await look_at_itself(found)


@pytest.mark.parametrize("function", [add_user, add_user_on_the_loop])
def test_it_is_resolved_when_the_task_runs_and_closed_after_it(make: Make, serve: Serve, function: Any) -> None:
    app, durable = make()

    @app.post("/{name}")
    async def endpoint(name: str, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(function, name=name).id)

    with serve(app) as client:
        (job,) = ended(durable, client.post("/anna").json())
    assert (job.state, job.ephemeral) == (JobState.SUCCEEDED, False)
    assert ran == ["settings in a thread of Postlude", ("anna", "open", "blue", 1), "committed"]


@pytest.mark.parametrize("function", [add_user, add_user_on_the_loop])
@pytest.mark.parametrize(
    ("name", "error", "state"),
    [("nobody", "ValueError", JobState.FAILED), ("never", "Cancel", JobState.CANCELLED)],
)
def test_it_sees_what_the_task_raises(
    make: Make, serve: Serve, function: Any, name: str, error: str, state: JobState
) -> None:
    app, durable = make()

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(function, name=name).id)

    with serve(app, raise_server_exceptions=False) as client:
        (job,) = ended(durable, client.post("/").json())
    assert (job.state, ran[-1]) == (state, f"rolled back by {error}")


def test_each_attempt_has_its_own(make: Make) -> None:
    app, durable = make()
    with TestClient(app):
        job = durable.blocking.enqueue(add_user, "later")
        ended(durable, str(job.id))
    assert [each for each in ran if isinstance(each, str) and "settings" not in each] == [
        "rolled back by Snooze",
        "committed",
    ]


def test_a_sync_generator_with_a_real_connection(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(write_row, "hello").id)  # type: ignore[call-overload]  # said to be required

    with serve(app) as client:
        ended(durable, client.post("/").json())
    found = sqlite3.connect(folder / "own.db")
    assert found.execute("SELECT text FROM rows").fetchall() == [("hello",)]
    found.close()


def test_the_overrides_of_the_application_count(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(add_user, "anna").id)

    app.dependency_overrides[get_settings] = lambda: {"tenant": "green"}
    with serve(app) as client:
        ended(durable, client.post("/").json())
    assert ran == [("anna", "open", "green", 1), "committed"]


def test_a_value_that_is_given_is_used_and_not_stored(make: Make, serve: Serve) -> None:
    """As with FastAPI alone, where nothing is resolved in a task and everybody gives it."""
    app, _ = make()

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks, session: Session = Depends(get_session)) -> None:
        tasks.add_task(add_user, "anna", session)

    with serve(app) as client:
        client.post("/")
    assert ran[0] == "settings in a thread of the server"
    assert ran[1:] == [("anna", "open", "blue", 1), "committed"]


@pytest.mark.parametrize("function", [look_at_itself, say_which_jobs, look_by_a_dependency])
def test_the_annotation_of_endpoints_gives_a_task_the_jobs_of_its_application(
    make: Make, serve: Serve, function: Any
) -> None:
    app, durable = make()
    task(function)

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(function).id)

    with serve(app) as client:
        (job,) = ended(durable, client.post("/").json())
    assert (job.state, job.ephemeral) == (JobState.SUCCEEDED, False)
    assert ran == [(durable.jobs, True)]


@pytest.mark.parametrize("executor", ["process", "cluster"])
@pytest.mark.parametrize("function", [look_at_itself, look_by_a_dependency])
def test_where_a_task_may_run_without_its_application_it_asks_for_no_jobs(function: Any, executor: str) -> None:
    with pytest.raises(TaskDeclarationError, match=r"jobs is the application's Jobs, and its executor .* `durable`"):
        task(executor=executor)(function)


def test_what_needs_a_request_is_refused_where_it_is_declared(make: Make) -> None:
    with pytest.raises(
        TaskDeclarationError, match=r"greet\(sender\).*who\(request\).*request is a Request, and when a"
    ):
        task(greet)
    app, _ = make()
    raised: list[Exception] = []

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(greet, "anna", sender="given")
        try:
            tasks.add_task(greet, "anna")
        except TaskDeclarationError as error:
            raised.append(error)

    with TestClient(app) as client:
        client.post("/")
    assert ran == [("anna", "given")]
    assert len(raised) == 1


def test_a_call_that_does_not_bind_is_told_what_callers_give(make: Make) -> None:
    app, _ = make()
    raised: list[Exception] = []

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        try:
            tasks.add_task(add_user)  # type: ignore[call-overload]
        except CallError as error:
            raised.append(error)

    TestClient(app).post("/")
    assert "missing 'name'" in str(raised[0])
