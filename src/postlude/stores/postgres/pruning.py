"""The end of keeping: jobs that have ended are removed for their age, a portion at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from postlude.job import JobState
from postlude.policy import Policy
from postlude.stores.contract import Pruned
from postlude.stores.postgres.by_hand import remove

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    import asyncpg

    from postlude.stores.postgres.session import Session


@dataclass(frozen=True, slots=True)
class Pruning:
    """What `prune` is given."""

    keep: Mapping[JobState, float]
    shortest: float
    now: float
    place: int
    limit: int

    async def __call__(self, session: Session) -> Pruned:
        """Look at a portion, and remove what is old of it."""
        rows = await session.rows("portion", session.namespace, self.place, self.limit)
        # Later jobs were added later: behind one that is too young for all there are only such.
        old_enough = [row for row in rows if row["created_at"] <= self.now - self.shortest]
        more = len(rows) == self.limit and len(old_enough) == len(rows)
        place = rows[-1]["seq"] + 1 if more else None
        if place is None:
            await session.do("delete_starts", session.namespace, self.now, self.limit)
        old = [row for row in old_enough if self._is_old(row)]
        if not old:
            return Pruned(0, place)
        async with session.transaction():
            # What has ended stays so but for a retry by hand, which locks the chain as well.
            await session.lock(("chain", row["chain"] or row["id"]) for row in old)
            ids = await self._free(session, old)
            await remove(session, ids)
        return Pruned(len(ids), place)

    def _is_old(self, row: asyncpg.Record) -> bool:
        if row["finished_at"] is None:
            return False
        state = JobState(row["state"])
        kept = Policy.loads(row["policy"]).kept(state)
        return bool(row["finished_at"] + (self.keep[state] if kept is None else kept) <= self.now)

    async def _free(self, session: Session, rows: list[asyncpg.Record]) -> list[UUID]:
        """Those that no key, no chain and no second thought of a person keep."""
        keyed = [row["id"] for row in rows if row["key"] is not None and row["state"] == JobState.SUCCEEDED]
        kept = {row["job"] for row in await session.rows("keeps_keys", keyed, self.now)} if keyed else set()
        chained = [row["chain"] for row in rows if row["chain"] is not None]
        going_on = {row["chain"] for row in await session.rows("chains_that_go_on", chained)} if chained else set()
        ids = [row["id"] for row in rows if row["id"] not in kept and row["chain"] not in going_on]
        return [row["id"] for row in await session.rows("still_ended", ids)]
