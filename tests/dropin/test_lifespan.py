"""Starting and stopping with the application."""

import contextlib
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request
from starlette.types import Message

from postlude.errors import InstallError, StoreLocationError
from postlude.fastapi import WITHOUT_LIFESPAN, install
from postlude.settings import Settings
from tests.dropin.recording import RecordingDesk, Server, TestClient, adds, durable, request


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


async def test_a_store_that_cannot_be_opened_is_told_in_one_line() -> None:
    """What a server writes into its log; with the traceback the cure stood in the last of eighty lines."""

    class Fails(RecordingDesk):
        async def started(self, coverage: object) -> None:
            message = "the folder /srv is not there. Create it."
            raise StoreLocationError(message)

    app, _ = durable(Fails())
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    with pytest.raises(StoreLocationError):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    said = "postlude.errors.StoreLocationError: the folder /srv is not there. Create it."
    assert sent == [{"type": "lifespan.startup.failed", "message": said}]


# Where none runs


async def answers(app: FastAPI, client: tuple[str, int] | None) -> None:
    """Twice."""
    for _ in range(2):
        await Server(app, client).get()


def missed(caplog: pytest.LogCaptureFixture) -> int:
    return [record.getMessage() for record in caplog.records].count(WITHOUT_LIFESPAN)


@pytest.mark.parametrize("client", [("203.0.113.9", 55123), None], ids=["with an address", "behind a socket"])
async def test_a_server_that_starts_no_lifespan_is_told_once(
    client: tuple[str, int] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """What a process that died was at would stay undone there, without a word."""
    app, desk = durable()
    adds(app)
    await answers(app, client)
    assert desk.ran == ["job", "job"]
    assert missed(caplog) == 1


@pytest.mark.parametrize("client", [("testclient", 50000), ("127.0.0.1", 123)], ids=["TestClient", "httpx"])
async def test_a_test_may_do_without(client: tuple[str, int], caplog: pytest.LogCaptureFixture) -> None:
    app, _ = durable()
    adds(app)
    await answers(app, client)
    assert missed(caplog) == 0


async def test_so_may_what_leaves_its_jobs_to_others_and_a_request_without_tasks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, _ = durable(RecordingDesk(Settings(worker="off")))
    adds(app)
    await answers(app, ("203.0.113.9", 55123))
    without, _ = durable()

    @without.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        pass

    await answers(without, ("203.0.113.9", 55123))
    assert missed(caplog) == 0


async def test_where_one_runs_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = durable()
    adds(app)
    with TestClient(app):
        await answers(app, ("203.0.113.9", 55123))
    assert missed(caplog) == 0
