"""Which jobs of a lane with limits may start now: by what runs in each partition, and by what has started there."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from postlude.ids import new_token
from postlude.limits import UNLIMITED
from postlude.stores.lanes import MOST_VISITS, REST, WHOLE_TASK, Due, Visit
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from apsw import Connection, SQLiteValue

    from postlude.limits import Limit
    from postlude.pauses import Pauses
    from postlude.stores.lanes import Cursors, Lane
    from postlude.stores.sqlite.rows import Row


@dataclass(slots=True)
class Limiter:
    """Looks at the lanes with limits during one claim.

    Args:
        connection: inside the transaction of the claim.
        now: seconds since the epoch.
        limits: of the tasks that have some; by those alone it is decided, whatever held when a job was stored.
        pauses: what is paused.
        cursors: where the claims before this one ended; changed.
    """

    connection: Connection
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
    _running: Mapping[str, int] | None = None
    """How many run without a partition, by task; None: nobody has asked yet."""

    def due(self, lane: Lane, most: int) -> list[Due]:
        """Up to so many jobs of the lane, one from each partition in turn."""
        firsts: list[Due] = []
        partitions: list[str] = []
        left_at: str | None = None
        for partition, first in self._visit(lane):
            if first is None:
                left_at = _after(partition)
                break
            partitions.append(partition)
            if self.room(lane.task, partition) > 0:
                firsts.append(first)
                if len(firsts) == most:
                    break
        due = firsts if len(firsts) == most else self._in_turn(lane, firsts, most)
        self._visits.append(Visit(lane, due, len(firsts), left_at, partitions))
        return due

    def _in_turn(self, lane: Lane, firsts: Sequence[Due], most: int) -> list[Due]:
        rooms = [(first.partition or "", self.room(lane.task, first.partition or "")) for first in firsts]
        rows = [self._in(lane, partition, min(room, most))[1:] for partition, room in rooms if room > 1]
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

    def look_behind(self) -> None:
        """Ask what the limits hold back now that the claim has taken its part."""
        for lane, _, _, _, partitions in self._visits:
            for partition in partitions:
                place = lane.task, partition
                if place in self._took_from and self._room[place] <= 0 and self._in(lane, partition, 1):
                    self._took_from.discard(place)
                    del self._room[place]
                    self.room(*place)

    def room(self, task: str, partition: str) -> int:
        """How many more may start there now."""
        known = self._room.get((task, partition))
        if known is None:
            known = self._room[task, partition] = self._read_room(task, partition)
            self.held_back = self.held_back or known <= 0
        return known

    def admit(self, due: Due) -> bool:
        """Whether there is room for this one too, which it then takes."""
        if due.partition is None:
            return True
        if due.expires_at is not None and due.expires_at <= self.now:
            return True  # it only has to be cancelled
        room = self.room(due.task, due.partition)
        self._room[due.task, due.partition] = room - 1
        self._took_from.add((due.task, due.partition))
        return room > 0

    def _read_room(self, task: str, partition: str) -> int:
        limit = self.limits.get(task, UNLIMITED)
        room = sys.maxsize
        if limit.max_running is not None:
            running: int = self.connection.execute(sql("running_of"), (task, partition)).get
            room = limit.max_running - running
            if partition == WHOLE_TASK:
                room -= self._without_partition().get(task, 0)
        if limit.rate is not None and room > 0:
            # Whatever lies in the future counts too: the clock was set back, and no limit is exceeded for that.
            (row,) = self._rows("starts_of", task, partition, self.now, limit.rate.seconds)
            count, oldest = row
            room = min(room, limit.rate.starts - count)
            if room <= 0 and oldest is not None:
                self.come_back(oldest + limit.rate.seconds)
        return room

    def _without_partition(self) -> Mapping[str, int]:
        """How many run of each task that were stored before it had a limit: one look for all tasks."""
        if self._running is None:
            self._running = dict(self._rows("running_without_partition"))
        return self._running

    def record(self, started: Sequence[Due]) -> None:
        """These are started: keep that for the rates."""
        for due in started if self.limits else ():
            rate = None if due.partition is None else self.limits.get(due.task, UNLIMITED).rate
            if rate is not None:
                values = (due.task, due.partition, self.now, new_token(), self.now + rate.seconds)
                self.connection.execute(sql("add_start"), values)

    def come_back(self, at: float) -> None:
        """There may be something for a claim at this moment."""
        self.again_at = at if self.again_at is None else min(at, self.again_at)

    def _visit(self, lane: Lane) -> Iterator[tuple[str, Due | None]]:
        """The partitions that have something due and are not paused, from the next in turn, once around.

        One without a job says that the visit ends there, before its time.
        """
        visits = 0
        begin = self.cursors.get(lane.place, "")
        for start, end in ((begin, None), ("", begin)):
            place = start
            while (row := self._next(lane, place)) is not None and (end is None or row[0] < end):
                partition, run_at, seq, expires_at = row
                place = _after(partition)
                if run_at <= self.now and not self.pauses.cover(lane.queue, lane.task, partition):
                    yield partition, Due(run_at, seq, expires_at, lane.task, partition)
                visits += 1
                if visits == MOST_VISITS:
                    self.come_back(self.now + REST)
                    yield partition, None
                    return

    def _next(self, lane: Lane, start: str) -> Row | None:
        return next(iter(self._rows("next_partition", *lane.place, start)), None)

    def _in(self, lane: Lane, partition: str, most: int) -> list[Due]:
        rows = self._rows("due_in_partition", *lane.place, partition, self.now, most)
        return [Due(run_at, seq, expires_at, lane.task, partition) for run_at, seq, expires_at in rows]

    def _rows(self, name: str, *values: SQLiteValue) -> list[Row]:
        return self.connection.execute(sql(name), values).fetchall()


def _after(partition: str) -> str:
    return partition + "\0"  # no text lies between these two
