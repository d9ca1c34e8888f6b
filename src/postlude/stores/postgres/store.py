"""The store: the operations of the contract, each carried to the thread that speaks with the database."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from postlude.stores.contract import Claimed
from postlude.stores.liveness import new_worker_id
from postlude.stores.paging import Searching
from postlude.stores.postgres import by_hand, claiming, logs, pruning, reading, scheduling, searching, workers, writing
from postlude.stores.postgres.arriving import Arriving
from postlude.stores.postgres.asking import Asking
from postlude.stores.postgres.bridge import Bridge
from postlude.stores.postgres.callers import ForCallers
from postlude.stores.postgres.fronts import Allowance, Fronts
from postlude.stores.postgres.gate import Gate
from postlude.stores.postgres.looking import Sight, read_pauses
from postlude.stores.postgres.opened import Opened
from postlude.stores.postgres.presence import Patience, leave, presence_at
from postlude.stores.postgres.seeing import Seeing
from postlude.stores.postgres.unconfirmed import Refused, Unconfirmed
from postlude.stores.postgres.watching import glances
from postlude.stores.reasons import inherited, not_open

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from postlude.job import Attempt, Claim, JobState, NewJob, Record, Report, Settlement
    from postlude.limits import Limit
    from postlude.loglines import LogLine
    from postlude.pauses import Pause
    from postlude.stores.asking import AskingStore
    from postlude.stores.contract import Description, Filter, Pruned
    from postlude.stores.entries import Sizes
    from postlude.stores.gate import GateStore
    from postlude.stores.lanes import Cursors
    from postlude.stores.moments import Firing, ScheduleRow
    from postlude.stores.notifying import Change
    from postlude.stores.postgres.location import Location
    from postlude.stores.postgres.session import Connection, Session
    from postlude.stores.searching import SearchStore
    from postlude.stores.seeing import SeeingStore
    from postlude.stores.watching import Glance

T = TypeVar("T")

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class PostgresStore(ForCallers):
    """Jobs in a PostgreSQL database. Fulfils `stores.contract.Store`."""

    def __init__(
        self,
        location: Location,
        *,
        patience: Patience = Patience(),  # noqa: B008 - immutable
        migrates: bool = True,
        fronts: Fronts | None = None,
    ) -> None:
        """Touches nothing yet.

        Args:
            location: the database, the schema and the namespace in it.
            patience: when a silence of others means that they are dead.
            migrates: whether `open` makes the schema and brings it up to date, or refuses one that is not.
            fronts: where claims begin; None: nothing is known of that yet.
        """
        self._location = location
        self._patience = patience
        self._migrates = migrates
        self._open: Opened | None = None
        self._cursors: Cursors = {}
        self._unconfirmed = Unconfirmed()
        self._refused = Refused()
        self._sight = Sight(fronts or Fronts())
        self._thorough = Allowance()

    async def open(self, ahead: Callable[[float], None] = lambda _: None) -> Description:
        """Make the schema ready, or say why not."""
        if self._open is None:
            bridge = Bridge(f"postlude {self._location.shown}")
            presence = presence_at(self._location, self._patience)
            presence.ahead.follow(self, ahead)
            opened = Opened(self._location, bridge, presence, migrates=self._migrates)
            try:
                await bridge.call(opened.connect)
            except BaseException:
                # Whoever gives up a start must not wait for the index that it was waiting for.
                await bridge.stop(opened.disconnect, gives_up=True)
                await leave(presence, self)
                raise
            self._open = opened
        return self._open.description

    async def close(self) -> None:
        """Idempotent; what was submitted before is finished."""
        if self._open is None or self._open.process != os.getpid():
            return
        now, self._open = self._open, None
        await now.bridge.stop(now.disconnect)
        await leave(now.presence, self)

    # -- jobs

    async def insert(self, jobs: Sequence[NewJob]) -> Mapping[UUID, UUID]:
        """Clauses 1, 2, 14 and 26 to 28."""
        if not jobs:
            return {}
        self._sight.forget()
        answered: Mapping[UUID, UUID] = await self._refused.unless_answered(jobs, self._now().inserting.submit(jobs))
        return answered

    async def withdraw(self, jobs: Sequence[NewJob]) -> None:
        """Clause 3."""
        if jobs:
            await self._do(lambda session: writing.withdraw(session, jobs))

    async def claim(
        self,
        *,
        owner: int,
        tasks: Collection[str],
        limit: int,
        now: float,
        idle: bool,
        limits: Mapping[str, Limit] = _NONE,
        queues: Mapping[str, int | None] = _NONE,
    ) -> Claimed:
        """Clauses 6 to 9, 23 to 25, 51 and 53."""
        if not self.sure_of(owner):
            return Claimed([])
        claim = claiming.Claiming(owner, frozenset(tasks), limits, limit, now, idle, self._cursors, self._sight, queues)
        return await self._unconfirmed.unless_answered(claim.token, self._do(claim))

    async def start(self, claims: Sequence[Claim], *, now: float) -> frozenset[UUID]:
        """Clauses 5 and 8."""
        return await self._do(lambda session: writing.start(session, claims, now))

    async def settle(self, settlements: Sequence[Settlement]) -> frozenset[UUID]:
        """Clauses 5, 10 to 13 and 32 to 34."""
        self._sight.forget()
        refused: frozenset[UUID] = await self._now().settling.submit(settlements)
        return refused

    async def report(self, claims: Mapping[Claim, Report]) -> frozenset[UUID]:
        """Clauses 5 and 38 to 40."""
        now = self._now()
        refused: frozenset[UUID] = await now.bridge.call(lambda: now.report(claims))
        return refused

    async def cancellations(self, owner: int) -> frozenset[UUID]:
        """Clause 15."""
        rows = await self._do(lambda session: session.rows("to_cancel", owner))
        return frozenset(row["id"] for row in rows)

    async def cancel(self, job_id: UUID, *, reason: str, now: float) -> JobState:
        """Clause 15."""
        return await self._change(lambda session: by_hand.cancel(session, job_id, reason, now))

    async def retry(self, job_id: UUID, *, now: float, run_at: float | None = None) -> None:
        """Clauses 16 and 29."""
        await self._change(lambda session: by_hand.retry(session, job_id, now, run_at))

    async def delete(self, job_id: UUID) -> None:
        """Clause 30."""
        await self._change(lambda session: by_hand.delete(session, job_id))

    async def prune(
        self, keep: Mapping[JobState, float], *, shortest: float, now: float, place: int, limit: int
    ) -> Pruned:
        """Clause 31."""
        return await self._do(pruning.Pruning(keep, shortest, now, place, limit))

    async def orphans(self, *, limit: int) -> list[Claim]:
        """Clause 18."""
        if self._refused:
            await self._do(self._refused.withdraw)
        mourning, lost = self._mourning(), self._unconfirmed
        return await self._do(lambda session: workers.orphans(session, mourning, lost, limit))

    async def waiting_tasks(self, queues: Collection[str] = ()) -> Mapping[str, float]:
        """Every name under which a job is queued."""
        return await self._do(lambda session: reading.waiting_tasks(session, self._sight, queues))

    async def get(self, job_ids: Sequence[UUID]) -> list[Record]:
        """Clauses 21 and 26."""
        return await self._do(lambda session: reading.get(session, job_ids))

    async def attempts(self, job_id: UUID) -> list[Attempt]:
        """Oldest first."""
        return await self._do(lambda session: reading.attempts(session, job_id))

    async def logs(self, job_id: UUID) -> list[LogLine]:
        """Clause 39."""
        return await self._do(lambda session: logs.logs(session, job_id))

    async def glances(self, watched: Mapping[UUID, int | None]) -> list[Glance]:
        """Clause 65."""
        return await self._do(lambda session: glances(session, watched))

    async def count(self, filter: Filter) -> Mapping[JobState, int]:  # noqa: A002 - the contract's word
        """Clause 21."""
        return await self._read(lambda session: searching.count(session, filter))

    async def list(self, filter: Filter, *, limit: int, before: UUID | None) -> list[Record]:  # noqa: A002
        """Clause 21."""
        return await self._read(lambda session: searching.list_jobs(session, filter, limit, before))

    # -- pauses

    async def pause(self, pause: Pause) -> None:
        """Clause 25."""
        p = pause
        values = (p.kind, p.name, p.partition, p.reason, p.since)
        await self._do(lambda session: session.do("pause", session.namespace, *values))

    async def resume(self, pause: Pause) -> bool:
        """Clause 25."""
        values = (pause.kind, pause.name, pause.partition)
        removed = await self._do(lambda session: session.do("resume", session.namespace, *values))
        return removed > 0

    async def pauses(self) -> Sequence[Pause]:
        """What is paused now."""
        return (await self._do(read_pauses)).all

    # -- workers

    async def enlist(self, given_up: Callable[[], None] = lambda: None) -> int:
        """Clauses 17 and 51."""
        now, worker = self._now(), new_worker_id()
        lease = self._patience.lease

        async def enlist(connection: Connection, file: str | None) -> None:
            await workers.enlist(now.session(connection), worker, lease, file)

        await now.presence.hold(worker, enlist, given_up)
        return worker

    def silence(self) -> float:
        """Clause 17."""
        return self._now().presence.leases.silence

    def sure_of(self, owner: int) -> bool:
        """Clause 51."""
        return self._now().presence.sure_of(owner)

    async def announce_stop(self, owner: int) -> None:
        """Clause 20."""
        await self._do(lambda session: session.do("announce_stop", owner))

    async def dismiss(self, owner: int) -> None:
        """Clauses 17 and 19."""
        presence = self._now().presence
        try:
            await self._do(lambda session: session.do("dismiss", session.namespace, [owner]))
        finally:
            # A row that stays is buried by others, and what it owned is rescued: they only have to see it dead.
            await presence.give_up(owner)

    async def bury(self) -> int:
        """Clause 19."""
        mourning = self._mourning()
        return await self._do(lambda session: workers.bury(session, mourning))

    async def speaks_for(self, server: str) -> bool:
        """Clause 22."""
        return await self._now().presence.speaks_for(server)

    # -- notifications

    def notify(self, change: Change) -> None:
        """Clause 41."""
        if self._open is not None and self._open.process == os.getpid():
            self._open.presence.notify(change, self)

    def listen(self, heard: Callable[[Change], None]) -> None:
        """Clause 41."""
        self._now().presence.listen(self, heard)

    # -- schedules

    async def schedules(self) -> Sequence[ScheduleRow]:
        """Clause 37."""
        return await self._do(scheduling.schedules)

    async def put_schedules(self, rows: Sequence[ScheduleRow]) -> frozenset[str]:
        """Clause 35."""
        return await self._change(lambda session: scheduling.put(session, rows))

    async def fire(self, firing: Firing) -> bool:
        """Clause 36."""
        return await self._change(lambda session: scheduling.fire(session, firing))

    async def remove_schedule(self, name: str) -> bool:
        """Clause 37."""
        return await self._change(lambda session: scheduling.remove(session, name))

    # -- looking

    @property
    def searching(self) -> SearchStore:
        """Clauses 54 to 57."""
        return Searching(self._read, searching.search_in, searching.count_in)

    @property
    def seeing(self) -> SeeingStore:
        """Clauses 58 to 62."""
        return Seeing(self._do, self._read)

    @property
    def commit_sizes(self) -> Sizes:
        """See `Store.commit_sizes`."""
        return self._now().sizes

    @property
    def gate(self) -> GateStore:
        """Clauses 63 and 64."""
        return Gate(self._change, self._do)

    @property
    def asking(self) -> AskingStore:
        """Clause 70."""
        return Asking(self._change, self._do)

    # -- moving

    @property
    def destination(self) -> Arriving:
        """Clauses 47 to 50."""
        return Arriving(self._change)

    # -- inside

    def _mourning(self) -> workers.Mourning:
        return workers.Mourning(self._now().presence, self._patience, self._thorough)

    async def _do(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """Carry out one operation with a connection of its own."""
        now = self._now()
        done: T = await now.bridge.call(lambda: now.with_session(operation))
        return done

    async def _read(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """Carry out one that may take long."""
        now = self._now()
        done: T = await now.bridge.call(lambda: now.read(operation))
        return done

    async def _change(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """Carry it out in one transaction."""
        self._sight.forget()

        async def changing(session: Session) -> T:
            async with session.transaction():
                return await operation(session)

        return await self._do(changing)

    def _now(self) -> Opened:
        now = self._open
        if now is None:
            raise not_open(self._location.shown)
        if now.process != os.getpid():
            raise inherited(self._location.shown, now.process)
        return now
