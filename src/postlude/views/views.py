"""The read models of one application, each made by one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from postlude.client.wanted import id_of
from postlude.errors import JobNotFound, UnknownTask, UnknownValue
from postlude.given import is_whole
from postlude.job import JobState
from postlude.scheduling import scheduled_tasks
from postlude.stores.contract import Filter
from postlude.stores.searching import MOST
from postlude.views.attention import LATELY, MOST_FAILED, Facts, is_silent, needs_in, problems_of
from postlude.views.counting import STEPS, first_moment, points_of, rates_by_task, rates_of
from postlude.views.jobs import Counts, JobPage
from postlude.views.overview import Overview
from postlude.views.places import ScheduleView, WorkersView, WorkerView
from postlude.views.queues import queues_view
from postlude.views.records import All, Known, row_of
from postlude.views.records import view_of as job_view
from postlude.views.tasks import About, limits_of
from postlude.views.tasks import view_of as task_view
from postlude.views.texts import search_shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from uuid import UUID

    from postlude.client.timetable import Schedules
    from postlude.clock import Clock
    from postlude.job import Record
    from postlude.masking import Masking
    from postlude.registry import Registry
    from postlude.stores.contract import Store
    from postlude.stores.gate import AuditLine
    from postlude.stores.searching import Found
    from postlude.stores.seeing import WorkerRow
    from postlude.views.jobs import JobRow, JobView
    from postlude.views.needs import Need
    from postlude.views.places import QueuesView, TaskView

_REFUSED: Final = "the code declares it with another line, and the store goes on with the one before for now."
_UNDECLARED: Final = "the code of this process does not declare it: it is fired only if that of another one does."
EVERYTHING: Final = Filter()
"""All jobs."""
MOST_ROWS: Final = 1_000
"""Jobs of one page."""
MOST_RUNNING: Final = 50
"""Running jobs that the overview names."""
LONGEST_CHAIN: Final = 100
"""Jobs of a chain that the page of one names."""


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
        self._schedules = schedules
        self._known = Known(registry, masking)

    @property
    def known(self) -> Known:
        """What is secret, and what the tasks say of that."""
        return self._known

    async def overview(self, span: Literal["hour", "day"] = "hour") -> Overview:
        """How it goes: charts over the last hour, a minute a point, or day, ten minutes a point."""
        store = await self._store()
        facts = await self._facts(store)
        step, number = STEPS[span]
        sums = await store.seeing.statistics(since=first_moment(facts.now, span), step=step, by="moment")
        due = sum(each.due for each in facts.waiting)
        running = sorted((job for report in facts.reports for job in report.jobs), key=lambda job: job.since)
        return Overview(
            at=facts.now,
            counts=await self.counts(),
            span=float(step * number),
            step=step,
            points=points_of(sums, facts.now, span),
            total=rates_of(sums),
            due=due,
            due_text=f"{due:,}{'+' if any(each.due >= MOST for each in facts.waiting) else ''}",
            oldest_due=min((each.due_since for each in facts.waiting if each.due_since is not None), default=None),
            running=running[:MOST_RUNNING],
            running_count=sum(report.running for report in facts.reports),
            workers=len(facts.living) + facts.mute,
            needs=needs_in(facts),
        )

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
            UnknownValue: the place is none, or the limit is.
        """
        if not is_whole(limit, 1, MOST_ROWS):
            message = f"limit: expected a whole number from 1 to {MOST_ROWS:,}, got {limit!r}."
            raise UnknownValue(message)
        backwards = newer and place is not None
        found = await self._found(wanted, limit, place, newer=backwards)
        if backwards and found.newer is None:
            backwards = False  # the first page, and a full one
            found = await self._found(wanted, limit)
        ahead = found.newer if backwards else found.older
        return JobPage(
            rows=[row_of(record, self._known) for record in found.records],
            older=found.older,
            newer=found.newer,
            partial=len(found.records) < limit and ahead is not None,
        )

    async def ids(self, wanted: Filter) -> list[UUID]:
        """Those of all jobs that match by what is shown of them, newest first."""
        return [row.id async for row in self.every(wanted)]

    async def every(self, wanted: Filter = EVERYTHING) -> AsyncGenerator[JobRow, None]:
        """All jobs that match, newest first; they are read page by page, however many there are."""
        place: str | None = None
        while True:
            page = await self.jobs(wanted, limit=MOST_ROWS, place=place)
            for row in page.rows:
                yield row
            if page.older is None:
                return
            place = page.older

    async def counts(self, wanted: Filter = EVERYTHING, *, most: int = MOST) -> Counts:
        """How many match in each state, up to a number; with a text, of the newest that one page looks at."""
        states = [state for state in JobState if not wanted.states or state in wanted.states]
        if wanted.text is None:
            tally = await (await self._store()).searching.tally(wanted, most=most)
            return Counts({state: tally.counts.get(state, 0) for state in states}, tally.more)
        found = await self._found(wanted, MOST_ROWS)
        seen = [record.state for record in found.records]
        more = frozenset(states) if found.older is not None else frozenset()
        return Counts({state: seen.count(state) for state in states}, more)

    async def _found(self, wanted: Filter, limit: int, place: str | None = None, *, newer: bool = False) -> Found:
        searching = (await self._store()).searching
        if wanted.text is None:
            return await searching.search(wanted, limit=limit, place=place, newer=newer)
        return await search_shown(searching, wanted, self._known, limit=limit, place=place, newer=newer)

    async def job(self, job_id: UUID | str) -> JobView:
        """All that is known of a job.

        Raises:
            JobNotFound: there is none with this id.
            UnknownValue: that is no id.
        """
        store, key = await self._store(), id_of(job_id)
        records = await store.get([key])
        if not records:
            raise JobNotFound(key)
        record = records[0]
        chain: list[Record] = []
        if record.chain is not None:
            chain = await store.list(Filter(chain=record.chain), limit=LONGEST_CHAIN, before=None)
        found = All(record, await store.attempts(record.id), await store.logs(record.id), chain[::-1])
        return job_view(found, self._known)

    async def tasks(self) -> Sequence[TaskView]:
        """Every task that this process knows, that jobs wait for, or that ran in the last day; by name."""
        about = await self._about_tasks()
        known = {*self._registry.names(), *(each.task.name for each in scheduled_tasks(self._registry).values())}
        names = {*known, *about.day, *(each.task for each in about.waiting)}
        return [task_view(name, self._registry, about) for name in sorted(names)]

    async def task(self, name: str) -> TaskView:
        """One of them.

        Raises:
            UnknownTask: nothing is known under this name.
        """
        view = task_view(name, self._registry, await self._about_tasks())
        if not view.known and not view.waiting and not view.day.ended:
            raise UnknownTask(name, view.why_unknown or "no job of it was seen", known=self._registry.names())
        return view

    async def queues(self) -> QueuesView:
        """The queues, the limits and their use, and what is paused."""
        store, now = await self._store(), self._clock.now()
        waiting = await store.seeing.waiting(now=now)
        limits = limits_of(self._registry)
        use = await store.seeing.limit_use(limits, now=now)
        return queues_view(self._registry, waiting, await store.pauses(), limits, use)

    async def schedules(self, runs: int = 5) -> Sequence[ScheduleView]:
        """All schedules by name, each with so many of its next moments."""
        code = scheduled_tasks(self._registry)
        return [
            ScheduleView(
                info,
                [moment.timestamp() for moment in info.next_runs(runs)],
                problem=None if info.declared else _REFUSED if info.name in code else _UNDECLARED,
                refused=info.name in code and not info.declared,
            )
            for info in await self._schedules.list()
        ]

    async def workers(self) -> WorkersView:
        """Who is there, and who died lately."""
        seeing, now = (await self._store()).seeing, self._clock.now()
        workers = [WorkerView(row, _state(row, now), problems_of(row, now)) for row in await seeing.workers()]
        return WorkersView(workers, await seeing.former_workers())

    async def needs(self) -> Sequence[Need]:
        """What needs a person, the grave ones first; empty: nothing does."""
        return needs_in(await self._facts(await self._store()))

    async def audit(self, *, limit: int = 50, before: int | None = None) -> Sequence[AuditLine]:
        """What was done by whom, newest first; `before`: the `number` of the last line of the page before."""
        return await (await self._store()).gate.audit(limit=limit, before=before)

    async def _facts(self, store: Store) -> Facts:
        now = self._clock.now()
        lately = Filter(frozenset({JobState.FAILED}), ended_since=now - LATELY)
        found = await store.searching.search(lately, limit=MOST_FAILED)
        return Facts(
            now=now,
            waiting=await store.seeing.waiting(now=now),
            workers=await store.seeing.workers(),
            pauses=await store.pauses(),
            failed=found.records,
            schedules=await self.schedules(0),
            day=await store.seeing.statistics(since=first_moment(now, "day"), step=STEPS["day"][0], by="task"),
            knows=self._registry.knows,
        )

    async def _about_tasks(self) -> About:
        store = await self._store()
        facts = await self._facts(store)
        begin = first_moment(facts.now, "hour")
        hour = await store.seeing.statistics(since=begin, step=STEPS["hour"][0], by="task")
        return About(
            hour=rates_by_task(hour),
            day=rates_by_task(facts.day),
            waiting=facts.waiting,
            pauses=facts.pauses,
            unresolvable=facts.unresolvable(),
            none=rates_of(()),
        )


def _state(row: WorkerRow, now: float) -> str:
    if not row.alive:
        return "dead"
    if row.stopping:
        return "stopping"
    if is_silent(row, now):
        return "silent"
    return "running" if row.report is not None and row.report.running else "idle"
