"""Which endpoints are reached, and what is said of those that are not."""

import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route

import postlude
from postlude.coverage import Coverage
from postlude.errors import InstallError
from postlude.fastapi import install
from tests.dropin.recording import (
    LIVE_ROUTERS,
    TELEMETRY,
    Handle,
    RecordingDesk,
    TestClient,
    adds,
    durable,
    job,
    late,
    own,
    request,
)


async def _adds(tasks: BackgroundTasks) -> None:
    tasks.add_task(job)


def test_router_declared_before() -> None:
    router = APIRouter()
    router.get("/b")(_adds)
    app, desk = durable(dependencies=[Depends(lambda: None)])
    app.include_router(router)
    request(app, "/b")
    assert desk.ran == ["job"]


def test_nested_router() -> None:
    app, desk = durable()
    nested, outer = APIRouter(), APIRouter()
    nested.get("/n")(_adds)
    outer.include_router(nested, prefix="/o")
    app.include_router(outer)
    request(app, "/o/n")
    assert desk.ran == ["job"]


def test_router_included_twice() -> None:
    app, desk = durable()
    router = APIRouter()
    router.get("/r")(_adds)
    app.include_router(router)
    app.include_router(router, prefix="/again")
    for path in ("/r", "/again/r"):
        request(app, path)
    assert desk.ran == ["job", "job"]


@pytest.mark.skipif(not LIVE_ROUTERS, reason="FastAPI copies the routes of a router when it is included, before 0.137")
def test_route_added_to_an_included_router() -> None:
    app, desk = durable()
    router = APIRouter()
    app.include_router(router)
    router.get("/late")(_adds)
    request(app, "/late")
    assert desk.ran == ["job"]


def test_dependencies_at_every_level() -> None:
    """Scenario 21: they run in the order in which they were added."""

    def adder(name: str) -> Callable[[BackgroundTasks], None]:
        async def task() -> None:
            pass

        task.__name__ = name

        def dependency(tasks: BackgroundTasks) -> None:
            handles.append(tasks.add_task(task))  # type: ignore[func-returns-value]

        return dependency

    async def sub(tasks: BackgroundTasks) -> None:
        adder("sub")(tasks)

    async def with_sub(_: Annotated[None, Depends(sub)]) -> None:
        pass

    handles: list[object] = []
    app, desk = durable(dependencies=[Depends(adder("app"))])
    router = APIRouter(dependencies=[Depends(adder("router"))])

    @router.get("/", dependencies=[Depends(adder("route"))])
    async def endpoint(tasks: BackgroundTasks, _: Annotated[None, Depends(with_sub)]) -> None:
        tasks.add_task(job)

    app.include_router(router, prefix="/r")
    request(app, "/r/")
    assert desk.ran == ["app", "router", "route", "sub", "job"]
    assert [type(handle) for handle in handles] == [Handle] * 4


def test_dependency_overrides() -> None:
    app, desk = durable()

    def dependency() -> int:
        return 1

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, value: int = Depends(dependency)) -> int:
        tasks.add_task(job)
        return value

    app.dependency_overrides[dependency] = lambda: 42
    assert request(app).json() == 42
    assert desk.ran == ["job"]


def test_override_that_adds_tasks() -> None:
    app, desk = durable()

    def dependency() -> None:
        pass

    @app.get("/")
    async def endpoint(_: Annotated[None, Depends(dependency)]) -> None:
        pass

    app.dependency_overrides[dependency] = _adds
    request(app)
    assert desk.ran == ["job"]


async def _produce(tasks: BackgroundTasks) -> AsyncIterator[bytes]:
    yield b"a"
    tasks.add_task(late)
    yield b"b"


def _produce_in_thread(tasks: BackgroundTasks) -> Iterator[bytes]:
    yield b"a"
    tasks.add_task(late)
    yield b"b"


@pytest.mark.parametrize("produce", [_produce, _produce_in_thread])
def test_streaming_response(produce: Callable[[BackgroundTasks], Any]) -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        tasks.add_task(job)
        return StreamingResponse(produce(tasks))

    assert request(app).content == b"ab"
    assert desk.events == [("commit", ["job"]), ("commit", ["late"]), ("run", ["job", "late"])]


@pytest.mark.skipif(not LIVE_ROUTERS, reason="FastAPI has no generator endpoints before 0.134")
@pytest.mark.parametrize("events", [False, True])
def test_generator_endpoint(events: bool) -> None:
    """JSON lines, and server-sent events."""
    app, desk = durable()
    options: dict[str, Any] = {}
    if events:
        from fastapi.sse import EventSourceResponse  # noqa: PLC0415 - missing in the oldest release

        options["response_class"] = EventSourceResponse

    @app.get("/", **options)
    async def endpoint(tasks: BackgroundTasks) -> AsyncIterable[int]:
        tasks.add_task(job)
        yield 1
        tasks.add_task(late)
        yield 2

    assert request(app).status_code == 200
    assert desk.kept == desk.ran == ["job", "late"]
    assert desk.kinds()[-1] == "run"


@pytest.mark.skipif(not TELEMETRY, reason="FastAPI has no frontends in the oldest release")
def test_frontend(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hi")
    app, desk = durable()
    app.router.dependencies.append(Depends(_adds))
    app.frontend("/", directory=str(tmp_path))
    assert request(app).text == "hi"
    assert desk.kept == desk.ran == ["job"]


def test_mounted_application_with_the_same_desk() -> None:
    """One exchange for both: what happens in the outer one counts for the tasks of the inner one."""
    parent, desk = durable()
    sub = FastAPI()
    install(sub, desk)
    adds(sub)

    @sub.get("/boom")
    async def boom(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        raise HTTPException(404)

    @parent.get("/")
    async def root(tasks: BackgroundTasks) -> None:
        tasks.add_task(own)

    parent.mount("/sub", sub)
    assert request(parent, "/sub/").status_code == 200
    assert request(parent, "/sub/boom").status_code == 404
    assert request(parent).status_code == 200
    assert desk.events == [
        ("commit", ["job"]),
        ("run", ["job"]),
        ("discard", ["job"], "HTTPException"),
        ("commit", ["own"]),
        ("run", ["own"]),
    ]


def test_mounted_application_that_raises() -> None:
    """Its answer 500 is made inside of the outer application's hooks, which must not take it for a returned one."""
    parent, desk = durable()
    sub = FastAPI()
    install(sub, desk)

    @sub.middleware("http")
    async def fails_late(incoming: Request, call_next: Any) -> Any:
        await call_next(incoming)
        message = "after the endpoint has returned"
        raise RuntimeError(message)

    adds(sub)
    parent.mount("/sub", sub)
    assert request(parent, "/sub/").status_code == 500
    assert desk.events == [("discard", ["job"], "RuntimeError")]


def test_mounted_application_with_a_desk_of_its_own() -> None:
    parent, outer = durable()
    sub, inner = durable()
    adds(sub)
    parent.mount("/sub", sub)
    request(parent, "/sub/")
    assert (outer.ran, inner.ran) == ([], ["job"])


def test_router_served_by_another_application() -> None:
    """Its tasks would silently be FastAPI's own."""
    app, _ = durable()
    adds(app)
    other = FastAPI()
    other.include_router(app.router)
    with pytest.raises(InstallError, match="Install Postlude in that one too"):
        TestClient(other).get("/")


def test_router_of_an_application_included_in_another_with_the_same_desk() -> None:
    app, desk = durable()
    adds(app)
    other, _ = durable(desk)
    other.include_router(app.router)
    request(other)
    assert desk.ran == ["job"]


def test_typed_variant_is_the_same_object() -> None:
    app, desk = durable()
    stock: list[object] = []

    async def dependency(tasks: BackgroundTasks) -> None:
        tasks.add_task(late)
        stock.append(tasks)

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: postlude.BackgroundTasks) -> None:
        tasks.add_task(job)
        stock.append(tasks)

    request(app)
    assert stock[0] is stock[1]
    assert desk.ran == ["late", "job"]


def test_concurrent_requests_are_apart() -> None:
    app, desk = durable()

    @app.get("/{number}")
    def endpoint(number: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(plain_task(number))

    def plain_task(number: int) -> Callable[[], None]:
        def task() -> None:
            pass

        task.__name__ = str(number)
        return task

    threads = [threading.Thread(target=request, args=(app, f"/{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(desk.ran) == [str(number) for number in range(8)]


# What is said at start


def _coverage(app: FastAPI, desk: RecordingDesk) -> Coverage:
    with TestClient(app):
        pass
    assert desk.coverage is not None
    return desk.coverage


def test_all_covered() -> None:
    app, desk = durable()
    adds(app)
    router, nested = APIRouter(), APIRouter()
    router.post("/r")(_adds)
    nested.get("/n")(_adds)
    router.include_router(nested, prefix="/nested")
    app.include_router(router, prefix="/in")

    @app.websocket("/ws")
    async def websocket() -> None:
        pass

    assert _coverage(app, desk) == Coverage(4, [])


def test_gaps_are_named(tmp_path: Path) -> None:
    app, desk = durable()

    async def starlette_route(_: Request) -> PlainTextResponse:
        return PlainTextResponse("x")

    app.add_route("/plain", starlette_route)
    app.mount("/starlette", Starlette(routes=[Route("/x", starlette_route)]))
    app.mount("/static", StaticFiles(directory=tmp_path))
    app.mount("/other", FastAPI())
    app.router.routes.append(APIRoute("/by-hand/{name}", _adds, methods=["POST"]))
    found = _coverage(app, desk)
    assert found.covered == 0
    assert found.gaps == [
        "/plain: a Starlette route, which FastAPI gives no background tasks",
        "/starlette: a mounted Starlette, which is not a FastAPI application",
        "/other: a mounted FastAPI application; install Postlude in it as well",
        "POST /by-hand/{name}: declared before Postlude was installed",
    ]


def test_mounted_application_is_walked() -> None:
    app, desk = durable()
    sub, wrapped = durable(desk)[0], durable(desk)[0]
    adds(sub)
    adds(wrapped)
    wrapped.add_route("/plain", lambda _: PlainTextResponse("x"))
    app.mount("/sub", sub)
    app.router.routes.append(Mount("/wrapped", app=CORSMiddleware(wrapped)))
    assert _coverage(app, desk) == Coverage(
        2, ["/wrapped/plain: a Starlette route, which FastAPI gives no background tasks"]
    )


def test_mounted_application_with_another_desk_is_not_covered_by_this_one() -> None:
    app, desk = durable()
    app.mount("/sub", durable()[0])
    assert _coverage(app, desk) == Coverage(0, ["/sub: a mounted FastAPI application; install Postlude in it as well"])


def test_documentation_elsewhere_is_no_gap() -> None:
    app, desk = durable(docs_url="/d", redoc_url=None, openapi_url="/o.json")
    assert _coverage(app, desk) == Coverage(0, [])
