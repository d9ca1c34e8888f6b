"""Starlette's own tests of background tasks, through FastAPI's injection: what is kept, and what is changed and why."""

from collections.abc import AsyncIterator

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Response
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteTasks

from tests.dropin.middlewares import Catch
from tests.dropin.recording import Handle, RecordingDesk, Server, durable, job, late, own, plain, request


def test_async_task() -> None:
    """Kept: it runs, and the response is what the endpoint returned."""
    app, desk = durable()
    done: list[str] = []

    async def task(text: str, *, end: str) -> None:
        done.append(text + end)

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(task, "a", end="!")
        return Response("task initiated", media_type="text/plain")

    assert request(app).text == "task initiated"
    assert done == ["a!"]
    assert desk.events == [("commit", ["task"]), ("run", ["task"])]


def test_sync_task() -> None:
    """Kept."""
    app, desk = durable()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(plain)
        return "task initiated"

    assert request(app).json() == "task initiated"
    assert desk.ran == ["plain"]


def test_multiple_tasks() -> None:
    """Kept: they run in the order in which they were added."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        for task in (job, plain, late):
            tasks.add_task(task)

    request(app)
    assert desk.ran == ["job", "plain", "late"]


def test_multi_tasks_failure_avoids_next_execution() -> None:
    """Kept in substance: they are handed over as one chain, which stops at a failure. Changed: the failure stays there.

    Starlette lets the exception of a task out of the ASGI call, after the response; here it is the job's.
    """
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        tasks.add_task(late)

    request(app)
    assert desk.events == [("commit", ["job", "late"]), ("run", ["job", "late"])]
    assert [call.options.ordered for call in desk.calls] == [True, True]


def test_response_with_a_background_of_its_own() -> None:
    """Changed: FastAPI drops the injected tasks when the response has a background; here both run."""
    app, desk = durable()
    done: list[str] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(job)
        return Response("x", background=BackgroundTask(done.append, "own"))

    request(app)
    assert done == ["own"]
    assert desk.ran == ["job"]


def test_injected_object_as_the_background() -> None:
    """Kept: what is passed explicitly runs once."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(job)
        return Response("x", background=tasks)

    request(app)
    assert desk.ran == ["job"]


def test_entries_copied_into_a_list_of_ones_own() -> None:
    """Kept: each runs once, the copied ones by Postlude and the others by the response."""
    app, desk = durable()
    done: list[str] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(done.append, "injected")
        background = StarletteTasks(tasks.tasks)
        background.add_task(done.append, "own")
        return Response("x", background=background)

    request(app)
    assert sorted(done) == ["injected", "own"]
    assert desk.ran == ["append"]


def test_entries_copied_from_another_request() -> None:
    """Kept: the request that added it runs it; here it is not run a second time."""
    app, desk = durable()
    held: list[BackgroundTask] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.tasks.extend(held)
        tasks.add_task(late if held else job)
        held.append(tasks.tasks[-1])

    request(app)
    request(app)
    assert desk.kept == desk.ran == ["job", "late"]


def test_entry_put_into_the_list_by_hand() -> None:
    """Kept, and durable: it is found when the response starts."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        tasks.tasks.append(BackgroundTask(late))

    request(app)
    assert desk.kept == desk.ran == ["job", "late"]


def test_entry_of_a_class_of_ones_own_put_into_the_list() -> None:
    """Kept: what it does when it is called is what runs."""
    app, desk = durable()
    done: list[str] = []

    class Mine(BackgroundTask):
        async def __call__(self) -> None:
            done.append("mine")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.tasks.append(Mine(job))

    request(app)
    assert done == ["mine"]
    assert desk.kept == ["Mine"]


def test_list_replaced_or_emptied() -> None:
    """Kept: what is in the list when the response starts is what runs."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        tasks.tasks = [BackgroundTask(late)]

    request(app)
    assert desk.ran == ["late"]


def test_mistake_in_an_entry_made_by_hand() -> None:
    """Changed: it is seen when the response starts, so the answer is 500 and nothing runs."""
    app, desk = durable()

    class Broken(BackgroundTask):
        def __init__(self) -> None:
            vars(self).update(func="no function", args=(), kwargs={})

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        tasks.tasks.append(Broken())

    assert request(app).status_code == 500
    assert desk.events == [("discard", ["job"], "CallError")]


def test_added_after_a_mistake_in_an_entry_made_by_hand() -> None:
    """No answer has started, so what unwinds now adds in vain."""
    app, desk = durable()
    app.add_middleware(Catch)

    class Broken(BackgroundTask):
        def __init__(self) -> None:
            vars(self).update(func="no function", args=(), kwargs={})

    async def dependency(tasks: BackgroundTasks) -> AsyncIterator[None]:
        try:
            yield
        finally:
            tasks.add_task(late)

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.tasks.append(Broken())

    assert request(app).json() == {"caught": 1}
    assert desk.discarded == ["late"]
    assert desk.kept == []


def test_calling_the_injected_object_early() -> None:
    """Changed: Starlette runs the tasks there and then, and again after the response; here they run once, after it."""
    app, desk = durable()
    early: list[str] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)
        await tasks()
        early.extend(desk.ran)

    request(app)
    assert early == []
    assert desk.ran == ["job"]


async def test_calling_an_entry_that_is_still_in_the_list() -> None:
    """Kept: it is the caller's affair, and the task runs after the response all the same."""
    app, desk = durable()
    done: list[str] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, "x")
        await tasks.tasks[0]()

    await Server(app).get()
    assert done == ["x", "x"]
    assert desk.ran == ["append"]


def test_the_injected_object_is_fastapis() -> None:
    """Kept: its class derives from FastAPI's, its entries look like Starlette's. New: `add_task` returns the job."""
    app, desk = durable()
    seen: list[object] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        handle = tasks.add_task(func=job)  # type: ignore[func-returns-value]
        entry = tasks.tasks[0]
        seen.extend([isinstance(tasks, BackgroundTasks), entry.func, entry.args, entry.kwargs, handle])

    request(app)
    *face, handle = seen
    assert face == [True, job, (), {}]
    assert isinstance(handle, Handle)
    assert handle.id == desk.calls[0].id


def test_a_mistake_is_raised_at_the_line_that_makes_it() -> None:
    app, desk = durable()
    raised: list[str] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        try:
            tasks.add_task("no function")  # type: ignore[arg-type]
        except TypeError as error:
            raised.append(str(error))

    assert request(app).status_code == 200
    assert raised == ["expected a function, got 'no function'"]
    assert desk.events == []


def test_a_request_without_tasks_asks_nothing_of_the_engine() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> int:
        return 1

    @app.get("/none")
    async def none() -> int:
        return 2

    assert (request(app).json(), request(app, "/none").json()) == (1, 2)
    assert desk.events == []


async def test_nothing_of_the_request_is_kept_in_a_cycle() -> None:
    """Objects that point at each other stay in memory until the garbage collector runs."""
    app, desk = durable(RecordingDesk(worker=True))
    kept: list[BackgroundTasks] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(own)
        kept.append(tasks)

    await Server(app).get()
    exchange = vars(kept[0])["_exchange"]
    assert exchange.over
    assert exchange.tasks is None
    await desk.idle()


@pytest.mark.parametrize("hooked", [False, True])
def test_openapi_and_docs_do_not_change(hooked: bool) -> None:
    def build() -> FastAPI:
        app = durable()[0] if hooked else FastAPI()

        @app.post("/items/{item}")
        async def endpoint(item: int, tasks: BackgroundTasks, q: str = "") -> int:
            return item

        return app

    stock = FastAPI()

    @stock.post("/items/{item}")
    async def endpoint(item: int, tasks: BackgroundTasks, q: str = "") -> int:
        return item

    app = build()
    assert app.openapi() == stock.openapi()
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert request(app, path).text == request(stock, path).text
