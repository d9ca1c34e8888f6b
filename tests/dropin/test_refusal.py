"""The commit fails: 503, nothing of the application's answer gets out, and its sessions roll back."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from postlude.errors import StoreUnavailable
from postlude.request.refusal import CommitRefused, comes_of_refusal
from tests.dropin.middlewares import Buffer, Catch, CatchBase, RebuildBase
from tests.dropin.recording import LIVE_ROUTERS, Boom, Server, adds, durable, job, late, request

Build = Callable[[FastAPI], None]


async def _adds(tasks: BackgroundTasks) -> None:
    tasks.add_task(job)


def plain(app: FastAPI) -> None:
    adds(app)


def base_middleware(app: FastAPI) -> None:
    app.add_middleware(CatchBase)
    adds(app)


def middleware_that_rebuilds(app: FastAPI) -> None:
    app.add_middleware(RebuildBase)
    adds(app)


def middleware_that_catches(app: FastAPI) -> None:
    app.add_middleware(Catch)
    adds(app)


def handler_of_all_exceptions(app: FastAPI) -> None:
    @app.exception_handler(Exception)
    async def handler(_: Request, __: Exception) -> Response:
        return JSONResponse({}, 500)

    adds(app)


def compressed(app: FastAPI) -> None:
    app.add_middleware(GZipMiddleware, minimum_size=1)
    adds(app)


def endless_stream(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        tasks.add_task(job)

        async def produce() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0.001)

        return StreamingResponse(produce())


def endless_stream_under_base_middleware(app: FastAPI) -> None:
    app.add_middleware(CatchBase)
    endless_stream(app)


def file(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(job)
        return FileResponse(__file__)


def endless_events(app: FastAPI) -> None:
    from fastapi.sse import EventSourceResponse  # noqa: PLC0415 - missing in the oldest release

    @app.get("/", response_class=EventSourceResponse, dependencies=[Depends(_adds)])
    async def endpoint() -> AsyncIterable[int]:
        while True:
            yield 1


BUILDS: list[Build] = [
    plain,
    base_middleware,
    middleware_that_rebuilds,
    middleware_that_catches,
    handler_of_all_exceptions,
    compressed,
    endless_stream,
    endless_stream_under_base_middleware,
    file,
]
if LIVE_ROUTERS:
    BUILDS.append(endless_events)


def _allow_head(app: FastAPI) -> None:
    for route in app.routes:
        if isinstance(route, APIRoute):
            assert route.methods is not None
            route.methods.add("HEAD")


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("build", BUILDS)
async def test_refused(
    build: Build, method: str, spec: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    if build is middleware_that_rebuilds and not LIVE_ROUTERS:
        reason = "before Starlette 1.7 the application ends before BaseHTTPMiddleware has sent a rebuilt answer"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    app, desk = durable()
    desk.break_store()
    ended: list[str] = []

    async def session() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            ended.append(type(error).__name__)
            raise
        else:
            ended.append("committed")

    app.router.dependencies.append(Depends(session))
    build(app)
    _allow_head(app)
    server = Server(app)
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(5):
            await server.get(method=method, spec=spec, headers=[(b"accept-encoding", b"gzip")])

    assert [message["type"] for message in server.sent] == ["http.response.start", "http.response.body"]
    assert server.status == 503
    headers = dict(server.sent[0]["headers"])
    assert headers[b"retry-after"] == b"1"
    assert (server.body == b"") is (method == "HEAD")
    assert int(headers[b"content-length"]) == len(server.body) or method == "HEAD"
    assert desk.events == [("failed", ["job"]), ("discard", ["job"], "StoreUnavailable")]
    assert desk.ran == []
    assert caplog.records == []
    assert ended
    assert ended[0] != "committed"


def test_what_the_client_reads() -> None:
    app, desk = durable()
    desk.break_store()
    adds(app)
    response = request(app)
    assert response.status_code == 503
    assert response.json() == {"detail": "The background work of this request could not be stored. Try again."}


def test_the_next_request_is_fine() -> None:
    app, desk = durable()
    adds(app)
    desk.break_store()
    assert request(app).status_code == 503
    desk.failing = None
    assert request(app).status_code == 200
    assert desk.ran == ["job"]


def test_middleware_that_buffers_has_its_answer_refused() -> None:
    app, desk = durable()
    app.add_middleware(Buffer)
    desk.break_store()
    adds(app)
    assert request(app).status_code == 503
    assert desk.ran == []


def test_any_other_error_of_the_commit_refuses_too() -> None:
    """The promise is that the client has no status line that claims what is not on disk."""
    app, desk = durable()
    desk.failing = OSError("disk full")
    adds(app)
    assert request(app).status_code == 503
    assert desk.events[-1] == ("discard", ["job"], "StoreError")
    assert desk.reasons == ["the commit failed: OSError('disk full')"]


def test_answer_of_an_exception_handler_is_refused_when_a_kept_call_is_not_stored() -> None:
    app, desk = durable()
    desk.break_store()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.options(if_raised="keep").add_task(job)  # type: ignore[attr-defined]
        raise HTTPException(404)

    assert request(app).status_code == 503


def test_what_is_added_while_unwinding_is_discarded() -> None:
    app, desk = durable()
    desk.break_store()

    async def session(tasks: BackgroundTasks) -> AsyncIterator[None]:
        try:
            yield
        finally:
            tasks.add_task(late)

    @app.get("/", dependencies=[Depends(session)])
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)

    assert request(app).status_code == 503
    assert desk.events == [
        ("failed", ["job"]),
        ("discard", ["job"], "StoreUnavailable"),
        ("discard", ["late"], "StoreUnavailable"),
    ]


def test_dependency_that_converts_exceptions(caplog: pytest.LogCaptureFixture) -> None:
    """What it makes of ours is no news for the server's log."""
    app, desk = durable()
    desk.break_store()

    async def dependency() -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            raise HTTPException(400) from error

    app.get("/", dependencies=[Depends(dependency)])(_adds)
    server = Server(app)
    asyncio.run(server.get())
    assert server.status == 503
    assert caplog.records == []


def test_exception_that_has_nothing_to_do_with_it() -> None:
    app, desk = durable()
    desk.break_store()

    class Fails:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            with contextlib.suppress(CommitRefused):
                await self.app(scope, receive, send)
            raise Boom

    app.add_middleware(Fails)
    adds(app)
    server = Server(app)
    with pytest.raises(Boom):
        asyncio.run(server.get())
    assert server.status == 503


def _caused(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


def _during(error: Exception, context: Exception) -> Exception:
    error.__context__ = context
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CommitRefused(), True),
        (_caused(RuntimeError(), CommitRefused()), True),
        (_caused(RuntimeError(), _caused(ValueError(), CommitRefused())), True),
        (ExceptionGroup("several", [ValueError(), CommitRefused()]), True),
        (_caused(RuntimeError(), ExceptionGroup("one", [_caused(KeyError(), CommitRefused())])), True),
        (_during(RuntimeError(), CommitRefused()), True),
        (ExceptionGroup("others", [ValueError()]), False),
        (StoreUnavailable("of a task's own"), False),
        (Boom(), False),
    ],
)
def test_where_the_exception_is_found(error: BaseException, expected: bool) -> None:
    assert comes_of_refusal(error) is expected


def test_exceptions_that_refer_to_each_other() -> None:
    first, second = Boom(), Boom()
    first.__context__, second.__context__ = second, first
    assert not comes_of_refusal(first)
