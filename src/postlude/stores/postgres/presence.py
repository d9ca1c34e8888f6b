"""That this process lives: a lock that falls with its connection, and a lease that passes without it.

One direct connection of a process for each place, and each patience, holds an advisory lock for each of its workers.
It is driven by a thread of its own, so that a server's loop which is blocked never looks dead. The lock says within a
second that a process is gone; the lease, one row a worker, says it of one that is there and does not move, or cannot be
reached.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from postlude.clock import machine_time, pause, wait
from postlude.errors import PostludeError, StoreUnavailable
from postlude.stores.postgres.ahead import Ahead
from postlude.stores.postgres.bridge import Bridge
from postlude.stores.postgres.connecting import direct_connection
from postlude.stores.postgres.leases import Leases, moment
from postlude.stores.postgres.nearby import Nearby
from postlude.stores.postgres.notifications import NOT_AGAIN_FOR, Notifications, channel_of
from postlude.stores.postgres.statements import sql
from postlude.stores.postgres.suspicion import Suspicion
from postlude.stores.postgres.trouble import translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from postlude.stores.notifying import Change
    from postlude.stores.postgres.location import Location

    Enlist = Callable[[asyncpg.Connection, str | None], Awaitable[object]]
    """Writes a worker's row, with the name of the file on which its process has a lock of its machine."""


class Patience(NamedTuple):
    """How long a silence lasts before it means something; seconds."""

    lease: float = 30.0
    """A worker that has not extended its lease for so long is dead, whatever else it holds."""
    extend_every: float = 10.0
    second_look: float = 1.0
    """After which a lock that was free must still be free."""
    calm: float = 10.0
    """After the server was started or took over from another, and after this process has connected again, neither a
    free lock nor a lease that has passed says anything: others may be on their way back, and could extend nothing."""


RECONNECT_AFTER: Final = (0.05, 0.2, 0.5, 1.0)
"""Seconds between tries to connect again; the last one over and over."""
RETAKE_AFTER: Final = 0.1
"""Seconds between tries to take a lock that the server holds for a former connection."""
_TRY_TO_LOCK: Final = "SELECT pg_try_advisory_lock($1)"


class Presence:
    """The direct connection of this process for one place, with one patience."""

    def __init__(self, location: Location, patience: Patience) -> None:
        self._location = location
        self._patience = patience
        self._shown = location.straight.shown
        self._bridge = Bridge(f"postlude presence {self._shown}")
        self._connection: asyncpg.Connection | None = None
        self._calm_at: float | None = None
        """From when on others can be judged by their locks, on the clock that never goes backwards; None: there never
        was a connection."""
        self._workers: set[int] = set()
        self._servers: dict[int, bool] = {}
        """Those that were asked about, and whether this process speaks for them."""
        self.leases: Leases = Leases(patience.lease)
        self.ahead: Ahead = Ahead()
        self.nearby: Nearby = Nearby()
        self._untaken: set[int] = set()
        """Workers whose lock this connection does not have yet."""
        self.suspicion: Suspicion = Suspicion()
        self._changed = asyncio.Event()
        self._connecting = asyncio.Lock()
        self._using = asyncio.Lock()
        """A connection does one thing at a time."""
        self._keeping: asyncio.Task[None] | None = None
        self._closing = False
        self._notifications = Notifications(channel_of(location.schema, location.namespace))
        self._notifying: asyncio.Task[None] | None = None
        self.users: int = 0

    @property
    def key(self) -> tuple[Location, Patience]:
        """What stores have in common that share it."""
        return self._location, self._patience

    # From any event loop

    async def hold(self, worker: int, enlist: Enlist, given_up: Callable[[], None]) -> None:
        """Take the proof of life of a worker, and only then let its row be seen."""
        await self._bridge.call(lambda: self._hold(worker, enlist, given_up))

    async def give_up(self, worker: int) -> None:
        """Let go of it."""
        await self._bridge.call(lambda: self._give_up(worker))

    async def speaks_for(self, server: str) -> bool:
        """Whether this process is the one that holds the lock of a server (clause 22)."""
        answer: bool = await self._bridge.call(lambda: self._speak_for(server))
        return answer

    def notify(self, change: Change, teller: object) -> None:
        """Tell other processes, and who else listens in this one (clause 41)."""
        if self._notifications.add(change, teller):
            self._bridge.soon(self._begin_to_notify)

    def listen(self, listener: object, heard: Callable[[Change], None]) -> None:
        """Have this called with what others tell."""
        self._notifications.listen(listener, heard)
        self._bridge.soon(self._begin_to_listen)

    def end_listening(self, listener: object) -> None:
        """Tell it nothing any more."""
        self._notifications.leave(listener)

    async def close(self) -> None:
        """End the connection and the thread."""
        await self._bridge.call(self._stop_keeping)
        await self._bridge.stop(self._end)

    async def is_calm(self) -> bool:
        """Whether others can be judged by their locks just now."""
        await self._bridge.call(self._connected)
        return self._calm_at is not None and time.monotonic() >= self._calm_at

    @property
    def workers(self) -> frozenset[int]:
        """Those that live in this process."""
        return frozenset(self._workers - self.leases.lost)

    def sure_of(self, worker: int) -> bool:
        """Whether nobody can have given it up, as far as is known here: it holds its lock, and its lease goes on."""
        connection = self._connection  # which the thread may be replacing
        holds = connection is not None and not connection.is_closed() and worker not in self._untaken
        return holds and self.leases.sure_of(worker)

    # On the thread

    async def _hold(self, worker: int, enlist: Enlist, given_up: Callable[[], None]) -> None:
        connection = await self._connected()
        async with self._using:
            at = moment()
            await self._take(connection, worker, enlist)
        self.leases.begin(worker, given_up, at=at)
        self._changed.set()

    async def _take(self, connection: asyncpg.Connection, worker: int, enlist: Enlist) -> None:
        with translated(self._shown):
            await connection.execute("SELECT pg_advisory_lock($1)", worker)
            self._workers.add(worker)
            try:
                await enlist(connection, self.nearby.hold(worker))
            except BaseException:
                self._workers.discard(worker)
                self.nearby.give_up(worker)
                with suppress(Exception):
                    await connection.execute("SELECT pg_advisory_unlock($1)", worker)
                raise

    async def _give_up(self, worker: int) -> None:
        if worker in self._workers:
            self._workers.discard(worker)
            self.nearby.give_up(worker)
            self.leases.end(worker)
            async with self._using:
                if self._connection is not None:
                    with suppress(*_GONE):
                        await self._connection.execute("SELECT pg_advisory_unlock($1)", worker)

    async def _speak_for(self, server: str) -> bool:
        number = _number_of(self._location, server)
        if not self._servers.get(number):
            connection = await self._connected()
            async with self._using:
                with translated(self._shown):
                    self._servers[number] = await connection.fetchval(_TRY_TO_LOCK, number)
        return self._servers[number]

    async def _connected(self) -> asyncpg.Connection:
        self._begin_to_keep()
        return await self._connect()

    def _begin_to_keep(self) -> None:
        if self._keeping is None and not self._closing:
            self._keeping = self._bridge.spawn(self._keep())

    def _begin_to_listen(self) -> None:
        self._begin_to_keep()
        self._changed.set()

    async def _connect(self) -> asyncpg.Connection:
        """The connection, a new one if it was lost."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._new_connection()
            return self._connection

    async def _new_connection(self) -> asyncpg.Connection:
        with translated(self._shown):
            connection = await direct_connection(self._location)
            try:
                self._untaken = set(self._workers)
                await self._take_again(connection)
                for number in [number for number, speaks in self._servers.items() if speaks]:
                    self._servers[number] = await connection.fetchval(_TRY_TO_LOCK, number)
                # When it was cut, so may have been those of others, who are on their way back as well. Who never had
                # one has seen nothing of that, and asks the server.
                disturbed = self._calm_at is not None or await self._is_disturbed(connection)
            except BaseException:
                connection.terminate()
                raise
            self._calm_at = time.monotonic() + (self._patience.calm if disturbed else 0.0)
            connection.add_termination_listener(lambda _: self._changed.set())
        return connection

    async def _is_disturbed(self, connection: asyncpg.Connection) -> bool:
        """Whether the server says that all may have lost their connections just now."""
        try:
            disturbed: bool = await connection.fetchval(sql("disturbed", self._location.schema), self._patience.calm)
        except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
            raise
        except asyncpg.PostgresError:
            # Services that are compatible refuse it in many ways. One that does not say it may have just taken over.
            return True
        return disturbed

    async def _take_again(self, connection: asyncpg.Connection) -> None:
        """Take the locks that the former connection had; until then the server may hold them for that one."""
        for worker in self._untaken & self._workers:
            if await connection.fetchval(_TRY_TO_LOCK, worker):
                self._untaken.discard(worker)
            else:
                # It ends by itself in the end, and then the lock must not be free for as long as a second look takes.
                with suppress(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(sql("end_holder", self._location.schema), worker)

    async def _keep(self) -> None:
        """Stay connected, and extend the lease, until the end."""
        failures = 0
        while not self._closing:
            self._changed.clear()
            try:
                connection = await self._connect()
                await self._look_after(connection)
                failures = 0
                seconds = RETAKE_AFTER if self._untaken & self._workers else self._patience.extend_every
            except PostludeError as error:
                self._cut(error)
                seconds = RECONNECT_AFTER[min(failures, len(RECONNECT_AFTER) - 1)]
                failures += 1
            await wait(self._changed, seconds)

    async def _look_after(self, connection: asyncpg.Connection) -> None:
        async with self._using:
            with translated(self._shown):
                await self._extend(connection)
                await self._take_again(connection)
                await self._notifications.attend(connection)

    def _cut(self, error: PostludeError) -> None:
        """Let go of a connection that does not answer: there may be nobody at its other end."""
        if isinstance(error, StoreUnavailable) and self._connection is not None:
            self._connection.terminate()

    async def _extend(self, connection: asyncpg.Connection) -> None:
        workers = self._workers - self.leases.lost
        if workers:
            at, asked = moment(), machine_time()
            rows = await connection.fetch(sql("extend", self._location.schema), list(workers), self._patience.lease)
            if rows:
                self.ahead.compare(asked, rows[-1]["at"], machine_time())
            self.leases.extended(workers, {row["id"] for row in rows}, at=at)

    def _begin_to_notify(self) -> None:
        if self._notifying is None and not self._closing:
            self._notifying = self._bridge.spawn(self._notify())

    async def _notify(self) -> None:
        """Tell what there is to tell, until there is nothing more."""
        try:
            while changes := self._notifications.taken():
                connection = await self._connected()
                async with self._using:
                    with translated(self._shown):
                        await self._notifications.tell(connection, changes)
                await pause(NOT_AGAIN_FOR)
        except PostludeError as error:
            self._cut(error)
            # Whoever is not told finds it at the next look. A later hint must not take this one for still under way.
            self._notifications.taken()
        finally:
            self._notifying = None

    async def _stop_keeping(self) -> None:
        self._closing = True
        if self._keeping is not None:
            self._keeping.cancel()
            # What it awaits may come at this very moment, and some libraries forget the cancellation then.
            self._changed.set()

    async def _end(self) -> None:
        if self._connection is not None:
            with suppress(*_GONE):
                await self._connection.close(timeout=2)
        self.nearby.close()


_GONE: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)

_presences: dict[tuple[int, Location, Patience], Presence] = {}
_guard = threading.Lock()


def _after_fork_in_child() -> None:
    # Another thread of the parent may have held it at the moment of the fork; that thread does not exist here.
    global _guard  # noqa: PLW0603 - a lock that may be locked for ever can only be replaced
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


def presence_at(location: Location, patience: Patience) -> Presence:
    """That of this process there, shared by all its stores; each `presence_at` wants one `leave`."""
    with _guard:
        key = os.getpid(), location, patience
        presence = _presences.get(key)
        if presence is None:
            presence = _presences[key] = Presence(location, patience)
        presence.users += 1
        return presence


async def leave(presence: Presence, store: object) -> None:
    """One store less uses it. It stays while there is another, or a worker of this process that may still write."""
    presence.end_listening(store)
    presence.ahead.leave(store)
    with _guard:
        presence.users -= 1
        if presence.users or presence.workers:
            return
        _presences.pop((os.getpid(), *presence.key), None)
    await presence.close()


def _number_of(location: Location, server: str) -> int:
    """Its lock in this namespace: a negative number, as no worker has."""
    named = f"server {location.schema}\0{location.namespace}\0{server}"
    digest = hashlib.blake2b(named.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) | -(1 << 63)
