"""What users try, in one process, by the number of the scenario: against the real engine and a real store."""

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import fastapi
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, UploadFile, WebSocket
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from postlude import BackgroundTasks, JobState
from postlude.errors import CallError
from postlude.testing import capture
from tests.face.conftest import Make, Serve, ended

ran: list[object] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def note(what: str) -> None:
    ran.append(what)


async def note_async(what: str) -> None:
    ran.append(what)


def fail(what: str) -> None:
    raise ValueError(what)


def raise_http() -> None:
    raise HTTPException(418, "not for the client")


class OurError(Exception):
    pass


def raise_ours() -> None:
    message = "handled in requests"
    raise OurError(message)


def discarded(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "discarded" in record.getMessage()]


# 1 and 2: kept


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize("function", [note, note_async])
def test_01_one_line_and_the_tutorials_app_is_durable(
    make: Make, serve: Serve, function: Callable[..., object], embedded: bool
) -> None:
    app, durable = make()

    @app.post("/send-notification/{email}")
    async def send_notification(email: str, background_tasks: fastapi.BackgroundTasks) -> dict[str, str]:
        background_tasks.add_task(function, email)
        return {"message": "Notification sent in the background"}

    with serve(app) as client:
        answer = client.post("/send-notification/a@example.com")
        assert answer.json() == {"message": "Notification sent in the background"}
        [job] = durable.blocking.jobs.list()
        if not embedded:
            assert job.state is JobState.SUCCEEDED, "it has run before the client has its answer"
        [job] = ended(durable, str(job.id))
    assert (job.state, job.attempts, job.error, job.reason) == (JobState.SUCCEEDED, 1, None, None)
    assert job.task == f"{__name__}:{function.__name__}"
    assert ran == ["a@example.com"]


@pytest.mark.parametrize("empty_place", ["sqlite"], indirect=True)  # PostgreSQL: one with a process of its own
@pytest.mark.usefixtures("no_errors")
def test_02_the_row_is_in_the_file_before_the_first_byte(make: Make, tmp_path: Path) -> None:
    app, _ = make(worker="off")

    @app.post("/")
    def endpoint(tasks: fastapi.BackgroundTasks) -> None:
        tasks.add_task(note, "it")

    seen: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, object]) -> None:
        if message["type"] == "http.response.start":
            seen.append(await asyncio.to_thread(stored))

    def stored() -> str:
        # In a process of its own, since two SQLite libraries in one process do not see each other's locks.
        program = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('select count(*) from jobs'))"
        return subprocess.check_output([sys.executable, "-c", program, tmp_path / "jobs.db"], text=True)

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
    asyncio.run(app(scope, receive, send))
    assert seen == ["(1,)\n"]
    assert ran == []


# 9 to 12


@pytest.mark.usefixtures("no_errors")
def test_09_a_task_added_after_yield_runs(make: Make, serve: Serve) -> None:
    app, durable = make()

    async def session(tasks: BackgroundTasks) -> AsyncIterator[None]:
        yield
        tasks.add_task(note, "after yield")

    @app.post("/", dependencies=[Depends(session)])
    def endpoint() -> None:
        pass

    with serve(app) as client:
        client.post("/")
        [job] = durable.blocking.jobs.list()
        ended(durable, str(job.id))
    assert ran == ["after yield"]


@pytest.mark.usefixtures("no_errors")
def test_10_tasks_added_in_a_streaming_generator_run_once_after_the_stream(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            for number in range(3):
                tasks.add_task(note, f"task {number}")
                yield f"part {number};"
            ran.append("streamed")

        return StreamingResponse(parts())

    with serve(app) as client:
        assert client.get("/").text == "part 0;part 1;part 2;"
        ended(durable, *[str(job.id) for job in durable.blocking.jobs.list()])
    assert ran == ["streamed", "task 0", "task 1", "task 2"]


@pytest.mark.usefixtures("no_errors")
def test_11_a_task_added_in_a_websocket_endpoint_runs_at_once(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, tasks: BackgroundTasks) -> None:
        await websocket.accept()
        while (text := await websocket.receive_text()) != "bye":
            job = tasks.add_task(note, text)
            await websocket.send_text(str(job.id))
        await websocket.close()

    with serve(app) as client, client.websocket_connect("/") as websocket:
        for text in "ab":
            websocket.send_text(text)
            [job] = ended(durable, websocket.receive_text())
            assert job.state is JobState.SUCCEEDED
        assert ran == ["a", "b"], "while the WebSocket is still open"
        websocket.send_text("bye")


@pytest.mark.usefixtures("no_errors")
def test_12_a_responses_own_background_task_runs_as_ever_beside_durable_ones(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(note, "injected")
        return Response(background=BackgroundTask(note, "Starlette's"))

    with serve(app) as client:
        client.get("/")
        jobs = durable.blocking.jobs.list()
        assert len(jobs) == 1
        ended(durable, str(jobs[0].id))
    assert sorted(map(str, ran)) == ["Starlette's", "injected"]


# 13 to 17: discarded or kept


def test_13_what_raises_discards_and_the_reason_is_counted(
    make: Make, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    app, durable = make()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "never")
        raise HTTPException(404)

    caplog.set_level(logging.INFO, "postlude")
    with serve(app) as client:
        assert client.get("/").status_code == 404
        assert durable.blocking.jobs.list() == []
    assert ran == []
    [line] = discarded(caplog)
    assert line.startswith(f"{__name__}:note discarded: the request raised HTTPException(")
    assert "404" in line
    assert durable._runtime.events.counts["CallsDiscarded"] == 1


def test_14_a_response_that_is_invalid_and_a_parameter_that_is(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.get("/model")
    def model(tasks: BackgroundTasks) -> int:
        tasks.add_task(note, "never")
        return "no number"  # type: ignore[return-value]

    def adds(tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "never")

    @app.get("/parameter", dependencies=[Depends(adds)])
    def parameter(number: int) -> None:
        pass

    with serve(app, raise_server_exceptions=False) as client:
        assert client.get("/model").status_code == 500
        assert client.get("/parameter?number=x").status_code == 422
        assert durable.blocking.jobs.list() == []
    assert ran == []


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize(
    ("response", "status"),
    [
        (JSONResponse({"error": "no"}, status_code=500), 500),
        (Response(status_code=204), 204),
        (RedirectResponse("/elsewhere"), 307),
        (JSONResponse({"error": "no"}, status_code=404), 404),
    ],
    ids=["500", "204", "redirect", "404"],
)
def test_15_what_is_returned_keeps(make: Make, serve: Serve, response: Response, status: int) -> None:
    app, durable = make()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(note, "kept")
        return response

    with serve(app, follow_redirects=False) as client:
        assert client.get("/").status_code == status
        ended(durable, str(durable.blocking.jobs.list()[0].id))
    assert ran == ["kept"]


@pytest.mark.parametrize("added", ["before", "after"])
def test_16_a_middleware_that_raises_discards(make: Make, serve: Serve, added: str) -> None:
    async def breaks(request: Request, call_next: Callable[..., Any]) -> Response:
        await call_next(request)
        message = "in the middleware"
        raise RuntimeError(message)

    mine = [Middleware(BaseHTTPMiddleware, dispatch=breaks)]
    app, durable = make(fastapi={"middleware": mine} if added == "before" else {})
    if added == "after":
        app.middleware("http")(breaks)

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "never")

    with serve(app, raise_server_exceptions=False) as client:
        assert client.get("/").status_code == 500
        assert durable.blocking.jobs.list() == []
    assert ran == []


def test_17_a_session_that_cannot_commit_in_its_function_scope_discards(make: Make, serve: Serve) -> None:
    app, durable = make()

    def session() -> Iterator[None]:
        yield
        raise HTTPException(503, "the commit failed")

    @app.get("/")
    def endpoint(tasks: BackgroundTasks, session: Annotated[None, Depends(session, scope="function")]) -> None:
        tasks.add_task(note, "never")

    with serve(app) as client:
        assert client.get("/").status_code == 503
        assert durable.blocking.jobs.list() == []
    assert ran == []


# 18 to 22: in time and in order

rows: list[int] = []


def find_row(number: int) -> None:
    ran.append(f"found {number}" if number in rows else f"no {number}")


@pytest.mark.usefixtures("no_errors")
def test_18_a_session_that_commits_in_its_exit_has_committed_when_the_task_runs(make: Make, serve: Serve) -> None:
    app, durable = make()
    rows.clear()

    async def session() -> AsyncIterator[list[int]]:
        pending: list[int] = []
        yield pending
        await asyncio.sleep(0)
        rows.extend(pending)

    @app.post("/{number}")
    def endpoint(number: int, tasks: BackgroundTasks, session: Annotated[list[int], Depends(session)]) -> None:
        session.append(number)
        tasks.add_task(find_row, number)

    with serve(app) as client:
        for number in range(20):
            client.post(f"/{number}")
        ended(durable, *[str(job.id) for job in durable.blocking.jobs.list()])
    assert sorted(ran, key=str) == sorted((f"found {number}" for number in range(20)), key=str)


@pytest.mark.parametrize("allowed", [True, False])
def test_19_a_file_is_downloaded_whole_and_then_removed(
    make: Make, serve: Serve, tmp_path: Path, allowed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app, durable = make(allow=["os:remove"] if allowed else [])
    path = tmp_path / "report.csv"
    path.write_bytes(b"x" * 500_000)

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> FileResponse:
        tasks.add_task(os.remove, str(path))
        return FileResponse(path)

    with serve(app) as client:
        assert len(client.get("/").content) == 500_000
        jobs = durable.blocking.jobs.list()
        ended(durable, *[str(job.id) for job in jobs])
    assert not path.exists()
    warnings = [record.getMessage() for record in caplog.records if "cannot be stored" in record.getMessage()]
    if allowed:
        assert [job.task for job in jobs] == ["os:remove"]
        assert warnings == []
    else:
        assert jobs == []
        [warning] = warnings
        assert 'To store its calls: Postlude(app, allow=["os:remove"])' in warning
        assert f"[{__file__}:" in warning


@pytest.mark.usefixtures("no_errors")
def test_21_tasks_run_in_the_order_added_wherever_they_were_added(make: Make, serve: Serve) -> None:
    def adds(what: str) -> Callable[..., None]:
        def dependency(tasks: fastapi.BackgroundTasks) -> None:
            tasks.add_task(note, what)

        return dependency

    sub = adds("sub-dependency")

    def with_sub(tasks: BackgroundTasks, _: Annotated[None, Depends(sub)]) -> None:
        tasks.add_task(note_async, "dependency")

    app, durable = make(fastapi={"dependencies": [Depends(adds("application"))]})
    router = APIRouter(dependencies=[Depends(adds("router"))])

    @router.post("/", dependencies=[Depends(with_sub)])
    def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(note_async, "endpoint")

    app.include_router(router)
    with serve(app) as client:
        client.post("/")
        jobs = durable.blocking.jobs.list()
        ended(durable, *[str(job.id) for job in jobs])
    assert ran == ["application", "router", "sub-dependency", "dependency", "endpoint"]
    assert len({job.chain for job in jobs}) == 1


def app_that_fails_first(make: Make, **options: Any) -> tuple[FastAPI, Any]:
    app, durable = make(**options)

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> dict[str, list[str]]:
        return {"ids": [str(tasks.add_task(*call).id) for call in ((fail, "no"), (note, "b"), (note_async, "c"))]}

    return app, durable


def test_22_when_the_first_fails_the_rest_is_cancelled_with_that_reason(make: Make, serve: Serve) -> None:
    app, durable = app_that_fails_first(make)
    with serve(app) as client:
        answer = client.post("/")
        jobs = ended(durable, *answer.json()["ids"])
    assert (answer.status_code, answer.json()) == (200, {"ids": [str(job.id) for job in jobs]})
    assert [job.state for job in jobs] == [JobState.FAILED, JobState.CANCELLED, JobState.CANCELLED]
    assert jobs[0].reason == "ValueError: no"
    assert [job.cancelled_by for job in jobs] == [None, jobs[0].id, jobs[0].id]
    for job in jobs[1:]:
        assert job.reason is not None
        assert str(jobs[0].id) in job.reason or "before it" in job.reason
    assert ran == []


def test_22_with_ordered_false_for_the_application_the_others_run(make: Make, serve: Serve) -> None:
    app, durable = app_that_fails_first(make, ordered=False)
    with serve(app) as client:
        answer = client.post("/")
        jobs = ended(durable, *answer.json()["ids"])
    assert (answer.status_code, answer.json()) == (200, {"ids": [str(job.id) for job in jobs]}), "as without Postlude"
    assert [job.state for job in jobs] == [JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert {job.chain for job in jobs} == {None}
    assert sorted(map(str, ran)) == ["b", "c"]


def test_22_with_ordered_false_for_one_call_only_that_one_is_independent(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> dict[str, list[str]]:
        jobs = [
            tasks.add_task(fail, "no"),
            tasks.options(ordered=False).add_task(note, "independent"),
            tasks.add_task(note, "never"),
        ]
        return {"ids": [str(job.id) for job in jobs]}

    with serve(app) as client:
        answer = client.post("/")
        jobs = ended(durable, *answer.json()["ids"])
    assert (answer.status_code, answer.json()) == (200, {"ids": [str(job.id) for job in jobs]})
    assert [job.state for job in jobs] == [JobState.FAILED, JobState.SUCCEEDED, JobState.CANCELLED]
    assert ran == ["independent"]


# 23: failure


@pytest.mark.parametrize("function", [raise_http, raise_ours])
def test_23_no_handler_is_called_for_what_a_task_raises(
    make: Make, serve: Serve, function: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    app, durable = make()
    handled: list[Exception] = []

    @app.exception_handler(OurError)
    @app.exception_handler(HTTPException)
    async def handler(request: Request, error: Exception) -> Response:
        handled.append(error)
        return Response(status_code=599)

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> dict[str, str]:
        return {"id": str(tasks.add_task(function).id)}

    with serve(app) as client:
        answer = client.get("/")
        assert answer.status_code == 200
        [job] = ended(durable, answer.json()["id"])
        history = durable.blocking.jobs.history(job.id)
    assert handled == []
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.type in {f"{__name__}.OurError", "fastapi.exceptions.HTTPException"}
    assert f"in {function.__name__}" in job.error.traceback
    assert "postlude" not in job.error.traceback
    [attempt] = history
    assert (attempt.number, attempt.outcome, attempt.failure) == (1, "failed", job.error)
    [record] = [record for record in caplog.records if record.name == "postlude" and record.levelno == logging.ERROR]
    assert record.getMessage().startswith(f"{job.task} failed (job {job.id}, attempt 1)\nTraceback")


# 39 to 41


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("request", "Argument 'what' of"),
        ("session", "Argument 'what' of"),
        ("upload", "Argument 'what' of"),
        ("lambda", "it is a lambda"),
    ],
)
def test_39_what_cannot_be_stored_runs_as_before_and_is_warned_about_once(
    make: Make, serve: Serve, kind: str, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, durable = make()

    def resources(request: Request) -> Iterator[dict[str, object]]:
        """What a request opens and closes again."""
        with closing(sqlite3.connect(":memory:", check_same_thread=False)) as session, BytesIO(b"content") as file:
            yield {"request": request, "session": session, "upload": UploadFile(file)}

    @app.post("/")
    async def endpoint(opened: Annotated[dict[str, object], Depends(resources)], tasks: BackgroundTasks) -> bool:
        call = (lambda: ran.append("ran"),) if kind == "lambda" else (look_at, opened[kind])
        return tasks.add_task(*call) is not None

    with serve(app) as client:
        for _ in range(3):
            assert client.post("/").json() is True
        assert durable.blocking.jobs.list() == []
    assert ran == ["ran"] * 3
    [warning] = [record.getMessage() for record in caplog.records if "cannot be stored" in record.getMessage()]
    assert named in warning
    assert "It runs in this process only, and is lost with it." in warning
    assert f"[{__file__}:" in warning


def look_at(what: object) -> None:
    if isinstance(what, fastapi.UploadFile):
        assert what.file.read() == b"content", "it is still open"
    elif isinstance(what, sqlite3.Connection):
        assert what.execute("select 1").fetchone() == (1,), "it is still open"
    else:
        assert isinstance(what, Request)
        assert what.method == "POST"
    ran.append("ran")


def test_39_in_order_with_stored_ones_an_ephemeral_call_is_shown(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> dict[str, list[str]]:
        jobs = [tasks.add_task(note, "first"), tasks.add_task(lambda: ran.append("lambda")), tasks.add_task(note, "b")]
        return {"ids": [str(job.id) for job in jobs]}

    with serve(app) as client:
        jobs = ended(durable, *client.post("/").json()["ids"])
    assert [job.ephemeral for job in jobs] == [False, True, False]
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    assert ran == ["first", "lambda", "b"]


def test_39_what_comes_behind_an_ephemeral_call_that_fails_does_not_run(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> dict[str, list[str]]:
        jobs = [tasks.add_task(lambda: fail("on purpose")), tasks.add_task(note, "behind it")]
        return {"ids": [str(job.id) for job in jobs]}

    with serve(app) as client:
        jobs = ended(durable, *client.post("/").json()["ids"])
    assert [job.state for job in jobs] == [JobState.FAILED, JobState.CANCELLED]
    assert ran == []


@pytest.mark.parametrize("kind", ["request", "lambda"])
def test_39_strict_refuses_at_the_add_task_line(make: Make, serve: Serve, kind: str) -> None:
    app, durable = make(strict=True)
    raised: list[TypeError] = []

    @app.post("/")
    def endpoint(request: Request, tasks: BackgroundTasks) -> None:
        try:
            if kind == "request":
                tasks.add_task(look_at, request)
            else:
                tasks.add_task(lambda: None)
        except TypeError as error:
            raised.append(error)
            raise

    with serve(app, raise_server_exceptions=False) as client:
        assert client.post("/").status_code == 500
    [error] = raised
    assert "cannot be stored" in str(error)
    assert durable.blocking.jobs.list() == []


def takes_two(first: str, second: int) -> None:
    pass


class Instance:
    def __init__(self, first: str) -> None:
        pass

    def __call__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        ((note_async, "coroutine"), ["note_async(...)", "add_task(note_async, ...)"]),
        ((None,), ["Expected a function, got None", "add_task(f, x)"]),
        ((takes_two, "one"), ["takes_two", "second"]),
        ((takes_two, "one", 2, 3), ["takes_two"]),
        ((Instance,), ["Instance", "first"]),
    ],
    ids=["coroutine", "none", "too few", "too many", "class"],
)
def test_40_a_mistake_is_raised_at_the_line_with_its_cure(
    make: Make, serve: Serve, call: tuple[Any, ...], parts: list[str]
) -> None:
    app, durable = make()
    raised: list[TypeError] = []

    @app.post("/")
    async def endpoint(tasks: fastapi.BackgroundTasks) -> None:
        try:
            if call[1:] == ("coroutine",):
                tasks.add_task(note_async("x"))  # type: ignore[arg-type]
            else:
                tasks.add_task(*call)
        except TypeError as error:
            raised.append(error)

    with serve(app) as client:
        assert client.post("/").status_code == 200
    [error] = raised
    for part in parts:
        assert part in str(error)
    assert durable.blocking.jobs.list() == []


@pytest.mark.usefixtures("no_errors")
def test_41_without_a_lifespan_the_effect_is_there_when_post_returns(make: Make) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        for number in range(3):
            tasks.add_task(note if number % 2 else note_async, str(number))

    client = TestClient(app)
    for _ in range(2):
        client.post("/")
        assert ran == ["0", "1", "2"]
        ran.clear()
    assert durable.blocking.jobs.count(state="succeeded") == {JobState.SUCCEEDED: 6}


@pytest.mark.usefixtures("no_errors")
def test_41_with_capture_nothing_runs_and_the_calls_can_be_asserted(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "a")
        tasks.options(delay=60).add_task(note_async, what="b")

    with capture(app) as calls, serve(app) as client:
        assert client.post("/").status_code == 200
        calls.assert_enqueued(note, what="a")
        assert calls.assert_enqueued(note_async, "b").options.delay == 60
        assert len(calls) == 2
        with pytest.raises(AssertionError, match=r"note\('c'\) was not added\.\nWhat was added:\n.*note\('a'\)"):
            calls.assert_enqueued(note, "c")
    assert ran == []
    assert durable.blocking.jobs.list() == []


# 49


def test_49_waiting_in_the_request_that_staged_the_job_is_an_error_that_says_what_to_do(
    make: Make, serve: Serve
) -> None:
    app, durable = make()
    raised: list[BaseException] = []

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> dict[str, str]:
        job = tasks.add_task(note, "it")
        for wait in (job.wait, lambda: durable.jobs.wait(str(job.id), timeout=60)):
            try:
                await wait()
            except RuntimeError as error:
                raised.append(error)
        return {"id": str(job.id)}

    with serve(app) as client:
        job_id = client.post("/").json()["id"]
        ended(durable, job_id)
    text = (
        f"Job {job_id} starts after this request has been answered, so waiting for it here would never end. "
        "Return its id and let the client ask for it, or call the function directly if the answer needs its result."
    )
    assert [str(error) for error in raised] == [text, text]
    assert ran == ["it"]


@pytest.mark.usefixtures("no_errors")
def test_50_disabled_is_fastapi_as_it_was(make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    app, _ = make()
    kept: list[fastapi.BackgroundTasks] = []

    @app.post("/")
    def endpoint(tasks: fastapi.BackgroundTasks) -> None:
        kept.append(tasks)
        tasks.add_task(note, "it")
        tasks.add_task(lambda: note("as it is"))

    assert app.user_middleware == []
    with serve(app) as client:
        client.post("/")
    assert isinstance(kept[0], fastapi.BackgroundTasks)
    assert type(kept[0]).__call__ is fastapi.BackgroundTasks.__call__
    assert len(kept[0].tasks) == 2
    assert ran == ["it", "as it is"]


@pytest.mark.usefixtures("no_errors")
def test_50_disabled_does_not_break_what_was_written_for_durable_tasks(
    make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    app, _ = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        job = tasks.options(ordered=False, if_raised="keep").add_task(note, "it")
        return str(job.id)

    with serve(app) as client:
        answer = client.post("/")
    assert UUID(answer.json()).version == 7
    assert ran == ["it"]


@pytest.mark.usefixtures("no_errors")
def test_50_disabled_does_not_run_what_is_for_a_failure_only(
    make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    app, _ = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        only = tasks.options(if_raised="only")
        only.options(if_raised="keep").add_task(note, "kept")
        tasks.add_task(note, "it")
        with pytest.raises(CallError, match="expected one of 'discard', 'keep', 'only', got 'never'"):
            tasks.options(if_raised="never")  # type: ignore[arg-type]
        return str(only.options(ordered=False).add_task(note, "refund").id)

    with serve(app) as client:
        assert UUID(client.post("/").json()).version == 7
    assert ran == ["kept", "it"]
