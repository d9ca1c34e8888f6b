"""What processes write down of themselves, and what is asked of queues. Fulfils `stores.seeing.SeeingStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postlude.stores.gathering import MOST_PARTITIONS, STEPS, Gathered, by_stretch, report_of, report_text, uses
from postlude.stores.postgres.rows import plain
from postlude.stores.searching import MOST
from postlude.stores.seeing import FORMER, FormerWorker, Sum, WorkerRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import asyncpg

    from postlude.limits import Limit
    from postlude.statistics import Minute
    from postlude.stores.postgres.gate import Do
    from postlude.stores.postgres.session import Session
    from postlude.stores.seeing import LimitUse, SumsBy, Waiting, WorkerReport


class Seeing:
    """What is seen of one store.

    Args:
        do: carries out an operation.
        read: carries out what may take long.
    """

    def __init__(self, do: Do, read: Do) -> None:
        self._do = do
        self._read = read

    async def add_statistics(self, minutes: Sequence[Minute], *, now: float) -> None:
        """Clause 58."""
        sums = by_stretch(minutes)
        columns = [list(column) for column in zip(*((*row, times) for row, times in sums.items()), strict=True)]

        async def add(session: Session) -> None:
            if columns:
                await session.do("seeing/add_statistics", session.namespace, *columns)
            for step, kept in STEPS.items():
                await session.do("seeing/cut_statistics", session.namespace, step, int(now - kept))

        await self._do(add)

    async def statistics(self, *, since: float, step: int, by: SumsBy = "both") -> Sequence[Sum]:
        """Clause 58."""
        values = (step, int(since), by)
        rows = await self._read(lambda session: session.rows("seeing/statistics", session.namespace, *values))
        return [Sum(*row) for row in rows]

    async def report_worker(self, worker: int, report: WorkerReport, *, now: float) -> None:
        """Clause 59."""
        text = plain(report_text(report))
        await self._do(lambda session: session.do("seeing/report", worker, text, now))

    async def workers(self) -> Sequence[WorkerRow]:
        """Clause 59."""
        rows = await self._do(lambda session: session.rows("seeing/workers", session.namespace))
        return [_worker_of(row) for row in rows]

    async def note_rescued(self, rescued: Mapping[int, int]) -> None:
        """Clause 60."""
        owners, numbers = list(rescued), list(rescued.values())
        await self._do(lambda session: session.do("seeing/note_rescued", owners, numbers))

    async def former_workers(self) -> Sequence[FormerWorker]:
        """Clause 60."""
        rows = await self._do(lambda session: session.rows("seeing/former", session.namespace, FORMER))
        return [FormerWorker(*row) for row in rows]

    async def waiting(self, *, now: float, most: int = MOST) -> Sequence[Waiting]:
        """Clause 61."""

        async def at_one_moment(session: Session) -> list[Waiting]:
            async with session.connection.transaction(isolation="repeatable_read", readonly=True):
                return await _waiting(session, now, most)

        return await self._read(at_one_moment)

    async def limit_use(self, limits: Mapping[str, Limit], *, now: float) -> Sequence[LimitUse]:
        """Clause 62."""
        return await self._read(lambda session: _limit_use(session, limits, now))


async def bury(session: Session, dead: Collection[int]) -> int:
    """Remove the rows of those that own no job any more, and leave a line of each; returns how many (clause 60)."""
    removed = await session.do("seeing/bury", session.namespace, list(dead))
    await session.do("seeing/cut_former", session.namespace, FORMER - 1)
    return removed


def _worker_of(row: asyncpg.Record) -> WorkerRow:
    return WorkerRow(
        row["id"],
        row["host"],
        row["pid"],
        row["started_at"],
        row["stopping"],
        row["reported_at"],
        report_of(row["report"]),
        alive=row["alive"],
        reports=row["report"] is not None,
        owns=row["owns"],
    )


async def _waiting(session: Session, now: float, most: int) -> list[Waiting]:
    gathered = Gathered()
    lanes: dict[str, list[Any]] = {"free": [], "limited": []}
    behind: list[str] = []
    for kind, queue, task, rank, run_at, *_ in await session.rows("look", session.namespace):
        is_due = run_at is not None and run_at <= now
        if kind in lanes:
            lanes[kind].append((queue, task, rank))
            gathered.first(queue, task, due_since=run_at if is_due else None)
        elif kind == "behind":
            behind.append(task)
        elif kind == "alone":
            gathered.add(queue, task, due=int(is_due), later=int(not is_due))
            gathered.first(queue, task, **{"due_since" if is_due else "next_at": run_at})
    for kind, places in lanes.items():
        if places:
            columns = [list(column) for column in zip(*places, strict=True)]
            rows = await session.rows(f"seeing/count_{kind}", session.namespace, *columns, now, most + 1)
            for queue, task, due, later, next_at in rows:
                gathered.add(queue, task, due=due, later=later)
                gathered.first(queue, task, next_at=next_at)
    for task, number in await session.rows("seeing/count_behind", session.namespace, behind, most + 1):
        gathered.add("", task, behind=number)
    for queue, task, number in await session.rows("seeing/running", session.namespace):
        gathered.add(queue, task, running=number)
    return gathered.all(most)


async def _limit_use(session: Session, limits: Mapping[str, Limit], now: float) -> list[LimitUse]:
    found: list[LimitUse] = []
    for task, limit in limits.items():
        place = session.namespace, task
        running = await session.rows("seeing/limit_running", *place, MOST_PARTITIONS)
        started: Sequence[asyncpg.Record] = ()
        if limit.rate is not None:
            started = await session.rows("seeing/limit_started", *place, now, limit.rate.seconds, MOST_PARTITIONS)
        found += uses(task, ((row[0], row[1]) for row in running), ((row[0], row[1]) for row in started))
    return found
