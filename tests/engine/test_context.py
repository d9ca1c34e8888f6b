"""A job seen from inside its task, and how a task ends its own attempt, with time that stands still."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from postlude.calls import Call, CallOptions, Chain, with_options
from postlude.context import MAX_NOTE, CurrentJob, _checked, cancel_requested, current_job, progress
from postlude.control import Cancel, Retry, Snooze
from postlude.errors import CallError, NotInTask
from postlude.events import AttemptFailed, EphemeralFailed
from postlude.job import Cancelled, Failed, JobState, Progress
from postlude.retries import RetryPolicy
from postlude.running.order import run_in_order
from postlude.running.oversight import REPORT_EVERY
from postlude.settings import Concurrency
from postlude.tasks import task
from tests.engine.conftest import Engine
from tests.engine.fakes import turns, until

seen: list[Any] = []
release = threading.Event()
gates: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    seen.clear()
    gates.clear()
    release.clear()
    yield
    release.set()


def look() -> CurrentJob:
    job = current_job()
    seen.append((job.id, job.task, job.attempt))
    return job


async def look_on_the_loop() -> None:
    look()


def look_in_a_thread() -> None:
    look()


@task(retries=2, backoff=[10, 60])
async def fails_twice() -> None:
    if look().attempt < 3:
        raise ConnectionError(current_job().attempt)


@task(retries=2, backoff=0)
async def always_fails() -> None:
    look()
    raise ConnectionError


@task(retries=5, backoff=lambda _number, _error: "soon")  # type: ignore[arg-type]
async def waits_oddly() -> None:
    raise ConnectionError


@task(retries=5)
def mistaken() -> None:
    raise TypeError


async def snoozes() -> None:
    look()
    raise Snooze(30)


async def gives_up(why: str) -> None:
    raise Cancel(why)


async def asks_again(after: float | None) -> None:
    look()
    raise Retry("the other side is busy", after=after)


@task(retries=0)
async def asks_never(after: float | None) -> None:
    raise Retry(after=after)


@task(retries=1, backoff=3, retry_on=OSError)
async def asks_once() -> None:
    raise Retry


async def works(steps: int) -> None:
    for done in range(steps):
        progress(done + 1, steps, f"step {done + 1}")
    gates["worked"].set()
    await gates["go on"].wait()


def works_in_a_thread(steps: int) -> None:
    for done in range(steps):
        progress(done + 1, steps)
    release.wait(30)


def looks_whether_to_stop() -> None:
    seen.append(cancel_requested())
    release.wait(30)
    if cancel_requested():
        raise Cancel("as was asked")


async def run(engine: Engine, call: Call) -> Any:
    return await engine.attempts.run(call)


async def again(engine: Engine) -> None:
    """What the worker does when it is woken, to the end of what it has begun."""
    await engine.worker.run_once()
    await until(lambda: engine.attempts.idle)
    await engine.settling.flush()


async def test_a_task_knows_its_job_on_the_loop_and_in_a_thread(engine: Engine) -> None:
    for function in (look_on_the_loop, look_in_a_thread):
        call = await engine.staged(function)
        await run(engine, call)
        assert seen.pop() == (call.id, call.definition.name, 1)


async def test_a_call_that_is_not_stored_has_a_job_too(engine: Engine) -> None:
    call = engine.call(lambda: look().progress(1))
    await run(engine, call)
    assert seen == [(call.id, call.definition.name, 1)]


async def test_what_the_job_came_from(engine: Engine) -> None:
    chain = Chain()
    chain.origin = '{"route":"POST /x"}'
    call = engine.call(note_origin)
    await engine.stage(call, chain=chain)
    await run(engine, call)
    assert seen == [{"route": "POST /x"}]


async def note_origin() -> None:
    cast("dict[str, Any]", current_job().origin)["route"] = "changed for oneself"
    seen.append(current_job().origin)


def test_outside_a_task() -> None:
    progress(1, 2)
    assert cancel_requested() is False
    with pytest.raises(NotInTask, match=r"outside a task that Postlude runs.*Take the job where the task begins"):
        current_job()


# Retries


async def test_a_failed_attempt_is_tried_again_when_its_wait_is_over(engine: Engine) -> None:
    call = await engine.staged(fails_twice)
    assert isinstance(await run(engine, call), Failed)
    record = await engine.record(call)
    assert (record.state, record.attempt, record.run_at) == (JobState.QUEUED, 1, engine.clock.now() + 10)
    assert record.failure is not None
    assert record.failure.type == "ConnectionError"

    await again(engine)
    assert (await engine.record(call)).attempt == 1, "it ran before its time"
    engine.clock.advance(10)
    await again(engine)
    record = await engine.record(call)
    assert (record.state, record.attempt, record.run_at) == (JobState.QUEUED, 2, engine.clock.now() + 60)
    engine.clock.advance(60)
    await again(engine)
    record = await engine.record(call)
    assert (record.state, record.attempt, record.failure) == (JobState.SUCCEEDED, 3, None)
    assert [number for _, _, number in seen] == [1, 2, 3]
    assert [line.outcome for line in await engine.store.attempts(call.id)] == ["failed", "failed"]
    assert [event.again_in for event in engine.heard.of(AttemptFailed)] == [10, 60]


async def test_when_no_retry_is_left_it_has_failed(engine: Engine) -> None:
    call = await engine.staged(always_fails)
    await run(engine, call)
    await again(engine)
    await again(engine)
    record = await engine.record(call)
    assert (record.state, record.attempt) == (JobState.FAILED, 3)
    assert [event.again_in for event in engine.heard.of(AttemptFailed)] == [0, 0, None]


async def test_those_behind_it_wait_for_its_last_try(engine: Engine) -> None:
    calls = [engine.call(fails_twice), engine.call(look_in_a_thread)]
    await engine.stage(*calls)
    assert not await run_in_order(engine.attempts, calls)
    first, second = await engine.records(calls)
    assert (first.state, second.state, second.waiting) == (JobState.QUEUED, JobState.QUEUED, True)
    for wait in (10, 60, 0):
        engine.clock.advance(wait)
        await again(engine)
    assert {record.state for record in await engine.records(calls)} == {JobState.SUCCEEDED}


async def test_a_mistake_in_the_program_is_not_tried_again(engine: Engine) -> None:
    call = await engine.staged(mistaken)
    await run(engine, call)
    assert (await engine.record(call)).state is JobState.FAILED


async def test_a_backoff_that_is_broken_fails_the_job_and_is_named(engine: Engine) -> None:
    call = await engine.staged(waits_oddly)
    await run(engine, call)
    record = await engine.record(call)
    assert record.state is JobState.FAILED
    assert record.reason is not None
    assert "not tried again, because its backoff raised" in record.reason


async def test_the_policy_is_that_of_the_moment_when_it_was_added(engine: Engine) -> None:
    call = await engine.staged(always_fails)
    call.definition.retry = RetryPolicy(0)
    await run(engine, call)
    assert (await engine.record(call)).state is JobState.QUEUED


async def test_a_call_that_is_not_stored_is_not_tried_again(engine: Engine) -> None:
    call = engine.call(task(retries=3)(lambda: int("x")))
    outcome = await run(engine, call)
    assert isinstance(outcome, Failed)
    assert len(engine.heard.of(EphemeralFailed)) == 1


# Snooze, Cancel, Retry


async def test_a_snooze_gives_the_attempt_back(engine: Engine) -> None:
    call = await engine.staged(snoozes)
    await run(engine, call)
    for _ in range(2):
        record = await engine.record(call)
        assert (record.state, record.attempt, record.run_at) == (JobState.QUEUED, 0, engine.clock.now() + 30)
        engine.clock.advance(30)
        await again(engine)
    assert [number for _, _, number in seen] == [1, 1, 1]
    assert await engine.store.attempts(call.id) == []


async def test_a_call_that_is_not_stored_cannot_snooze(engine: Engine) -> None:
    def nap() -> None:
        raise Snooze(1)

    outcome = await run(engine, engine.call(nap))
    assert isinstance(outcome, Failed)
    assert "a call that is not stored is run once" in outcome.failure.message


async def test_a_task_that_cancels_itself(engine: Engine) -> None:
    call = await engine.staged(gives_up, "the order was withdrawn")
    assert await run(engine, call) == Cancelled("the order was withdrawn")
    record = await engine.record(call)
    assert (record.state, record.reason) == (JobState.CANCELLED, "the order was withdrawn")
    assert engine.heard.of(AttemptFailed) == []


@pytest.mark.parametrize(("after", "due"), [(7, 7), (None, 10)])
async def test_a_task_may_ask_to_be_tried_again_although_it_declares_no_retries(
    engine: Engine, after: float | None, due: float
) -> None:
    call = await engine.staged(asks_again, after)
    await run(engine, call)
    record = await engine.record(call)
    assert (record.state, record.attempt) == (JobState.QUEUED, 1)
    assert record.run_at == pytest.approx(engine.clock.now() + due, abs=1)
    for _ in range(14):
        engine.clock.advance(5000)
        await again(engine)
    record = await engine.record(call)
    assert (record.state, record.attempt) == (JobState.FAILED, 15)
    assert record.reason == "postlude.control.Retry: the other side is busy"


@pytest.mark.parametrize("by", ["task", "call"])
async def test_no_retries_that_were_asked_for_are_none_for_a_task_that_asks_too(engine: Engine, by: str) -> None:
    function = asks_never if by == "task" else asks_again
    call = engine.staging.prepare(function, (7,), {}, with_options(CallOptions(), retries=0 if by == "call" else None))
    await engine.stage(call)
    await run(engine, call)
    record = await engine.record(call)
    assert (record.state, record.attempt) == (JobState.FAILED, 1)


async def test_asking_uses_up_the_retries_that_are_declared_whatever_retry_on_says(engine: Engine) -> None:
    call = await engine.staged(asks_once)
    await run(engine, call)
    assert (await engine.record(call)).run_at == engine.clock.now() + 3
    engine.clock.advance(3)
    await again(engine)
    assert (await engine.record(call)).state is JobState.FAILED


@pytest.mark.parametrize("make", [lambda: Snooze(-1), lambda: Snooze("soon"), lambda: Retry(after=float("nan"))])  # type: ignore[arg-type]
def test_a_wait_that_is_none_is_refused_where_it_is_raised(make: Any) -> None:
    with pytest.raises(CallError, match=r"expected seconds, 0 or more, or a timedelta, got"):
        make()


# Progress and cancellation


async def test_progress_is_written_twice_a_second_and_when_the_attempt_ends(engine: Engine) -> None:
    gates.update({"worked": asyncio.Event(), "go on": asyncio.Event()})
    call = await engine.staged(works, 1000)
    ending = asyncio.ensure_future(run(engine, call))
    await gates["worked"].wait()
    await turns()
    await engine.attempts.run_once()
    assert (await engine.record(call)).progress == Progress(1000, 1000, "step 1000")
    assert engine.faulty.calls["report"] == 1

    engine.attempts._running[call.id].job.progress(1001)  # type: ignore[union-attr]
    await turns()
    assert await engine.attempts.run_once() == pytest.approx(REPORT_EVERY)
    assert engine.faulty.calls["report"] == 1, "it was written too soon"
    engine.clock.advance(REPORT_EVERY)
    await engine.attempts.run_once()
    assert engine.faulty.calls["report"] == 2
    engine.attempts._running[call.id].job.progress(1002)  # type: ignore[union-attr]
    gates["go on"].set()
    await ending
    assert (await engine.record(call)).progress == Progress(1002)
    assert engine.faulty.calls["report"] == 2


async def test_a_million_reports_from_a_thread_are_one_write(engine: Engine) -> None:
    call = await engine.staged(works_in_a_thread, 1_000_000)
    ending = asyncio.ensure_future(run(engine, call))
    await until(lambda: engine.attempts._oversight._reporting)
    release.set()
    await ending
    assert (await engine.record(call)).progress == Progress(1_000_000, 1_000_000)
    assert engine.faulty.calls["report"] == 0


async def test_progress_that_the_store_did_not_take_is_written_later(engine: Engine) -> None:
    gates.update({"worked": asyncio.Event(), "go on": asyncio.Event()})
    call = await engine.staged(works, 5)
    ending = asyncio.ensure_future(run(engine, call))
    await gates["worked"].wait()
    await turns()
    engine.faulty.fail("report", ConnectionError())
    with pytest.raises(ConnectionError):
        await engine.attempts.run_once()
    engine.clock.advance(REPORT_EVERY)
    await engine.attempts.run_once()
    assert (await engine.record(call)).progress == Progress(5, 5, "step 5")
    gates["go on"].set()
    await ending


async def test_one_whose_claim_went_to_another_is_cancelled_when_it_reports(engine: Engine) -> None:
    gates.update({"worked": asyncio.Event(), "go on": asyncio.Event()})
    call = await engine.staged(works, 5)
    ending = asyncio.ensure_future(run(engine, call))
    await gates["worked"].wait()
    await turns()
    assert call.claim is not None
    call.claim = call.claim._replace(id=12345)
    await engine.attempts.run_once()
    outcome = await ending
    assert outcome is None or isinstance(outcome, Cancelled)


@pytest.mark.parametrize("concurrency", [Concurrency(loop=2, threads=2)])
async def test_a_function_in_a_thread_sees_that_somebody_asked_to_cancel(engine: Engine) -> None:
    call = await engine.staged(looks_whether_to_stop)
    ending = asyncio.ensure_future(run(engine, call))
    await until(lambda: seen)
    await engine.store.cancel(call.id, reason="enough", now=engine.clock.now())
    engine.attempts.look_for_cancellations()
    await engine.attempts.run_once()
    release.set()
    await ending
    record = await engine.record(call)
    assert (record.state, record.reason) == (JobState.CANCELLED, "enough")
    assert seen == [False]


def test_a_note_that_is_too_long_ends_with_a_whole_word() -> None:
    words = "x " * (MAX_NOTE // 2 - 4)
    assert _checked(1, 2, f"{words}hunter2-and-more").note == words[:-1]
    assert _checked(1, 2, "x" * 2 * MAX_NOTE).note == "x" * MAX_NOTE
