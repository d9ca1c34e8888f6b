"""What a process writes down of itself: what its jobs came to, and a report every few seconds."""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from postlude import Postlude, Snooze, task
from postlude.events import CallsDiscarded, CallsUnsaved, LoopBlocked
from postlude.services.recording import IDLE_WRITE_EVERY, WRITE_EVERY, Recording
from postlude.statistics import BOUNDS, MEASURES, Minute, Tallies, tallies_of
from postlude.stores import open_store
from postlude.stores.contract import Store
from postlude.stores.seeing import Sum, WorkerReport
from postlude.telling import Events
from postlude.testing import worker
from tests.engine.fakes import FakeClock

MINUTE = 1_700_000_040
"""The beginning of one."""


def test_what_is_noted_is_added_up_by_task_and_minute() -> None:
    tallies = Tallies()
    for number in range(1200):
        tallies.note("app:a", "succeeded", MINUTE + 59.9, 0.005, 3601.0)
        if number % 2:
            tallies.note("app:a", "failed", MINUTE + 60.0, 0.0051)
    tallies.note("app:b", "discarded", float(MINUTE))
    assert sorted(tallies.take()) == [
        Minute(MINUTE, "app:a", {"succeeded": 1200, "start:0": 1200, f"run:{len(BOUNDS)}": 1200}),
        Minute(MINUTE, "app:b", {"discarded": 1}),
        Minute(MINUTE + 60, "app:a", {"failed": 600, "start:1": 600}),
    ]
    assert tallies.take() == []


def test_what_could_not_be_written_is_added_to_what_comes() -> None:
    tallies = Tallies()
    tallies.note("app:a", "succeeded", MINUTE)
    taken = tallies.take()
    for _ in range(600):
        tallies.note("app:a", "succeeded", MINUTE)
    assert len(tallies._noted) < 500, "some were added up already: no more are kept one by one"
    tallies.put_back(taken)
    assert tallies.take() == [Minute(MINUTE, "app:a", {"succeeded": 601})]


def test_what_is_noted_in_several_threads_at_once_is_counted_once() -> None:
    tallies, threads, each = Tallies(), 4, 10_000
    taken: list[Minute] = []

    def note() -> None:
        for _ in range(each):
            tallies.note("app:a", "succeeded", MINUTE, 0.01, 0.01)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        noting = [threading.Thread(target=note) for _ in range(threads)]
        for thread in noting:
            thread.start()
        while any(thread.is_alive() for thread in noting):
            taken += tallies.take()
    finally:
        sys.setswitchinterval(before)
    taken += tallies.take()
    sums = sum((Counter(minute.counts) for minute in taken), Counter[str]())
    assert sums == {"succeeded": threads * each, "start:1": threads * each, "run:1": threads * each}


def test_calls_without_a_job_are_counted_from_what_is_told() -> None:
    events, clock = Events(), FakeClock()
    tallies = tallies_of(events, clock)
    events.emit(CallsDiscarded(("app:a", "app:a", "app:b"), "it raised"))
    events.emit(CallsUnsaved(("app:a",), "no store"))
    counts = {minute.task: minute.counts for minute in tallies.take()}
    assert counts == {"app:a": {"discarded": 2, "unsaved": 1}, "app:b": {"discarded": 1}}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/jobs.db")
    await store.open()
    yield store
    await store.close()


class Recorded:
    """A recording, and the delays that its reports were made with."""

    def __init__(self, store: Any, owner: int) -> None:
        self.clock, self.events, self.tallies = FakeClock(), Events(), Tallies()
        self.lags: list[float] = []
        self.running = 0
        self.recording = Recording(
            store, self.tallies, self.clock, self.events, owner=lambda: owner, report=self._report
        )

    def _report(self, lag: float) -> WorkerReport:
        self.lags.append(lag)
        return WorkerReport("1", "3", True, "embedded", {}, {}, self.running, [], lag, 0)


async def test_a_turn_writes_every_few_seconds_and_measures_the_loop(store: Store) -> None:
    owner = await store.enlist()
    made = Recorded(store, owner)
    await made.recording.run_once()
    assert len(made.lags) == 1, "the first at once"
    made.tallies.note("app:a", "succeeded", made.clock.now())
    for delay in (1.0, 1.25, 1.0, 1.0):
        made.clock.advance(delay)
        assert await made.recording.run_once() == 1.0
    assert len(made.lags) == 1
    made.clock.advance(WRITE_EVERY - 4.25)
    await made.recording.run_once()
    assert made.lags == [0.0, 0.25]
    (row,) = await store.seeing.workers()
    assert row.report is not None
    assert (row.report.loop_lag, row.reported_at) == (0.25, made.clock.now())
    (sum_,) = await store.seeing.statistics(since=0, step=60)
    assert sum_ == Sum(made.clock.now() // 60 * 60, "app:a", "succeeded", 1)


async def test_a_process_in_which_nothing_changes_says_so_once_a_minute(store: Store) -> None:
    made = Recorded(store, await store.enlist())
    written: list[float] = []

    async def seconds(number: int) -> list[float]:
        """When it wrote in the next so many seconds."""
        written.clear()
        for _ in range(number):
            before = await reported()
            await made.recording.run_once()
            if await reported() != before:
                written.append(made.clock.now() - begin)
            made.clock.advance(1.0)
        return [*written]

    async def reported() -> float | None:
        (row,) = await store.seeing.workers()
        return row.reported_at

    begin = made.clock.now()
    assert await seconds(180) == [0, 60, 120]
    made.running = 1
    assert await seconds(13) == [180, 185, 190]
    made.running = 0
    assert await seconds(70) == [195, 255]
    (row,) = await store.seeing.workers()
    assert row.report is not None
    assert row.report.next_within == IDLE_WRITE_EVERY
    made.tallies.note("app:a", "succeeded", made.clock.now())
    assert await seconds(5) == []
    assert len(await store.seeing.statistics(since=0, step=60)) == 1, "what is counted does not wait"


async def test_nothing_is_lost_when_the_store_does_not_answer(store: Store) -> None:
    owner = await store.enlist()
    made = Recorded(store, owner)
    made.tallies.note("app:a", "succeeded", made.clock.now())
    await store.close()
    made.recording.start()
    await made.recording.stop(5.0)
    assert [minute.counts for minute in made.tallies.take()] == [{"succeeded": 1}]


async def test_a_task_that_blocks_the_loop_is_in_the_report(store: Store) -> None:
    made = Recorded(store, await store.enlist())
    made.recording.start()
    made.events.emit(LoopBlocked("app:a", 3.0))
    await made.recording.stop(5.0)
    await made.recording.stop(5.0)
    assert max(made.lags) == 3.0
    assert made.lags.count(3.0) == 1


def succeed() -> None: ...


@task(retries=1, backoff=5)
def fail() -> None:
    raise ValueError


async def snooze() -> None:
    raise Snooze(1)


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_attempts_come_to(tmp_path: Path) -> None:
    durable = Postlude(url=f"sqlite:///{tmp_path}/jobs.db")
    async with worker(durable) as work:
        for function in (succeed, succeed, fail, snooze):
            await durable.options(delay=10).enqueue(function)
        await work.advance(10)
        await work.advance(5)
        engine = durable._runtime
        counts = {minute.task.partition(":")[2]: minute.counts for minute in _summed(engine.tallies.take())}
    assert counts["succeed"] == {"succeeded": 2, "start:0": 2, "run:0": 2}
    assert counts["fail"] == {"postponed": 1, "failed": 1, "start:0": 2, "run:0": 2}
    assert {measure for measure in counts["snooze"] if ":" not in measure} == {"postponed"}
    assert {measure for each in counts.values() for measure in each if ":" not in measure} <= {*MEASURES}


def _summed(minutes: list[Minute]) -> list[Minute]:
    """As if all had been in one minute."""
    tallies = Tallies()
    tallies.put_back([minute._replace(moment=0) for minute in minutes])
    return tallies.take()
