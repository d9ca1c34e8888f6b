"""The middlewares of users, wherever they are declared."""

from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from postlude.errors import InstallError
from postlude.fastapi import install
from tests.dropin.middlewares import (
    Buffer,
    Catch,
    CatchBase,
    CopyScope,
    RaiseAfter,
    RaiseBase,
    RebuildBase,
    ReplaceBase,
    Retry,
)
from tests.dropin.recording import Boom, RecordingDesk, Server, adds, adds_and_raises, durable, job, request

RETURNED = [
    (RaiseAfter, False),
    (RaiseBase, False),
    (ReplaceBase, True),
    (RebuildBase, True),
    (Buffer, True),
    (CopyScope, True),
]
RAISED = [Catch, CatchBase, Retry]


def _app(middleware: Any, where: str) -> tuple[FastAPI, RecordingDesk]:
    app, desk = FastAPI(middleware=[Middleware(middleware)] if where == "constructor" else None), RecordingDesk()
    if where == "before":
        app.add_middleware(middleware)
    install(app, desk)
    if where == "after":
        app.add_middleware(middleware)
    return app, desk


@pytest.mark.parametrize("where", ["constructor", "before", "after"])
@pytest.mark.parametrize(("middleware", "kept"), RETURNED, ids=lambda value: getattr(value, "__name__", None))
def test_endpoint_that_returns(middleware: Any, kept: bool, where: str) -> None:
    app, desk = _app(middleware, where)
    adds(app)
    request(app)
    if kept:
        assert desk.events == [("commit", ["job"]), ("run", ["job"])]
    else:
        assert desk.events == [("discard", ["job"], "Boom")]


@pytest.mark.parametrize("where", ["constructor", "before", "after"])
@pytest.mark.parametrize("middleware", RAISED, ids=lambda value: value.__name__)
def test_endpoint_that_raises(middleware: Any, where: str) -> None:
    app, desk = _app(middleware, where)
    adds_and_raises(app)
    assert request(app).status_code == 500
    assert set(desk.kinds()) == {"discard"}
    assert {event[2] for event in desk.events} == {"Boom"}


@pytest.mark.parametrize("middleware", [Buffer, RebuildBase])
async def test_nothing_runs_before_a_rebuilt_answer_has_gone_out(middleware: Any) -> None:
    """Stock FastAPI runs the tasks while the middleware still holds the answer back."""
    app, desk = _app(middleware, "after")
    adds(app)
    server = Server(app)
    seen: list[list[str]] = []
    server.on_send = lambda _: seen.append(desk.ran[:])
    await server.get()
    assert seen == [[], []]
    assert desk.ran == ["job"]


def test_retried_and_then_returned() -> None:
    """The first time is discarded, the second is kept."""
    app, desk = durable()
    app.add_middleware(Retry)
    times: list[int] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> int:
        tasks.add_task(job)
        times.append(1)
        if len(times) == 1:
            raise Boom
        return 1

    assert request(app).status_code == 200
    assert desk.events == [("discard", ["job"], "Boom"), ("commit", ["job"]), ("run", ["job"])]


async def test_application_that_is_called_twice_with_one_scope() -> None:
    """By what is wrapped around it: each time is a request of its own."""
    app, desk = durable()
    adds(app)

    async def twice(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        await app(scope, receive, send)

    server = Server(twice)
    seen: list[int] = []
    server.on_send = lambda _: seen.append(len(desk.kept))
    await server.get()
    assert seen == [1, 1, 2, 2]


@pytest.mark.parametrize("debug", [False, True])
def test_unhandled_exception(debug: bool) -> None:
    app, desk = durable(debug=debug)
    adds_and_raises(app)
    response = request(app, headers={"accept": "text/html"})
    assert response.status_code == 500
    assert ("Boom" in response.text) is debug
    assert desk.events == [("discard", ["job"], "Boom")]


def test_order_of_the_list() -> None:
    class A(CatchBase):
        pass

    class B(CatchBase):
        pass

    app, _ = durable()
    app.add_middleware(A)
    app.add_middleware(B)
    names = [middleware.cls.__name__ for middleware in app.user_middleware]  # type: ignore[attr-defined]
    assert names == ["Outer", "B", "A", "Inner"]


def test_other_ways_to_put_a_middleware_into_the_list() -> None:
    app, _ = durable()
    app.user_middleware.append(Middleware(Catch))
    app.user_middleware.extend([Middleware(Buffer)])
    app.user_middleware.insert(-1, Middleware(Retry))
    app.user_middleware.insert(99, Middleware(CopyScope))
    app.user_middleware.insert(-99, Middleware(RaiseAfter))
    names = [middleware.cls.__name__ for middleware in app.user_middleware]  # type: ignore[attr-defined]
    assert names == ["Outer", "RaiseAfter", "Catch", "Buffer", "Retry", "CopyScope", "Inner"]


@pytest.mark.parametrize("place", [0, -1])
def test_a_place_taken_away_is_noticed(place: int) -> None:
    """Not by any request that would silently lose its tasks, but by the first."""
    app, _ = durable()
    adds(app)
    ours = app.user_middleware.pop(place)
    app.user_middleware = [*app.user_middleware, Middleware(Catch)]
    if place == 0:
        app.user_middleware.append(ours)
    with pytest.raises(InstallError, match=r"changed in another way than by add_middleware: .*Catch"):
        app.build_middleware_stack()


async def test_both_places_taken_away_is_noticed() -> None:
    app, _ = durable()
    adds(app)
    app.user_middleware = []
    with pytest.raises(InstallError, match="without the middleware"):
        await Server(app).get()


def test_function_middleware() -> None:
    """Scenario 16."""
    app, desk = durable()
    adds(app)

    @app.middleware("http")
    async def fails(incoming: Request, call_next: Any) -> Any:
        await call_next(incoming)
        raise Boom

    assert request(app).status_code == 500
    assert desk.events == [("discard", ["job"], "Boom")]
