"""The connections and sessions of callers, in whose transactions jobs are added: recognised, and spoken with.

A library is not imported here to find out whether something is of it: what it has made can only be there when the
library is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.callers.alchemy import recognise_alchemy
from postlude.callers.drivers import recognise_driver
from postlude.errors import CallError

if TYPE_CHECKING:
    from postlude.callers.contract import Caller

__all__ = ["caller_of"]

ACCEPTED: Final = (
    "a connection of sqlite3, aiosqlite, apsw, asyncpg or psycopg, or a Connection, Session, AsyncConnection or "
    "AsyncSession of SQLAlchemy or SQLModel on one of them"
)


def caller_of(connection: object) -> Caller:
    """What speaks with the connection or session.

    Raises:
        CallError: it is none that jobs can be added with; the message names what can.
    """
    found = recognise_driver(connection) or recognise_alchemy(connection)
    if found is None:
        message = f"within: expected {ACCEPTED}; got {connection!r}.{_hint(connection)}"
        raise CallError(message)
    return found


def _hint(connection: object) -> str:
    """What was probably meant: most often the thing that makes sessions or connections was given."""
    name = type(connection).__name__
    if "Pool" in name or "Engine" in name:
        return " Take a connection of it, begin a transaction, and give that connection."
    if "session" in name.lower():
        return " Call it, and give the session that it returns."
    return ""
