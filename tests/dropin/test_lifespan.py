"""Starting and stopping with the application."""

import contextlib
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.types import Message

from postlude.errors import InstallError
from postlude.fastapi import install
from tests.dropin.recording import RecordingDesk, TestClient, adds, durable, request


def test_between_the_startup_and_the_shutdown_of_the_application() -> None:
    """Tasks may use what the lifespan has set up, that of an included router too, and its state gets through."""
    desk = RecordingDesk()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
        desk.events.append(("startup",))
        yield {"database": "open"}
        desk.events.append(("shutdown",))

    @contextlib.asynccontextmanager
    async def of_router(_: Any) -> AsyncIterator[dict[str, str]]:
        desk.events.append(("router startup",))
        yield {"cache": "open"}
        desk.events.append(("router shutdown",))

    app = FastAPI(lifespan=lifespan)
    install(app, desk)
    app.include_router(APIRouter(lifespan=of_router))

    @app.get("/")
    async def endpoint(incoming: Request) -> list[str]:
        return [incoming.state.database, incoming.state.cache]

    with TestClient(app) as client:
        assert client.get("/").json() == ["open", "open"]
        assert desk.kinds() == ["startup", "router startup", "started"]
    assert desk.kinds() == ["startup", "router startup", "started", "stopped", "router shutdown", "shutdown"]
    assert desk.coverage is not None
    assert desk.coverage.covered == 1


def test_event_handlers() -> None:
    app, desk = durable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        app.on_event("startup")(lambda: desk.events.append(("startup",)))  # ty: ignore[deprecated]
        app.on_event("shutdown")(lambda: desk.events.append(("shutdown",)))
    with TestClient(app):
        pass
    assert desk.kinds() == ["startup", "started", "stopped", "shutdown"]


def test_startup_that_fails() -> None:
    desk = RecordingDesk()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        message = "no database"
        raise RuntimeError(message)
        yield

    app = FastAPI(lifespan=lifespan)
    install(app, desk)
    with pytest.raises(RuntimeError, match="no database"), TestClient(app):
        pass
    assert desk.events == []


def test_our_start_that_fails() -> None:
    """The application shuts down again, and the server is told."""

    class Fails(RecordingDesk):
        async def started(self, coverage: object) -> None:
            message = "no store"
            raise OSError(message)

    desk = Fails()
    ended: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            ended.append("shutdown")

    app = FastAPI(lifespan=lifespan)
    install(app, desk)
    with pytest.raises(OSError, match="no store"), TestClient(app):
        pass
    assert ended == ["shutdown"]
    assert desk.events == []


async def test_lifespan_that_is_cancelled() -> None:
    """The server was killed by hand: no shutdown message comes."""
    app, desk = durable()
    messages = iter([{"type": "lifespan.startup"}])
    sent: list[str] = []

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            cause = "the server goes"
            raise KeyboardInterrupt(cause)
        return message

    async def send(message: Message) -> None:
        sent.append(message["type"])

    with pytest.raises(KeyboardInterrupt):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert sent[0] == "lifespan.startup.complete"
    assert desk.kinds() == ["started", "stopped"]


def test_without_a_lifespan() -> None:
    """Serverless, or `TestClient(app)` without `with`."""
    app, desk = durable()
    adds(app)
    request(app)
    assert desk.kinds() == ["commit", "run"]


def test_twice() -> None:
    app, desk = durable()
    for _ in range(2):
        with TestClient(app):
            pass
    assert desk.kinds() == ["started", "stopped"] * 2


def _by_hand(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine without asyncio, as another event loop does."""
    try:
        coroutine.send(None)
    finally:
        coroutine.close()


async def _drop(_: Message) -> None:
    pass


def _answers(message: Message) -> Callable[[], Coroutine[Any, Any, Message]]:
    async def receive() -> Message:
        return message

    return receive


def test_other_event_loop_at_start() -> None:
    app, _ = durable()
    with pytest.raises(InstallError, match="Postlude runs on asyncio"):
        _by_hand(app({"type": "lifespan", "state": {}}, _answers({"type": "lifespan.startup"}), _drop))


def test_other_event_loop_in_a_request() -> None:
    app, _ = durable()
    adds(app)
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "root_path": ""}
    with pytest.raises(InstallError, match="Postlude runs on asyncio"):
        _by_hand(app(scope, _answers({"type": "http.request", "body": b""}), _drop))
