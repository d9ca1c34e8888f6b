"""The store: the operations of the contract, each handed to the thread that writes or to the one that reads."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from postlude.stores.contract import Pruned
from postlude.stores.reasons import inherited, not_open
from postlude.stores.sqlite import by_hand, claiming, pruning, reading, scheduling, writing
from postlude.stores.sqlite.liveness import new_worker_id
from postlude.stores.sqlite.logs import Logs
from postlude.stores.sqlite.reader import Reader
from postlude.stores.sqlite.writer import Writer, call, prepare

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from apsw import Connection

    from postlude.job import Attempt, Claim, JobState, NewJob, Record, Report, Settlement
    from postlude.limits import Limit
    from postlude.loglines import LogLine
    from postlude.pauses import Pause
    from postlude.stores.contract import Claimed, Description, Filter, Firing, ScheduleRow
    from postlude.stores.lanes import Cursors
    from postlude.stores.sqlite.writer import Prepared

_NO_LIMITS: Final[Mapping[str, Limit]] = MappingProxyType({})


class SQLiteStore:
    """Jobs in one SQLite file. Fulfils `stores.contract.Store`."""

    def __init__(self, path: str, *, vfs: str | None = None) -> None:
        """Touches nothing yet.

        Args:
            path: of the file; a relative one starts at the folder that is the current one now.
            vfs: the name under which SQLite knows how to reach the disk; None for the ordinary way.
        """
        self._path = Path(path).absolute()
        self._vfs = vfs
        self._open: _Open | None = None
        self._cursors: Cursors = {}

    async def open(self) -> Description:
        """Make the file ready, or say why not."""
        if self._open is not None:
            return self._now().description
        writer = Writer(self._path, self._vfs)
        try:
            prepared: Prepared = await writer.submit(prepare, None)
        except BaseException:
            await writer.stop()
            raise
        self._open = _Open(writer, Reader(self._path, self._vfs), prepared)
        return prepared.description

    async def close(self) -> None:
        """Idempotent; what was submitted before is finished."""
        if self._open is None or self._open.process != os.getpid():
            return
        now, self._open = self._open, None
        await now.reader.stop()
        # The last connection to close folds the write-ahead log into the file: it must be one that can write.
        await now.writer.stop()
        now.liveness.close()

    # -- jobs

    async def insert(self, jobs: Sequence[NewJob]) -> Mapping[UUID, UUID]:
        """Clauses 1, 2, 14 and 26 to 28."""
        if not jobs:
            return {}
        answered: Mapping[UUID, UUID] = await self._now().writer.submit(writing.insert, jobs)
        return answered

    async def withdraw(self, jobs: Sequence[NewJob]) -> None:
        """Clause 3."""
        if jobs:
            await self._write(writing.Withdrawal(jobs))

    async def claim(
        self,
        *,
        owner: int,
        tasks: Collection[str],
        limit: int,
        now: float,
        idle: bool,
        limits: Mapping[str, Limit] = _NO_LIMITS,
    ) -> Claimed:
        """Clauses 6 to 9 and 23 to 25."""
        claiming_some = claiming.Claiming(owner, tasks, limits, limit, now, idle, self._cursors)
        # A worker without a free slot asks only whether it should come to rest, and that locks nothing.
        claimed: Claimed = await (self._write if limit > 0 else self._read)(claiming_some)
        return claimed

    async def start(self, claims: Sequence[Claim], *, now: float) -> frozenset[UUID]:
        """Clauses 5 and 8."""
        refused: frozenset[UUID] = await self._write(claiming.Starting(claims, now))
        return refused

    async def settle(self, settlements: Sequence[Settlement]) -> frozenset[UUID]:
        """Clauses 5, 10 to 13 and 32 to 34."""
        refused: frozenset[UUID] = await self._now().writer.submit(writing.settle, settlements)
        return refused

    async def report(self, claims: Mapping[Claim, Report]) -> frozenset[UUID]:
        """Clauses 5 and 38 to 40."""
        refused: frozenset[UUID] = await self._write(claiming.Reporting(claims))
        return refused

    async def cancellations(self, owner: int) -> frozenset[UUID]:
        """Clause 15."""
        found: frozenset[UUID] = await self._read(reading.ToCancel(owner))
        return found

    async def cancel(self, job_id: UUID, *, reason: str, now: float) -> JobState:
        """Clause 15."""
        state: JobState = await self._write(by_hand.Cancelling(job_id, reason, now))
        return state

    async def retry(self, job_id: UUID, *, now: float) -> None:
        """Clause 16."""
        await self._write(by_hand.Retrying(job_id, now))

    async def delete(self, job_id: UUID) -> None:
        """Clause 30."""
        await self._write(pruning.Deleting(job_id))

    async def prune(
        self, keep: Mapping[JobState, float], *, shortest: float, now: float, place: int, limit: int
    ) -> Pruned:
        """Clause 31."""
        portion = pruning.Pruning(keep, shortest, now, place, limit)
        # Looked for first: nearly always nothing is old, and then nothing is locked for it.
        found: pruning.Portion = await self._read(portion.look)
        if found.place is None:
            await self._write(pruning.PruningStarts(now, limit))
        if not found.old:
            return Pruned(0, found.place)
        pruned: Pruned = await self._write(portion)
        return pruned

    async def orphans(self, *, limit: int) -> list[Claim]:
        """Clause 18."""
        claims: list[Claim] = await self._read(reading.Orphans(self._now().liveness, limit))
        return claims

    async def waiting_tasks(self) -> frozenset[str]:
        """Every name under which a job is queued."""
        names: frozenset[str] = await self._read(reading.waiting_tasks)
        return names

    async def next_due(self, tasks: Collection[str]) -> float | None:
        """From both kinds of queued jobs, those that run alone too."""
        moment: float | None = await self._read(reading.NextDue(tasks))
        return moment

    async def get(self, job_ids: Sequence[UUID]) -> list[Record]:
        """Clause 21."""
        records: list[Record] = await self._read(reading.Getting(job_ids))
        return records

    async def attempts(self, job_id: UUID) -> list[Attempt]:
        """Oldest first."""
        lines: list[Attempt] = await self._read(reading.History(job_id))
        return lines

    async def logs(self, job_id: UUID) -> list[LogLine]:
        """Clause 39."""
        lines: list[LogLine] = await self._read(Logs(job_id))
        return lines

    async def count(self, filter: Filter) -> Mapping[JobState, int]:  # noqa: A002 - the contract's word
        """Clause 21."""
        counts: Mapping[JobState, int] = await self._read(reading.Counting(filter))
        return counts

    async def list(self, filter: Filter, *, limit: int, before: UUID | None) -> list[Record]:  # noqa: A002
        """Clause 21."""
        records: list[Record] = await self._read(reading.Listing(filter, limit, before))
        return records

    # -- pauses

    async def pause(self, pause: Pause) -> None:
        """Clause 25."""
        await self._write(by_hand.Pausing(pause))

    async def resume(self, pause: Pause) -> bool:
        """Clause 25."""
        resumed: bool = await self._write(by_hand.Resuming(pause))
        return resumed

    async def pauses(self) -> Sequence[Pause]:
        """Read without a lock."""
        found: Sequence[Pause] = await self._read(reading.pauses)
        return found

    # -- workers

    async def enlist(self) -> int:
        """Clause 17."""
        worker = new_worker_id()
        liveness = self._now().liveness
        try:
            await self._write(claiming.Enlisting(liveness, worker))
        except BaseException:
            liveness.give_up(worker)
            raise
        return worker

    async def announce_stop(self, owner: int) -> None:
        """Clause 20."""
        await self._write(claiming.OnWorkers("announce_stop", [owner]))

    async def dismiss(self, owner: int) -> None:
        """Clauses 17 and 19."""
        liveness = self._now().liveness
        try:
            await self._write(claiming.OnWorkers("dismiss", [owner]))
        finally:
            # A row that stays is buried by others, and what it owned is rescued: they only have to see it dead.
            liveness.give_up(owner)

    async def bury(self) -> int:
        """Clause 19."""
        # Looked for first: nearly always there are none, and then nothing is locked for it.
        dead: Sequence[int] = await self._read(reading.DeadWorkers(self._now().liveness))
        if not dead:
            return 0
        buried: int = await self._write(claiming.OnWorkers("dismiss", dead))
        return buried

    async def speaks_for(self, server: str) -> bool:
        """Clause 22."""
        return self._now().liveness.speaks_for(server)

    # -- schedules

    async def schedules(self) -> Sequence[ScheduleRow]:
        """Clause 37."""
        rows: Sequence[ScheduleRow] = await self._read(scheduling.schedules)
        return rows

    async def put_schedules(self, rows: Sequence[ScheduleRow]) -> frozenset[str]:
        """Clause 35."""
        refused: frozenset[str] = await self._write(scheduling.Putting(rows))
        return refused

    async def fire(self, firing: Firing) -> bool:
        """Clause 36."""
        fired: bool = await self._write(scheduling.FiringOne(firing))
        return fired

    async def remove_schedule(self, name: str) -> bool:
        """Clause 37."""
        removed: bool = await self._write(scheduling.Removing(name))
        return removed

    # -- inside

    def _write(self, payload: Callable[[Connection], Any]) -> asyncio.Future[Any]:
        return self._now().writer.submit(call, payload)

    def _read(self, payload: Callable[[Connection], Any]) -> asyncio.Future[Any]:
        return self._now().reader.submit(call, payload)

    def _now(self) -> _Open:
        now = self._open
        if now is None:
            raise not_open(self._path)
        if now.process != os.getpid():
            raise inherited(self._path, now.process)
        return now


class _Open:
    """What an open store has, in the process that opened it."""

    __slots__ = ("description", "liveness", "process", "reader", "writer")

    def __init__(self, writer: Writer, reader: Reader, prepared: Prepared) -> None:
        self.writer = writer
        self.reader = reader
        self.description, self.liveness = prepared
        self.process = os.getpid()
