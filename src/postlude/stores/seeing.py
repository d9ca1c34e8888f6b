"""What processes write down of themselves, and what is asked of queues and limits; the clauses go on from `searching`.

Statistics
    58. **Added up.** `add_statistics` adds to what other processes have added to the same minutes. When it raises, it
        may have been added or not: statistics are no ledger. `statistics` gives sums for stretches of `step` seconds,
        which is 60 for `KEPT_MINUTES` seconds and 600 for `KEPT` seconds after the minute; older ones are pruned. With
        `ALWAYS` it gives one sum, at the moment 0, of all that was ever counted: it only grows, and a read that begins
        when another has ended gives no less, in whichever process.

Workers
    59. **What they say.** `report_worker` keeps the last report of a living worker; `workers` gives all rows there are,
        with the reports. One that has not reported has none; the row says whether it is of a release that never does,
        and how many claims the worker has.
    60. **What became of the dead.** `bury` leaves a line for each worker that it removes, with how many of its jobs
        `note_rescued` was told of; `former_workers` gives the last `FORMER` of them, newest first. A worker that was
        dismissed leaves none.

Use
    61. **What waits.** `waiting` gives for each queue and task what is due, for later and behind other jobs, each
        counted up to `most`, and since when the first that is due has been.
    62. **Use of limits.** `limit_use` gives for each partition what runs and what has started within the rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

from postlude.stores.searching import MOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from postlude.limits import Limit
    from postlude.statistics import Minute

ALWAYS: Final = 0
"""The step of the one stretch that is all of the time, and is never pruned."""
KEPT_MINUTES: Final = 2 * 3600.0
"""Seconds for which there are sums by the minute."""
KEPT: Final = 8 * 86400.0
"""Seconds for which there are sums by ten minutes."""
FORMER: Final = 50
"""Dead workers that are remembered."""


class Waiting(NamedTuple):
    """What waits in one queue of one task."""

    queue: str
    """Empty for what waits behind other jobs: whichever queue that will be."""
    task: str
    due: int = 0
    """How many could be claimed now, if nothing limits or pauses them; up to `most`."""
    later: int = 0
    """How many have a moment in the future; up to `most`."""
    behind: int = 0
    """How many wait for another job of their chain; up to `most`."""
    due_since: float | None = None
    """When the first that is due became so; seconds since the epoch."""
    next_at: float | None = None
    """When the first of the others does."""
    running: int = 0
    """How many jobs of the task are running, from this queue."""


class LimitUse(NamedTuple):
    """How much of a limit is used by one partition."""

    task: str
    partition: str
    """Empty if the whole task is limited."""
    running: int
    started: int
    """Within the time that the rate names; 0 if there is no rate."""


class RunningJob(NamedTuple):
    """An attempt that a worker runs."""

    job_id: UUID
    task: str
    since: float
    """Seconds since the epoch."""
    attempt: int = 1


class WorkerReport(NamedTuple):
    """What a process says of itself, every few seconds while that changes."""

    release: str
    """The version of Postlude."""
    python: str
    runs_jobs: bool
    """Whether it claims from the queue; else it only adds jobs, or runs those of its own requests."""
    mode: str
    """`"embedded"`, `"process"`, `"off"`, or `"worker"` for one that does nothing else."""
    slots: Mapping[str, int]
    """How many attempts each executor takes at once, by its name."""
    free: Mapping[str, int]
    """How many of those slots are free."""
    running: int
    """How many attempts run."""
    jobs: Sequence[RunningJob]
    """The oldest of them, at most `MAX_JOBS`."""
    loop_lag: float
    """The longest that the event loop kept others waiting since the last report; seconds."""
    abandoned: int
    """Threads whose tasks went on after their timeout."""
    unknown: Sequence[str] = ()
    """The tasks with jobs in the queue that it does not know, at most 100."""
    queues: Sequence[str] = ()
    """Those it claims from; empty: all."""
    counts: Mapping[str, int] = {}
    """How many events of each kind there were in it, by the names of their classes."""
    next_within: float = 5.0
    """Seconds in which it says something again, if it is well."""


class WorkerRow(NamedTuple):
    """A worker as the store has it."""

    id: int
    host: str
    pid: int
    since: float
    """When it began; seconds since the epoch."""
    stopping: bool
    reported_at: float | None
    """When it last reported; seconds since the epoch."""
    report: WorkerReport | None
    alive: bool = True
    """Whether its proof of life is there, as far as can be told here."""

    reports: bool = True
    """Whether it is of a release that says what it does: if it has not, it does nothing yet, or only adds jobs."""

    owns: int = 0
    """How many staged and running jobs are its own."""


class FormerWorker(NamedTuple):
    """A worker that died."""

    id: int
    host: str
    pid: int
    since: float
    gone_at: float
    """When it was found dead."""
    announced: bool
    """Whether it had announced its stop."""
    rescued: int
    """How many of its jobs were given another attempt, or set aside."""


SumsBy: TypeAlias = Literal["both", "task", "moment"]
"""What is not added up in statistics."""


class Sum(NamedTuple):
    """What was counted of one task in one stretch of time."""

    moment: float
    """When the stretch begins; seconds since the epoch, a multiple of the step."""
    task: str
    measure: str
    """One of `statistics.MEASURES`, or a bucket of a histogram: `start:<n>` or `run:<n>`, as `statistics.BOUNDS`."""
    times: int


class SeeingStore(Protocol):
    """What processes write down of themselves, and what is asked of queues and limits. No read waits for a writer."""

    async def add_statistics(self, minutes: Sequence[Minute], *, now: float) -> None:
        """Add what was counted (clause 58), and prune what is too old."""
        ...

    async def statistics(self, *, since: float, step: int, by: SumsBy = "both") -> Sequence[Sum]:
        """The sums of the stretches of 60, 600 or `ALWAYS` that begin at or after then, oldest first (clause 58).

        `by`: for each stretch and task; for each `"task"` since then, with that as its moment; or for each `"moment"`,
        with no task.
        """
        ...

    async def report_worker(self, worker: int, report: WorkerReport, *, now: float) -> None:
        """Note what a worker says of itself (clause 59)."""
        ...

    async def workers(self) -> Sequence[WorkerRow]:
        """All that have a row, oldest first (clause 59)."""
        ...

    async def note_rescued(self, rescued: Mapping[int, int]) -> None:
        """Note how many jobs of which dead workers were rescued (clause 60)."""
        ...

    async def former_workers(self) -> Sequence[FormerWorker]:
        """Those that died, newest first (clause 60)."""
        ...

    async def waiting(self, *, now: float, most: int = MOST) -> Sequence[Waiting]:
        """What waits, by queue and task (clause 61)."""
        ...

    async def limit_use(self, limits: Mapping[str, Limit], *, now: float) -> Sequence[LimitUse]:
        """The use of the limits of these tasks; partitions that use nothing are left out (clause 62)."""
        ...
