"""A worker that runs jobs when it is told to, at a time that stands still until it is told to go on."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Final

from postlude.client.blocking import Portal
from postlude.clock import SystemClock, wait
from postlude.durations import seconds_of
from postlude.errors import CallError
from postlude.job import UNFINISHED
from postlude.services.service import Service
from postlude.testing.engine import engine_of, process_of
from postlude.testing.isolating import exchanged
from postlude.testing.stored import described, records_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from postlude.durations import Duration
    from postlude.lifetime.process import Process
    from postlude.runtime import Runtime
    from postlude.testing.engine import Tested

LOOK_AGAIN: Final = 0.02
"""Seconds between two looks into the queue while something runs: a task may wait for a job that it has added."""


def worker(tested: Tested, *, timeout: Duration = 10.0) -> WorkerBlock:
    """For the length of a block, a store of its own, a clock that stands still, and a worker that waits to be told.

    `with worker(app) as worker:` gives a `BlockingWorker`, `async with` a `Worker`. Nobody else runs jobs meanwhile:
    what requests add is queued, whether the application's lifespan runs or not. Only calls that cannot be stored run
    where they always do.

    Args:
        tested: the application, or what `Postlude(app)` returned.
        timeout: seconds, or a `timedelta`, of real time that each of the worker's methods may take. When that is over,
            the jobs that have not come to an end are named in an `AssertionError`.

    Raises:
        NotTestable: the application has no Postlude, Postlude is disabled, or it has started already.
        CallError: `timeout` is no duration.
    """
    return WorkerBlock(engine_of(tested), _seconds("timeout", timeout))


class WorkerBlock:
    """What `worker` returns, to be used with `with` or `async with`."""

    def __init__(self, engine: Runtime, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._ending = contextlib.ExitStack()

    def __enter__(self) -> BlockingWorker:
        worker = self._begin()
        portal = Portal()
        # Closed first at the end, and with it whatever still runs there; the store after it.
        self._ending.callback(portal.close)
        return BlockingWorker(worker, portal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.close()

    async def __aenter__(self) -> Worker:
        return self._begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.close()

    def _begin(self) -> Worker:
        clock = StandingClock()
        self._ending.enter_context(exchanged(self._engine, worker="off", clock=clock))
        return Worker(self._engine, clock, self._timeout)


class StandingClock:
    """The time of day stands still until it is moved. What is measured goes on, and makes the same jumps.

    So moments can be compared exactly, while whoever waits for at most a second still waits for no more than that.
    """

    def __init__(self) -> None:
        self._system = SystemClock()
        self._now = self._system.now()
        self._jumped = 0.0

    def now(self) -> float:
        """Seconds since the epoch: the moment at which the clock was made, and all that it was moved since."""
        return self._now

    def elapsed(self) -> float:
        """Seconds since an arbitrary moment."""
        return self._system.elapsed() + self._jumped

    def move_to(self, moment: float) -> None:
        """Go on to this moment; one that has passed changes nothing."""
        # Not by a sum: after it the moment would not be reached exactly.
        self._jumped += max(0.0, moment - self._now)
        self._now = max(self._now, moment)


class Worker:
    """Runs the jobs of one application, on the current event loop, when it is told to."""

    def __init__(self, engine: Runtime, clock: StandingClock, timeout: float) -> None:
        self._engine = engine
        self._clock = clock
        self._timeout = timeout

    @property
    def now(self) -> datetime:
        """What time it is for the application's jobs, in UTC."""
        return datetime.fromtimestamp(self._clock.now(), UTC)

    async def run_pending(self) -> None:
        """Run everything that is due now, and what that makes due, to its end.

        Raises:
            AssertionError: it does not come to an end in time; the message names the jobs.
        """
        async with self._at_work() as process:
            await self._run_due(process)

    async def advance(self, by: Duration) -> None:
        """Let time pass, and run everything that becomes due, each at its moment, schedules too.

        Args:
            by: seconds, or a `timedelta`.

        Raises:
            AssertionError: it does not come to an end in time; the message names the jobs.
            CallError: that is no duration.
        """
        until = self._clock.now() + _seconds("advance", by)
        async with self._at_work() as process:
            await self._run_due(process)
            while (moment := await self._next_moment(process)) is not None and moment <= until:
                self._clock.move_to(moment)
                await self._run_due(process)
            self._clock.move_to(until)
            await self._run_due(process)

    async def run_all(self) -> None:
        """Run everything that is due now or later, going from one due moment to the next, until no job waits.

        A job that a limit or a pause holds back without end is left waiting; moments of schedules are not gone to.

        Raises:
            AssertionError: it does not come to an end in time; the message names the jobs.
        """
        async with self._at_work() as process:
            await self._run_due(process)
            while (moment := await self._next_due(process)) is not None:
                self._clock.move_to(moment)
                await self._run_due(process)

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[Process]:
        # Opened each time, if need be: an application that has stopped in the meantime has closed it.
        process = await process_of(self._engine)
        attempts = process.attempts
        watch = Service("attempts", attempts, self._engine.events)
        attempts.watch = watch.wake
        watch.start()
        try:
            async with asyncio.timeout(self._timeout):
                yield process
        except TimeoutError:
            unfinished = await records_in(self._engine, UNFINISHED)
            # What it had claimed and not begun, and what would not end, is left to the next process.
            await attempts.stop(0.0)
            await self._engine.close()
            raise AssertionError(
                self._never_ends([described(each, self._engine.registry) for each in unfinished])
            ) from None
        finally:
            await watch.stop()

    def _never_ends(self, jobs: list[str]) -> str:
        lines = "".join(f"\n  {line}" for line in jobs)
        return (
            f"The worker has not come to an end within {self._timeout:g} s of real time (worker(..., timeout=)); it "
            f"had come to {self.now:%Y-%m-%d %H:%M:%S} on its own clock. Jobs that have not ended:{lines}"
        )

    async def _run_due(self, process: Process) -> None:
        """Take turns until nothing runs and nothing is due."""
        attempts = process.attempts
        changed = asyncio.Event()
        attempts.slots.freed = changed.set
        while True:
            at_rest, taken = attempts.idle, process.worker.taken
            if at_rest:
                # First on disk: those behind it are due when the store knows.
                await attempts.settling.flush()
            for turn in process.turns:
                await turn.run_once()
            if attempts.idle:
                if at_rest and process.worker.taken == taken:
                    return  # what is due all the same is held back
            else:
                attempts.slots.wanted = True
                await wait(changed, LOOK_AGAIN)
                changed.clear()

    async def _next_due(self, process: Process) -> float | None:
        """When the next job is due that this application can run; of those that are held back, when they may start."""
        waiting = await process.store.waiting_tasks()
        moment = min((at for name, at in waiting.items() if self._engine.registry.knows(name)), default=inf)
        if moment == inf:
            return None
        return process.worker.again_at if moment <= self._clock.now() else moment

    async def _next_moment(self, process: Process) -> float | None:
        """The same, or the next moment of a schedule, if that is earlier."""
        moments = (await self._next_due(process), process.scheduler.next_moment())
        return min((moment for moment in moments if moment is not None), default=None)


class BlockingWorker:
    """The same for `def` tests: jobs run on an event loop in a thread of its own."""

    def __init__(self, worker: Worker, portal: Portal) -> None:
        self._worker = worker
        self._portal = portal

    @property
    def now(self) -> datetime:
        """See `Worker.now`."""
        return self._worker.now

    def run_pending(self) -> None:
        """See `Worker.run_pending`."""
        self._portal.call(self._worker.run_pending())

    def advance(self, by: Duration) -> None:
        """See `Worker.advance`."""
        self._portal.call(self._worker.advance(by))

    def run_all(self) -> None:
        """See `Worker.run_all`."""
        self._portal.call(self._worker.run_all())


def _seconds(option: str, value: Duration) -> float:
    seconds = seconds_of(value)
    if seconds is None:
        message = f"{option}: expected seconds, 0 or more, or a timedelta, got {value!r}"
        raise CallError(message)
    return seconds
