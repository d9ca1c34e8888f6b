"""What the store says of itself when it is opened: where it is, how long a commit takes, and what would lose work."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final

from postlude.stores.contract import Description

if TYPE_CHECKING:
    from postlude.stores.postgres.location import Location
    from postlude.stores.postgres.session import Connection, Session

SAMPLES: Final = 3
"""Commits that are measured."""


async def describe(session: Session, location: Location, of_clock: str | None) -> Description:
    """Ask the server, and try it; `of_clock`: what somebody should know of its time."""
    shown = f"{location.shown}, namespace {location.namespace!r}"
    return Description(shown, await _commit_seconds(session), await _warnings(session.connection, of_clock))


async def _commit_seconds(session: Session) -> float:
    seconds = []
    for _ in range(SAMPLES):
        begin = time.perf_counter()
        await session.do("touch_namespace", session.namespace)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


async def _warnings(connection: Connection, of_clock: str | None) -> tuple[str, ...]:
    found = [] if of_clock is None else [of_clock]
    if await connection.fetchval("SHOW fsync") == "off":
        found.append("fsync is off on this server: a crash of its machine loses what was acknowledged. Turn it on.")
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        found.append(
            "synchronous_commit is off for this role or database: a crash of the server loses what was acknowledged "
            "last. Set it to on."
        )
    return tuple(found)
