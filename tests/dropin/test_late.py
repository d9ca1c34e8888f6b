"""Calls that are added after the response has started."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postlude.errors import StoreUnavailable
from postlude.request.exchange import Exchange
from tests.dropin.recording import Boom, RecordingDesk, Server, durable, job, late, own, request, until


def adds_at_exit(app: FastAPI, at_exit: Callable[[BackgroundTasks], object]) -> None:
    """An endpoint that adds a task, and a dependency that does this when it exits."""

    async def dependency(tasks: BackgroundTasks) -> AsyncIterator[None]:
        yield
        at_exit(tasks)

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)


def hands_out(app: FastAPI) -> list[BackgroundTasks]:
    """An endpoint that adds a task, and lets others add more to the same tasks."""
    held: list[BackgroundTasks] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> int:
        tasks.add_task(job)
        held.append(tasks)
        return 1

    return held


def test_after_the_yield_of_a_dependency() -> None:
    """Scenario 9; FastAPI alone never runs it."""
    app, desk = durable()
    adds_at_exit(app, lambda tasks: tasks.add_task(late))
    request(app)
    assert desk.events == [("commit", ["job"]), ("commit", ["late"]), ("run", ["job", "late"])]


def test_beside_a_background_of_the_response() -> None:
    app, desk = durable()
    done: list[str] = []

    async def dependency(tasks: BackgroundTasks) -> AsyncIterator[None]:
        yield
        tasks.add_task(late)

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(job)
        return Response("x", background=BackgroundTask(done.append, "own"))

    request(app)
    assert done == ["own"]
    assert desk.events == [("commit", ["job"]), ("commit", ["late"]), ("run", ["job", "late"])]


def test_one_chain() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def produce() -> AsyncIterator[bytes]:
            tasks.add_task(late)
            yield b"a"
            tasks.add_task(own)

        tasks.add_task(job)
        return StreamingResponse(produce())

    request(app)
    assert desk.kept == ["job", "late", "own"]
    assert len(desk.chains) == 1


async def test_the_next_chunk_waits_for_the_commit() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            tasks.add_task(late)
            yield b"b"

        return StreamingResponse(produce())

    server = Server(app)
    desk.gate = asyncio.Event()
    running = asyncio.create_task(server.get())
    await desk.committing.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert server.body == b"a"
    desk.gate.set()
    await running
    assert server.body == b"ab"
    assert desk.ran == ["late"]


async def test_the_last_message_waits_for_the_commit() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            tasks.add_task(late)

        return StreamingResponse(produce())

    server = Server(app)
    desk.gate = asyncio.Event()
    running = asyncio.create_task(server.get())
    await desk.committing.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert server.sent[-1]["more_body"] is True
    desk.gate.set()
    await running
    assert server.sent[-1]["more_body"] is False


async def test_added_while_the_first_commit_is_under_way() -> None:
    """It goes into a commit of its own behind the first, and no byte of the body passes before it is done."""
    app, desk = durable()
    held = hands_out(app)
    server = Server(app)
    desk.gate = asyncio.Event()
    running = asyncio.create_task(server.get())
    await desk.committing.wait()
    held[0].add_task(late)
    desk.gate.set()
    order: list[str] = []
    server.on_send = lambda message: order.append(f"{message['type']} {desk.kept}")
    await running
    assert order == ["http.response.start ['job']", "http.response.body ['job', 'late']"]
    assert desk.events == [("commit", ["job"]), ("commit", ["late"]), ("run", ["job", "late"])]


@pytest.mark.parametrize("fails", [False, True])
async def test_added_before_a_middleware_awaits_the_start_that_it_sends(fails: bool) -> None:
    """As one that sends in a task of its own does, to give up after some time: the answer waits for this call too."""
    app, desk = durable()
    held = hands_out(app)

    class Hesitate:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def hesitantly(message: Message) -> None:
                sending = send(message)
                if message["type"] == "http.response.start":
                    held[0].add_task(late)
                await sending

            await self.app(scope, receive, hesitantly)

    app.add_middleware(Hesitate)
    if fails:
        desk.break_store()
    server = Server(app)
    committed: list[list[str]] = []
    server.on_send = lambda _: committed.append(desk.kept)
    await server.get()
    if fails:
        assert (server.status, desk.discarded) == (503, ["job", "late"])
    else:
        assert (server.status, committed[0]) == (200, ["job", "late"])
        assert desk.ran == ["job", "late"]


def test_from_the_thread_of_a_generator() -> None:
    app, desk = durable()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        def produce() -> Iterator[bytes]:
            for chunk in (b"a", b"b", b"c"):
                tasks.add_task(late)
                yield chunk

        return StreamingResponse(produce())

    assert request(app).content == b"abc"
    assert desk.kept == desk.ran == ["late"] * 3


async def test_from_a_thread_only_what_a_thread_may() -> None:
    """A loop in debug mode refuses what is not safe there."""
    asyncio.get_running_loop().set_debug(True)
    app, desk = durable()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        def produce() -> Iterator[bytes]:
            yield b"a"
            tasks.add_task(late)

        return StreamingResponse(produce())

    await Server(app).get()
    assert desk.ran == ["late"]


def test_from_many_threads_while_the_response_starts() -> None:
    """Whichever way they meet the seal: each call is committed once and runs once."""
    app, desk = durable()
    count = 200

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        def add() -> None:
            for _ in range(count):
                tasks.add_task(job)

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()

        async def produce() -> AsyncIterator[bytes]:
            while any(thread.is_alive() for thread in threads):
                yield b"."
                await asyncio.sleep(0)

        return StreamingResponse(produce())

    assert request(app).status_code == 200
    assert len(desk.kept) == len(desk.ran) == 4 * count
    assert len({id(call) for call in desk.calls}) == 4 * count


def test_entry_put_into_the_list_by_hand() -> None:
    """Found at the end at the latest."""
    app, desk = durable()
    adds_at_exit(app, lambda tasks: tasks.tasks.append(BackgroundTask(late)))
    request(app)
    assert desk.kept == desk.ran == ["job", "late"]


def test_mistake_in_an_entry_made_by_hand_comes_out_and_harms_no_other() -> None:
    app, desk = durable()

    class Broken(BackgroundTask):
        def __init__(self) -> None:
            vars(self).update(func="no function", args=(), kwargs={})

    def at_exit(tasks: BackgroundTasks) -> None:
        tasks.tasks.append(Broken())
        tasks.add_task(late)

    adds_at_exit(app, at_exit)
    server = Server(app)
    with pytest.raises(TypeError, match="no function"):
        asyncio.run(server.get())
    assert server.status == 200
    assert desk.ran == ["job", "late"]


def test_exception_after_the_response_discards_nothing() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            tasks.add_task(late)
            raise Boom

        tasks.add_task(job)
        return StreamingResponse(produce())

    request(app)
    assert desk.kept == desk.ran == ["job", "late"]


# The commit fails


@pytest.mark.parametrize("swallowed", [False, True])
async def test_stream_is_broken_off(swallowed: bool) -> None:
    """The client sees that the answer is incomplete; what had been committed before runs all the same."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            desk.break_store()
            tasks.add_task(late)
            yield b"b"
            yield b"c"

        tasks.add_task(job)
        return StreamingResponse(produce())

    if swallowed:

        @app.middleware("http")
        async def swallow(incoming: Any, call_next: Any) -> Any:
            response = await call_next(incoming)

            async def body() -> AsyncIterator[Any]:
                try:
                    async for chunk in response.body_iterator:
                        yield chunk
                except StoreUnavailable:
                    pass

            return StreamingResponse(body())

    server = Server(app)
    with pytest.raises(StoreUnavailable, match="broken off") as caught:
        await server.get()
    assert str(caught.value.__cause__) == "the disk is full"
    assert server.body == b"a"
    assert server.sent[-1]["more_body"] is True
    assert desk.events == [
        ("commit", ["job"]),
        ("failed", ["late"]),
        ("discard", ["late"], "StoreUnavailable"),
        ("run", ["job"]),
    ]


async def test_stream_is_broken_off_even_if_a_middleware_hides_the_exception() -> None:
    app, desk = durable()

    class Hide:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            with contextlib.suppress(StoreUnavailable):
                await self.app(scope, receive, send)

    app.add_middleware(Hide)

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            desk.break_store()
            tasks.add_task(late)
            yield b"b"

        return StreamingResponse(produce())

    server = Server(app)
    with pytest.raises(StoreUnavailable, match="broken off"):
        await server.get()
    assert server.body == b"a"


def test_too_late_to_refuse() -> None:
    """The last byte has gone out: it runs without having been stored, and that is reported."""
    app, desk = durable()

    def at_exit(tasks: BackgroundTasks) -> None:
        desk.break_store()
        tasks.add_task(late)

    adds_at_exit(app, at_exit)
    assert request(app).status_code == 200
    assert desk.events == [
        ("commit", ["job"]),
        ("failed", ["late"]),
        ("unsaved", ["late"], "StoreUnavailable"),
        ("run", ["job", "late"]),
    ]


def test_a_bug_in_a_late_commit_does_not_keep_the_others_from_running() -> None:
    app, desk = durable()

    def at_exit(tasks: BackgroundTasks) -> None:
        desk.failing = ZeroDivisionError()
        tasks.tasks.append(BackgroundTask(late))

    adds_at_exit(app, at_exit)
    asyncio.run(Server(app).get())
    assert desk.events[-2:] == [("unsaved", ["late"], "ZeroDivisionError"), ("run", ["job", "late"])]
    assert desk.ran == ["job", "late"]


def test_a_bug_in_a_late_commit_breaks_the_response_off() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        tasks.add_task(job)

        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            desk.failing = ZeroDivisionError()
            tasks.add_task(late)
            yield b"b"

        return StreamingResponse(produce())

    server = Server(app)
    with pytest.raises(StoreUnavailable, match="broken off"):
        asyncio.run(server.get())
    assert server.body == b"a"
    assert desk.reasons == ["the commit failed: ZeroDivisionError()"]
    assert desk.ran == ["job"]


def test_added_on_another_loop() -> None:
    """That loop's thread must not touch what belongs to the loop of the request."""
    app, desk = durable()
    threads: list[int] = []
    desk.discard = lambda *_: threads.append(threading.get_ident())  # type: ignore[method-assign]

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        threads.append(threading.get_ident())

        def produce() -> Iterator[bytes]:
            yield b"a"

            async def elsewhere() -> None:
                tasks.add_task(late)
                tasks.options(if_raised="only").add_task(own)  # type: ignore[attr-defined]

            asyncio.run(elsewhere())
            yield b"b"

        return StreamingResponse(produce())

    server = Server(app)
    asyncio.run(server.get())
    assert server.body == b"ab"
    assert desk.ran == ["late"]
    assert threads == [threads[0]] * 2


async def test_the_seal_is_set_before_the_list_is_looked_at() -> None:
    """So a thread that puts an entry in at that very moment sees the seal, and says so."""
    seen: list[bool] = []

    class Watched(list[Any]):
        def __bool__(self) -> bool:
            seen.append(exchange.sealed)
            return len(self) > 0

    async def send(_: Message) -> None:
        pass

    exchange = Exchange(RecordingDesk(), send)
    exchange.begin(BackgroundTasks(), {})
    assert exchange.tasks
    exchange.tasks.tasks = Watched()
    await exchange.send({"type": "http.response.start"})
    assert seen == [True]


# After the end


@pytest.mark.parametrize("worker", [False, True])
async def test_after_the_request_is_over(worker: bool) -> None:
    app, desk = durable(RecordingDesk(worker=worker))
    held: list[BackgroundTasks] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        held.append(tasks)

    await Server(app).get()
    held[0].add_task(late)
    held[0].add_task(own)
    await until(lambda: desk.ran == ["late", "own"])
    assert desk.kinds() == ["commit", "commit", "run", "run"]
    assert len(desk.chains) == 2


async def test_after_the_request_is_over_from_a_thread() -> None:
    app, desk = durable()
    held = hands_out(app)
    await Server(app).get()
    await asyncio.to_thread(held[0].add_task, late)
    await until(lambda: desk.ran == ["job", "late"])


@pytest.mark.parametrize("complete", [False, True])
async def test_after_the_request_is_over_and_the_commit_fails(complete: bool) -> None:
    app, desk = durable()
    held: list[BackgroundTasks] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> StreamingResponse:
        held.append(tasks)

        async def produce() -> AsyncIterator[bytes]:
            yield b"a"
            if not complete:
                raise Boom

        return StreamingResponse(produce())

    with contextlib.suppress(Boom):
        await Server(app).get()
    desk.break_store()
    held[0].add_task(late)
    await until(lambda: desk.ran == ["late"])
    assert desk.kinds() == ["failed", "unsaved", "run"]


def test_task_that_adds_a_task() -> None:
    """Without a worker the request waits for that one as well, so that a test sees its effect."""
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        async def adds_another() -> None:
            tasks.add_task(late)

        tasks.add_task(adds_another)

    request(app)
    assert desk.ran == ["adds_another", "late"]
    assert desk.events == [
        ("commit", ["adds_another"]),
        ("run", ["adds_another"]),
        ("commit", ["late"]),
        ("run", ["late"]),
    ]
