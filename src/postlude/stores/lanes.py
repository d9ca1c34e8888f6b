"""What a claim finds in the queue, and how much of it one claim looks at: the same in every store.

A lane holds the jobs of one queue, task and rank, in the order in which they are due. Those that are limited have lanes
of their own.
"""

from __future__ import annotations

from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from postlude.pauses import Pauses

MOST_EXPIRED: Final = 200
"""Expired jobs after which a claim that has found nothing else ends: with more, the next one goes on."""
MOST_ADOPTED: Final = 500
"""Jobs without a partition that one claim gives one: with more, the next claim goes on, so that no commit waits long
behind it."""
MOST_VISITS: Final = 500
"""Partitions that one claim looks at in a lane: with more, the next claim goes on where this one ended, so that no
commit waits long behind it, and no partition for ever behind others."""
REST: Final = 0.1
"""Seconds until the next claim then goes on, if this one found nothing."""
WHOLE_TASK: Final = ""
"""The partition of a task that has no `partition_by`."""

Place = tuple[str, str, int]
"""Queue, task and rank: lanes come in this order."""

Cursors = dict[Place, str]
"""From which partition on each lane is looked at next, so that each has its turn."""


class Lane(NamedTuple):
    """A lane in which jobs wait."""

    queue: str
    task: str
    rank: int
    first_due: float
    limited: bool
    """Whether these are the jobs with limits; those without stand in a lane of their own."""

    @property
    def place(self) -> Place:
        """Which lane it is."""
        return self.queue, self.task, self.rank


class Alone(NamedTuple):
    """A queued job that must run alone: it stands in no lane."""

    run_at: float
    seq: int
    expires_at: float | None
    queue: str
    task: str
    partition: str | None


class Due(NamedTuple):
    """A job that may start now."""

    run_at: float
    seq: int
    expires_at: float | None
    task: str
    partition: str | None = None


class Visit(NamedTuple):
    """What was found in one lane."""

    lane: Lane
    due: list[Due]
    """In turn: the first of each partition, then the second of each."""
    firsts: int
    """How many of them are the first of their partition."""
    left_at: str | None
    """Where the visit ended before it was once around; None: it has seen every partition, or enough jobs."""
    partitions: list[str]
    """Those that had something due."""


def to_adopt(lanes: Sequence[Lane], limited: Collection[str]) -> list[Lane]:
    """Those in which jobs without a partition stand although their task has limits, the first to be claimed first."""
    plain = [lane for lane in lanes if not lane.limited and lane.task in limited]
    return sorted(plain, key=attrgetter("rank"))


def after_adopting(lanes: Sequence[Lane], adopted: Sequence[Lane]) -> list[Lane]:
    """The lanes when the jobs of some of them have got a partition."""
    by_place = {lane.place: lane for lane in lanes if lane.limited}
    for lane in adopted:
        by_place.setdefault(lane.place, lane._replace(limited=True))
    others = [lane for lane in lanes if not lane.limited and lane not in adopted]
    return [*others, *by_place.values()]


def first_moments(
    lanes: Iterable[Lane],
    alone: Iterable[Alone],
    behind: Iterable[str],
    pauses: Pauses,
    queues: Collection[str],
) -> dict[str, float]:
    """When the first job of each task is due that may be claimed; infinity if there is none.

    Args:
        lanes: all in which jobs wait.
        alone: all jobs that must run alone.
        behind: the tasks of jobs that wait for others.
        pauses: what may not be claimed.
        queues: those that may be; empty: all.
    """
    moments = dict.fromkeys(behind, inf)
    for lane in lanes:
        skipped = (queues and lane.queue not in queues) or pauses.cover(lane.queue, lane.task)
        at = inf if skipped else lane.first_due
        moments[lane.task] = min(at, moments.get(lane.task, inf))
    for job in alone:
        skipped = (queues and job.queue not in queues) or pauses.cover(job.queue, job.task, job.partition)
        at = inf if skipped else job.run_at
        moments[job.task] = min(at, moments.get(job.task, inf))
    return moments
