"""Calls that cannot be stored run where Starlette runs them: their arguments die with the request's dependencies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import anyio
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Response
from starlette.background import BackgroundTask

from tests.dropin.middlewares import Buffer
from tests.dropin.recording import Boom, RecordingDesk, Server, durable, request, until


class Session:
    """What a dependency opens and closes; no call with one can be stored."""

    def __init__(self) -> None:
        self.open = True


def _task(name: str) -> Any:
    def task(*sessions: Session) -> None:
        states.append((name, [session.open for session in sessions]))
        if "!" in name:
            raise Boom

    task.__name__ = name
    return task


states: list[tuple[str, list[bool]]] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    states.clear()


async def _session() -> AsyncIterator[Session]:
    session = Session()
    yield session
    session.open = False
    states.append(("closed", []))


def _app(*calls: str, background: Any = None) -> tuple[FastAPI, RecordingDesk]:
    """An endpoint that adds these: "e..." is ephemeral, "d..." durable; with a "~" unordered, with a "!" it raises."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, session: Session = Depends(_session)) -> Response:
        for call in calls:
            face = cast("Any", tasks).options(ordered="~" not in call)
            face.add_task(_task(call), *([session] if call.startswith("e") else []))
        return Response("x", background=background)

    return app, desk


@pytest.mark.parametrize(
    ("calls", "here"),
    [
        (["d1", "d2"], []),
        (["e1"], ["e1"]),
        (["e1", "d2"], ["e1"]),
        (["d1", "e2", "d3"], ["d1", "e2"]),
        (["e1", "d2", "e3", "d4", "d5"], ["e1", "d2", "e3"]),
        (["d1", "e2~", "d3"], ["e2~"]),
        (["d1~", "e2", "d3~", "d4"], ["e2"]),
        (["d1", "d2~", "e3", "e4~"], ["d1", "e3", "e4~"]),
    ],
)
def test_before_the_dependencies_exit(calls: list[str], here: list[str]) -> None:
    """As few as possible: the ephemeral ones, and those that the order puts before one."""
    app, desk = _app(*calls)
    request(app)
    after = [call for call in calls if call not in here]
    assert desk.kept == calls
    assert desk.named("run_here") == here
    assert desk.named("run") == after
    assert [name for name, _ in states] == [*here, "closed", *after]
    assert all(all(session_open) for name, session_open in states if name.startswith("e"))


def test_when_the_response_has_another_background() -> None:
    """Nobody calls ours, so they run at the end, when their arguments may be closed: as late as FastAPI: never."""
    app, desk = _app("e1", background=BackgroundTask(lambda: None))
    request(app)
    assert desk.named("run_here") == []
    assert states == [("closed", []), ("e1", [False])]


def test_under_a_middleware_that_buffers() -> None:
    """Not before the seal: the answer may still be refused."""
    app, desk = _app("e1")
    app.add_middleware(Buffer)
    request(app)
    assert desk.events == [("commit", ["e1"]), ("run", ["e1"])]


def test_refused() -> None:
    app, desk = _app("e1")
    desk.break_store()
    assert request(app).status_code == 503
    assert desk.ran == []


def test_not_called_twice() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, session: Session = Depends(_session)) -> Response:
        tasks.add_task(_task("e1"), session)
        tasks.add_task(_task("d2"))

        class Twice(BackgroundTask):
            async def __call__(self) -> None:
                await tasks()
                await tasks()

        return Response("x", background=Twice(print))

    request(app)
    assert desk.ran == ["e1", "d2"]
    assert desk.kinds() == ["commit", "run_here", "run"]


def test_added_between_the_last_byte_and_the_background() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, session: Session = Depends(_session)) -> Response:
        class Adds(BackgroundTask):
            async def __call__(self) -> None:
                tasks.add_task(_task("e1"), session)
                await tasks()

        return Response("x", background=Adds(print))

    request(app)
    assert desk.events == [("commit", ["e1"]), ("run_here", ["e1"])]
    assert states == [("e1", [True]), ("closed", [])]


def test_added_in_the_stream() -> None:
    """Its commit is waited for, then it runs before the dependencies exit, too."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, session: Session = Depends(_session)) -> Any:
        from fastapi.responses import StreamingResponse  # noqa: PLC0415 - for this test alone

        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            tasks.add_task(_task("e1"), session)

        return StreamingResponse(produce())

    request(app)
    assert desk.events == [("commit", ["e1"]), ("run_here", ["e1"])]
    assert states == [("e1", [True]), ("closed", [])]


def test_a_session_that_commits_in_its_exit_has_committed() -> None:
    """Scenario 18: a request with only storable calls starts none before."""
    app, desk = _app("d1")
    request(app)
    assert [name for name, _ in states] == ["closed", "d1"]
    assert desk.kinds() == ["commit", "run"]


@pytest.mark.parametrize(
    ("calls", "ran", "dropped"),
    [
        (["e1!", "d2"], ["e1!"], ["d2"]),
        (["e1!", "d2~", "d3"], ["e1!", "d2~"], ["d3"]),
        (["d1!", "e2", "d3"], ["d1!"], ["d3"]),
        (["e1~!", "d2"], ["e1~!", "d2"], []),
        (["e1", "d2!", "d3"], ["e1", "d2!"], []),
    ],
)
def test_one_that_fails_stops_those_behind_it(calls: list[str], ran: list[str], dropped: list[str]) -> None:
    app, desk = _app(*calls)
    request(app)
    assert desk.ran == ran
    assert desk.kept == calls
    assert desk.discarded == dropped
    assert desk.reasons == ["a task before them, in the order of the request, did not succeed"] * bool(dropped)


def test_one_that_fails_stops_what_is_added_after_it() -> None:
    app, desk = durable()

    async def dependency(tasks: BackgroundTasks) -> AsyncIterator[None]:
        yield
        tasks.add_task(_task("d2"))

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: BackgroundTasks, session: Session = Depends(_session)) -> None:
        tasks.add_task(_task("e1!"), session)

    request(app)
    assert (desk.ran, desk.kept, desk.discarded) == (["e1!"], ["e1!", "d2"], ["d2"])


async def test_a_request_that_is_cancelled_meanwhile_keeps_the_order() -> None:
    """What runs already goes on, and what comes behind it waits for its end."""
    app, desk = durable(RecordingDesk(worker=True))
    gate = asyncio.Event()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, session: Session = Depends(_session)) -> None:
        async def waits(_: Session) -> None:
            await gate.wait()
            raise Boom

        tasks.add_task(waits, session)
        tasks.add_task(_task("d2"))

    serving = asyncio.create_task(Server(app).get())
    await until(lambda: desk.ran == ["waits"])
    serving.cancel()
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await serving
    await until(lambda: desk.discarded == ["d2"])
    assert desk.ran == ["waits"]


@pytest.mark.parametrize("late", [False, True])
async def test_a_request_that_is_cancelled_again_and_again_still_runs_what_comes_behind_it(late: bool) -> None:
    """As a cancel scope outside of the application does, until everything in it has ended."""
    app, desk = durable(RecordingDesk(worker=True))
    gate = asyncio.Event()

    async def dependency(tasks: BackgroundTasks) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if late:
                tasks.add_task(_task("d3"))

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: BackgroundTasks, session: Session = Depends(_session)) -> None:
        async def waits(_: Session) -> None:
            await gate.wait()

        tasks.add_task(waits, session)
        tasks.add_task(_task("d2"))

    scope = anyio.CancelScope()

    async def serve() -> None:
        with scope:
            await Server(app).get()

    serving = asyncio.create_task(serve())
    await until(lambda: desk.ran == ["waits"])
    scope.cancel()
    await serving
    assert desk.ran == ["waits"]
    gate.set()
    await until(lambda: desk.ran == ["waits", "d2", "d3"][: 2 + late])
