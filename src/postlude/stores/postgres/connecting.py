"""How connections are made and lent, such that none waits for ever for somebody who is not there any more."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from postlude.errors import StoreLocationError
from postlude.stores.postgres.pooling import connected, shares_sessions
from postlude.stores.postgres.session import prefer_indexes
from postlude.stores.postgres.trouble import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.pool import PoolConnectionProxy

    from postlude.stores.postgres.location import Location
    from postlude.stores.postgres.session import Connection

CONNECTIONS: Final = 5
"""Of one process at most, beside the direct one: two for what is added, one for what a rescue ends, one for what people
ask for, each of which may take long, and one for all that is short: what ends, claims, starts and reports."""
LENT_WITHIN: Final = 5.0
"""Seconds to get a connection, a new one too. With the next one, twice, it is less than a lease: what waits behind one
statement that got no answer is refused before it passes."""
ANSWER_WITHIN: Final = 8.0
"""Seconds for each statement of an operation."""
FOR_EACH_JOB: Final = 0.001
"""Seconds more, for each statement, of each job that is inserted or settled: one statement may write them all."""
READ_WITHIN: Final = 60.0
"""Seconds for what people ask for, which may look at millions of jobs; also until it has its turn."""
DIRECT_WITHIN: Final = 5.0
"""Seconds for whatever the direct connection is asked, and to make a new one: a lease has room for several tries."""

_LOOKS: Final = 8
"""At a connection that is in use, in the time in which it has to answer."""
_FAREWELL_WITHIN: Final = 2.0
_LONGEST_STATEMENT: Final = 60.0
"""Seconds: also for a migration."""
# A connection that says nothing is asked whether anybody is there, and is at an end ten seconds later if nobody is.
_IDLE, _INTERVAL, _PROBES, _UNACKNOWLEDGED = 4, 2, 3, 10
# The same on the server's side. A transaction whose client is gone without a word would hold its locks for hours. And
# what waited for a lock has to read what its holder has committed, whatever the role or the database is set to.
_SESSION: Final = """
SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false), set_config('idle_in_transaction_session_timeout', '20s', false),
    set_config('default_transaction_isolation', 'read committed', false)
"""


async def pool_at(location: Location) -> asyncpg.Pool:
    """The connections of a process, each made when it is first needed.

    Raises:
        StoreLocationError: a pooler stands between that gives every transaction another session, and there is no direct
            way beside it.
    """
    shared = await shares_sessions(location.options(), within=LENT_WITHIN)
    straight = location.straight
    if straight.dsn == location.dsn:
        needs_direct = shared
    else:
        needs_direct = await shares_sessions(straight.options(), within=LENT_WITHIN)
    if needs_direct:
        message = (
            f"{straight.shown} leads through a pooler that gives each transaction another session (PgBouncer with "
            "pool_mode = transaction). That is fine for jobs, but one connection of each process has to keep its "
            "session, for locks and notifications: give POSTLUDE_DIRECT_URL, or Postlude(direct_url=...), the address "
            "of the database itself, or of a pool with pool_mode = session."
        )
        raise StoreLocationError(message)
    return await asyncpg.create_pool(
        **location.options(),
        min_size=0,  # else the pool itself logs a traceback each second while the database is gone
        max_size=CONNECTIONS,
        command_timeout=_LONGEST_STATEMENT,
        timeout=LENT_WITHIN,
        # A statement that was prepared is in one of the sessions that are shared, and the next transaction in another.
        statement_cache_size=0 if shared else 300,
        max_cached_statement_lifetime=0,
        init=watch if shared else _set_up,
        reset=_leave_as_it_is,
    )


@asynccontextmanager
async def lent(pool: asyncpg.Pool, within: float, shown: str) -> AsyncIterator[PoolConnectionProxy]:
    """A connection of the pool, which is cut off when a statement has got no answer for so many seconds.

    Raises:
        StoreUnavailable: no connection was to be had.
        TimeoutError: there was no answer.
    """
    with translated(shown, reaching=True):
        connection = await pool.acquire(timeout=LENT_WITHIN)
    watch = _Watch(connection, within)
    try:
        yield connection
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        if not watch.has_cut:
            raise
        message = f"there was no answer for {within:g} s"
        raise TimeoutError(message) from error
    finally:
        watch.end()
        await pool.release(connection)


class _Watch:
    """Cuts a connection off that does not answer: to cancel its statement would be to ask the very same server.

    An operation of many statements takes as long as it takes, so that none is cut off again and again.
    """

    def __init__(self, connection: PoolConnectionProxy, within: float) -> None:
        self._cut = connection.terminate
        self._within = within
        self._loop = asyncio.get_running_loop()
        # It counts the statements, and nothing public does.
        self._protocol: Any = connection._protocol  # type: ignore[attr-defined]  # noqa: SLF001
        self._count = -1
        self.has_cut = False
        self._look()

    def _look(self) -> None:
        if self._protocol.queries_count != self._count:
            self._count, self._since = self._protocol.queries_count, self._loop.time()
        elif self._loop.time() - self._since >= self._within and not self._protocol.is_closed():
            self.has_cut = True
            self._cut()
            return
        self._timer = self._loop.call_later(self._within / _LOOKS, self._look)

    def end(self) -> None:
        """It is not in use any more."""
        self._timer.cancel()


async def end(pool: asyncpg.Pool) -> None:
    """Close its connections: with a farewell, unless that takes too long."""
    try:
        async with asyncio.timeout(_FAREWELL_WITHIN):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def direct_connection(location: Location) -> asyncpg.Connection:
    """A connection of its own, beside any pooler."""
    connection = await connected(
        location.straight.options(), within=DIRECT_WITHIN, answers_within=DIRECT_WITHIN, keeps_session=True
    )
    try:
        await _watch_both_sides(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def farewell(connection: asyncpg.Connection) -> None:
    """Close it, and cut it off where that takes too long: its other side may not be there any more."""
    try:
        async with asyncio.timeout(_FAREWELL_WITHIN):
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


async def watch(connection: Connection) -> None:
    """Have the kernel notice, and soon, that the other side is gone without a word."""
    # There is no public way from asyncpg's connection to its socket.
    transport: asyncio.Transport = connection._transport  # type: ignore[union-attr]  # noqa: SLF001
    wire: socket.socket = transport.get_extra_info("socket")
    if wire.family == socket.AF_UNIX:
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE),
        ("TCP_KEEPALIVE", _IDLE),  # macOS calls it that
        ("TCP_KEEPINTVL", _INTERVAL),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED * 1000),
    ):
        option = getattr(socket, name, None)  # each system has its own
        if option is not None:
            wire.setsockopt(socket.IPPROTO_TCP, option, value)


async def _watch_both_sides(connection: Connection) -> None:
    await watch(connection)
    await connection.execute(_SESSION)


async def _set_up(connection: Connection) -> None:
    """What is set in a session that is nobody else's."""
    await _watch_both_sides(connection)
    await prefer_indexes(connection)


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """No operation leaves anything behind in its session, and to wipe it costs a round trip each time."""
