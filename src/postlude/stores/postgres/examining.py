"""A look at a PostgreSQL database: what it would lose, and what stands in the way of a start. Nothing is written."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.errors import PostludeError, SchemaTooNew
from postlude.findings import Finding, Looked, Place
from postlude.stores.postgres.connecting import CONNECTIONS
from postlude.stores.postgres.migrations import MIGRATIONS, missing
from postlude.stores.postgres.pooling import connected, shares_sessions
from postlude.stores.postgres.statements import sql
from postlude.stores.postgres.trouble import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import asyncpg

    from postlude.clock import Clock
    from postlude.stores.postgres.location import Location

    Look = Callable[["Subject"], Awaitable[Looked]]

CONNECT_WITHIN: Final = 10.0
"""Seconds; also for each answer."""
MOST_SKEW: Final = 1.0
"""Seconds by which the clocks of process and database may differ before somebody should know."""
SAMPLES: Final = 5
"""Round trips in which the clocks are compared."""
CHANNEL: Final = "postlude_check"
HEARD_WITHIN: Final = 2.0
"""Seconds that a notification may take."""
OF_A_PROCESS: Final = CONNECTIONS + 1
"""Connections at most, with the direct one."""


class Subject(NamedTuple):
    """What is looked at."""

    connection: asyncpg.Connection
    location: Location
    clock: Clock
    migrates: bool
    """Whether a start brings the schema up to date by itself."""


async def examine_database(location: Location, clock: Clock, *, migrates: bool) -> Place:
    """What is wrong with the place of a PostgreSQL store."""
    try:
        with translated(location.shown):
            connection = await _connected(location)
    except PostludeError as error:
        return Place({"database": Looked(findings=[Finding(str(error), "", serious=True)])}, ready=False)
    try:
        subject = Subject(connection, location, clock, migrates)
        looked = {name: await _tried(look, subject) for name, look in EXAMINATIONS.items()}
        ready = not looked["pooler"].findings and await _is_ready(subject)
        return Place({"database": Looked(location.shown)} | looked, ready=ready)
    finally:
        await connection.close()


async def _tried(look: Look, subject: Subject) -> Looked:
    try:
        with translated(subject.location.shown):
            return await look(subject)
    except PostludeError as error:
        # What the others find is told all the same.
        return Looked(findings=[Finding(str(error), "", serious=True)])


async def _connected(location: Location) -> asyncpg.Connection:
    return await connected(location.options(), within=CONNECT_WITHIN, answers_within=CONNECT_WITHIN)


_DURABLE: Final = {
    "fsync": "a crash of its machine loses or damages what was confirmed",
    "full_page_writes": "a crash of its machine in the middle of a write damages what was confirmed",
    "synchronous_commit": "a crash of the server loses what was confirmed last",
}
"""What each setting costs that is off."""


async def _durability(subject: Subject) -> Looked:
    findings = [
        Finding(f"{name} is off: {price}", f"Turn {name} on, for the server, the database and this role.", serious=True)
        for name, price in _DURABLE.items()
        if await subject.connection.fetchval("SELECT current_setting($1)", name) == "off"
    ]
    return Looked("what is confirmed is on disk", findings)


async def _schema(subject: Subject) -> Looked:
    location, known = subject.location, MIGRATIONS[-1].version
    try:
        steps = await missing(subject.connection, location)
    except SchemaTooNew as error:
        return Looked(findings=[Finding(str(error), "", serious=True)])
    if not steps:
        return Looked(f"{location.schema}, migration {known}")
    left = ", ".join(str(step.version) for step in steps)
    if subject.migrates:
        return Looked(f"{location.schema}: the next start of the application carries out migration {left}")
    what = f"schema {location.schema} lacks migration {left}, and migrate='never' leaves that to others"
    cure = "Run `postlude migrate` with a role that may make tables there."
    return Looked(findings=[Finding(what, cure, serious=True)])


async def _rights(subject: Subject) -> Looked:
    location = subject.location
    rows = await subject.connection.fetch(sql("rights", location.schema), location.schema)
    if not rows:
        return Looked("those that a process needs")
    what = f"this role may not read and write {', '.join(row['relname'] for row in rows)} in schema {location.schema}"
    cure = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {location.schema} TO that role."
    return Looked(findings=[Finding(what, cure, serious=True)])


async def _clock(subject: Subject) -> Looked:
    """The difference, measured in the shortest of a few round trips: the answer is of a moment within it."""
    tries = []
    for _ in range(SAMPLES):
        before = subject.clock.now()
        there: float = await subject.connection.fetchval(sql("time", subject.location.schema))
        after = subject.clock.now()
        tries.append((after - before, there - (before + after) / 2))
    took, skew = min(tries)
    if abs(skew) <= MOST_SKEW + took / 2:
        return Looked(f"{abs(skew) * 1000:.0f} ms apart")
    what = f"the clock of this machine is {abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} that of the database"
    cure = "Let both be set by a time server (NTP): delays, retries and schedules are off by as much."
    return Looked(findings=[Finding(what, cure)])


async def _connections(subject: Subject) -> Looked:
    free: int = await subject.connection.fetchval(sql("connections", subject.location.schema))
    said = f"up to {OF_A_PROCESS} of each process, and {free} are free"
    if free >= OF_A_PROCESS:
        return Looked(said)
    cure = (
        "Raise max_connections, or the limit of the role or the database; run fewer processes; or put a pooler between."
    )
    return Looked(findings=[Finding(f"there is no room for another process: {said}", cure)])


async def _pooler(subject: Subject) -> Looked:
    """Whether sessions last where they have to: one connection of each process holds locks, and listens."""
    straight = subject.location.straight
    if await shares_sessions(straight.options(), within=CONNECT_WITHIN):
        what = f"{straight.shown} leads through a pooler that gives each transaction another session"
        cure = (
            "Set POSTLUDE_DIRECT_URL to the address of the database itself, or of a pool with pool_mode = session; "
            "POSTLUDE_URL can stay as it is."
        )
        return Looked(findings=[Finding(what, cure, serious=True)])
    if straight.dsn != subject.location.dsn:
        return Looked(f"the direct connection goes by {straight.shown}")
    return Looked("none that shares sessions")


async def _notifications(subject: Subject) -> Looked:
    """Whether what one direct connection tells arrives at another: it is what wakes an idle worker at once."""
    heard = asyncio.Event()
    async with _one_more(subject) as listens, _one_more(subject) as tells:
        await listens.add_listener(CHANNEL, lambda *_: heard.set())
        await tells.execute("SELECT pg_notify($1, '')", CHANNEL)
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_WITHIN):
                await heard.wait()
    if heard.is_set():
        return Looked("they arrive")
    what = "what one process tells another (LISTEN and NOTIFY) does not arrive: idle workers look only once a second"
    cure = "Let the direct connection lead to the server itself, or to a pooler that keeps sessions."
    return Looked(findings=[Finding(what, cure)])


@asynccontextmanager
async def _one_more(subject: Subject) -> AsyncIterator[asyncpg.Connection]:
    """Another direct connection."""
    connection = await _connected(subject.location.straight)
    try:
        yield connection
    finally:
        connection.terminate()


EXAMINATIONS: Final[Mapping[str, Look]] = MappingProxyType(
    {
        "durability": _durability,
        "schema": _schema,
        "rights": _rights,
        "clocks": _clock,
        "connections": _connections,
        "pooler": _pooler,
        "notifications": _notifications,
    }
)
"""Each looks at one thing, in this order."""


async def _is_ready(subject: Subject) -> bool:
    try:
        with translated(subject.location.shown):
            return not await missing(subject.connection, subject.location)
    except PostludeError:  # which was found before
        return False
