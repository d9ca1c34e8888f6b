"""Connections of the drivers themselves: sqlite3, aiosqlite, apsw, asyncpg, psycopg."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    import aiosqlite
    import apsw
    import asyncpg
    import psycopg

    from postlude.callers.contract import Caller, Dialect, Library, Row, Statement


def recognise_driver(connection: object) -> Caller | None:
    """What speaks with it; None: it is no connection of these drivers."""
    for module, name, caller in _KNOWN:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(connection, kind):
            return caller(connection)
    return None


class _OnSQLite:
    """A file, through the standard library's SQLite."""

    dialect: Dialect = "sqlite"
    library: Library | None = "sqlite3"

    def on_commit(self, hear: Callable[[], None]) -> None:
        """Nothing tells."""


class OfSqlite3(_OnSQLite):
    """`sqlite3.Connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, statement: Statement) -> Sequence[Row]:
        """On the calling thread, as the connection asks for."""
        cursor = self._connection.cursor()
        cursor.row_factory = None  # the connection's may make dicts
        try:
            rows: Sequence[Row] = cursor.execute(statement.written("?"), _parameters(statement)).fetchall()
        finally:
            cursor.close()
        return rows


class OfAiosqlite(_OnSQLite):
    """`aiosqlite.Connection`."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def run_async(self, statement: Statement) -> Sequence[Row]:
        """In the connection's own thread."""
        async with self._connection.cursor() as cursor:
            cursor.row_factory = None
            await cursor.execute(statement.written("?"), _parameters(statement))
            return [tuple(row) for row in await cursor.fetchall()]


class OfApsw(_OnSQLite):
    """`apsw.Connection`."""

    library: Library | None = "apsw"

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def run(self, statement: Statement) -> Sequence[Row]:
        """On the calling thread."""
        cursor = self._connection.cursor()
        cursor.set_row_trace(lambda _, row: row)  # the connection's may make dicts
        return cursor.execute(statement.written("?"), _parameters(statement)).fetchall()

    def on_commit(self, hear: Callable[[], None]) -> None:
        """Just before each commit of the connection, from now on."""

        def committing() -> bool:
            hear()
            return False  # which lets it go ahead

        self._connection.set_commit_hook(committing, id="postlude")


class _OnPostgreSQL:
    """A server."""

    dialect: Dialect = "postgresql"
    library: Library | None = None

    def on_commit(self, hear: Callable[[], None]) -> None:
        """Nothing tells."""


class OfAsyncpg(_OnPostgreSQL):
    """`asyncpg.Connection`, as it is or lent by a pool."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def run_async(self, statement: Statement) -> Sequence[Row]:
        """In the transaction of the connection."""
        rows = await self._connection.fetch(statement.written("$1"), *_parameters(statement))
        return [tuple(row) for row in rows]


class OfPsycopg(_OnPostgreSQL):
    """`psycopg.Connection`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def run(self, statement: Statement) -> Sequence[Row]:
        """On the calling thread."""
        library = sys.modules["psycopg"]
        # A cursor of its own making: the connection's may write parameters otherwise, and give other rows.
        with library.Cursor(self._connection, row_factory=sys.modules["psycopg.rows"].tuple_row) as cursor:
            cursor.execute(statement.written("%s"), _parameters(statement))
            rows: Sequence[Row] = cursor.fetchall()  # which in a pipeline asks for the answer, too
        return rows


class OfAsyncPsycopg(_OnPostgreSQL):
    """`psycopg.AsyncConnection`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def run_async(self, statement: Statement) -> Sequence[Row]:
        """On the running event loop."""
        library = sys.modules["psycopg"]
        tuples = sys.modules["psycopg.rows"].tuple_row
        async with library.AsyncCursor(self._connection, row_factory=tuples) as cursor:
            await cursor.execute(statement.written("%s"), _parameters(statement))
            rows: Sequence[Row] = await cursor.fetchall()  # as above
        return rows


def _parameters(statement: Statement) -> tuple[str, ...]:
    return () if statement.parameter is None else (statement.parameter,)


_KNOWN: Final[Sequence[tuple[str, str, Callable[[Any], Caller]]]] = (
    ("sqlite3", "Connection", OfSqlite3),
    ("aiosqlite", "Connection", OfAiosqlite),
    ("apsw", "Connection", OfApsw),
    ("asyncpg", "Connection", OfAsyncpg),
    ("asyncpg.pool", "PoolConnectionProxy", OfAsyncpg),
    ("psycopg", "Connection", OfPsycopg),
    ("psycopg", "AsyncConnection", OfAsyncPsycopg),
)
"""The classes of connections: their module, their name, and what speaks with one."""
