"""Questions to attempts that run. Fulfils `stores.asking.AskingStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.stores.asking import STALE

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from postlude.stores.postgres.gate import Do
    from postlude.stores.postgres.session import Session


class Asking:
    """The questions of one store.

    Args:
        change: carries out what is written, in one transaction.
        do: carries out what is read.
    """

    def __init__(self, change: Do, do: Do) -> None:
        self._change = change
        self._do = do

    async def ask(self, job_id: UUID, *, now: float) -> None:
        """Clause 70."""

        async def note(session: Session) -> None:
            await session.do("asking/forget", now - STALE)
            await session.do("asking/ask", job_id, now)

        await self._change(note)

    async def asked(self, owner: int) -> frozenset[UUID]:
        """Clause 70."""
        rows = await self._do(lambda session: session.rows("asking/asked", owner))
        return frozenset(row["job"] for row in rows)

    async def answered(self, job_ids: Collection[UUID]) -> None:
        """Clause 70."""
        await self._change(lambda session: session.do("asking/answered", [*job_ids]))
