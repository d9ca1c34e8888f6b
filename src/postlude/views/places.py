"""Tasks, queues, schedules and workers as people see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postlude.client.timetable import ScheduleInfo
    from postlude.limits import Limit
    from postlude.pauses import Pause
    from postlude.stores.seeing import FormerWorker, Waiting, WorkerRow
    from postlude.views.overview import Rates


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task: what is declared, and how it has gone."""

    name: str
    known: bool
    """Whether this process knows it."""
    unresolvable: bool
    """Whether jobs of it wait, and no living worker knows it."""
    why_unknown: str | None
    """Why this process cannot run it."""
    signature: str | None
    """Such as `(user_id: int, subject: str = 'Hello')`; None where the task is not known here."""
    summary: str | None
    """The first line of its docstring."""
    executor: str | None
    queue: str | None
    priority: int | None
    retries: str | None
    """Its retries and backoff in words."""
    timeout: float | None
    """Seconds."""
    limit: Limit | None
    interrupted: str | None
    options: Sequence[tuple[str, str]]
    """All that it declares, as name and value for people."""
    hour: Rates
    day: Rates
    waiting: Sequence[Waiting]
    """What waits, by queue."""
    pauses: Sequence[Pause]
    """Of the task and of its partitions."""


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue."""

    name: str
    paused: Pause | None
    due: int
    later: int
    running: int
    oldest_due: float | None
    """Since when the first has been due; seconds since the epoch."""
    tasks: Sequence[Waiting]
    """What waits in it, by task."""
    more: bool
    """Whether there may be more than was counted."""


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit, and how much of it is used by one partition."""

    task: str
    partition: str
    """Empty if the whole task is limited."""
    limit: Limit
    running: int
    started: int
    """Within the time that the rate names."""
    paused: Pause | None


@dataclass(frozen=True, slots=True)
class QueuesView:
    """The page of the queues."""

    queues: Sequence[QueueView]
    """By name; those that tasks known here declare, those in which something waits, and those paused."""
    limits: Sequence[LimitView]
    """By task; of each the 20 partitions with most running, and one with nothing for a task that uses none."""
    pauses: Sequence[Pause]
    """All that is paused."""
    behind: int
    """How many jobs wait for another one of their chain."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule with its next moments."""

    info: ScheduleInfo
    next_runs: Sequence[float]
    """Seconds since the epoch; empty: there are none, or this process does not declare it."""
    problem: str | None
    """Why it is not fired as the code of this process says, or not by this process; None: it is."""
    refused: bool
    """Whether the code of this process declares it, and the store goes on with an earlier line of it."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker."""

    row: WorkerRow
    state: str
    """`running`, `idle`, `stopping`, `silent` (alive, and has not reported for a while) or `dead`."""
    problems: Sequence[str]
    """What is wrong with it, in sentences."""


@dataclass(frozen=True, slots=True)
class WorkersView:
    """The page of the workers."""

    workers: Sequence[WorkerView]
    """Oldest first."""
    former: Sequence[FormerWorker]
    """Those that died, newest first."""
