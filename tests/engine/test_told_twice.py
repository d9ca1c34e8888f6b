"""An attempt that is told several things, or at a moment when it cannot obey: what counts in the end."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import copy_context
from decimal import Decimal
from typing import Any

import pytest
from fastapi import Depends

from postlude.calls import CallOptions, with_options
from postlude.context import current_job, progress
from postlude.control import Snooze
from postlude.dependencies import plan_of
from postlude.errors import CallError, StoreUnavailable
from postlude.events import CallsLost
from postlude.executors.completed import CompletedExecutor
from postlude.executors.contract import CannotStart, Work
from postlude.executors.threads import ThreadExecutor
from postlude.job import JobState, Outcome, Progress
from postlude.running.execution import release as give_back
from postlude.running.execution import unwritable
from postlude.running.order import run_in_order
from postlude.settings import Concurrency
from postlude.tasks import task
from tests.engine.conftest import Engine
from tests.engine.fakes import turns, until
from tests.engine.test_decisions import claim

ran: list[str] = []
release = threading.Event()


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    ran.clear()
    release.clear()
    yield
    release.set()


async def give() -> AsyncIterator[str]:
    yield "given"
    ran.append("closed")


def give_in_a_thread() -> str:
    return "given"


def waits(what: str = Depends(give)) -> None:
    ran.append(what)
    release.wait(30)


def fails(what: str = Depends(give)) -> None:
    ran.append(what)
    release.wait(30)
    raise ValueError(what)


async def asks(what: str = Depends(give_in_a_thread)) -> None:
    ran.append(what)


@task(timeout=5)
async def tidies() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        raise


@task(timeout=5, max_interruptions=2)
def stuck() -> None:
    ran.append("stuck")
    release.wait(30)


@task(retries=1, backoff=60)
async def fails_once() -> None:
    raise ConnectionError


async def snoozes() -> None:
    raise Snooze(60)


async def note() -> None:
    ran.append("note")


async def test_a_number_of_another_kind_is_one_of_pythons(engine: Engine) -> None:
    async def of_decimals() -> None:
        progress(Decimal(1), Decimal(10), "\udcff" * 2000)  # type: ignore[arg-type]
        report = current_job().hear()
        ran.append(str(report and report.progress))

    await engine.attempts.run(engine.call(of_decimals))
    assert ran == [str(Progress(1.0, 10.0, ("\\udcff" * 1000)))]


async def test_what_is_no_number_is_refused_at_the_line(engine: Engine) -> None:
    async def half() -> None:
        with pytest.raises(CallError, match=r"expected numbers for the first two, got 'half' and None"):
            progress("half")  # type: ignore[arg-type]
        ran.append("refused")

    await engine.attempts.run(engine.call(half))
    assert ran == ["refused"]


def test_what_takes_the_place_of_an_unwritable_outcome_has_no_progress() -> None:
    settlement = give_back(claim(JobState.RUNNING), 5.0)._replace(progress=Progress(1))
    assert unwritable(settlement).progress is None


async def test_a_cancellation_that_came_first_counts_and_not_the_timeout(engine: Engine) -> None:
    call = await engine.staged(tidies)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    engine.attempts._running[call.id].cancel("enough")
    engine.clock.advance(5)
    await engine.attempts.run_once()
    await ending
    record = await engine.record(call)
    assert (record.state, record.reason) == (JobState.CANCELLED, "enough")


async def test_time_is_over_also_while_the_store_does_not_answer(engine: Engine) -> None:
    call = await engine.staged(tidies)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    engine.clock.advance(5)
    engine.faulty.fail("start", StoreUnavailable("away"))
    with contextlib.suppress(StoreUnavailable):
        await engine.attempts.run_once()
    await ending
    assert (await engine.record(call)).state is JobState.FAILED


@pytest.mark.parametrize("concurrency", [Concurrency(loop=1, threads=1)])
async def test_one_that_runs_alone_and_is_stuck_holds_up_nobody(engine: Engine) -> None:
    call = await engine.staged(stuck)
    engine.attempts.begin(call, alone=True)
    await until(lambda: ran)
    other = asyncio.ensure_future(engine.attempts.run(await engine.staged(note)))
    await turns()
    assert ran == ["stuck"]
    engine.clock.advance(5)
    await engine.attempts.run_once()
    await other
    assert ran == ["stuck", "note"]
    assert engine.attempts.idle
    assert not engine.attempts.empty


async def test_a_timeout_of_a_call_that_is_not_stored(engine: Engine) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    call = engine.staging.prepare(forever, (), {}, with_options(CallOptions(), timeout=5))
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    engine.clock.advance(5)
    await engine.attempts.run_once()
    await ending


@pytest.mark.parametrize("first", [fails_once, snoozes])
async def test_what_cannot_be_stored_behind_one_that_runs_again_is_named(engine: Engine, first: Any) -> None:
    calls = [engine.call(first), engine.call(lambda: None), engine.call(note)]
    await engine.stage(*calls)
    await run_in_order(engine.attempts, calls)
    (lost,) = engine.heard.of(CallsLost)
    assert lost.reason == "the one before it runs later, and it was not stored, so no other can run it"
    states = [record.state for record in await engine.records(calls)]
    assert states == [JobState.QUEUED, JobState.FAILED, JobState.CANCELLED]


async def test_one_without_a_row_that_was_to_run_later_does_not_run_now(engine: Engine) -> None:
    call = engine.staging.prepare(note, (), {}, with_options(CallOptions(), delay=60))
    assert await engine.attempts.run(call) is None
    assert ran == []
    assert len(engine.heard.of(CallsLost)) == 1


# With dependencies


async def test_where_no_thread_can_be_had_it_goes_back_as_if_it_had_not_begun(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(self: ThreadExecutor, work: Work, ended: object) -> object:
        message = "no more threads"
        raise CannotStart(message)

    monkeypatch.setattr(ThreadExecutor, "begin", begin)
    for function in (waits, asks):
        call = await engine.staged(function)
        await engine.attempts.run(call)
        record = await engine.record(call)
        assert (record.state, record.attempt, record.interruptions) == (JobState.QUEUED, 0, 0)
        assert record.run_at == engine.clock.now() + 1
    assert engine.attempts.idle


async def test_a_function_that_fails_by_itself_after_the_grace_has_failed(engine: Engine) -> None:
    call = await engine.staged(fails)
    ending = asyncio.ensure_future(engine.attempts.run(call))
    await until(lambda: ran)
    await engine.attempts.stop(0)
    release.set()
    await ending
    assert (await engine.record(call)).state is JobState.FAILED


def test_when_the_loop_ends_a_function_in_a_thread_keeps_its_claim() -> None:
    outcomes: list[Outcome] = []
    threads = ThreadExecutor(1)

    @asynccontextmanager
    async def complete(args: Any, kwargs: Any) -> AsyncIterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        yield args, dict(kwargs)

    def function() -> None:
        ran.append("begins")
        release.wait(30)

    async def main() -> None:
        work = Work("main:f", function, (), {}, copy_context())
        running = CompletedExecutor(threads, complete).begin(work, outcomes.append)
        await until(lambda: ran)
        running.cancel()

    asyncio.run(main())
    assert outcomes == [], "somebody else would run it while it still runs here"
    threads.close()


def test_a_dependency_that_hangs_does_not_keep_the_loop_from_ending(engine_less: Any) -> None:
    plan, threads = engine_less
    ended = threading.Event()

    async def main() -> None:
        async def attempt() -> None:
            async with plan.completed((), {}, threads=threads):
                pass

        running = asyncio.ensure_future(attempt())
        await until(lambda: ran)
        running.cancel()
        await turns()

    def serve() -> None:
        asyncio.run(main())
        ended.set()

    threading.Thread(target=serve, daemon=True).start()
    assert ended.wait(10), "it waits for a thread that waits for ever"


@pytest.fixture
def engine_less() -> Iterator[tuple[Any, ThreadExecutor]]:
    def hangs() -> str:
        ran.append("hangs")
        release.wait(30)
        return "late"

    def needs(what: str = Depends(hangs)) -> None: ...

    threads = ThreadExecutor(1)
    yield plan_of(needs), threads
    threads.close()
