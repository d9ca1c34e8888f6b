"""The same kinds on PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Final

import asyncpg
import psycopg
import psycopg.rows
import sqlalchemy
import sqlalchemy.orm
import sqlmodel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelAsyncSession

from tests.within.callers import NOTE, Awaited, Blocking, _awaited


@contextmanager
def of_psycopg(dsn: str) -> Iterator[Blocking]:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row, cursor_factory=psycopg.ClientCursor) as own:
        yield Blocking(own, lambda: own.execute(NOTE), own.commit, own.rollback)


def _url(dsn: str, driver: str) -> str:
    return dsn.replace("postgresql:", f"postgresql+{driver}:")


@contextmanager
def of_connection(dsn: str) -> Iterator[Blocking]:
    engine = sqlalchemy.create_engine(_url(dsn, "psycopg"))
    with engine.connect() as own:
        yield Blocking(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


@contextmanager
def of_session(dsn: str) -> Iterator[Blocking]:
    engine = sqlalchemy.create_engine(_url(dsn, "psycopg"))
    with sqlalchemy.orm.Session(engine) as own:
        yield Blocking(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


@contextmanager
def of_sqlmodel(dsn: str) -> Iterator[Blocking]:
    engine = sqlmodel.create_engine(_url(dsn, "psycopg"))
    with sqlmodel.Session(engine) as own:
        yield Blocking(own, lambda: own.connection().execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    engine.dispose()


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
async def of_async_connection(dsn: str) -> AsyncIterator[Awaited]:
    engine = create_async_engine(_url(dsn, "asyncpg"))
    async with AsyncConnection(engine) as own:
        yield Awaited(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
    await engine.dispose()


def _of_async_session(driver: str) -> Callable[[str], AbstractAsyncContextManager[Awaited]]:
    @asynccontextmanager
    async def of_async_session(dsn: str) -> AsyncIterator[Awaited]:
        engine = create_async_engine(_url(dsn, driver))
        async with AsyncSession(engine) as own:
            yield Awaited(own, lambda: own.execute(sqlalchemy.text(NOTE)), own.commit, own.rollback)
        await engine.dispose()

    return of_async_session


@asynccontextmanager
async def of_sqlmodel_async(dsn: str) -> AsyncIterator[Awaited]:
    engine = create_async_engine(_url(dsn, "asyncpg"))
    async with SQLModelAsyncSession(engine) as own:

        async def note() -> None:
            await (await own.connection()).execute(sqlalchemy.text(NOTE))

        yield Awaited(own, note, own.commit, own.rollback)
    await engine.dispose()


BLOCKING: Final[dict[str, Callable[[str], AbstractContextManager[Blocking]]]] = {
    "psycopg": of_psycopg,
    "Connection": of_connection,
    "Session": of_session,
    "SQLModel": of_sqlmodel,
}
AWAITED: Final[dict[str, Callable[[str], AbstractAsyncContextManager[Awaited]]]] = {
    "asyncpg": of_asyncpg,
    "asyncpg's pool": of_pool,
    "psycopg async": of_async_psycopg,
    "AsyncConnection": of_async_connection,
    "AsyncSession": _of_async_session("asyncpg"),
    "AsyncSession, psycopg": _of_async_session("psycopg"),
    "SQLModel async": of_sqlmodel_async,
}


@asynccontextmanager
async def caller(kind: str, dsn: str) -> AsyncIterator[Awaited]:
    """Any kind, with everything awaited, in a transaction."""
    if kind in AWAITED:
        async with AWAITED[kind](dsn) as awaited:
            yield awaited
        return
    with BLOCKING[kind](dsn) as blocking:
        note, commit, rollback = map(_awaited, (blocking.note, blocking.commit, blocking.rollback))
        yield Awaited(blocking.within, note, commit, rollback)


def look(dsn: str, statement: str) -> Any:
    """The one value that it gives."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]
