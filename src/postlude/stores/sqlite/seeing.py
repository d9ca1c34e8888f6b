"""What processes write down of themselves, and what is asked of queues. Fulfils `stores.seeing.SeeingStore`."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from postlude.stores.gathering import MOST_PARTITIONS, STEPS, Gathered, by_stretch, report_of, report_text, uses
from postlude.stores.lanes import Alone
from postlude.stores.searching import MOST
from postlude.stores.seeing import FORMER, FormerWorker, Sum, WorkerRow
from postlude.stores.sqlite.lanes import all_lanes
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Mapping, Sequence

    from apsw import Connection

    from postlude.limits import Limit
    from postlude.statistics import Minute
    from postlude.stores.liveness import Liveness
    from postlude.stores.seeing import LimitUse, SumsBy, Waiting, WorkerReport
    from postlude.stores.sqlite.rows import Row

    Submit = Callable[[Callable[[Connection], Any]], Future[Any]]


class Seeing:
    """What is seen of one store.

    Args:
        write: carries out what is written.
        read: carries out what is read.
        liveness: knows who is alive.
    """

    def __init__(self, write: Submit, read: Submit, liveness: Liveness) -> None:
        self._write = write
        self._read = read
        self._liveness = liveness

    async def add_statistics(self, minutes: Sequence[Minute], *, now: float) -> None:
        """Clause 58."""
        rows = [(*row, times) for row, times in by_stretch(minutes).items()]

        def add(connection: Connection) -> None:
            connection.executemany(sql("seeing/add_statistics"), rows)
            for step, kept in STEPS.items():
                connection.execute(sql("seeing/cut_statistics"), (step, int(now - kept)))

        await self._write(add)

    async def statistics(self, *, since: float, step: int, by: SumsBy = "both") -> Sequence[Sum]:
        """Clause 58."""

        def read(connection: Connection) -> list[Sum]:
            return [Sum(*row) for row in connection.execute(sql("seeing/statistics"), (step, int(since), by))]

        sums: list[Sum] = await self._read(read)
        return sums

    async def report_worker(self, worker: int, report: WorkerReport, *, now: float) -> None:
        """Clause 59."""
        values = (report_text(report), now, worker)
        await self._write(lambda connection: connection.execute(sql("seeing/report"), values).fetchall())

    async def workers(self) -> Sequence[WorkerRow]:
        """Clause 59."""
        workers: list[WorkerRow] = await self._read(self._workers)
        return workers

    def _workers(self, connection: Connection) -> list[WorkerRow]:
        rows: list[Row] = connection.execute(sql("seeing/workers")).fetchall()
        return [
            WorkerRow(
                worker,
                host,
                pid,
                since,
                bool(stopping),
                at,
                report_of(text),
                alive=not self._liveness.is_dead(worker),
                reports=text is not None,
                owns=owns,
            )
            for worker, host, pid, since, stopping, at, text, owns in rows
        ]

    async def note_rescued(self, rescued: Mapping[int, int]) -> None:
        """Clause 60."""
        rows = [(times, worker) for worker, times in rescued.items()]
        await self._write(lambda connection: connection.executemany(sql("seeing/note_rescued"), rows).fetchall())

    async def former_workers(self) -> Sequence[FormerWorker]:
        """Clause 60."""

        def read(connection: Connection) -> list[FormerWorker]:
            rows: list[Row] = connection.execute(sql("seeing/former")).fetchall()
            return [FormerWorker(*row)._replace(announced=bool(row[5])) for row in rows]

        former: list[FormerWorker] = await self._read(read)
        return former

    async def waiting(self, *, now: float, most: int = MOST) -> Sequence[Waiting]:
        """Clause 61."""
        waiting: list[Waiting] = await self._read(lambda connection: _waiting(connection, now, most))
        return waiting

    async def limit_use(self, limits: Mapping[str, Limit], *, now: float) -> Sequence[LimitUse]:
        """Clause 62."""
        use: list[LimitUse] = await self._read(lambda connection: _limit_use(connection, limits, now))
        return use


def bury(connection: Connection, dead: Sequence[int]) -> int:
    """Remove the rows of those that own no job any more, and leave a line of each; returns how many (clause 60)."""
    removed = 0
    for worker in dead:
        connection.execute(sql("seeing/bury"), (worker,))
        connection.execute(sql("dismiss"), (worker,))
        removed += connection.changes()
    connection.execute(sql("seeing/cut_former"), (FORMER,))
    return removed


def _waiting(connection: Connection, now: float, most: int) -> list[Waiting]:
    gathered = Gathered()
    # One transaction: nothing is to be counted in two places.
    with connection:
        for queue, task, rank, first_due, limited in list(all_lanes(connection)):
            lane, kind = (queue, task, rank, now, most + 1), "limited" if limited else "free"
            due: int = connection.execute(sql(f"seeing/count_due_{kind}"), lane).get
            rows: list[Row] = connection.execute(sql(f"seeing/count_later_{kind}"), lane).fetchall()
            later, next_at = rows[0]
            gathered.add(queue, task, due=due, later=later)
            gathered.first(queue, task, due_since=first_due if due else None, next_at=next_at)
        for job in [Alone(*row) for row in connection.execute(sql("alone"), (inf,))]:
            is_due = job.run_at <= now
            gathered.add(job.queue, job.task, due=int(is_due), later=int(not is_due))
            moment = {"due_since" if is_due else "next_at": job.run_at}
            gathered.first(job.queue, job.task, **moment)
        behind: list[Row] = connection.execute(sql("behind")).fetchall()
        for (name,) in behind:
            gathered.add("", name, behind=connection.execute(sql("seeing/count_behind"), (name, most + 1)).get)
        running: list[Row] = connection.execute(sql("seeing/running")).fetchall()
        for queue, task, number in running:
            gathered.add(queue, task, running=number)
    return gathered.all(most)


def _limit_use(connection: Connection, limits: Mapping[str, Limit], now: float) -> list[LimitUse]:
    found: list[LimitUse] = []
    for task, limit in limits.items():
        running: list[Row] = connection.execute(sql("seeing/limit_running"), (task, MOST_PARTITIONS)).fetchall()
        started: list[Row] = []
        if limit.rate is not None:
            values = (task, now, limit.rate.seconds, MOST_PARTITIONS)
            started = connection.execute(sql("seeing/limit_started"), values).fetchall()
        found += uses(task, running, started)
    return found
