"""A schedule in a store: how far it has come, and its step to a later moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from postlude.job import NewJob


class ScheduleRow(NamedTuple):
    """How far a schedule has come."""

    name: str
    task: str
    """The name under which a worker finds the function."""
    spec: str
    """`Schedule.spec()`: which moments it has."""
    next_at: float
    """The first moment that was not decided on; seconds since the epoch, infinity when there is none any more."""
    last_moment: float | None = None
    """The latest moment that was decided on, whether it made a job or not; None: there was none."""
    last_job: UUID | None = None
    """The last job that it made, or that answered in place of that one (clause 26); it may be gone by now."""


class Firing(NamedTuple):
    """The step of a schedule from one moment to a later one."""

    name: str
    spec: str
    expected: float
    """The row's `next_at` as it was read."""
    next_at: float
    moment: float
    """The latest moment that this decides on: `last_moment` from now on."""
    jobs: Sequence[NewJob]
    """The jobs of its moments, earliest first; empty when they make none."""
