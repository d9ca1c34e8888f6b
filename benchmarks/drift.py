"""How late a schedule is: an hour of a schedule that comes every second, in a process whose clock skips the waiting.

While something is done, time passes as it does; while the scheduler would wait, the clock jumps. So what is measured is
the work: looking, making the job, claiming it and beginning it; and whether any of that adds up over the hour.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import postlude.services.service
from benchmarks import chores
from benchmarks.machine import percentile
from benchmarks.rounds import Figure, column
from postlude import schedule
from postlude.clock import wait
from postlude.job import JobState
from postlude.lifetime.process import Process
from postlude.registry import Registry
from postlude.retention import Retention
from postlude.running.places import Places
from postlude.services.enlistment import Enlistment
from postlude.services.recording import Standing
from postlude.settings import Concurrency
from postlude.statistics import Tallies
from postlude.stores import open_store
from postlude.stores.contract import Filter
from postlude.telling import Events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rounds import Plan
    from postlude.job import Record, Settlement

START = 1_767_225_600.0
"""Midnight of the new year 2026, in UTC."""


class SkippingClock:
    """Real time, with jumps."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self._began = time.perf_counter()

    def elapsed(self) -> float:
        return time.perf_counter() - self._began + self.skipped

    def now(self) -> float:
        return START + self.elapsed()


def measure(plan: Plan) -> list[Figure]:
    count = plan.scaled(3600, 20)
    schedule(every=1, name="drift")(chores.tick)
    samples = [
        asyncio.run(_an_hour(plan.folder / f"drift-{time.monotonic_ns()}.db", count)) for _ in range(plan.rounds)
    ]
    return [
        Figure(
            f"schedule, {count:,} moments, job made, p50", column(samples, "made_p50"), "ms", note="after its moment"
        ),
        Figure("schedule, job made, p99", column(samples, "made_p99"), "ms"),
        Figure("schedule, task began, p50", column(samples, "began_p50"), "ms"),
        Figure("schedule, task began, p99", column(samples, "began_p99"), "ms"),
        Figure("schedule, drift: last tenth later than the first", column(samples, "drift"), "ms"),
    ]


async def _an_hour(file: Path, count: int) -> dict[str, float]:
    clock, settled = SkippingClock(), asyncio.Semaphore(0)
    arrived = asyncio.Event()

    def told(settlements: Sequence[Settlement]) -> None:
        for _ in settlements:
            settled.release()

    waits = 0

    async def skip(wake: asyncio.Event, seconds: float | None) -> None:
        """The scheduler's waits are skipped, once its job has ended; the others of the process wait as they do."""
        nonlocal waits
        task = asyncio.current_task()
        if task is None or task.get_name() != "postlude scheduler":
            await wait(wake, seconds)
            return
        if waits:
            await settled.acquire()
        waits += 1
        if waits > count:
            arrived.set()
            await wake.wait()
        else:
            clock.skipped += max(0.0, seconds or 0.0)

    store = open_store(f"sqlite:///{file}")
    description = await store.open()
    events = Events()
    enlistment = Enlistment(store, events)
    await enlistment.begin()
    process = Process(
        store=store,
        description=description,
        enlistment=enlistment,
        registry=Registry(Path(__file__).parents[1]),
        places=Places.made(Concurrency(), dict),
        clock=clock,
        events=events,
        settled=told,
        retention=Retention(),
        queues={},
        tallies=Tallies(),
        standing=Standing("embedded", runs_jobs=True, concurrency=Concurrency()),
    )
    postlude.services.service.wait = skip  # type: ignore[attr-defined]
    try:
        await process.start()
        await arrived.wait()
        jobs = (await store.list(Filter(), limit=count + 1, before=None))[::-1]
        await process.stop(5.0)
    finally:
        postlude.services.service.wait = wait  # type: ignore[attr-defined]
    return _figures(jobs, count)


def _figures(jobs: Sequence[Record], count: int) -> dict[str, float]:
    assert [job.run_at - START for job in jobs] == list(range(1, count + 1)), "one job for each moment"
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    made = [1e3 * (job.created_at - job.run_at) for job in jobs]
    began = [1e3 * (job.started_at - job.run_at) for job in jobs if job.started_at is not None]
    tenth = max(1, count // 10)
    return {
        "made_p50": percentile(made, 0.5),
        "made_p99": percentile(made, 0.99),
        "began_p50": percentile(began, 0.5),
        "began_p99": percentile(began, 0.99),
        "drift": percentile(made[-tenth:], 0.5) - percentile(made[:tenth], 0.5),
    }
