"""What people see of the schedules: `durable.schedules`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import isinf
from typing import TYPE_CHECKING, Any

from postlude.client.handle import Job
from postlude.errors import ScheduleDeclared, ScheduleNotFound
from postlude.job import JobState
from postlude.scheduling import job_of, scheduled_tasks
from postlude.stores.moments import ScheduleRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from postlude.client.handle import Source
    from postlude.clock import Clock
    from postlude.registry import Registry
    from postlude.schedules import Schedule
    from postlude.stores.contract import Store


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A schedule as it was when it was read."""

    name: str
    task: str
    """The name of its task."""
    spec: str
    """Its cron line and zone, or its period, as the store has it."""
    schedule: Schedule | None
    """As the code of this process declares it; None: it does not, or with another spec, and so fires it no more."""
    next_at: datetime | None
    """When it comes next, in its own zone; None: never, as far as this process knows."""
    last_moment: datetime | None
    """The latest moment to which it has come, whether that made a job or not; in UTC."""
    last_job: UUID | None
    """The last job that it made, which may be gone by now."""

    @property
    def declared(self) -> bool:
        """Whether the code of this process declares it."""
        return self.schedule is not None

    def next_runs(self, n: int) -> list[datetime]:
        """The next `n` moments, in its own zone; fewer if there are no more."""
        if self.schedule is None or self.next_at is None or n < 1:
            return []
        return [self.next_at, *self.schedule.next_runs(n - 1, self.next_at.timestamp())]


class Schedules:
    """Look at schedules, run one now, and forget those that are not in the code any more.

    Args:
        store: opens it where that was not done yet.
        registry: the tasks of the application.
        clock: what time it is.
        jobs: what the job that `run` makes asks.
        queued: called when it has made one.
    """

    def __init__(
        self,
        store: Callable[[], Awaitable[Store]],
        registry: Registry,
        clock: Clock,
        jobs: Source,
        queued: Callable[[], None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._jobs = jobs
        self._queued = queued

    async def list(self) -> list[ScheduleInfo]:
        """All schedules, by name: those in the code of this process, and those that only the store still has.

        Raises:
            StoreError: the store cannot be opened, or does not answer.
        """
        store = await self._store()  # which imports the modules of `tasks=`
        rows = {row.name: row for row in await store.schedules()}
        tasks = scheduled_tasks(self._registry)
        for name, code in tasks.items():
            if name not in rows:  # no process with a worker has been started since it was declared
                next_at = code.schedule.next_after(self._clock.now())
                rows[name] = ScheduleRow(name, code.task.name, code.schedule.spec(), next_at)
        schedules = {name: code.schedule for name, code in tasks.items()}
        return [_info(rows[name], schedules.get(name)) for name in sorted(rows)]

    async def run(self, name: str) -> Job[Any]:
        """Make a job of a schedule now, as its next moment would; that moment comes all the same.

        It is made even while an earlier one is unfinished, whatever `overlap` says: somebody wants it.

        Raises:
            ScheduleNotFound: the code of this process does not declare it, and so does not know its arguments.
            StoreError: the store cannot be opened, or did not confirm it.
        """
        store = await self._store()  # which imports the modules of `tasks=`
        declared = scheduled_tasks(self._registry)
        code = declared.get(name)
        if code is None:
            raise ScheduleNotFound(name, known=declared, where="The code here, which has to know its arguments,")
        now = self._clock.now()
        job = job_of(code, now, now)
        answered = await store.insert([job])
        self._queued()
        return Job(answered.get(job.id, job.id), job.task, self._jobs, added=JobState.QUEUED)

    async def forget(self, name: str) -> None:
        """Remove what the store has of a schedule that is not in the code any more; the jobs that it made stay.

        Should a process with other code still declare it, that process puts it back, with its next moment after then.

        Raises:
            ScheduleNotFound: the store has none of this name.
            ScheduleDeclared: the code of this process declares it.
            StoreError: the store cannot be opened, or did not confirm it.
        """
        store = await self._store()  # which imports the modules of `tasks=`
        if name in scheduled_tasks(self._registry):
            raise ScheduleDeclared(name)
        if not await store.remove_schedule(name):
            raise ScheduleNotFound(name, known=[row.name for row in await store.schedules()])


def _info(row: ScheduleRow, schedule: Schedule | None) -> ScheduleInfo:
    if schedule is not None and schedule.spec() != row.spec:
        schedule = None
    never = schedule is None or isinf(row.next_at)
    return ScheduleInfo(
        name=row.name,
        task=row.task,
        spec=row.spec,
        schedule=schedule,
        next_at=None if never or schedule is None else datetime.fromtimestamp(row.next_at, schedule.zone),
        last_moment=None if row.last_moment is None else datetime.fromtimestamp(row.last_moment, UTC),
        last_job=row.last_job,
    )
