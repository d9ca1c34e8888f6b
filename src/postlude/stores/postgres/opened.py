"""What an open store has: its connections, and the groups in which what comes together is written."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

from postlude.errors import StoreUnavailable
from postlude.stores.entries import Sizes
from postlude.stores.postgres import writing
from postlude.stores.postgres.bridge import Group
from postlude.stores.postgres.connecting import ANSWER_WITHIN, FOR_EACH_JOB, READ_WITHIN, end, lent, pool_at
from postlude.stores.postgres.description import describe
from postlude.stores.postgres.migrations import check, migrate
from postlude.stores.postgres.reports import Reports
from postlude.stores.postgres.session import Session
from postlude.stores.postgres.statements import sql
from postlude.stores.postgres.trouble import AGAIN, is_of_one, translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    import asyncpg

    from postlude.job import Claim, NewJob, Report, Settlement
    from postlude.stores.contract import Description
    from postlude.stores.postgres.bridge import Bridge
    from postlude.stores.postgres.location import Location
    from postlude.stores.postgres.presence import Presence
    from postlude.stores.postgres.session import Connection

T = TypeVar("T")

TRIES: Final = 5
"""Of a transaction that the database has ended because it stood in the way of another."""


class Opened:
    """What an open store has, in the process that opened it."""

    description: Description
    _pool: asyncpg.Pool
    _namespace: int

    def __init__(self, location: Location, bridge: Bridge, presence: Presence, *, migrates: bool) -> None:
        self._location = location
        self._migrates = migrates
        self.bridge: Bridge = bridge
        self.presence: Presence = presence
        self.process: int = os.getpid()
        self.sizes: Sizes = Sizes()
        """Of its grouped commits."""
        self.inserting: Group[Any] = Group(bridge, self._insert, alone=is_of_one, at_once=2, sizes=self.sizes)
        # A rescue may have hundreds to settle, and what ends meanwhile must not wait behind that.
        self.settling: Group[Any] = Group(bridge, self._settle, alone=is_of_one, at_once=2, sizes=self.sizes)
        self._reading = asyncio.Semaphore()
        self._connected = False
        self._reports = Reports()

    async def connect(self) -> None:
        """On the bridge's loop: find the database, and make the schema ready."""
        with translated(self._location.shown):
            self._pool = await pool_at(self._location)
            self._connected = True
            async with self._pool.acquire() as connection:
                await (migrate if self._migrates else check)(connection, self._location)
                self._namespace = await self._find_namespace(connection)
                await self.presence.ahead.ask(connection)
                self.description = await describe(
                    self.session(connection), self._location, self.presence.ahead.warning()
                )

    async def disconnect(self) -> None:
        """On the bridge's loop: let go of every connection."""
        if self._connected:
            await end(self._pool)

    def session(self, connection: Connection) -> Session:
        """One for the tables of this store."""
        return Session(connection, self._location.schema, self._namespace)

    async def with_session(self, operation: Callable[[Session], Awaitable[T]], *, within: float = ANSWER_WITHIN) -> T:
        """Carry it out, again if the database wants that; within so many seconds for each of its statements."""
        tries = TRIES
        while True:
            with translated(self._location.shown):
                try:
                    async with lent(self._pool, within, self._location.shown) as connection:
                        return await operation(self.session(connection))
                except AGAIN:
                    tries -= 1
                    if not tries:
                        raise

    async def read(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """Carry out what may take long, one at a time: the other connections are for what does not.

        Raises:
            StoreUnavailable: it did not get its turn.
        """
        try:
            async with asyncio.timeout(READ_WITHIN):
                await self._reading.acquire()
        except TimeoutError as error:
            message = (
                f"{self._location.shown} has counted and listed other jobs of this process for {READ_WITHIN:g} s. Ask "
                "for less at once, or again later."
            )
            raise StoreUnavailable(message) from error
        try:
            return await self.with_session(operation, within=READ_WITHIN)
        finally:
            self._reading.release()

    async def _insert(self, payloads: Sequence[Sequence[NewJob]]) -> Sequence[Mapping[UUID, UUID]]:
        return await self.with_session(lambda session: writing.insert(session, payloads), within=_for(payloads))

    async def report(self, claims: Mapping[Claim, Report]) -> frozenset[UUID]:
        """On the bridge's loop."""
        with self._reports.of(frozenset(claim.job_id for claim in claims)):
            return await self.with_session(lambda session: writing.report(session, claims))

    async def _settle(self, payloads: Sequence[Sequence[Settlement]]) -> Sequence[frozenset[UUID]]:
        await self._reports.before(payloads)
        return await self.with_session(writing.Settle(payloads), within=_for(payloads))

    async def _find_namespace(self, connection: Connection) -> int:
        schema, name = self._location.schema, self._location.namespace
        found: int | None = await connection.fetchval(sql("namespace", schema), name)
        if found is None:
            await connection.execute(sql("add_namespace", schema), name)
            found = await connection.fetchval(sql("namespace", schema), name)
        return found or 0


def _for(payloads: Sequence[Sequence[object]]) -> float:
    """Seconds that each statement may take that writes so many jobs."""
    return ANSWER_WITHIN + FOR_EACH_JOB * sum(map(len, payloads))
