"""Which jobs of a lane with limits may start now: by what runs in each partition, and by what has started there."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final

from postlude.ids import new_token
from postlude.limits import UNLIMITED
from postlude.stores.lanes import MOST_VISITS, REST, WHOLE_TASK, Due, Visit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    import asyncpg

    from postlude.limits import Limit
    from postlude.pauses import Pauses
    from postlude.stores.lanes import Cursors, Lane
    from postlude.stores.postgres.session import Session

AT_ONCE: Final = 50
"""Partitions that are asked for in one statement, at least."""


@dataclass(slots=True)
class Limiter:
    """Looks at the lanes with limits during one claim; from its first look on no other claims of those tasks.

    Args:
        session: inside the transaction of the claim.
        now: seconds since the epoch.
        limits: of the tasks that have some; by those alone it is decided, whatever held when a job was stored.
        pauses: what is paused.
        cursors: where the claims before this one ended; changed.
    """

    session: Session
    now: float
    limits: Mapping[str, Limit]
    pauses: Pauses
    cursors: Cursors
    again_at: float | None = None
    """When something that is held back now may start; None: when something else has ended, or nothing is."""
    held_back: bool = False
    """Whether something due is held back by a limit."""
    _room: dict[tuple[str, str], int] = field(default_factory=dict)
    """How many more may start, by task and partition."""
    _took_from: set[tuple[str, str]] = field(default_factory=set)
    """Where this claim takes something."""
    _visits: list[Visit] = field(default_factory=list)
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
                if row["run_at"] <= self.now and not self.pauses.cover(lane.queue, lane.task, row["partition"])
            ]
            visits += len(rows)
            await self._read_rooms(lane.task, [due.partition or "" for due in waiting])
            for first in waiting:
                partitions.append(first.partition or "")
                if self._seen_room(lane.task, first.partition or "") > 0:
                    firsts.append(first)
                    if len(firsts) == most:
                        break
            if len(firsts) == most:
                break
            if visits >= MOST_VISITS:
                self.come_back(self.now + REST)
                left_at = _after(rows[-1]["partition"])
                break
        found = firsts if len(firsts) == most else await self._in_turn(lane, firsts, most)
        self._visits.append(Visit(lane, found, len(firsts), left_at, partitions))
        return found

    async def _in_turn(self, lane: Lane, firsts: Sequence[Due], most: int) -> list[Due]:
        rooms = [(first.partition or "", self._seen_room(lane.task, first.partition or "")) for first in firsts]
        wanted = [(partition, min(room, most)) for partition, room in rooms if room > 1]
        rows = [of_one[1:] for of_one in (await self._in(lane, wanted)).values()] if wanted else []
        in_turn = chain.from_iterable(zip_longest(*rows))
        return [*firsts, *(each for each in in_turn if each is not None)][:most]

    def took(self, found: Sequence[Due]) -> None:
        """These are what the claim came to: whoever was given nothing comes first the next time."""
        taken = {due.seq for due in found} if self._visits else ()
        for visit in self._visits:
            given = [due.partition for due in visit.due if due.seq in taken]
            if visit.left_at is not None and all(due.seq in taken for due in visit.due[: visit.firsts]):
                self.cursors[visit.lane.place] = visit.left_at
            elif given:
                self.cursors[visit.lane.place] = _after(given[-1] or "")

    async def look_behind(self) -> None:
        """Ask what the limits hold back now that the claim has taken its part."""
        for lane, _, _, _, partitions in self._visits:
            full = [
                partition
                for partition in partitions
                if (lane.task, partition) in self._took_from and self._room[lane.task, partition] <= 0
            ]
            left = await self._in(lane, [(partition, 1) for partition in full]) if full else {}
            for partition in left:
                self._took_from.discard((lane.task, partition))
                del self._room[lane.task, partition]
            await self._read_rooms(lane.task, list(left))
            for partition in left:
                self._seen_room(lane.task, partition)

    async def room(self, task: str, partition: str) -> int:
        """How many more may start there now."""
        await self._lock(task)
        await self._read_rooms(task, [partition])
        return self._seen_room(task, partition)

    def admit(self, due: Due) -> bool:
        """Whether there is room for this one too, which it then takes."""
        if due.partition is None:
            return True
        if due.expires_at is not None and due.expires_at <= self.now:
            return True  # it only has to be cancelled
        room = self._seen_room(due.task, due.partition)
        self._room[due.task, due.partition] = room - 1
        self._took_from.add((due.task, due.partition))
        return room > 0

    async def record(self, started: Sequence[Due]) -> None:
        """These are started: keep that for the rates."""
        counted = []
        for due in started if self.limits else ():
            rate = None if due.partition is None else self.limits.get(due.task, UNLIMITED).rate
            if rate is not None:
                counted.append((due.task, due.partition, new_token(), self.now + rate.seconds))
        if counted:
            columns = map(list, zip(*counted, strict=True))
            await self.session.do("add_starts", self.session.namespace, self.now, *columns)

    def come_back(self, at: float) -> None:
        """There may be something for a claim at this moment."""
        self.again_at = at if self.again_at is None else min(at, self.again_at)

    async def _lock(self, task: str) -> None:
        if task not in self._locked and task in self.limits:
            self._locked.add(task)
            await self.session.lock([("limit", task)])

    def _seen_room(self, task: str, partition: str) -> int:
        room = self._room[task, partition]
        self.held_back = self.held_back or room <= 0
        return room

    async def _read_rooms(self, task: str, partitions: Sequence[str]) -> None:
        limit = self.limits.get(task, UNLIMITED)
        asked = [partition for partition in dict.fromkeys(partitions) if (task, partition) not in self._room]
        rooms = dict.fromkeys(asked, sys.maxsize)
        place = self.session.namespace, task
        if asked and limit.max_running is not None:
            running = {partition: count for partition, count in await self.session.rows("running_of", *place, asked)}  # noqa: C416 - a dict of rows has no types
            rooms = {partition: limit.max_running - running.get(partition, 0) for partition in asked}
            if WHOLE_TASK in rooms:
                rooms[WHOLE_TASK] -= await self.session.value("running_without_partition", *place)
        if asked and limit.rate is not None:
            # Whatever lies in the future counts too: the clock was set back, and no limit is exceeded for that.
            rows = await self.session.rows("starts_of", *place, asked, self.now, limit.rate.seconds)
            counted = {partition: (count, oldest) for partition, count, oldest in rows}
            for partition in asked:
                count, oldest = counted.get(partition, (0, None))
                if rooms[partition] > 0:
                    rooms[partition] = min(rooms[partition], limit.rate.starts - count)
                    if rooms[partition] <= 0 and oldest is not None:
                        self.come_back(oldest + limit.rate.seconds)
        self._room |= {(task, partition): room for partition, room in rooms.items()}

    async def _around(self, lane: Lane, most: int) -> AsyncIterator[list[asyncpg.Record]]:
        """The partitions with their first jobs, from the next in turn, once around, some at a time."""
        begin = self.cursors.get(lane.place, "")
        for start, end in ((begin, None), ("", begin)):
            place: str | None = start
            while place is not None and (end is None or place < end):
                rows = await self.session.rows("partitions", self.session.namespace, *lane.place, place, most)
                place = _after(rows[-1]["partition"]) if len(rows) == most else None
                rows = [row for row in rows if end is None or row["partition"] < end]
                if rows:
                    yield rows

    async def _in(self, lane: Lane, wanted: Iterable[tuple[str, int]]) -> dict[str, list[Due]]:
        partitions, most = zip(*wanted, strict=True)
        rows = await self.session.rows(
            "due_in_partitions", self.session.namespace, *lane.place, self.now, list(partitions), list(most)
        )
        found: dict[str, list[Due]] = {}
        for partition, run_at, seq, expires_at in rows:
            found.setdefault(partition, []).append(Due(run_at, seq, expires_at, lane.task, partition))
        return found


def _after(partition: str) -> str:
    return partition + "\x01"
