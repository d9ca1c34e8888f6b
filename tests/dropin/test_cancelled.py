"""A client that goes away: its server cancels the request."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from fastapi import BackgroundTasks, Depends
from fastapi.responses import StreamingResponse

from tests.dropin.middlewares import TimeOut, TimeOutShielded
from tests.dropin.recording import RecordingDesk, Server, durable, job, late, until


async def _cancel(running: asyncio.Task[None]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_before_the_response_starts() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        cast("Any", tasks).options(if_raised="keep").add_task(late)
        await asyncio.Event().wait()

    running = asyncio.create_task(Server(app).get())
    await until(lambda: len(desk.calls) == 2)
    await _cancel(running)
    await until(lambda: desk.ran == ["late"])
    assert desk.events == [("discard", ["job"], "CancelledError"), ("commit", ["late"]), ("run", ["late"])]


async def test_in_mid_stream() -> None:
    """Scenarios 7 and 8: what was promised is kept."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.Event().wait()

        tasks.add_task(job)
        return StreamingResponse(produce())

    server = Server(app)
    running = asyncio.create_task(server.get())
    await until(lambda: server.body == b"a")
    await _cancel(running)
    assert desk.events == [("commit", ["job"]), ("run", ["job"])]


async def test_during_the_commit() -> None:
    """Whether it was written is not known, so it is written once more, and runs: the endpoint had returned."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)

    server = Server(app)
    desk.gate = asyncio.Event()
    running = asyncio.create_task(server.get())
    await desk.committing.wait()
    running.cancel()
    desk.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: desk.ran == ["job"])
    assert server.sent == []
    assert desk.events == [("commit", ["job"]), ("run", ["job"])]
    assert len(desk.chains) == 1


async def test_during_the_commit_which_then_fails() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)

    desk.gate = asyncio.Event()
    running = asyncio.create_task(Server(app).get())
    await desk.committing.wait()
    desk.break_store()
    running.cancel()
    desk.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: desk.discarded == ["job"])
    assert desk.ran == []


@pytest.mark.parametrize("shielded", [False, True])
async def test_by_a_middleware_during_the_commit(shielded: bool) -> None:
    """It answers in the place of the application; the call is committed first and runs, as after a crash there."""
    app, desk = durable()
    app.add_middleware(TimeOutShielded if shielded else TimeOut)

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)

    desk.gate = asyncio.Event()
    server = Server(app)
    seen: list[list[str]] = []
    server.on_send = lambda _: seen.append(desk.kept[:])
    running = asyncio.create_task(server.get())
    await asyncio.sleep(0.05)
    assert not running.done()
    desk.gate.set()
    await running
    assert 504 in [message.get("status") for message in server.sent]
    assert seen[0] == desk.kept == desk.ran == ["job"]


@pytest.mark.parametrize("times", [1, 2])
async def test_while_late_commits_are_waited_for(times: int) -> None:
    app, desk = durable(RecordingDesk(worker=True))

    async def dependency(tasks: BackgroundTasks) -> AsyncIterator[None]:
        yield
        desk.committing.clear()
        desk.gate = asyncio.Event()
        tasks.add_task(late)

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)

    running = asyncio.create_task(Server(app).get())
    await until(lambda: desk.gate is not None and desk.committing.is_set())
    for _ in range(times):
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert desk.gate is not None
    desk.gate.set()
    await until(lambda: desk.ran == ["job", "late"])
    assert desk.kept == ["job", "late"]


async def test_while_the_tasks_run() -> None:
    """Without a worker: they go on."""
    app, desk = durable()
    started, go = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def task() -> None:
        started.set()
        await go.wait()
        done.append(1)

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(task)

    running = asyncio.create_task(Server(app).get())
    await started.wait()
    await _cancel(running)
    go.set()
    await desk.idle()
    assert done == [1]
