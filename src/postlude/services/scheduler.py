"""Makes the jobs of the schedules that this process's code declares, each at its moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude import scheduling
from postlude.events import ClockSetBack, MomentSkipped, MomentsMissed, ScheduleTaken, ServiceFailed
from postlude.executors.contract import failure_of
from postlude.schedules import GRACE, due
from postlude.scheduling import job_of, scheduled_tasks
from postlude.stores.moments import Firing, ScheduleRow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from uuid import UUID

    from postlude.clock import Clock
    from postlude.job import NewJob
    from postlude.registry import Registry
    from postlude.scheduling import ScheduledTask
    from postlude.stores.contract import Store
    from postlude.telling import Events

LOOK_EVERY: Final = 30.0
"""Seconds between two looks at most: when the system's clock is set forward, nothing else tells of it."""


class _Pair(NamedTuple):
    """A schedule in the code, and its row."""

    code: ScheduledTask
    row: ScheduleRow


class Scheduler:
    """Fires what is due. Any number of processes do so at once: the first to move a row on makes its jobs.

    A process fires a row only when its own code declares the schedule with the same spec. When it starts, it gives its
    spec to the row: of two versions of the code that differ in it, the one that started last has the schedule. Should
    nobody fire such a row for `GRACE` seconds after its moment, that version is gone, and another takes it back.

    No moment makes a second job: a step names the moment it starts from, and a row is never given a moment that is not
    later than the last one it came to.

    Args:
        store: where the rows and the jobs are.
        registry: which tasks this process knows.
        clock: what time it is; it may be set, see `run_once`.
        events: told of moments that were missed or skipped.
        queued: called when jobs were made.
    """

    def __init__(
        self, store: Store, registry: Registry, clock: Clock, events: Events, *, queued: Callable[[], None]
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._events = events
        self._queued = queued
        self.rows: Sequence[ScheduleRow] = ()
        """All rows, as they were last read."""
        self._tasks: dict[str, ScheduledTask] = {}
        self._seen = 0
        """How many schedules the code had declared when it was last looked at."""
        self._begun = False
        self._set_back: set[str] = set()
        self._taken: Collection[ScheduleTaken] = ()

    async def begin(self) -> None:
        """Put what the code declares into the store, and read how far it has come; again only if it declares more.

        Raises:
            TaskDeclarationError: the code declares what no process could run.
        """
        if len(scheduling.declared) != self._seen:
            # First, so that a mistake in a module that was imported late is said once, and the others go on.
            self._seen = len(scheduling.declared)
            self._tasks = scheduled_tasks(self._registry)
            self._begun = False
        if self._begun and not self._tasks:
            return
        self.rows = await self._store.schedules()
        while new := self._to_put(self.rows):
            await self._store.put_schedules(new)  # what is refused is looked at anew
            self.rows = await self._store.schedules()
        self._begun = True

    async def run_once(self) -> float | None:
        """Fire what is due, and return the seconds until the next look.

        The system's clock may be set. Forward: the moments in between have passed, and are treated as `missed` says.
        Back: the schedules wait until the clock is again where they had come to.
        """
        await self.begin()
        self._look_for_others()
        mine = [_Pair(self._tasks[row.name], row) for row in self.rows if self.fires(row)]
        now = self._clock.now()
        ripe = [pair for pair in mine if pair.row.next_at <= now]
        unfinished = await self._unfinished(ripe)
        # Side by side, so that all that is due at nine o'clock shares a commit.
        fired = await asyncio.gather(*(self._fire(pair, unfinished, now) for pair in ripe), return_exceptions=True)
        for pair in mine:
            self._look_for_clock(pair.row, now)
        next_at = [pair.row.next_at for pair in mine if pair.row.next_at > now]
        for each in fired:
            if isinstance(each, BaseException):
                raise each
            next_at.append(each)
        return max(0.0, min([LOOK_EVERY, *(moment - self._clock.now() for moment in next_at)]))

    def next_moment(self) -> float | None:
        """The next moment of a schedule that this process fires, by what was read last; None: there is none."""
        return min((row.next_at for row in self.rows if self.fires(row)), default=None)

    def fires(self, row: ScheduleRow) -> bool:
        """Whether this process's code declares the schedule as the row has it."""
        code = self._tasks.get(row.name)
        return code is not None and code.schedule.spec() == row.spec

    def _to_put(self, rows: Sequence[ScheduleRow]) -> list[ScheduleRow]:
        """The rows that are missing, or are of another version of the code and now are to be of this one."""
        now = self._clock.now()
        there = {row.name: row for row in rows}
        new: list[ScheduleRow] = []
        for name, code in self._tasks.items():
            row, schedule = there.get(name), code.schedule
            if row is None:
                new.append(ScheduleRow(name, code.task.name, schedule.spec(), schedule.next_after(now)))
            elif row.spec != schedule.spec() and (not self._begun or now - row.next_at >= GRACE):
                after = now if row.last_moment is None else max(now, row.last_moment)
                new.append(ScheduleRow(name, code.task.name, schedule.spec(), schedule.next_after(after)))
            elif row.spec == schedule.spec() and row.task != code.task.name and not self._begun:
                new.append(row._replace(task=code.task.name))
        return new

    async def _unfinished(self, pairs: Sequence[_Pair]) -> Collection[UUID]:
        """The last jobs of these schedules that have not ended, where that matters."""
        last = [row.last_job for code, row in pairs if row.last_job and code.schedule.overlap == "skip"]
        records = await self._store.get(last) if last else []
        return {record.id for record in records if not record.state.finished}

    async def _fire(self, pair: _Pair, unfinished: Collection[UUID], now: float) -> float:
        """Make the jobs that are due, unless another process has; returns the next moment to look at."""
        code, row = pair
        moments, next_at = due(code.schedule, row.next_at, now)
        last = moments[-1] if moments else row.next_at
        in_the_way = row.last_job if row.last_job in unfinished else None
        jobs = [] if in_the_way else self._jobs(code, moments, now)
        firing = Firing(row.name, row.spec, row.next_at, next_at, last, jobs)
        if await self._store.fire(firing):
            if now - row.next_at >= GRACE:
                self._events.emit(MomentsMissed(row.name, row.next_at, len(jobs)))
            if in_the_way and moments:
                self._events.emit(MomentSkipped(row.name, last, in_the_way))
            if jobs:
                self._queued()
        return next_at

    def _jobs(self, code: ScheduledTask, moments: Sequence[float], now: float) -> list[NewJob]:
        """Those of these moments; none if a function of the task's raises, whose moments would else come for ever."""
        try:
            return [job_of(code, moment, now) for moment in moments]
        except Exception as error:  # noqa: BLE001 - reported, and the others have their moments
            self._events.emit(ServiceFailed(f"schedule {code.schedule.name!r}", failure_of(error)))
            return []

    def _look_for_others(self) -> None:
        """A newer version of the code may take a schedule over; so does another application with one of that name."""
        there = ((row, self._tasks[row.name]) for row in self.rows if row.name in self._tasks)
        taken = [
            ScheduleTaken(row.name, row.spec, row.task)
            for row, code in there
            if (row.spec, row.task) != (code.schedule.spec(), code.task.name)
        ]
        for each in taken:
            if each not in self._taken:
                self._events.emit(each)
        self._taken = taken

    def _look_for_clock(self, row: ScheduleRow, now: float) -> None:
        if row.last_moment is None or row.last_moment - now < GRACE:
            self._set_back.discard(row.name)
        elif row.name not in self._set_back:
            self._set_back.add(row.name)
            self._events.emit(ClockSetBack(row.name, row.last_moment, row.next_at))
