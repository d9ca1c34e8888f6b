"""Every kind of connection and session that jobs can be added with, behind one face.

The table `notes (text)` is the application's own.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiosqlite
import apsw
import sqlalchemy
import sqlmodel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelAsyncSession

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


def notes(path: Path, kind: str = "sqlite3") -> int:
    """How many rows the application has written."""
    return look(path, "SELECT count(*) FROM notes", kind)


def left(path: Path, kind: str = "sqlite3") -> int:
    """How many jobs are in the outbox."""
    there = look(path, "SELECT count(*) FROM sqlite_master WHERE name = 'postlude_outbox'", kind)
    return look(path, "SELECT count(*) FROM postlude_outbox", kind) if there else 0


def look(path: Path, statement: str, kind: str) -> int:
    """A number; read by the library that those who write use, since two must not have one file open in one process."""
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
def of_connection(path: Path) -> Iterator[Blocking]:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.connect() as own:
        yield Blocking(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


@contextmanager
def of_session(path: Path) -> Iterator[Blocking]:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with sqlalchemy.orm.Session(engine) as own:
        yield Blocking(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


@contextmanager
def of_sqlmodel(path: Path) -> Iterator[Blocking]:
    engine = sqlmodel.create_engine(f"sqlite:///{path}")
    with sqlmodel.Session(engine) as own:
        yield Blocking(own, lambda: own.connection().execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


@asynccontextmanager
async def of_aiosqlite(path: Path) -> AsyncIterator[Awaited]:
    async with aiosqlite.connect(path) as own:
        own.row_factory = aiosqlite.Row
        yield Awaited(own, lambda: own.execute(NOTE), own.commit, own.rollback)


@asynccontextmanager
async def of_async_connection(path: Path) -> AsyncIterator[Awaited]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with AsyncConnection(engine) as own:
        yield Awaited(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    await engine.dispose()


@asynccontextmanager
async def of_async_session(path: Path) -> AsyncIterator[Awaited]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with AsyncSession(engine) as own:
        yield Awaited(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    await engine.dispose()


@asynccontextmanager
async def of_sqlmodel_async(path: Path) -> AsyncIterator[Awaited]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with SQLModelAsyncSession(engine) as own:

        async def note() -> None:
            await (await own.connection()).execute(sqlalchemy.text(NOTE))

        yield Awaited(own, note, own.commit, own.rollback)
    await engine.dispose()


BLOCKING: Final[dict[str, Callable[[Path], AbstractContextManager[Blocking]]]] = {
    "sqlite3": of_sqlite3,
    "apsw": of_apsw,
    "Connection": of_connection,
    "Session": of_session,
    "SQLModel": of_sqlmodel,
}
AWAITED: Final[dict[str, Callable[[Path], AbstractAsyncContextManager[Awaited]]]] = {
    "aiosqlite": of_aiosqlite,
    "AsyncConnection": of_async_connection,
    "AsyncSession": of_async_session,
    "SQLModel async": of_sqlmodel_async,
}


@asynccontextmanager
async def caller(kind: str, place: Path) -> AsyncIterator[Awaited]:
    """Any kind, with everything awaited, in a transaction."""
    if kind in AWAITED:
        async with AWAITED[kind](place) as awaited:
            yield awaited
        return
    with BLOCKING[kind](place) as blocking:
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
