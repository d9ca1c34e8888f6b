"""The side that takes from the outbox in an application's own SQLite file.

A job is added there by the caller's connection, in the caller's transaction, since one transaction cannot span two
files, and the store's own file must not be opened by a second SQLite library in the same process: their locks do not
see each other. For that same reason the outbox is read by the library that its writers use.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import apsw

from postlude.errors import StoreError, StoreUnavailable
from postlude.stores.jobtexts import job_of
from postlude.stores.outboxtexts import sql
from postlude.stores.sqlite.forks import Gate
from postlude.stores.sqlite.location import Key, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from postlude.job import NewJob
    from postlude.stores.callers import Outbox

T = TypeVar("T")

BUSY_SECONDS: Final = 2.0
"""How long the taking side waits for those who write in the file."""


class Waiting(NamedTuple):
    """What waits in an outbox."""

    jobs: list[NewJob]
    wrong: dict[str, StoreError]
    """What is wrong with a row that is no job, by its id."""


class OutboxFile:
    """What waits in one outbox, read and removed in a thread of its own."""

    def __init__(self, outbox: Outbox) -> None:
        """Opens nothing yet."""
        self._path = Path(outbox.path)
        self._connect = _connect_apsw if outbox.library == "apsw" else _connect_sqlite3
        self._mark = outbox.mark
        self._connection: Any = None
        """Of one library or the other: both have `execute` and `close`."""
        self._opened: Key | None = None
        """The file that is open."""
        self._gate = Gate(self._disconnect, last=False)
        self._thread = ThreadPoolExecutor(1, "postlude outbox")

    async def waiting(self, limit: int) -> Waiting:
        """What is committed, that first which was written first; nothing if there is no such file.

        Raises:
            StoreUnavailable: the file does not answer now, or nothing could be removed from it.
        """
        found = Waiting([], {})
        for job_id, text in await self._do(lambda: self._waiting(limit)):
            try:
                found.jobs.append(job_of(text))
            except StoreError as error:
                found.wrong[job_id] = StoreError(
                    f"The outbox in {self._path}: {error}. It stays there: correct the row with the id {job_id} in "
                    "postlude_outbox, or delete it."
                )
        return found

    async def remove(self, job_ids: Iterable[UUID]) -> None:
        """Remove jobs that are in the store.

        Raises:
            StoreUnavailable: the file does not answer now.
        """
        ids = json.dumps([str(job_id) for job_id in job_ids])
        await self._do(lambda: self._ready() and self._execute("remove", ids))

    def close(self) -> None:
        """Let go of the file, when what is under way has ended."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    # In the thread

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._thread.submit(self._carry_out, work))

    def _carry_out(self, work: Callable[[], T]) -> T:
        with self._gate, self._translated():
            return work()

    def _waiting(self, limit: int) -> list[tuple[str, str]]:
        if not self._ready() or not self._execute("is_there")[0][0]:
            return []
        rows = self._execute("waiting", self._mark, limit)
        if rows:
            self._try_to_remove(job_id for job_id, _ in rows)
        return rows

    def _try_to_remove(self, ids: Iterable[str]) -> None:
        # What could never be removed would be moved again whenever the store has forgotten it. An error disconnects,
        # which ends the transaction as well.
        self._connection.execute("BEGIN IMMEDIATE")
        self._execute("remove", json.dumps(list(ids)))
        self._connection.execute("ROLLBACK")

    def _execute(self, name: str, *values: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(sql(name), values).fetchall()
        return rows

    def _ready(self) -> bool:
        """Whether there is a file, which is open then: the one that the path leads to at this moment."""
        found = key_of(self._path)
        if found != self._opened:
            self._disconnect()
        if self._connection is None and found is not None:
            self._connection, self._opened = self._connect(self._path), found
        return self._connection is not None

    def _disconnect(self) -> None:
        connection, self._connection, self._opened = self._connection, None, None
        if connection is not None:
            connection.close()

    def _close(self) -> None:
        with self._gate, contextlib.suppress(sqlite3.Error, apsw.Error):
            self._disconnect()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, apsw.Error, OSError) as error:
            with contextlib.suppress(sqlite3.Error, apsw.Error):
                self._disconnect()
            message = (
                f"The outbox in {self._path} did not answer ({type(error).__name__}: {error}). What was committed "
                "there stays, and is taken when it answers again; it is asked every second."
            )
            raise StoreUnavailable(message) from error


def _connect_sqlite3(path: Path) -> sqlite3.Connection:
    # Each statement by itself, and no file is made where there is none. It is used by one thread at a time.
    address = f"{path.as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _connect_apsw(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(round(BUSY_SECONDS * 1000))
    return connection
