"""The read models of one application, each made by one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from postlude.stores.contract import Filter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from postlude.clock import Clock
    from postlude.masking import Masking
    from postlude.registry import Registry
    from postlude.stores.contract import Store
    from postlude.stores.gate import AuditLine
    from postlude.timetable import Schedules
    from postlude.views.jobs import Counts, JobPage, JobView
    from postlude.views.needs import Need
    from postlude.views.overview import Overview
    from postlude.views.places import QueuesView, ScheduleView, TaskView, WorkersView


EVERYTHING: Final = Filter()
"""All jobs."""


class Views:
    """What is shown of an application: read from its store, and masked before it leaves here.

    Every method reads anew, waits for no writer, and raises `StoreError` if the store cannot be read.

    Args:
        store: gives the store, opened in this process.
        registry: the tasks of this process.
        clock: what time it is.
        masking: what is secret.
        schedules: the schedules of the application.
    """

    def __init__(
        self,
        store: Callable[[], Awaitable[Store]],
        registry: Registry,
        clock: Clock,
        masking: Masking,
        schedules: Schedules,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self.masking: Masking = masking
        self._schedules = schedules

    async def overview(self, span: Literal["hour", "day"] = "hour") -> Overview:
        """How it goes: charts over the last hour, a minute a point, or day, ten minutes a point."""
        raise NotImplementedError

    async def jobs(
        self, wanted: Filter = EVERYTHING, *, limit: int = 50, place: str | None = None, newer: bool = False
    ) -> JobPage:
        """One page of the jobs that match, newest first.

        Args:
            wanted: which. A text is searched in what is shown, so a secret is not found.
            limit: at most so many, from 1 to 1,000.
            place: `older` or `newer` of another page of the same filter; None: the newest.
            newer: the page that ends at the place, in place of that which begins there.

        Raises:
            UnknownValue: the place is none.
        """
        raise NotImplementedError

    async def counts(self, wanted: Filter = EVERYTHING, *, most: int = 10_000) -> Counts:
        """How many match in each state, up to a number."""
        raise NotImplementedError

    async def job(self, job_id: UUID | str) -> JobView:
        """All that is known of a job.

        Raises:
            JobNotFound: there is none with this id.
            UnknownValue: that is no id.
        """
        raise NotImplementedError

    async def tasks(self) -> Sequence[TaskView]:
        """Every task that this process knows, that jobs wait for, or that ran in the last day; by name."""
        raise NotImplementedError

    async def task(self, name: str) -> TaskView:
        """One of them.

        Raises:
            UnknownTask: nothing is known under this name.
        """
        raise NotImplementedError

    async def queues(self) -> QueuesView:
        """The queues, the limits and their use, and what is paused."""
        raise NotImplementedError

    async def schedules(self, runs: int = 5) -> Sequence[ScheduleView]:
        """All schedules by name, each with so many of its next moments."""
        raise NotImplementedError

    async def workers(self) -> WorkersView:
        """Who is there, and who died lately."""
        raise NotImplementedError

    async def needs(self) -> Sequence[Need]:
        """What needs a person, the grave ones first; empty: nothing does."""
        raise NotImplementedError

    async def audit(self, *, limit: int = 50, before: int | None = None) -> Sequence[AuditLine]:
        """What was done by whom, newest first; `before`: the `number` of the last line of the page before."""
        raise NotImplementedError
