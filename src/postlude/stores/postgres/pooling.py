"""Connections that work behind a pooler such as PgBouncer too; whether one is there, and what it makes of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Mapping


_ROUNDS: Final = 8
"""Of two sessions that many clients use at once, chance gives each of the two the same one over and over at times."""


async def connected(
    options: Mapping[str, Any], *, within: float, answers_within: float | None, keeps_session: bool = False
) -> asyncpg.Connection:
    """A connection of its own, outside any pool of this process.

    Args:
        options: those of `Location.options`.
        within: seconds to make it.
        answers_within: seconds for each statement; None: as long as it takes.
        keeps_session: whether it is known that no pooler shares its session. Else a statement with a name may be in the
            session already, from another client, or be looked for in one that does not have it.
    """
    connection: asyncpg.Connection = await asyncpg.connect(
        **options, timeout=within, command_timeout=answers_within, statement_cache_size=100 if keeps_session else 0
    )
    return connection


async def shares_sessions(options: Mapping[str, Any], *, within: float) -> bool:
    """Whether the sessions at an address are shared, so that one transaction does not find what another left.

    A pooler answers a new connection with a process id of its own making, and only then does the real one matter: with
    sessions of their own two connections that are open at once are never in one process, and neither ever changes it.
    """
    first = await connected(options, within=within, answers_within=within)
    try:
        process = await _process(first)
        if process == first.get_server_pid():
            return False
        second = await connected(options, within=within, answers_within=within)
        try:
            own, others = {process}, set()
            for _ in range(_ROUNDS):
                # Not in turn, or a pooler that deals out its sessions in turn would give each of the two its own.
                others |= {await _process(second), await _process(second)}
                own.add(await _process(first))
        finally:
            second.terminate()
        return len(others) > 1 or len(own) > 1 or not own.isdisjoint(others)
    finally:
        first.terminate()


async def _process(connection: asyncpg.Connection) -> int:
    number: int = await connection.fetchval("SELECT pg_backend_pid()")
    return number
