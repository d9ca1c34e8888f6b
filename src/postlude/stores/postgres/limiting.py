"""Which jobs of a lane with limits may start now: by what runs in each partition, and by what has started there."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from postlude.ids import new_token
from postlude.limits import UNLIMITED
from postlude.stores.lanes import MOST_VISITS, WHOLE_TASK, Due, Visit
from postlude.stores.turns import in_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from postlude.pauses import Pauses
    from postlude.stores.lanes import Lane
    from postlude.stores.postgres.session import Session
    from postlude.stores.turns import Turns

AT_ONCE: Final = 50
"""Partitions that are asked for in one statement, at least."""
NEXT_TEXT: Final = "\x01"
"""No text that PostgreSQL can keep lies between one and the same with this behind it."""


@dataclass(slots=True)
class Limiter:
    """Looks at the lanes with limits during one claim; from its first look on no other claims of those tasks.

    Args:
        session: inside the transaction of the claim.
        turns: decides.
        pauses: what is paused.
    """

    session: Session
    turns: Turns
    pauses: Pauses
    _locked: set[str] = field(default_factory=set)
    """The tasks that no other claim looks at meanwhile."""

    async def due(self, lane: Lane, most: int) -> list[Due]:
        """Up to so many jobs of the lane, one from each partition in turn."""
        await self._lock(lane.task)
        firsts: list[Due] = []
        partitions: list[str] = []
        left_at: str | None = None
        visits = 0
        async for rows in self._around(lane, max(most, AT_ONCE)):
            waiting = [
                Due(row["run_at"], row["seq"], row["expires_at"], lane.task, row["partition"])
                for row in rows
                if row["run_at"] <= self.turns.now and not self.pauses.cover(lane.queue, lane.task, row["partition"])
            ]
            visits += len(rows)
            await self._read_rooms(lane.task, [due.partition or "" for due in waiting])
            for first in waiting:
                partitions.append(first.partition or "")
                if self.turns.room(lane.task, first.partition or "") > 0:
                    firsts.append(first)
                    if len(firsts) == most:
                        break
            if len(firsts) == most:
                break
            if visits >= MOST_VISITS:
                left_at = self.turns.left(rows[-1]["partition"])
                break
        wanted = self.turns.wanted(lane, firsts, most)
        found = in_turn(firsts, (await self._in(lane, wanted)).values(), most)
        return self.turns.visited(Visit(lane, found, len(firsts), left_at, partitions))

    async def look_behind(self) -> None:
        """Ask what the limits hold back now that the claim has taken its part."""
        for lane, partitions in self.turns.full():
            left = await self._in(lane, [(partition, 1) for partition in partitions])
            for partition in left:
                self.turns.forget(lane.task, partition)
            await self._read_rooms(lane.task, list(left))
            for partition in left:
                self.turns.room(lane.task, partition)

    async def room(self, task: str, partition: str) -> int:
        """How many more may start there now."""
        await self._lock(task)
        await self._read_rooms(task, [partition])
        return self.turns.room(task, partition)

    async def record(self, started: Sequence[Due]) -> None:
        """These are started: keep that for the rates."""
        counted = self.turns.counted(started)
        if counted:
            tasks, partitions, until = map(list, zip(*counted, strict=True))
            numbers = [new_token() for _ in counted]
            place = self.session.namespace, self.turns.now
            await self.session.do("add_starts", *place, tasks, partitions, numbers, until)

    async def _lock(self, task: str) -> None:
        if task not in self._locked and task in self.turns.limits:
            self._locked.add(task)
            await self.session.lock([("limit", task)])

    async def _read_rooms(self, task: str, partitions: Sequence[str]) -> None:
        limit = self.turns.limits.get(task, UNLIMITED)
        asked = [partition for partition in dict.fromkeys(partitions) if not self.turns.knows(task, partition)]
        rooms = dict.fromkeys(asked, sys.maxsize)
        place = self.session.namespace, task
        if asked and limit.max_running is not None:
            running = {partition: count for partition, count in await self.session.rows("running_of", *place, asked)}  # noqa: C416 - a dict of rows has no types
            rooms = {partition: limit.max_running - running.get(partition, 0) for partition in asked}
            if WHOLE_TASK in rooms:
                rooms[WHOLE_TASK] -= await self.session.value("running_without_partition", *place)
        if asked and limit.rate is not None:
            # Whatever lies in the future counts too: the clock was set back, and no limit is exceeded for that.
            rows = await self.session.rows("starts_of", *place, asked, self.turns.now, limit.rate.seconds)
            counted = {partition: (count, oldest) for partition, count, oldest in rows}
            for partition, room in rooms.items():
                if room > 0:
                    rooms[partition] = self.turns.within(limit.rate, room, *counted.get(partition, (0, None)))
        for partition, room in rooms.items():
            self.turns.learn(task, partition, room)

    async def _around(self, lane: Lane, most: int) -> AsyncIterator[list[asyncpg.Record]]:
        """The partitions with their first jobs, from the next in turn, once around, some at a time."""
        begin = self.turns.cursors.get(lane.place, "")
        for start, end in ((begin, None), ("", begin)):
            place: str | None = start
            while place is not None and (end is None or place < end):
                rows = await self.session.rows("partitions", self.session.namespace, *lane.place, place, most)
                place = rows[-1]["partition"] + NEXT_TEXT if len(rows) == most else None
                rows = [row for row in rows if end is None or row["partition"] < end]
                if rows:
                    yield rows

    async def _in(self, lane: Lane, wanted: Sequence[tuple[str, int]]) -> dict[str, list[Due]]:
        if not wanted:
            return {}
        partitions, most = zip(*wanted, strict=True)
        rows = await self.session.rows(
            "due_in_partitions", self.session.namespace, *lane.place, self.turns.now, list(partitions), list(most)
        )
        found: dict[str, list[Due]] = {}
        for partition, run_at, seq, expires_at in rows:
            found.setdefault(partition, []).append(Due(run_at, seq, expires_at, lane.task, partition))
        return found
