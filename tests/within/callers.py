"""Every kind of connection and session that jobs can be added with, behind one face.

The table `notes (text)` is the application's own. It is in a file, named by its path, or in PostgreSQL, named by a URL.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiosqlite
import apsw
import asyncpg
import psycopg
import psycopg.rows
import sqlalchemy
import sqlalchemy.orm
import sqlmodel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelAsyncSession

Place = Path | str
NOTE: Final = "INSERT INTO notes (text) VALUES ('written')"


class Blocking(NamedTuple):
    """A transaction of a connection that blocks."""

    within: Any
    note: Callable[[], object]
    """Write a row of the application's."""
    commit: Callable[[], object]
    rollback: Callable[[], object]


class Awaited(NamedTuple):
    """A transaction of one that is awaited."""

    within: Any
    note: Callable[[], Any]
    commit: Callable[[], Any]
    rollback: Callable[[], Any]


def new_database(folder: Path) -> Path:
    """An application's own file."""
    path = folder / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE notes (text TEXT)")
    return path


def notes(path: Place, kind: str = "sqlite3") -> int:
    """How many rows the application has written."""
    return look(path, "SELECT count(*) FROM notes", kind)


def left(path: Path, kind: str = "sqlite3") -> int:
    """How many jobs are in the outbox."""
    there = look(path, "SELECT count(*) FROM sqlite_master WHERE name = 'postlude_outbox'", kind)
    return look(path, "SELECT count(*) FROM postlude_outbox", kind) if there else 0


def look(path: Place, statement: str, kind: str = "sqlite3") -> int:
    """A number; read by the library that those who write use, since two must not have one file open in one process."""
    if isinstance(path, str):
        with psycopg.connect(path, autocommit=True) as server:
            row = server.execute(statement.encode()).fetchone()
            assert row is not None
            return int(row[0])
    if kind == "apsw":
        with closing(apsw.Connection(str(path))) as connection:
            return int(connection.execute(statement).get)
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(statement).fetchone()[0])


@contextmanager
def of_sqlite3(path: Path) -> Iterator[Blocking]:
    with closing(sqlite3.connect(path)) as own:
        own.row_factory = sqlite3.Row
        yield Blocking(own, lambda: own.execute(NOTE), own.commit, own.rollback)


@contextmanager
def of_apsw(path: Path) -> Iterator[Blocking]:
    with closing(apsw.Connection(str(path))) as own:
        own.set_row_trace(lambda _, row: list(row))
        own.execute("BEGIN")
        yield Blocking(own, lambda: own.execute(NOTE), lambda: own.execute("COMMIT"), lambda: own.execute("ROLLBACK"))


@contextmanager
def of_psycopg(dsn: str) -> Iterator[Blocking]:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row, cursor_factory=psycopg.ClientCursor) as own:
        yield Blocking(own, lambda: own.execute(NOTE), own.commit, own.rollback)


def _url(place: Place, on_file: str, on_server: str) -> str:
    """As SQLAlchemy spells it, with the driver for either."""
    if isinstance(place, Path):
        return f"sqlite{on_file}:///{place}"
    return place.replace("postgresql:", f"postgresql+{on_server}:")


@contextmanager
def of_connection(place: Place) -> Iterator[Blocking]:
    engine = sqlalchemy.create_engine(_url(place, "", "psycopg"))
    with engine.connect() as own:
        yield Blocking(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


@contextmanager
def of_session(place: Place) -> Iterator[Blocking]:
    engine = sqlalchemy.create_engine(_url(place, "", "psycopg"))
    with sqlalchemy.orm.Session(engine) as own:
        yield Blocking(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


@contextmanager
def of_sqlmodel(place: Place) -> Iterator[Blocking]:
    engine = sqlmodel.create_engine(_url(place, "", "psycopg"))
    with sqlmodel.Session(engine) as own:
        yield Blocking(own, lambda: own.connection().execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


@asynccontextmanager
async def of_aiosqlite(path: Path) -> AsyncIterator[Awaited]:
    async with aiosqlite.connect(path) as own:
        own.row_factory = aiosqlite.Row
        yield Awaited(own, lambda: own.execute(NOTE), own.commit, own.rollback)


@asynccontextmanager
async def of_asyncpg(dsn: str) -> AsyncIterator[Awaited]:
    own = await asyncpg.connect(dsn)
    transaction = own.transaction()
    await transaction.start()
    yield Awaited(own, lambda: own.execute(NOTE), transaction.commit, transaction.rollback)
    await own.close()


@asynccontextmanager
async def of_pool(dsn: str) -> AsyncIterator[Awaited]:
    async with asyncpg.create_pool(dsn, min_size=1) as pool, pool.acquire() as own:
        # As applications do that store JSON.
        await own.set_type_codec("json", encoder=repr, decoder=repr, schema="pg_catalog")
        transaction = own.transaction(isolation="serializable")
        await transaction.start()
        yield Awaited(own, lambda: own.execute(NOTE), transaction.commit, transaction.rollback)


@asynccontextmanager
async def of_async_psycopg(dsn: str) -> AsyncIterator[Awaited]:
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=psycopg.rows.dict_row) as own:
        yield Awaited(own, lambda: own.execute(NOTE), own.commit, own.rollback)


@asynccontextmanager
async def of_async_connection(place: Place) -> AsyncIterator[Awaited]:
    engine = create_async_engine(_url(place, "+aiosqlite", "asyncpg"))
    async with AsyncConnection(engine) as own:
        yield Awaited(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    await engine.dispose()


@asynccontextmanager
async def of_async_session(place: Place, on_server: str = "asyncpg") -> AsyncIterator[Awaited]:
    engine = create_async_engine(_url(place, "+aiosqlite", on_server))
    async with AsyncSession(engine) as own:
        yield Awaited(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    await engine.dispose()


@asynccontextmanager
async def of_sqlmodel_async(place: Place) -> AsyncIterator[Awaited]:
    engine = create_async_engine(_url(place, "+aiosqlite", "asyncpg"))
    async with SQLModelAsyncSession(engine) as own:

        async def note() -> None:
            await (await own.connection()).execute(sqlalchemy.text(NOTE))

        yield Awaited(own, note, own.commit, own.rollback)
    await engine.dispose()


class Kinds(NamedTuple):
    """Those that one kind of database has."""

    blocking: Mapping[str, Callable[[Any], AbstractContextManager[Blocking]]]
    awaited: Mapping[str, Callable[[Any], AbstractAsyncContextManager[Awaited]]]

    @property
    def names(self) -> list[str]:
        return [*self.blocking, *self.awaited]


_BLOCKING_MAPPERS: Final = {"Connection": of_connection, "Session": of_session, "SQLModel": of_sqlmodel}
_AWAITED_MAPPERS: Final = {
    "AsyncConnection": of_async_connection,
    "AsyncSession": of_async_session,
    "SQLModel async": of_sqlmodel_async,
}
ON_FILES: Final = Kinds(
    {"sqlite3": of_sqlite3, "apsw": of_apsw, **_BLOCKING_MAPPERS}, {"aiosqlite": of_aiosqlite, **_AWAITED_MAPPERS}
)
ON_SERVERS: Final = Kinds(
    {"psycopg": of_psycopg, **_BLOCKING_MAPPERS},
    {
        "asyncpg": of_asyncpg,
        "asyncpg's pool": of_pool,
        "psycopg async": of_async_psycopg,
        "AsyncSession, psycopg": partial(of_async_session, on_server="psycopg"),
        **_AWAITED_MAPPERS,
    },
)


@asynccontextmanager
async def caller(kind: str, place: Place) -> AsyncIterator[Awaited]:
    """Any kind, with everything awaited, in a transaction."""
    kinds = ON_FILES if isinstance(place, Path) else ON_SERVERS
    if kind in kinds.awaited:
        async with kinds.awaited[kind](place) as awaited:
            yield awaited
        return
    with kinds.blocking[kind](place) as blocking:
        note, commit, rollback = map(_awaited, (blocking.note, blocking.commit, blocking.rollback))
        yield Awaited(blocking.within, note, commit, rollback)


def _awaited(function: Callable[[], object]) -> Callable[[], Any]:
    async def call() -> None:
        function()

    return call


# Of many at a time

PATIENCE: Final = 60.0
"""Seconds that a writer waits for the others."""
WRITE: Final = "INSERT INTO notes (text) VALUES (:what)"

Write = Callable[[Any, str], object]
"""Writes a row of the application's, through a connection or session."""


@contextmanager
def of_the_standard_library(path: Path) -> Iterator[tuple[Any, Write]]:
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        yield connection, lambda own, what: own.execute(WRITE, {"what": what})


@contextmanager
def of_a_mapper(path: Path) -> Iterator[tuple[Any, Write]]:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": PATIENCE})
    with sqlalchemy.orm.Session(engine) as session:
        yield session, lambda own, what: own.execute(sqlalchemy.text(WRITE), {"what": what})
    engine.dispose()
