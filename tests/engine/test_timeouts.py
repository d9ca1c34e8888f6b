"""An attempt that runs longer than it may, on a real store, with time that stands still."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from postlude.context import cancel_requested
from postlude.control import Cancel
from postlude.errors import TaskDeclarationError
from postlude.events import AttemptGoesOn, AttemptSlow, AttemptUnstoppable, ThreadAbandoned, ThreadsExhausted
from postlude.executors.threads import ThreadExecutor
from postlude.job import JobState
from postlude.running.oversight import END_WITHIN, RECORD_AFTER, SLOW_AFTER
from postlude.settings import Concurrency
from postlude.tasks import task
from tests.engine import elsewhere_tasks
from tests.engine.conftest import Engine
from tests.engine.fakes import turns, until

ran: list[str] = []
release = threading.Event()


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    ran.clear()
    elsewhere_tasks.seen.clear()
    release.clear()
    yield
    release.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool
        elsewhere_tasks.never.set()
    elsewhere_tasks.never.clear()


@task(timeout=5)
async def waits() -> None:
    ran.append("waits")
    await asyncio.Event().wait()


@task(timeout=timedelta(seconds=5), retries=1, backoff=60)
async def ignores_it() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        ran.append("ignored")


@task(timeout=5)
async def goes_on() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await until(release.is_set)


@task(timeout=0.25)
async def short() -> None:
    await asyncio.Event().wait()


@task(timeout=5, retries=1, backoff=0)
def stuck() -> None:
    ran.append("stuck")
    release.wait(30)


@task(timeout=5)
def looks() -> None:
    ran.append("looks")
    while not cancel_requested():
        release.wait(0.001)
    raise Cancel


async def takes_its_time() -> None:
    await asyncio.Event().wait()


async def quick() -> None:
    ran.append("quick")


def note() -> None:
    ran.append("note")


def _ran(number: int) -> bool:
    return len(ran) == number


async def over(engine: Engine, seconds: float = 5) -> float | None:
    await turns()
    engine.clock.advance(seconds)
    return await engine.attempts.run_once()


async def test_a_coroutine_is_cancelled_and_has_failed(engine: Engine) -> None:
    call = await engine.staged(waits)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    assert await over(engine, 4.5) == pytest.approx(0.5), "it looks again when the time is over, and not later"
    assert not ending.done()
    await over(engine, 0.5)
    await ending
    record = await engine.record(call)
    assert (record.state, record.attempt) == (JobState.FAILED, 1)
    assert record.reason == "TimeoutError: it ran longer than its timeout of 5 s"


async def test_one_shorter_than_the_look_is_seen_in_time(engine: Engine) -> None:
    call = await engine.staged(short)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    delay = await engine.attempts.run_once()
    assert delay == pytest.approx(0.25)
    assert RECORD_AFTER > 0.25
    await over(engine, 0.25)
    await ending
    assert (await engine.record(call)).state is JobState.FAILED


async def test_what_it_makes_of_it_does_not_count_and_it_is_tried_again(engine: Engine) -> None:
    call = await engine.staged(ignores_it)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await over(engine)
    await ending
    record = await engine.record(call)
    assert ran == ["ignored"]
    assert (record.state, record.attempt, record.run_at) == (JobState.QUEUED, 1, engine.clock.now() + 60)


@pytest.mark.parametrize("concurrency", [Concurrency(loop=1, threads=1)])
async def test_a_thread_is_left_alone_and_another_takes_its_place(engine: Engine) -> None:
    call, other = await engine.staged(stuck), await engine.staged(note)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    waiting = asyncio.ensure_future(engine.attempts.run(other))
    await until(lambda: ran)
    await over(engine)
    await waiting
    assert ran == ["stuck", "note"]
    (event,) = engine.heard.of(ThreadAbandoned)
    assert (event.job_id, event.replaced) == (call.id, True)
    assert (await engine.record(call)).state is JobState.RUNNING, "it still has its claim: it may still do its work"

    release.set()
    await ending
    record = await engine.record(call)
    assert (record.state, record.attempt) == (JobState.QUEUED, 1), "what it returned counts as no success"
    assert record.failure is not None
    assert record.failure.type == "TimeoutError"
    assert engine.attempts.slots.free("thread") == 1


@pytest.mark.parametrize("concurrency", [Concurrency(loop=1, threads=1)])
async def test_when_too_many_are_stuck_none_takes_their_place(engine: Engine) -> None:
    calls = [await engine.staged(stuck) for _ in range(3)]
    endings = [asyncio.ensure_future(engine.attempts.run(call)) for call in calls]
    for number in (1, 2):
        await until(partial(_ran, number))
        await over(engine)
    assert [event.replaced for event in engine.heard.of(ThreadAbandoned)] == [True, False]
    assert engine.attempts.slots.free("thread") == 0
    release.set()
    await asyncio.gather(*endings)
    await until(lambda: engine.attempts.idle)
    assert engine.attempts.slots.free("thread") == 1


@pytest.mark.parametrize("concurrency", [Concurrency(loop=1, threads=2)])
async def test_when_no_thread_is_left_that_is_said_once_and_what_comes_stays_in_the_queue(engine: Engine) -> None:
    calls = [await engine.queue(stuck) for _ in range(4)]
    for number in (2, 4):
        await engine.worker.run_once()
        await until(partial(_ran, number))
        assert not engine.attempts.worn_out
        await over(engine)
    assert engine.attempts.worn_out
    assert engine.heard.of(ThreadsExhausted) == [ThreadsExhausted((calls[0].definition.name,))]
    waiting = await engine.staged(note)
    gone = asyncio.ensure_future(engine.attempts.run(waiting))
    await over(engine, RECORD_AFTER)
    await gone
    await engine.worker.run_once()
    await engine.attempts.run(await engine.staged(quick))
    assert (await engine.record(waiting)).state is JobState.QUEUED
    assert ran == ["stuck"] * 4 + ["quick"], "only threads are worn out"

    release.set()
    await until(lambda: engine.attempts.empty)
    assert not engine.attempts.worn_out
    while "note" not in ran:  # beside the second tries of the others
        await engine.worker.run_once()
        await until(lambda: engine.attempts.empty)


async def test_a_registered_executor_that_does_not_give_it_up_is_named(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    engine.executors.register("pool", threads)
    call = await engine.staged(elsewhere_tasks.outlives_its_timeout)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await until(lambda: elsewhere_tasks.seen and not engine.attempts._running[call.id].can_end)
    await over(engine)
    assert engine.heard.of(ThreadAbandoned) == []
    assert engine.heard.of(AttemptUnstoppable) == [AttemptUnstoppable(call.id, call.definition.name, "pool", 1)]
    elsewhere_tasks.never.set()
    await ending
    assert (await engine.record(call)).reason == "TimeoutError: it ran longer than its timeout of 5 s"


async def test_a_function_that_looks_ends_by_itself(engine: Engine) -> None:
    call = await engine.staged(looks)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await until(lambda: ran)
    await over(engine)
    await ending
    assert (await engine.record(call)).reason == "TimeoutError: it ran longer than its timeout of 5 s"


async def test_a_coroutine_that_goes_on_is_named_once_and_has_failed_when_it_ends(engine: Engine) -> None:
    call = await engine.staged(goes_on)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await over(engine)
    await over(engine, END_WITHIN - 1)
    assert engine.heard.of(AttemptGoesOn) == []
    for _ in range(3):
        await over(engine, 1)
    assert engine.heard.of(AttemptGoesOn) == [AttemptGoesOn(call.id, call.definition.name, END_WITHIN, 1)]
    release.set()
    await ending
    assert (await engine.record(call)).reason == "TimeoutError: it ran longer than its timeout of 5 s"


async def test_one_without_a_timeout_is_named_once_after_five_minutes(engine: Engine) -> None:
    call = await engine.staged(takes_its_time)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await over(engine, SLOW_AFTER - 1)
    assert engine.heard.of(AttemptSlow) == []
    for _ in range(3):
        await over(engine, 1)
    assert engine.heard.of(AttemptSlow) == [AttemptSlow(call.id, call.definition.name, SLOW_AFTER, 1)]
    ending.cancel()
    await engine.attempts.stop(0)


def test_a_stuck_thread_that_comes_back_takes_its_room_with_it() -> None:
    threads = ThreadExecutor(2)
    assert [threads.make_room() for _ in range(3)] == [True, True, False]
    threads.take_room()
    assert threads.make_room()


@pytest.mark.parametrize("timeout", [0, -1, "5", float("inf"), True])
def test_a_timeout_that_is_none_is_refused_where_it_is_declared(timeout: Any) -> None:
    with pytest.raises(TaskDeclarationError, match=r"@task on note: timeout must be seconds, more than 0, or a timed"):
        task(timeout=timeout)(note)
