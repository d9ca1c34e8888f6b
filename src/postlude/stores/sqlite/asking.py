"""Questions to attempts that run. Fulfils `stores.asking.AskingStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from postlude.stores.asking import STALE
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Collection

    from apsw import Connection

    Submit = Callable[[Callable[[Connection], Any]], Future[Any]]


class Asking:
    """The questions of one store.

    Args:
        write: carries out what is written.
        read: carries out what is read.
    """

    def __init__(self, write: Submit, read: Submit) -> None:
        self._write = write
        self._read = read

    async def ask(self, job_id: UUID, *, now: float) -> None:
        """Clause 70."""

        def note(connection: Connection) -> None:
            connection.execute(sql("asking/forget"), (now - STALE,))
            connection.execute(sql("asking/ask"), (job_id.bytes, now))

        await self._write(note)

    async def asked(self, owner: int) -> frozenset[UUID]:
        """Clause 70."""

        def read(connection: Connection) -> frozenset[UUID]:
            return frozenset(UUID(bytes=job) for (job,) in connection.execute(sql("asking/asked"), (owner,)))

        found: frozenset[UUID] = await self._read(read)
        return found

    async def answered(self, job_ids: Collection[UUID]) -> None:
        """Clause 70."""

        def forget(connection: Connection) -> None:
            connection.executemany(sql("asking/answered"), [(each.bytes,) for each in job_ids])

        await self._write(forget)
