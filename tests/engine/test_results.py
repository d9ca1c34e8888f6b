"""What an attempt hands over of its result, in every place where it may run."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, field_serializer, model_serializer

from postlude.codec.results import SMALL, Results, reason_unstored
from postlude.executors.around import AroundExecutor
from postlude.executors.completed import Arguments, CompletedExecutor
from postlude.executors.contract import Executor, Work
from postlude.executors.loop import LoopExecutor
from postlude.executors.threads import ThreadExecutor
from postlude.job import Outcome, Succeeded
from tests.engine.fakes import FakeClock, until


def work(function: Callable[..., Any], *args: Any) -> Work:
    return Work("main:f", function, args, {}, contextvars.copy_context())


async def run(executor: Executor, work: Work) -> Outcome:
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    executor.begin(work, ended.set_result)
    return await ended


async def run_for_result(executor: Executor, function: Callable[..., Any], *args: Any) -> Outcome:
    """As for a job, whose result is kept."""
    return await run(executor, work(function, *args)._replace(results=Results(function)))


@pytest.fixture
def loop() -> LoopExecutor:
    return LoopExecutor(FakeClock(), lambda *_: None)


@pytest.fixture
def threads() -> Iterator[ThreadExecutor]:
    executor = ThreadExecutor(2)
    yield executor
    executor.close()


class Report(BaseModel):
    """Notes in which thread it is written down."""

    text: str

    @field_serializer("text")
    def note(self, text: str) -> str:
        written_in.add(threading.get_ident())
        return text


written_in: set[int] = set()


async def report_async(size: int) -> Report:
    return Report(text="x" * size)


def report(size: int) -> Report:
    return Report(text="x" * size)


async def nothing_async() -> None: ...


def nothing() -> None: ...


class Unruly(BaseModel):
    @model_serializer
    def refuse(self) -> dict[str, Any]:
        raise ConnectionError


async def unruly_async() -> Unruly:
    return Unruly()


def unruly() -> Unruly:
    return Unruly()


@pytest.fixture(params=["loop", "threads", "around", "completed"])
def place(request: pytest.FixtureRequest, loop: LoopExecutor, threads: ThreadExecutor) -> tuple[Executor, bool]:
    """An executor, and whether it runs coroutines."""

    async def around(attempt: Callable[[], Awaitable[None]]) -> None:
        await attempt()

    @contextlib.asynccontextmanager
    async def complete(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AsyncIterator[Arguments]:
        yield args, dict(kwargs)

    places: dict[str, tuple[Executor, bool]] = {
        "loop": (loop, True),
        "threads": (threads, False),
        "around": (AroundExecutor(loop, around), True),
        "completed": (CompletedExecutor(threads, complete), False),
    }
    return places[request.param]


async def test_what_it_returns_is_in_the_outcome(place: tuple[Executor, bool]) -> None:
    executor, on_loop = place
    assert await run_for_result(executor, report_async if on_loop else report, 2) == Succeeded('{"text":"xx"}')
    assert await run_for_result(executor, nothing_async if on_loop else nothing) == Succeeded()
    # Where nobody could read it, it is not even looked at.
    written_in.clear()
    assert await run(executor, work(report_async if on_loop else report, 2)) == Succeeded()
    assert not written_in


async def test_a_result_that_cannot_be_written_leaves_a_success(place: tuple[Executor, bool]) -> None:
    executor, on_loop = place
    outcome = await run_for_result(executor, unruly_async if on_loop else unruly)
    assert isinstance(outcome, Succeeded)
    assert outcome.result is not None
    assert "ConnectionError" in str(reason_unstored(outcome.result))


@pytest.mark.parametrize(("size", "in_the_loops_thread"), [(SMALL // 2, True), (SMALL * 2, False)])
async def test_a_large_result_is_not_written_on_the_event_loop(
    loop: LoopExecutor, size: int, in_the_loops_thread: bool
) -> None:
    written_in.clear()
    outcome = await run_for_result(loop, report_async, size)
    assert outcome == Succeeded(f'{{"text":"{"x" * size}"}}')
    assert (written_in == {threading.get_ident()}) is in_the_loops_thread


async def test_a_coroutine_that_has_returned_cannot_be_cancelled(loop: LoopExecutor) -> None:
    held, goes_on = threading.Event(), threading.Event()

    class Slow(Results):
        def encode(self, value: object) -> str | None:
            held.set()
            goes_on.wait(30)
            return super().encode(value)

    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    running = loop.begin(work(report_async, SMALL * 2)._replace(results=Slow(report_async)), ended.set_result)
    await until(held.is_set)
    running.cancel()
    goes_on.set()
    assert isinstance(await ended, Succeeded)
