"""Who made the answer: an endpoint that returned keeps its tasks, one that raised loses them."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.routing import APIRoute

from tests.dropin.middlewares import Catch, RebuildBase, TimeOut, TimeOutBase
from tests.dropin.recording import FUNCTION_SCOPE, TELEMETRY, Boom, adds, adds_and_raises, durable, job, late, request

Build = Callable[[FastAPI], None]

ignores_scope = pytest.mark.xfail(
    not FUNCTION_SCOPE,
    reason="FastAPI 0.121.0 exits a function-scoped dependency of dependencies=[...] after the response",
    strict=True,
)


async def _adds(tasks: BackgroundTasks) -> None:
    tasks.add_task(job)


# Kept: the endpoint returned


@pytest.mark.parametrize(
    "response",
    [JSONResponse({}, 500), Response(status_code=204), RedirectResponse("/elsewhere"), {"a": 1}],
    ids=["500", "204", "redirect", "dict"],
)
def test_returned(response: Any) -> None:
    """Scenario 15: whatever the status says."""
    app, desk = durable()

    @app.get("/", response_model=None)
    async def endpoint(tasks: BackgroundTasks) -> Any:
        tasks.add_task(job)
        return response

    request(app, follow_redirects=False)
    assert desk.events == [("commit", ["job"]), ("run", ["job"])]


def route_class_that_answers_exceptions(app: FastAPI) -> None:
    """Nobody can tell that from an endpoint that returns. FastAPI alone drops the tasks here."""

    class Answering(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handler(incoming: Request) -> Response:
                try:
                    return await handle(incoming)
                except Boom:
                    return JSONResponse({}, 400)

            return handler

    app.router.route_class = Answering
    adds_and_raises(app)


def exception_caught_in_the_endpoint(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(job)
        try:
            raise Boom  # noqa: TRY301 - what it is about
        except Boom:
            return JSONResponse({}, 400)


def request_scoped_dependency_that_raises_after_the_response(app: FastAPI) -> None:
    async def dependency() -> AsyncIterator[None]:
        yield
        raise HTTPException(500)

    app.get("/", dependencies=[Depends(dependency)])(_adds)


def stream_that_breaks(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        tasks.add_task(job)

        async def produce() -> AsyncIterator[bytes]:
            yield b"x"
            raise Boom

        return StreamingResponse(produce())


@pytest.mark.parametrize(
    "build",
    [
        route_class_that_answers_exceptions,
        exception_caught_in_the_endpoint,
        request_scoped_dependency_that_raises_after_the_response,
        stream_that_breaks,
    ],
)
def test_kept(build: Build) -> None:
    app, desk = durable()
    build(app)
    request(app)
    assert desk.events == [("commit", ["job"]), ("run", ["job"])]


def test_answered_by_a_middleware_while_the_endpoint_goes_on() -> None:
    """The endpoint returns later, as if nothing had been; FastAPI alone runs its tasks then, too."""
    app, desk = durable()
    app.add_middleware(TimeOutBase)

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        await asyncio.sleep(0.05)
        tasks.add_task(late)

    assert request(app).status_code == 504
    assert desk.events == [("commit", ["job"]), ("commit", ["late"]), ("run", ["job", "late"])]


# Discarded: something raised before the response started


def http_exception(app: FastAPI) -> None:
    """Scenario 13."""

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        raise HTTPException(404)


def invalid_parameter(app: FastAPI) -> None:
    @app.get("/", dependencies=[Depends(_adds)])
    async def endpoint(q: int) -> int:
        return q


def invalid_response(app: FastAPI) -> None:
    @app.get("/", response_model=int)
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(job)
        return "x"


def invalid_response_with_a_handler(app: FastAPI) -> None:
    @app.exception_handler(ResponseValidationError)
    async def handler(_: Request, __: Exception) -> Response:
        return JSONResponse({}, 200)

    invalid_response(app)


def handler_that_is_async(app: FastAPI) -> None:
    @app.exception_handler(Boom)
    async def handler(_: Request, __: Exception) -> Response:
        return JSONResponse({}, 418)

    adds_and_raises(app)


def handler_that_streams_in_a_thread(app: FastAPI) -> None:
    @app.exception_handler(Boom)
    def handler(_: Request, __: Exception) -> Response:
        return StreamingResponse(iter([b"x"]), 200)

    adds_and_raises(app)


def handler_of_a_status(app: FastAPI) -> None:
    @app.exception_handler(404)
    async def handler(_: Request, __: Exception) -> Response:
        return JSONResponse({}, 200)

    http_exception(app)


def handler_of_all_exceptions(app: FastAPI) -> None:
    @app.exception_handler(Exception)
    async def handler(_: Request, __: Exception) -> Response:
        return JSONResponse({}, 500)

    adds_and_raises(app)


def handler_and_a_middleware_that_rebuilds(app: FastAPI) -> None:
    app.add_middleware(RebuildBase)
    handler_that_is_async(app)


def later_dependency_that_raises(app: FastAPI) -> None:
    async def dependency(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        raise HTTPException(401)

    @app.get("/")
    async def endpoint(_: None = Depends(dependency)) -> int:
        return 1


def missing_file_with_a_handler(app: FastAPI) -> None:
    """Raised when the response is sent, which is after the endpoint has returned and before the response starts."""

    @app.exception_handler(RuntimeError)
    async def handler(_: Request, __: Exception) -> Response:
        return JSONResponse({}, 404)

    missing_file(app)


def missing_file(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(job)
        return FileResponse("/nowhere/at/all")


def missing_file_with_a_middleware_that_catches(app: FastAPI) -> None:
    app.add_middleware(Catch)
    missing_file(app)


def middleware_that_times_out(app: FastAPI) -> None:
    app.add_middleware(TimeOut)

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        await asyncio.sleep(1)


async def _swallows() -> AsyncIterator[None]:
    with contextlib.suppress(Boom):
        yield


def dependency_that_swallows(app: FastAPI, scope: Any) -> None:
    """FastAPI then has no response, and says so."""

    @app.get("/", dependencies=[Depends(_swallows, scope=scope)])
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        raise Boom


def dependency_that_converts(app: FastAPI) -> None:
    async def dependency() -> AsyncIterator[None]:
        try:
            yield
        except Boom:
            raise HTTPException(400) from None

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        raise Boom


async def _fails_on_exit() -> AsyncIterator[None]:
    """A session whose commit fails."""
    yield
    raise HTTPException(503)


def function_exit_of_a_parameter(app: FastAPI) -> None:
    """Scenario 17."""

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, _: None = Depends(_fails_on_exit, scope="function")) -> None:
        tasks.add_task(job)


def function_exit_of_the_route(app: FastAPI) -> None:
    app.get("/", dependencies=[Depends(_fails_on_exit, scope="function")])(_adds)


def function_exit_of_the_application(app: FastAPI) -> None:
    app.router.dependencies.append(Depends(_fails_on_exit, scope="function"))
    adds(app)


def function_exit_of_the_application_before_ours(app: FastAPI) -> None:
    app.router.dependencies.insert(0, Depends(_fails_on_exit, scope="function"))
    adds(app)


@pytest.mark.parametrize(
    "build",
    [
        http_exception,
        invalid_parameter,
        invalid_response,
        invalid_response_with_a_handler,
        handler_that_is_async,
        handler_that_streams_in_a_thread,
        handler_of_a_status,
        handler_of_all_exceptions,
        handler_and_a_middleware_that_rebuilds,
        later_dependency_that_raises,
        missing_file,
        missing_file_with_a_handler,
        missing_file_with_a_middleware_that_catches,
        middleware_that_times_out,
        functools.partial(dependency_that_swallows, scope="function"),
        functools.partial(dependency_that_swallows, scope="request"),
        dependency_that_converts,
        function_exit_of_a_parameter,
        pytest.param(function_exit_of_the_route, marks=ignores_scope),
        pytest.param(function_exit_of_the_application, marks=ignores_scope),
        pytest.param(function_exit_of_the_application_before_ours, marks=ignores_scope),
    ],
)
@pytest.mark.parametrize("caught", [False, True], ids=["", "caught by a middleware"])
def test_discarded(build: Build, caught: bool) -> None:
    app, desk = durable()
    if caught:
        app.add_middleware(Catch)
    build(app)
    request(app)
    assert desk.kinds() == ["discard"]
    assert desk.discarded == ["job"]
    assert desk.ran == []


@pytest.mark.skipif(not TELEMETRY, reason="FastAPI does not limit bodies in the oldest release")
def test_body_too_large() -> None:
    app, desk = durable()
    app.max_body_size = 3

    @app.get("/", dependencies=[Depends(_adds)])
    async def endpoint(incoming: Request) -> None:
        await incoming.body()

    assert request(app, content=b"1234567").status_code == 413
    assert desk.kinds() == ["discard"]


async def _with_argument(_: object, __: Request, ___: Exception) -> Response:
    return JSONResponse({}, 418)


class _Handler:
    async def __call__(self, _: Request, __: Exception) -> Response:
        return JSONResponse({}, 418)


def _sync_handler(_: Request, __: Exception) -> Response:
    return JSONResponse({}, 418)


@pytest.mark.parametrize(
    "handler",
    [_Handler(), functools.partial(_with_argument, 1), functools.partial(_Handler()), _sync_handler],
    ids=["object", "partial", "partial of an object", "sync"],
)
def test_kinds_of_handlers(handler: Any) -> None:
    """They answer as ever, and the application's own dictionary of them stays as it is."""
    app, desk = durable()
    app.add_exception_handler(Boom, handler)
    adds_and_raises(app)
    assert request(app).status_code == 418
    assert desk.events == [("discard", ["job"], "Boom")]
    assert app.exception_handlers[Boom] is handler
