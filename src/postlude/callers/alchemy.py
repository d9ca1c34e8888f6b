"""Connections and sessions of SQLAlchemy, and of SQLModel, which derives its own from them."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from postlude.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session

    from postlude.callers.contract import Caller, Dialect, Library, Row, Statement

_LIBRARY_OF: Final[dict[str, Library]] = {"pysqlite": "sqlite3", "pysqlite_numeric": "sqlite3", "aiosqlite": "sqlite3"}
"""The SQLite library behind each of SQLAlchemy's drivers."""


def recognise_alchemy(connection: object) -> Caller | None:
    """What speaks with it; None: it is nothing of SQLAlchemy's.

    Raises:
        CallError: its database is of another kind than jobs can be added to.
    """
    core, orm = sys.modules.get("sqlalchemy"), sys.modules.get("sqlalchemy.orm")
    awaited = sys.modules.get("sqlalchemy.ext.asyncio")
    if core is not None and isinstance(connection, core.Connection):
        return OfConnection(connection)
    if orm is not None and isinstance(connection, orm.Session):
        return OfSession(connection)
    if awaited is not None and isinstance(connection, awaited.AsyncConnection):
        return OfAsyncConnection(connection)
    if awaited is not None and isinstance(connection, awaited.AsyncSession):
        return OfAsyncSession(connection)
    return None


class _OfEngine:
    """What the engine behind a connection or session says of the database."""

    def __init__(self, engine: Engine) -> None:
        self.engine: Engine = engine
        name, driver = engine.dialect.name, engine.dialect.driver
        if name == "postgresql":
            self.dialect: Dialect = "postgresql"
            self.library: Library | None = None
        elif name == "sqlite" and driver in _LIBRARY_OF:
            self.dialect, self.library = "sqlite", _LIBRARY_OF[driver]
        else:
            message = (
                "within: jobs can be added in transactions on PostgreSQL, and on SQLite by way of the standard library "
                f"or aiosqlite; this one is on {name}+{driver}. Leave within= out, and enqueue after the commit."
            )
            raise CallError(message)


class OfConnection(_OfEngine):
    """`sqlalchemy.Connection`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.engine)
        self._connection = connection

    def run(self, statement: Statement) -> Sequence[Row]:
        """On the calling thread."""
        return execute(self._connection, statement)

    def on_commit(self, hear: Callable[[], None]) -> None:
        """Just before the next commit."""
        _listen(self._connection, "commit", hear)


class OfSession(_OfEngine):
    """`sqlalchemy.orm.Session`."""

    def __init__(self, session: Session) -> None:
        super().__init__(_engine_of(session))
        self.session: Session = session

    def run(self, statement: Statement) -> Sequence[Row]:
        """On the calling thread, through the connection of the session's transaction."""
        return execute(self.session.connection(), statement)

    def on_commit(self, hear: Callable[[], None]) -> None:
        """After the next commit."""
        _listen(self.session, "after_commit", hear)

    @property
    def apart(self) -> Caller:
        """The same database, outside of the session's transaction, which is not even begun by that."""
        return OfEngine(self.engine)


class OfEngine(_OfEngine):
    """Whatever connection an engine gives."""

    async def run_async(self, statement: Statement) -> Sequence[Row]:
        """In a thread: others may have all connections of the pool, and need the event loop to give one back."""
        return await asyncio.to_thread(self._run, statement)

    def _run(self, statement: Statement) -> Sequence[Row]:
        with self.engine.connect() as connection:
            return execute(connection, statement)

    def on_commit(self, hear: Callable[[], None]) -> None:
        """It has no transaction that lasts."""


class OfAsyncEngine(OfEngine):
    """The same for an engine whose connections are awaited, behind a session."""

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(_engine_of(session.sync_session))
        self._session = session

    async def run_async(self, statement: Statement) -> Sequence[Row]:
        """On the running event loop."""
        return await self._session.run_sync(lambda _: self._run(statement))


class OfAsyncConnection(_OfEngine):
    """`sqlalchemy.ext.asyncio.AsyncConnection`."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection.engine.sync_engine)
        self._connection = connection

    async def run_async(self, statement: Statement) -> Sequence[Row]:
        """On the running event loop."""
        return await self._connection.run_sync(execute, statement)

    def on_commit(self, hear: Callable[[], None]) -> None:
        """Just before the next commit."""
        _listen(self._connection.sync_connection, "commit", hear)


class OfAsyncSession(_OfEngine):
    """`sqlalchemy.ext.asyncio.AsyncSession`."""

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(_engine_of(session.sync_session))
        self.session: Session = session.sync_session
        self._session = session

    async def run_async(self, statement: Statement) -> Sequence[Row]:
        """On the running event loop, through the connection of the session's transaction."""
        connection = await self._session.connection()
        return await connection.run_sync(execute, statement)

    def on_commit(self, hear: Callable[[], None]) -> None:
        """After the next commit."""
        _listen(self.session, "after_commit", hear)

    @property
    def apart(self) -> Caller:
        """The same database, outside of the session's transaction, which is not even begun by that."""
        return OfAsyncEngine(self._session)


def execute(connection: Connection, statement: Statement) -> Sequence[Row]:
    """Carry a statement out by a connection that blocks, or seems to."""
    text = sys.modules["sqlalchemy"].text(statement.written(":calls"))
    result = connection.execute(text, {} if statement.parameter is None else {"calls": statement.parameter})
    return [tuple(row) for row in result] if result.returns_rows else ()


def _engine_of(session: Session) -> Engine:
    try:
        return session.get_bind().engine
    except sys.modules["sqlalchemy.exc"].UnboundExecutionError as error:
        message = (
            "within: this session has no database, or a different one for each of its tables. Give it the connection "
            f"that is meant: within=session.connection(bind_arguments=...). ({error})"
        )
        raise CallError(message) from error


_hearing: WeakKeyDictionary[Any, set[Callable[[], None]]] = WeakKeyDictionary()
"""Who is to hear of the next commit of a connection or session; each has one listener, for as long as it lives."""


def _listen(target: Any, event: str, hear: Callable[[], None]) -> None:  # noqa: ANN401 - whatever has such events
    waiting = _hearing.get(target)
    if waiting is None:
        _hearing[target] = {hear}
        sys.modules["sqlalchemy"].event.listen(target, event, _heard)
    else:
        waiting.add(hear)


def _heard(target: Any) -> None:  # noqa: ANN401 - as above
    if target.in_nested_transaction():
        return  # the end of a savepoint
    waiting = _hearing[target]
    while waiting:
        waiting.pop()()
