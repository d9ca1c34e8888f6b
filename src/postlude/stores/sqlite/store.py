"""The store: the operations of the contract, each handed to the thread that writes or to the one that reads."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from postlude.stores.contract import Pruned
from postlude.stores.liveness import new_worker_id
from postlude.stores.paging import Searching
from postlude.stores.reasons import inherited, not_open
from postlude.stores.sqlite import by_hand, claiming, logs, outboxes, pruning, reading, scheduling, searching, writing
from postlude.stores.sqlite.arriving import Arriving
from postlude.stores.sqlite.asking import Asking
from postlude.stores.sqlite.departing import Departing
from postlude.stores.sqlite.gate import Gate
from postlude.stores.sqlite.notifying import Notifications, folder_of
from postlude.stores.sqlite.reader import Reader
from postlude.stores.sqlite.seeing import Seeing, bury
from postlude.stores.sqlite.watching import glances
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
    from postlude.stores.asking import AskingStore
    from postlude.stores.callers import Direct, Outbox
    from postlude.stores.contract import Claimed, Description, Filter
    from postlude.stores.entries import Sizes
    from postlude.stores.gate import GateStore
    from postlude.stores.lanes import Cursors
    from postlude.stores.moments import Firing, ScheduleRow
    from postlude.stores.notifying import Change
    from postlude.stores.searching import SearchStore
    from postlude.stores.seeing import SeeingStore
    from postlude.stores.sqlite.writer import Prepared
    from postlude.stores.watching import Glance

T = TypeVar("T")

_NO_LIMITS: Final[Mapping[str, Limit]] = MappingProxyType({})
_EVERY_QUEUE: Final[Mapping[str, int | None]] = MappingProxyType({})


class SQLiteStore:
    """Jobs in one SQLite file. Fulfils `stores.contract.Store`."""

    def __init__(self, path: str, *, vfs: str | None = None, leaving: bool = False) -> None:
        """Touches nothing yet.

        Args:
            path: of the file; a relative one starts at the folder that is the current one now.
            vfs: the name under which SQLite knows how to reach the disk; None for the ordinary way.
            leaving: whether it may be opened although its jobs are being moved: by who moves them.
        """
        self._path = Path(path).absolute()
        self._vfs = vfs
        self._leaving = leaving
        self._open: _Open | None = None
        self._cursors: Cursors = {}

    async def open(self, ahead: Callable[[float], None] = lambda _: None) -> Description:  # noqa: ARG002 - one machine
        """Make the file ready, or say why not."""
        if self._open is not None:
            return self._now().description
        writer = Writer(self._path, self._vfs, leaving=self._leaving)
        try:
            prepared: Prepared = await writer.submit(prepare, None)
        except BaseException:
            await writer.stop()
            raise
        notifications = Notifications(folder_of(self._path))
        self._open = _Open(writer, Reader(self._path, self._vfs), notifications, prepared)
        return prepared.description

    async def close(self) -> None:
        """Idempotent; what was submitted before is finished."""
        if self._open is None or self._open.process != os.getpid():
            return
        now, self._open = self._open, None
        now.notifications.close()
        await now.reader.stop()
        if now.viewer is not None:
            await now.viewer.stop()
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
            await self._write(lambda connection: writing.withdraw(connection, jobs))

    async def claim(
        self,
        *,
        owner: int,
        tasks: Collection[str],
        limit: int,
        now: float,
        idle: bool,
        limits: Mapping[str, Limit] = _NO_LIMITS,
        queues: Mapping[str, int | None] = _EVERY_QUEUE,
    ) -> Claimed:
        """Clauses 6 to 9, 23 to 25 and 53."""
        claiming_some = claiming.Claiming(owner, tasks, limits, limit, now, idle, self._cursors, queues)
        # A worker without a free slot asks only whether it should come to rest, and that locks nothing.
        return await (self._write if limit > 0 else self._read)(claiming_some)

    async def start(self, claims: Sequence[Claim], *, now: float) -> frozenset[UUID]:
        """Clauses 5 and 8."""
        return await self._write(lambda connection: claiming.start(connection, claims, now))

    async def settle(self, settlements: Sequence[Settlement]) -> frozenset[UUID]:
        """Clauses 5, 10 to 13 and 32 to 34."""
        refused: frozenset[UUID] = await self._now().writer.submit(writing.settle, settlements)
        return refused

    async def report(self, claims: Mapping[Claim, Report]) -> frozenset[UUID]:
        """Clauses 5 and 38 to 40."""
        return await self._write(lambda connection: claiming.report(connection, claims))

    async def cancellations(self, owner: int) -> frozenset[UUID]:
        """Clause 15."""
        return await self._read(lambda connection: reading.to_cancel(connection, owner))

    async def cancel(self, job_id: UUID, *, reason: str, now: float) -> JobState:
        """Clause 15."""
        return await self._write(lambda connection: by_hand.cancel(connection, job_id, reason, now))

    async def retry(self, job_id: UUID, *, now: float, run_at: float | None = None) -> None:
        """Clause 16."""
        await self._write(lambda connection: by_hand.retry(connection, job_id, now, run_at))

    async def delete(self, job_id: UUID) -> None:
        """Clause 30."""
        await self._write(lambda connection: pruning.delete(connection, job_id))

    async def prune(
        self, keep: Mapping[JobState, float], *, shortest: float, now: float, place: int, limit: int
    ) -> Pruned:
        """Clause 31."""
        portion = pruning.Pruning(keep, shortest, now, place, limit)
        # Looked for first: nearly always nothing is old, and then nothing is locked for it.
        found = await self._read(portion.look)
        if found.place is None:
            await self._write(lambda connection: pruning.prune_starts(connection, now, limit))
        if not found.old:
            return Pruned(0, found.place)
        return await self._write(portion)

    async def orphans(self, *, limit: int) -> list[Claim]:
        """Clause 18."""
        liveness = self._now().liveness
        return await self._read(lambda connection: reading.orphans(connection, liveness, limit))

    async def waiting_tasks(self, queues: Collection[str] = ()) -> Mapping[str, float]:
        """Every name under which a job is queued."""
        return await self._read(lambda connection: reading.waiting_tasks(connection, queues))

    async def get(self, job_ids: Sequence[UUID]) -> list[Record]:
        """Clause 21."""
        return await self._read(lambda connection: reading.get(connection, job_ids))

    async def attempts(self, job_id: UUID) -> list[Attempt]:
        """Oldest first."""
        return await self._read(lambda connection: reading.history(connection, job_id))

    async def logs(self, job_id: UUID) -> list[LogLine]:
        """Clause 39."""
        return await self._read(lambda connection: logs.read(connection, job_id))

    async def glances(self, watched: Mapping[UUID, int | None]) -> list[Glance]:
        """Clause 65."""
        return await self._read(lambda connection: glances(connection, watched))

    async def count(self, filter: Filter) -> Mapping[JobState, int]:  # noqa: A002 - the contract's word
        """Clause 21."""
        return await self._read(lambda connection: searching.count(connection, filter))

    async def list(self, filter: Filter, *, limit: int, before: UUID | None) -> list[Record]:  # noqa: A002
        """Clause 21."""
        return await self._read(lambda connection: searching.list_jobs(connection, filter, limit, before))

    # -- pauses

    async def pause(self, pause: Pause) -> None:
        """Clause 25."""
        await self._write(lambda connection: by_hand.pause(connection, pause))

    async def resume(self, pause: Pause) -> bool:
        """Clause 25."""
        return await self._write(lambda connection: by_hand.resume(connection, pause))

    async def pauses(self) -> Sequence[Pause]:
        """Read without a lock."""
        return await self._read(reading.pauses)

    # -- workers

    async def enlist(self, given_up: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002 - nobody ever is
        """Clauses 17 and 51."""
        worker = new_worker_id()
        liveness = self._now().liveness
        try:
            await self._write(lambda connection: claiming.enlist(connection, liveness, worker))
        except BaseException:
            liveness.give_up(worker)
            raise
        return worker

    def silence(self) -> float:
        """Clause 17: a lock of the operating system stays as long as the process."""
        return 0.0

    def sure_of(self, owner: int) -> bool:  # noqa: ARG002 - nobody ever is given up
        """Clause 51: a lock of the operating system stays as long as the process."""
        return True

    async def announce_stop(self, owner: int) -> None:
        """Clause 20."""
        await self._write(lambda connection: claiming.on_workers(connection, "announce_stop", [owner]))

    async def dismiss(self, owner: int) -> None:
        """Clauses 17 and 19."""
        liveness = self._now().liveness
        try:
            await self._write(lambda connection: claiming.on_workers(connection, "dismiss", [owner]))
        finally:
            # A row that stays is buried by others, and what it owned is rescued: they only have to see it dead.
            liveness.give_up(owner)

    async def bury(self) -> int:
        """Clause 19."""
        # Looked for first: nearly always there are none, and then nothing is locked for it.
        liveness = self._now().liveness
        dead = await self._read(lambda connection: reading.dead_workers(connection, liveness))
        if not dead:
            return 0
        return await self._write(lambda connection: bury(connection, dead))

    async def speaks_for(self, server: str) -> bool:
        """Clause 22."""
        return self._now().liveness.speaks_for(server)

    # -- notifications

    def notify(self, change: Change) -> None:
        """Clause 41."""
        if self._open is not None:
            self._open.notifications.notify(change)

    def listen(self, heard: Callable[[Change], None]) -> None:
        """Clause 41."""
        self._now().notifications.listen(heard)

    # -- schedules

    async def schedules(self) -> Sequence[ScheduleRow]:
        """Clause 37."""
        return await self._read(scheduling.schedules)

    async def put_schedules(self, rows: Sequence[ScheduleRow]) -> frozenset[str]:
        """Clause 35."""
        return await self._write(lambda connection: scheduling.put(connection, rows))

    async def fire(self, firing: Firing) -> bool:
        """Clause 36."""
        return await self._write(lambda connection: scheduling.fire(connection, firing))

    async def remove_schedule(self, name: str) -> bool:
        """Clause 37."""
        return await self._write(lambda connection: scheduling.remove(connection, name))

    # -- callers

    async def is_at(self, path: str) -> bool:
        """By device and inode."""
        return await self._read(lambda _: outboxes.are_one_file(self._path, Path(path)))

    async def direct(self) -> Direct | None:
        """Clause 43: only the store itself opens its file."""
        return None

    async def outboxes(self) -> Sequence[Outbox]:
        """Clause 42."""
        return await self._read(outboxes.read)

    async def put_outbox(self, outbox: Outbox) -> Outbox:
        """Clause 42."""
        return await self._write(lambda connection: outboxes.put(connection, outbox))

    async def relay(self, *, limit: int) -> int:  # noqa: ARG002 - the contract's
        """Clause 43: nobody leaves anything in the store's own file."""
        return 0

    # -- looking

    @property
    def searching(self) -> SearchStore:
        """Clauses 54 to 57."""
        return Searching(self._view, searching.search_in, searching.count_in)

    @property
    def seeing(self) -> SeeingStore:
        """Clauses 58 to 62."""
        return Seeing(self._write, self._view, self._now().liveness)

    @property
    def commit_sizes(self) -> Sizes:
        """See `Store.commit_sizes`."""
        return self._now().writer.sizes

    @property
    def gate(self) -> GateStore:
        """Clauses 63 and 64."""
        return Gate(self._write, self._read)

    @property
    def asking(self) -> AskingStore:
        """Clause 70."""
        return Asking(self._write, self._read)

    # -- moving

    @property
    def source(self) -> Departing:
        """Clauses 44 to 46."""
        return Departing(self._write, self._read, self._now().liveness)

    @property
    def destination(self) -> Arriving:
        """Clauses 47 to 50."""
        return Arriving(self._write, self._read)

    # -- inside

    def _write(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        return self._now().writer.submit(call, work)

    def _read(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        return self._now().reader.submit(call, work)

    def _view(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Read what may take a while, beside the questions of workers."""
        now = self._now()
        with now.making:
            if now.viewer is None:
                now.viewer = Reader(self._path, self._vfs)
        return now.viewer.submit(call, work)

    def _now(self) -> _Open:
        now = self._open
        if now is None:
            raise not_open(self._path)
        if now.process != os.getpid():
            raise inherited(self._path, now.process)
        return now


class _Open:
    """What an open store has, in the process that opened it."""

    __slots__ = ("description", "liveness", "making", "notifications", "process", "reader", "viewer", "writer")

    def __init__(self, writer: Writer, reader: Reader, notifications: Notifications, prepared: Prepared) -> None:
        self.writer = writer
        self.reader = reader
        self.viewer: Reader | None = None
        self.making = threading.Lock()
        self.notifications = notifications
        self.description, self.liveness = prepared
        self.process = os.getpid()
