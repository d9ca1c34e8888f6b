"""In a WebSocket there is no response to wait for: each call is committed and run at once."""

import asyncio
import contextlib
from typing import Any, cast

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, WebSocket, WebSocketException
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from postlude.errors import StoreUnavailable
from tests.dropin.recording import RecordingDesk, TestClient, durable, job, late, until


class Socket:
    """Opens a WebSocket as a server does, and keeps what is sent."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.sent: list[Message] = []
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect"})

    async def run(self) -> None:
        scope = {
            "type": "websocket",
            "path": "/ws",
            "raw_path": b"/ws",
            "query_string": b"",
            "headers": [],
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "ws",
            "server": ("testserver", 80),
            "client": ("testclient", 1),
            "root_path": "",
            "subprotocols": [],
            "state": {},
        }

        async def send(message: Message) -> None:
            self.sent.append(message)

        await self.app(scope, self._incoming.get, send)

    def receives(self, text: str) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    def disconnects(self) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})


def _app(desk: RecordingDesk | None = None) -> tuple[FastAPI, RecordingDesk]:
    app, desk = durable(desk)

    @app.websocket("/ws")
    async def endpoint(socket: WebSocket, tasks: BackgroundTasks) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            tasks.add_task({"job": job, "late": late}[text])
            await socket.send_text(f"added {text}")

    return app, desk


def test_through_the_test_client() -> None:
    """Scenario 11; FastAPI alone never runs it."""
    app, desk = _app()
    with TestClient(app).websocket_connect("/ws") as socket:
        socket.send_text("job")
        assert socket.receive_text() == "added job"
        assert desk.kept == ["job"]
    assert desk.ran == ["job"]


async def test_runs_while_it_is_open() -> None:
    app, desk = _app()
    socket = Socket(app)
    running = asyncio.create_task(socket.run())
    socket.receives("job")
    await until(lambda: desk.ran == ["job"])
    socket.receives("late")
    await until(lambda: desk.ran == ["job", "late"])
    assert not running.done()
    socket.disconnects()
    await running
    assert desk.events == [("commit", ["job"]), ("run", ["job"]), ("commit", ["late"]), ("run", ["late"])]
    assert len(desk.chains) == 2


async def test_the_next_message_waits_for_the_commit() -> None:
    app, desk = _app()
    desk.gate = asyncio.Event()
    socket = Socket(app)
    running = asyncio.create_task(socket.run())
    socket.receives("job")
    await desk.committing.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert [message["type"] for message in socket.sent] == ["websocket.accept"]
    desk.gate.set()
    await until(lambda: len(socket.sent) == 2)
    socket.disconnects()
    await running


async def test_a_failing_commit_raises_at_the_next_message() -> None:
    app, desk = _app()
    desk.break_store()
    socket = Socket(app)
    socket.receives("job")
    with pytest.raises(StoreUnavailable, match="broken off"):
        await socket.run()
    assert [message["type"] for message in socket.sent] == ["websocket.accept"]
    assert desk.events == [("failed", ["job"]), ("discard", ["job"], "StoreUnavailable")]


@pytest.mark.parametrize("closed", [False, True])
async def test_a_commit_that_fails_at_the_end_is_too_late_to_refuse(closed: bool) -> None:
    app, desk = durable()
    desk.break_store()

    @app.websocket("/ws")
    async def endpoint(socket: WebSocket, tasks: BackgroundTasks) -> None:
        await socket.accept()
        if closed:
            await socket.close()
        tasks.add_task(job)
        if closed:
            await until(lambda: desk.kinds()[:1] == ["failed"])

    await Socket(app).run()
    assert desk.kinds() == ["failed", "unsaved", "run"]
    assert desk.ran == ["job"]


@pytest.mark.parametrize("worker", [False, True])
async def test_the_end_waits_for_commits_and_without_a_worker_for_runs(worker: bool) -> None:
    app, desk = durable(RecordingDesk(worker=worker))
    go = asyncio.Event()

    async def task() -> None:
        await go.wait()

    @app.websocket("/ws")
    async def endpoint(socket: WebSocket, tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(task)

    running = asyncio.create_task(Socket(app).run())
    await until(lambda: desk.ran == ["task"])
    for _ in range(20):
        await asyncio.sleep(0)
    assert running.done() is worker
    go.set()
    await running
    await desk.idle()


@pytest.mark.parametrize("error", [HTTPException(400), WebSocketDisconnect(), RuntimeError("boom")])
async def test_an_exception_discards_nothing(error: Exception) -> None:
    app, desk = durable()

    @app.websocket("/ws")
    async def endpoint(socket: WebSocket, tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(job)
        raise error

    with contextlib.suppress(Exception):  # some are answered by Starlette, the others come out
        await Socket(app).run()
    assert desk.kept == desk.ran == ["job"]


@pytest.mark.parametrize("error", [None, HTTPException(400), WebSocketException(1008), RuntimeError("x")])
async def test_only_if_it_raised(error: Exception | None) -> None:
    """Whether it does is known at its end."""
    app, desk = durable()

    @app.websocket("/ws")
    async def endpoint(socket: WebSocket, tasks: BackgroundTasks) -> None:
        await socket.accept()
        cast("Any", tasks).options(if_raised="only").add_task(job)
        await asyncio.sleep(0.01)
        assert desk.events == []
        if error is not None:
            raise error

    with contextlib.suppress(RuntimeError):
        await Socket(app).run()
    assert desk.kinds() == (["discard"] if error is None else ["commit", "run"])
