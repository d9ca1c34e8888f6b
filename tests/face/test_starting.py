"""From `Postlude(app)` to the lines of the start: what is said, what is refused, and how an error reads."""

import asyncio
import logging
import os
import re
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

import postlude
from postlude import BackgroundTasks, Concurrency, JobState, Postlude, PostludeError, errors
from postlude.errors import InstallError, LoopBlocking, SettingsError, StoreLocationError
from postlude.ids import new_job_id
from postlude.lifetime import introduction
from tests.face.conftest import Make, ended
from tests.stores.other_process import OtherProcess

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


# The lines of the start


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "postlude" and not record.getMessage().startswith("The store ")
    ]


def test_the_start_is_one_line_for_each_fact(make: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO, "postlude")
    app, _ = make(concurrency=Concurrency(loop=7, threads=3, processes=5))

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        pass

    with TestClient(app):
        pass
    store, worker, routes, queue = lines(caplog)
    assert re.fullmatch(
        rf"store: {re.escape(str(tmp_path / 'jobs.db'))}, where a write takes \d+\.\d\d ms to reach the disk", store
    )
    assert worker == "worker: embedded, up to 7 tasks at once on the event loop, 3 in threads and 5 in child processes"
    assert routes == "routes: 1 with durable background tasks"
    assert queue == "queue: 0 jobs waiting, 0 left by a process that is gone"


def test_of_several_processes_of_a_server_one_speaks(
    make: Make, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one says only what it alone has done."""
    caplog.set_level(logging.INFO, "postlude")
    monkeypatch.setattr("multiprocessing.parent_process", lambda: SimpleNamespace(pid=os.getppid()))
    server = introduction._name(os.getppid())
    app, _ = make()
    with OtherProcess(url) as other:
        other.do("enlist")
        other.do("stage", 2)
        assert other.do("speaks_for", server)
        with TestClient(app):
            pass
        assert lines(caplog) == []
        with OtherProcess(url) as third:
            third.do("enlist")
            third.do("stage", 2)
            third.kill()
        with TestClient(app):
            pass
        assert [line for line in lines(caplog) if line.startswith("queue: ")] == [
            "queue: 2 jobs left by a process that is gone"
        ]
        assert [line for line in lines(caplog) if line.startswith(("store: ", "worker: ", "routes: "))] == []
    caplog.clear()
    with TestClient(app):
        pass
    [worker] = [line for line in lines(caplog) if line.startswith("worker: ")]
    assert worker.startswith("worker: embedded, up to 100 tasks at once on the event loop, 16 in threads and ")
    assert worker.endswith(" in child processes, in each process")


def test_an_application_beside_another_is_introduced_by_its_routes(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "postlude")
    app, durable = make()
    beside = FastAPI()
    durable.install(beside)
    with TestClient(app), TestClient(beside):
        assert lines(caplog)[-1] == "routes: 0 more with durable background tasks"


def test_the_start_names_what_waits_and_what_is_not_covered(
    make: Make, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = Postlude(url=url)
    before.blocking.enqueue(note, "left")
    before.blocking.close()
    caplog.set_level(logging.INFO, "postlude")
    app, _ = make(worker="off")
    app.mount("/other", Starlette())

    async def plain(request: Request) -> Response:
        return Response()

    app.add_route("/plain", plain)
    with TestClient(app):
        pass
    said = lines(caplog)
    assert said[1:4] == [
        "worker: off, jobs are only stored here",
        "routes: 0 with durable background tasks",
        "queue: 1 job waiting, 0 left by a process that is gone",
    ]
    assert said[4:] == [
        "not covered: /other: a mounted Starlette, which is not a FastAPI application",
        "not covered: /plain: a Starlette route, which FastAPI gives no background tasks",
    ]
    assert ran == []


def test_the_start_names_the_jobs_whose_task_is_gone(
    make: Make, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Postlude(url=url)
    name = f"{note.__module__}:{note.__qualname__}"
    job = before.blocking.enqueue(note, "left")
    before.blocking.close()
    monkeypatch.delattr(sys.modules[note.__module__], note.__qualname__)
    app, durable = make()
    with TestClient(app):
        assert durable.blocking.jobs.get(job.id).state == JobState.QUEUED
    [said] = [record.getMessage() for record in caplog.records if "does not have" in record.getMessage()]
    assert said == (
        f"1 job waiting for {name}, which this application does not have: put the function back, or take its jobs up "
        f"with @task(formerly={name!r}) on the one that replaces it"
    )


def test_the_applications_own_lifespan_is_kept(make: Make) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        order.append("up")
        yield {"pool": "open"}
        order.append("down")

    app, durable = make(fastapi={"lifespan": lifespan})

    @app.post("/")
    def endpoint(request: Request, tasks: BackgroundTasks) -> str:
        tasks.add_task(note, "it")
        return str(request.state.pool)

    with TestClient(app) as client:
        assert client.post("/").json() == "open"
        ended(durable, str(durable.blocking.jobs.list()[0].id))
    assert order == ["up", "down"]


def test_what_waited_runs_at_the_next_start(make: Make, url: str) -> None:
    before = Postlude(url=url)
    job = before.blocking.enqueue(note, "left")
    before.blocking.close()
    app, durable = make()
    with TestClient(app):
        assert durable.blocking.jobs.wait(job.id, timeout=30).state is JobState.SUCCEEDED
    assert ran == ["left"]


def test_an_application_can_be_started_twice(make: Make) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(note, "it").id)

    for _ in range(2):
        with TestClient(app) as client:
            ended(durable, client.post("/").json())
    assert ran == ["it", "it"]


def test_the_default_store_is_private_and_kept_out_of_histories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    durable = Postlude()
    assert not (tmp_path / ".postlude").exists(), "nothing is opened before it is needed"
    durable.blocking.enqueue(note, "it")
    durable.blocking.close()
    assert (tmp_path / ".postlude" / ".gitignore").read_text("utf-8") == "*\n"
    assert stat.S_IMODE((tmp_path / ".postlude" / "jobs.db").stat().st_mode) == 0o600


def test_the_environment_sets_what_arguments_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    monkeypatch.setenv("POSTLUDE_STRICT", "1")
    durable = Postlude()
    assert durable.settings.strict
    durable.blocking.enqueue(note, "it")
    durable.blocking.close()
    assert (tmp_path / "elsewhere.db").exists()


def test_install_later_and_in_a_sub_application(url: str) -> None:
    durable = Postlude(url=url)
    app, sub = FastAPI(), FastAPI()
    durable.install(app)
    durable.install(sub)

    @sub.post("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "sub")

    app.mount("/sub", sub)
    TestClient(app).post("/sub/")
    assert ran == ["sub"]
    assert len(durable.blocking.jobs.list()) == 1
    durable.blocking.close()


# Refused, with the cure


def test_after_the_first_route_it_is_too_late(url: str) -> None:
    app = FastAPI()

    @app.get("/first")
    def first() -> None:
        pass

    with pytest.raises(InstallError) as raised:
        Postlude(app, url=url)
    assert str(raised.value) == (
        "The application already has routes (/first), and Postlude covers those that are added after it. "
        "Move Postlude(app) up, right after app = FastAPI()."
    )


def test_twice_is_once_too_often(make: Make, url: str) -> None:
    app, _ = make()
    with pytest.raises(InstallError) as raised:
        Postlude(app, url=url)
    assert str(raised.value) == "Postlude is already installed in this application: keep one of the two calls."


def test_what_is_no_fastapi_application(url: str) -> None:
    other: Any = Starlette()
    with pytest.raises(InstallError, match="Postlude is installed in a FastAPI application, and got <starlette"):
        Postlude(other, url=url)


def test_settings_that_make_no_sense_are_named_together_at_the_line() -> None:
    wrong: Any = {"worker": "on", "shutdown_grace": -1, "allow": ["remove"]}
    with pytest.raises(SettingsError) as raised:
        Postlude(**wrong)
    assert len(raised.value.problems) == 3
    with pytest.raises(SettingsError, match=r"url: expected sqlite:///.*; got 'redis://cache'"):
        Postlude(url="redis://cache")


def test_a_url_of_the_environment_is_refused_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_URL", "sqlite:///:memory:")
    with pytest.raises(SettingsError, match=r"POSTLUDE_URL: expected a file, got 'sqlite:///:memory:'"):
        Postlude()


def test_a_folder_that_is_not_there_ends_the_start_with_the_cure(tmp_path: Path) -> None:
    app = FastAPI()
    Postlude(app, url=f"sqlite:///{tmp_path / 'missing' / 'jobs.db'}")
    with pytest.raises(StoreLocationError) as raised, TestClient(app):
        pass
    assert str(raised.value).startswith(f"The store cannot be kept at {tmp_path / 'missing' / 'jobs.db'}: ")
    assert f"the folder {tmp_path / 'missing'} does not exist. Create it, or set POSTLUDE_URL" in str(raised.value)


def test_blocking_on_the_thread_of_an_event_loop_says_what_to_write_instead(url: str) -> None:
    durable = Postlude(url=url)

    async def in_a_coroutine() -> None:
        durable.blocking.enqueue(note, "it")

    with pytest.raises(LoopBlocking, match=r"await durable\.enqueue\(\.\.\.\)"):
        asyncio.run(in_a_coroutine())


# The errors as a family


def public_errors() -> list[type[PostludeError]]:
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, PostludeError)]


@pytest.mark.parametrize("kind", public_errors(), ids=lambda kind: kind.__name__)
def test_every_error_is_also_what_a_caller_would_expect(kind: type[PostludeError]) -> None:
    assert kind.__doc__
    built_in = {base for base in kind.__mro__ if base.__module__ == "builtins"} - {Exception, BaseException, object}
    assert built_in or issubclass(kind, errors.StoreError) or kind is PostludeError


JOB = new_job_id()

TEXTS = [
    (
        errors.ArgumentsTooLarge("main:f", 2_000_000, 1_048_576),
        (
            "The arguments of main:f take 2,000,000 bytes as JSON, and a job may carry 1,048,576. "
            "Write the data to a file or a table and give the task its path or id."
        ),
    ),
    (
        errors.NotStorable("main:f", "it is a lambda", "Use a function."),
        "The call of main:f cannot be stored: it is a lambda. Use a function.",
    ),
    (
        errors.NotStorable("main:f", "it is open", "Pass its path.", argument="file"),
        "Argument 'file' of main:f cannot be stored: it is open. Pass its path.",
    ),
    (
        errors.ArgumentsDoNotFit("main:f", "it is no int", argument="number"),
        (
            "The stored argument 'number' of main:f cannot be given to the function: it is no int. "
            "If the function was changed while the job waited, let it take the old arguments too, "
            "or cancel the job and enqueue the call anew."
        ),
    ),
    (
        errors.UnknownTask("main:f", "there is no module 'main' below /app"),
        (
            "No task named 'main:f' can be run here: there is no module 'main' below /app. "
            "If the function was renamed, declare its new form with @task(formerly='main:f')."
        ),
    ),
    (
        errors.IllegalTransition("running", "retry", job_id=JOB, hint="Wait for its end."),
        f"Job {JOB} is running, and 'retry' is not possible then. Wait for its end.",
    ),
    (
        errors.IllegalTransition("running", "succeed", job_id=JOB),
        f"Job {JOB} is running, and 'succeed' is not possible then.",
    ),
    *(
        (
            errors.IllegalTransition(state, "cancel", job_id=JOB),
            (
                f"Job {JOB} is {state}, and 'cancel' is not possible then. It has ended, so nothing of it is left to "
                "cancel. Where that may happen, look at job.state.finished first, or catch this error."
            ),
        )
        for state in ("succeeded", "failed", "cancelled")
    ),
    (
        errors.IllegalTransition("staged", "retry", job_id=JOB),
        (
            f"Job {JOB} is staged, and 'retry' is not possible then. It has not ended yet: it runs as soon as its "
            "request is over. Wait for its end with jobs.wait(); if it failed then, retry it."
        ),
    ),
    (
        errors.IllegalTransition("queued", "retry", job_id=JOB),
        (
            f"Job {JOB} is queued, and 'retry' is not possible then. It runs by itself when it is due, when the job "
            "before it in its chain has succeeded, and when a process that has its task has room: start one if none "
            "runs, and wait for it with jobs.wait()."
        ),
    ),
    (
        errors.IllegalTransition("running", "retry", job_id=JOB),
        (
            f"Job {JOB} is running, and 'retry' is not possible then. Wait for its end with jobs.wait(), and retry it "
            "if it failed; to start it over now, call jobs.cancel() before."
        ),
    ),
    (
        errors.IllegalTransition("succeeded", "retry", job_id=JOB),
        (
            f"Job {JOB} is succeeded, and 'retry' is not possible then. Its work is done. "
            "To have it done again, enqueue the call anew with durable.enqueue(function, ...)."
        ),
    ),
    (
        errors.WaitTimeout(JOB, 2.5, "queued"),
        (
            f"Job {JOB} was still queued after 2.5 s. It needs a process that runs jobs: a started server or "
            "`postlude worker`. Wait longer, or look at it later with jobs.get()."
        ),
    ),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda value: type(value).__name__)
def test_the_text_of_an_error(error: PostludeError, text: str) -> None:
    assert str(error) == text


def test_arguments_that_are_too_large_are_refused_at_the_line(make: Make) -> None:
    app, _ = make()
    raised: list[ValueError] = []

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        try:
            tasks.add_task(note, "x" * 1_048_576)
        except ValueError as error:
            raised.append(error)

    TestClient(app).post("/")
    [error] = raised
    assert isinstance(error, errors.ArgumentsTooLarge)
    assert error.size > error.limit == 1_048_576


def test_the_public_names() -> None:
    assert postlude.__all__ == sorted(postlude.__all__)
    assert all(hasattr(postlude, name) for name in postlude.__all__)


def test_where_no_lifespan_runs_there_is_no_child_and_the_request_runs_its_tasks(make: Make) -> None:
    app, _ = make(worker="process")

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "stored")
        tasks.add_task(lambda: note("not stored"))

    TestClient(app).post("/")
    assert ran == ["stored", "not stored"]
