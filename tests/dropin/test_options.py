"""What `.options(...)` asks for one call."""

import asyncio
import contextlib
from typing import Any, cast

import pytest
from fastapi import BackgroundTasks, Depends, HTTPException
from fastapi.responses import StreamingResponse

import postlude
from postlude.errors import CallError
from postlude.settings import Settings
from tests.dropin.middlewares import Catch
from tests.dropin.recording import RecordingDesk, Server, durable, job, late, own, request


def _options(tasks: BackgroundTasks, **options: Any) -> Any:
    return cast("Any", tasks).options(**options)


ENDINGS = {
    "returned": (None, False),
    "handled": (HTTPException(404), False),
    "unhandled": (ValueError("x"), False),
    "caught by a middleware": (ValueError("x"), True),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_if_raised(ending: str) -> None:
    error, caught = ENDINGS[ending]
    app, desk = durable()
    if caught:
        app.add_middleware(Catch)

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        _options(tasks, if_raised="only").add_task(late)
        _options(tasks, if_raised="keep").add_task(own)
        if error is not None:
            raise error

    request(app)
    if error is None:
        assert desk.events == [("discard", ["late"], "NoneType"), ("commit", ["job", "own"]), ("run", ["job", "own"])]
    else:
        reason = type(error).__name__
        assert desk.events == [("discard", ["job"], reason), ("commit", ["late", "own"]), ("run", ["late", "own"])]


async def test_kept_calls_are_on_disk_before_the_500() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        _options(tasks, if_raised="keep").add_task(job)
        raise ValueError

    server = Server(app)
    before: list[list[str]] = []
    server.on_send = lambda _: before.append(desk.kept[:])
    with pytest.raises(ValueError):  # noqa: PT011 - what the endpoint raised
        await server.get()
    assert server.status == 500
    assert before[0] == ["job"]


def test_kept_calls_that_cannot_be_stored_run_all_the_same() -> None:
    """The client is told of the failure anyway."""
    app, desk = durable()
    desk.break_store()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        _options(tasks, if_raised="keep").add_task(job)
        raise ValueError

    assert request(app).status_code == 500
    assert desk.events == [("failed", ["job"]), ("unsaved", ["job"], "StoreUnavailable"), ("run", ["job"])]


async def test_added_while_kept_calls_are_committed() -> None:
    """Each is committed once."""
    app, desk = durable()
    held: list[BackgroundTasks] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        held.append(tasks)
        _options(tasks, if_raised="keep").add_task(job)
        raise ValueError

    desk.gate = asyncio.Event()
    running = asyncio.create_task(Server(app).get())
    await desk.committing.wait()
    held[0].add_task(late)
    await asyncio.sleep(0)
    desk.gate.set()
    with contextlib.suppress(ValueError):
        await running
    assert desk.events == [("commit", ["job"]), ("commit", ["late"]), ("run", ["job", "late"])]


def test_only_if_raised_after_the_response_has_started() -> None:
    """The endpoint has returned: it is not wanted any more."""
    app, desk = durable()

    async def dependency(tasks: BackgroundTasks) -> Any:
        yield
        _options(tasks, if_raised="only").add_task(late)

    app.get("/", dependencies=[Depends(dependency)])(lambda: 1)
    request(app)
    assert desk.events == [("discard", ["late"], "NoneType")]


def test_added_while_the_answer_of_a_handler_is_sent() -> None:
    """After the start of a response nothing is discarded."""
    app, desk = durable()
    held: list[BackgroundTasks] = []

    @app.exception_handler(ValueError)
    async def handler(_: Any, __: Any) -> StreamingResponse:
        async def produce() -> Any:
            yield b"a"
            held[0].add_task(late)
            _options(held[0], if_raised="only").add_task(own)
            yield b"b"

        return StreamingResponse(produce())

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        held.append(tasks)
        tasks.add_task(job)
        raise ValueError

    request(app)
    assert desk.discarded == ["job"]
    assert desk.kept == desk.ran == ["late", "own"]


@pytest.mark.parametrize("ordered", [False, True])
def test_ordered(ordered: bool) -> None:
    app, desk = durable(RecordingDesk(Settings(ordered=ordered)))

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        _options(tasks, ordered=not ordered).add_task(job)
        _options(tasks, if_raised="keep").add_task(job)
        _options(_options(tasks, ordered=not ordered), if_raised="keep").add_task(job)

    request(app)
    assert [(call.options.ordered, call.options.if_raised) for call in desk.calls] == [
        (ordered, "discard"),
        (not ordered, "discard"),
        (ordered, "keep"),
        (not ordered, "keep"),
    ]
    assert desk.ran == ["job"] * 4


def test_keywords_of_the_task_are_its_own() -> None:
    app, desk = durable()
    got: list[object] = []

    def task(ordered: str, if_raised: str, delay: int) -> None:
        got.extend([ordered, if_raised, delay])

    @app.get("/")
    async def endpoint(tasks: postlude.BackgroundTasks) -> None:
        tasks.options(ordered=False).add_task(task, ordered="a", if_raised="b", delay=3)

    request(app)
    assert got == ["a", "b", 3]
    assert desk.calls[0].kwargs == {"ordered": "a", "if_raised": "b", "delay": 3}


def test_same_list() -> None:
    app, _ = durable()
    seen: list[bool] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        other = _options(tasks, ordered=False)
        seen.extend([other.tasks is tasks.tasks, isinstance(other, BackgroundTasks)])

    request(app)
    assert seen == [True, True]


def test_options_of_calls_in_a_stream() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def produce() -> Any:
            yield b"a"
            _options(tasks, ordered=False).add_task(late)

        return StreamingResponse(produce())

    request(app)
    assert desk.ran == ["late"]


def test_unknown_value() -> None:
    app, _ = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        try:
            _options(tasks, if_raised="allways")
        except CallError as error:
            return str(error)
        return ""

    text = "options: if_raised: expected one of 'discard', 'keep', 'only', got 'allways'."
    assert request(app).json() == text
