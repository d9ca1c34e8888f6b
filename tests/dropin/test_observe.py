"""Starlette's contract of background tasks, and what becomes of them in FastAPI: the same, observed and not.

Each case is an application whose tasks write down what they do, and in which thread; it is asked once as it is, and
once with `Postlude(app, mode="observe")`. What the record says of it is compared, too.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteTasks
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.websockets import WebSocketDisconnect

from postlude import BackgroundTasks as TypedTasks
from postlude import Postlude
from postlude.stock.audit import audit
from postlude.stock.files import RecordFile
from postlude.stock.record import Fate
from tests.dropin.recording import Boom, Server, TestClient

Case = Callable[[FastAPI], None]
Fates = dict[str, int]

notes: list[str] = []


def note(what: str) -> None:
    thread = threading.current_thread()
    notes.append(f"{what} in {'the main thread' if thread is threading.main_thread() else 'a thread'}")


async def on_loop(what: str, *, end: str = "") -> str:
    note(what + end)
    return "ignored"


def in_thread(what: str) -> None:
    note(what)


def fails(what: str) -> None:
    note(what)
    raise Boom(what)


class Task:
    async def __call__(self, what: str) -> None:
        note(what)


# -- the cases, each with what the record says of it

CASES: list[tuple[Case, Fates]] = []


def case(**fates: int) -> Callable[[Case], Case]:
    def listed(make: Case) -> Case:
        CASES.append((make, fates))
        return make

    return listed


@case(succeeded=4)
def in_order(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(on_loop, "first", end="!")
        tasks.add_task(in_thread, "second")
        tasks.add_task(Task(), "third")
        tasks.add_task(lambda: note("fourth"))
        return "answer"


@case(succeeded=2)
def from_a_sync_endpoint_and_a_dependency(app: FastAPI) -> None:
    async def dependency(tasks: BackgroundTasks) -> AsyncIterator[None]:
        tasks.add_task(on_loop, "first")
        yield
        note("exit")

    @app.get("/", dependencies=[Depends(dependency)])
    def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(in_thread, "second")
        return "answer"


@case(succeeded=1, failed=1, skipped=1)
def one_that_raises_stops_the_rest(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        for task in (in_thread, fails, in_thread):
            tasks.add_task(task, task.__name__)
        return "answer"


@case(discarded=1)
def an_endpoint_that_raises(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(in_thread, "never")
        raise Boom


@case(discarded=1)
def an_endpoint_that_raises_what_is_answered(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(in_thread, "never")
        raise HTTPException(418)


@case(discarded=1)
def an_answer_that_is_not_valid(app: FastAPI) -> None:
    @app.get("/", response_model=int)
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(in_thread, "never")
        return "no number"


@case(succeeded=1)
def a_returned_error_keeps_them(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(in_thread, "kept")
        return JSONResponse("sorry", 500)


@case(dropped=1)
def a_response_with_a_background_of_its_own(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(in_thread, "dropped by FastAPI")
        return JSONResponse("answer", background=BackgroundTask(note, "own"))


@case(succeeded=1)
def the_injected_object_as_the_background(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(in_thread, "once")
        return JSONResponse("answer", background=tasks)


@case(succeeded=1)
def copied_into_a_list_of_ones_own(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(in_thread, "injected")
        own = StarletteTasks([BackgroundTask(note, "own"), *tasks.tasks])
        return JSONResponse("answer", background=own)


@case(succeeded=2)
def added_while_the_answer_is_sent_and_by_a_task(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"a"
            tasks.add_task(adds)
            yield b"b"

        def adds() -> None:
            note("first")
            tasks.add_task(in_thread, "second")

        return StreamingResponse(chunks())


@case(dropped=1)
def an_answer_that_breaks_off(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"a"
            raise Boom

        tasks.add_task(in_thread, "never")
        return StreamingResponse(chunks())


@case(failed=2, skipped=1)
def what_cannot_be_called(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, second: bool = False) -> str:
        tasks.add_task(None if second else on_loop, "an argument", "too many")  # type: ignore[arg-type]
        tasks.add_task(in_thread, "never") if second else None
        return "answer"

    @app.get("/second")
    async def other(tasks: BackgroundTasks) -> str:
        return await endpoint(tasks, second=True)


@case(succeeded=2)
def behind_middleware(app: FastAPI) -> None:
    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["seen"] = "yes"
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    in_order_of_two(app)


def in_order_of_two(app: FastAPI) -> None:
    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(on_loop, "first")
        tasks.add_task(in_thread, "second")
        return "answer"


# -- and how they are asked


def answers(make: Case, url: str | None) -> tuple[list[Any], list[str]]:
    """What a client and the server see of each request, and what the tasks did."""
    app = FastAPI()
    durable = Postlude(app, url, mode="observe") if url else None
    make(app)
    seen: list[Any] = []
    notes.clear()
    for path in sorted(getattr(route, "path", "") for route in app.routes):
        if path in {"/", "/second"}:
            server, raised = Server(app), ""
            try:
                asyncio.run(server.get(path))
            except Exception as error:  # noqa: BLE001 - whatever reaches the server
                raised = f"{type(error)} {error.args!r}"
            seen.append((server.sent, raised))
    if durable is not None:
        recorder_of(durable).close()
    return seen, list(notes)


def recorder_of(durable: Postlude) -> Any:
    return durable._observer.here()[0]


def recorded(folder: Path) -> Fates:
    found = audit(folder / "jobs.db-observed")
    assert found is not None
    return {str(fate): times for fate in Fate if (times := found.count(fate))}


@pytest.mark.parametrize(("make", "fates"), CASES, ids=[make.__name__ for make, _ in CASES])
def test_nothing_is_different_and_it_is_recorded(make: Case, fates: Fates, tmp_path: Path) -> None:
    stock = answers(make, None)
    assert answers(make, f"sqlite:///{tmp_path}/jobs.db") == stock
    assert recorded(tmp_path) == fates


def test_a_websocket_whose_tasks_fastapi_never_runs(tmp_path: Path) -> None:
    app = FastAPI()
    durable = Postlude(app, f"sqlite:///{tmp_path}/jobs.db", mode="observe")

    @app.websocket("/")
    async def endpoint(socket: WebSocket, tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(in_thread, "never")
        await socket.send_text("added")
        await socket.receive_text()  # which raises, since the client is gone

    notes.clear()

    def visit() -> None:
        with TestClient(app).websocket_connect("/") as socket:
            socket.receive_text()

    with pytest.raises(WebSocketDisconnect):
        visit()
    recorder_of(durable).close()
    assert notes == []
    assert recorded(tmp_path) == {"dropped": 1}


def test_a_request_that_is_cancelled_after_its_answer(tmp_path: Path) -> None:
    app = FastAPI()
    durable = Postlude(app, f"sqlite:///{tmp_path}/jobs.db", mode="observe")

    async def cancelled() -> None:
        requests[0].cancel()
        await asyncio.Event().wait()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(cancelled)
        tasks.add_task(in_thread, "never")

    async def ask() -> None:
        requests.append(asyncio.create_task(Server(app).get()))
        await requests[0]

    requests: list[asyncio.Task[None]] = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ask())
    recorder_of(durable).close()
    assert recorded(tmp_path) == {"cancelled": 2}


def test_a_disk_that_stands_still_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastAPI()
    durable = Postlude(app, f"sqlite:///{tmp_path}/jobs.db", mode="observe")
    in_order_of_two(app)
    stands, goes_on = threading.Event(), threading.Event()
    write = RecordFile.write

    def wait(*args: Any) -> None:
        stands.set()
        assert goes_on.wait(60)
        write(*args)

    monkeypatch.setattr(RecordFile, "write", wait)
    client = TestClient(app)
    client.get("/")
    assert stands.wait(60)
    notes.clear()
    assert client.get("/").json() == "answer"
    assert len(notes) == 2
    assert not goes_on.is_set()
    goes_on.set()
    recorder_of(durable).close()
    assert recorded(tmp_path) == {"succeeded": 4}


def test_code_that_was_written_for_durable_tasks_runs(tmp_path: Path) -> None:
    app = FastAPI()
    Postlude(app, f"sqlite:///{tmp_path}/jobs.db", mode="observe")

    @app.get("/")
    async def endpoint(tasks: TypedTasks) -> str:
        return str(tasks.options(delay=60, ordered=False).add_task(in_thread, "at once").id)

    notes.clear()
    assert len(TestClient(app).get("/").json()) == 36
    assert notes == ["at once in a thread"]


def test_one_in_whose_arguments_something_is_wrong_is_not_noticed(tmp_path: Path) -> None:
    """What observing itself runs into is nobody's business."""

    class Odd:
        @property  # type: ignore[misc]  # which is what is odd
        def __class__(self) -> type:
            raise Boom

    app = FastAPI()
    Postlude(app, f"sqlite:///{tmp_path}/jobs.db", mode="observe")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(odd, Odd())

    def odd(what: object) -> None:
        note("odd")

    notes.clear()
    assert TestClient(app).get("/").status_code == 200
    assert notes == ["odd in a thread"]


def test_what_is_only_observed_has_no_file_until_something_is_added(tmp_path: Path) -> None:
    app = FastAPI()
    Postlude(app, f"sqlite:///{tmp_path}/jobs.db", mode="observe")

    @app.get("/")
    async def endpoint() -> None: ...

    assert TestClient(app).get("/").status_code == 200
    assert list(tmp_path.iterdir()) == []
