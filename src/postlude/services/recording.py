"""Writing down what this process has counted, and what it says of itself: every few seconds, beside all jobs.

A process in which nothing runs and nothing changes says so once a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.errors import StoreError
from postlude.events import LoopBlocked
from postlude.services.service import Service
from postlude.stores.seeing import RunningJob, WorkerReport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from postlude.clock import Clock
    from postlude.duty import Duty
    from postlude.events import Event
    from postlude.running.admitted import Admitted
    from postlude.services.worker import Worker
    from postlude.settings import Concurrency, Settings
    from postlude.statistics import Tallies
    from postlude.stores.contract import Store
    from postlude.telling import Events

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at how late the event loop is."""
WRITE_EVERY: Final = 5.0
"""Seconds between two writes while something goes on."""
IDLE_WRITE_EVERY: Final = 60.0
"""Seconds between two reports that say the same of a process in which nothing runs: each costs the disk a sync."""
MAX_JOBS: Final = 20
"""Running attempts that a report names."""
MAX_UNKNOWN: Final = 100
"""Names of tasks that it does."""


class Standing(NamedTuple):
    """What a process is, for its reports."""

    mode: str
    """`Settings.worker`, or `"worker"` for one that does nothing else."""
    runs_jobs: bool
    concurrency: Concurrency


def standing_of(settings: Settings, duty: Duty | None) -> Standing:
    """What a process with these is; `duty` of a worker that has it to itself."""
    alone = duty is not None
    return Standing(
        "worker" if alone else settings.worker, alone or settings.worker == "embedded", settings.concurrency
    )


class Recording:
    """Writes what was counted, and a report, every few seconds while there is something to say.

    Args:
        store: where.
        tallies: what was counted; it is taken from there.
        clock: what time it is.
        events: told of turns that fail, and heard for tasks that block the loop.
        owner: gives the id of this worker.
        report: makes the report, from the longest delay of the event loop since the last one, in seconds.
    """

    def __init__(
        self,
        store: Store,
        tallies: Tallies,
        clock: Clock,
        events: Events,
        *,
        owner: Callable[[], int],
        report: Callable[[float], WorkerReport],
    ) -> None:
        self._store = store
        self._tallies = tallies
        self._clock = clock
        self._owner = owner
        self._report = report
        self._looked: float | None = None
        self._written = clock.elapsed() - WRITE_EVERY
        self._said: tuple[int, WorkerReport] | None = None
        self._said_at = 0.0
        self._lag = 0.0
        self._events = events
        self._service = Service("recording", self, events)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end_hearing: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._end_hearing = self._events.subscribe(self._hear)
        self._service.start()

    async def stop(self, within: float) -> None:
        """End, and write for the last time, unless that takes longer than so many seconds. Idempotent."""
        on, self._loop = self._loop, None
        if on is None:
            return
        self._end_hearing()
        if on is asyncio.get_running_loop():  # else it has ended with its loop
            with contextlib.suppress(TimeoutError, StoreError):  # nothing that somebody should wait for
                async with asyncio.timeout(within):
                    await self._end()

    async def _end(self) -> None:
        await self._service.stop()
        await self.write()

    def _hear(self, event: Event) -> None:
        if isinstance(event, LoopBlocked):
            self._lag = max(self._lag, event.seconds)

    async def run_once(self) -> float | None:
        """See how late the loop comes back here, and write if it is time, and there is something to say."""
        now = self._clock.elapsed()
        if self._looked is not None:
            self._lag = max(self._lag, now - self._looked - LOOK_EVERY)
        if now - self._written >= WRITE_EVERY:
            self._written = now
            await self._write(now, anyway=False)
        self._looked = self._clock.elapsed()
        return LOOK_EVERY

    async def write(self) -> None:
        """Write now.

        Raises:
            StoreError: the store did not take it: it is written the next time.
        """
        await self._write(self._clock.elapsed(), anyway=True)

    async def _write(self, elapsed: float, *, anyway: bool) -> None:
        owner, report = self._owner(), self._report(self._lag)
        report = report._replace(next_within=WRITE_EVERY if report.running else IDLE_WRITE_EVERY)
        # A delay is told in full, and is news from 50 ms on.
        said = owner, report._replace(loop_lag=round(report.loop_lag, 1))
        is_due = elapsed - self._said_at >= IDLE_WRITE_EVERY
        now, minutes = self._clock.now(), self._tallies.take()
        try:
            if anyway or is_due or report.running or said != self._said:
                self._lag = 0.0
                await self._store.seeing.report_worker(owner, report, now=now)
                self._said, self._said_at = said, elapsed
            if minutes:
                await self._store.seeing.add_statistics(minutes, now=now)
        except BaseException:
            self._tallies.put_back(minutes)
            raise


def report_of(
    standing: Standing, running: Collection[Admitted], worker: Worker, counts: Mapping[str, int], lag: float
) -> WorkerReport:
    """What a process says of itself.

    Args:
        standing: what it is.
        running: the attempts that run in it, oldest first.
        worker: which claims.
        counts: of its events.
        lag: the longest delay of its event loop; seconds.
    """
    slots = _slots(standing.concurrency)
    used = Counter(attempt.call.definition.executor for attempt in running if not attempt.abandoned)
    return WorkerReport(
        release=_release(),
        python=platform.python_version(),
        runs_jobs=standing.runs_jobs,
        mode=standing.mode,
        slots=slots,
        free={name: max(0, slots[name] - used[name]) for name in slots},
        running=len(running),
        jobs=[_running(attempt) for attempt, _ in zip(running, range(MAX_JOBS), strict=False)],
        loop_lag=lag,
        abandoned=sum(attempt.abandoned for attempt in running),
        unknown=sorted(worker.unknown)[:MAX_UNKNOWN],
        queues=sorted(worker.queues),
        counts=dict(counts),
    )


def _running(attempt: Admitted) -> RunningJob:
    call, claim = attempt.call, attempt.call.claim
    number = 1 if claim is None or attempt.job is None else attempt.job.attempt
    return RunningJob(call.id, call.definition.name, attempt.started_at or 0.0, number)


def _slots(concurrency: Concurrency) -> dict[str, int]:
    return {"loop": concurrency.loop, "thread": concurrency.threads, "process": concurrency.most_processes}


@cache
def _release() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - it takes long to import

    return version("postlude")
