"""Which jobs of a lane with limits may start now: by what runs in each partition, and by what has started there."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.limits import UNLIMITED
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from apsw import Connection, SQLiteValue

    from postlude.limits import Limit
    from postlude.pauses import Pauses
    from postlude.stores.sqlite.lanes import Lane, Place
    from postlude.stores.sqlite.rows import Row

MOST_VISITS: Final = 500
"""Partitions that one claim looks at in a lane: with more, the next claim goes on where this one ended, so that no
commit waits long behind it, and no partition for ever behind others."""
REST: Final = 0.1
"""Seconds until the next claim then goes on, if this one found nothing."""

Cursors = dict["Place", str]
"""From which partition on each lane is looked at next, so that each has its turn."""


class Due(NamedTuple):
    """A job that may start now."""

    run_at: float
    seq: int
    expires_at: float | None
    task: str
    partition: str | None = None


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

    def due(self, lane: Lane, most: int) -> list[Due]:
        """Up to so many jobs of the lane, one from each partition in turn."""
        one_each: list[Due] = []
        deeper: list[tuple[str, int]] = []
        for partition, first in self._visit(lane):
            room = self.room(lane.task, partition)
            if room > 0:
                one_each.append(first)
                deeper.append((partition, room))
                if len(one_each) == most:
                    return one_each
        rows = [
            self._in(lane, partition, min(room, most))[1:]
            for partition, room in deeper
            if room > 1 and len(one_each) < most
        ]
        in_turn = chain.from_iterable(zip_longest(*rows))
        return [*one_each, *(each for each in in_turn if each is not None)][:most]

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
        room = self.room(due.task, due.partition)
        self._room[due.task, due.partition] = room - 1
        return room > 0

    def _read_room(self, task: str, partition: str) -> int:
        limit = self.limits.get(task, UNLIMITED)
        room = sys.maxsize
        if limit.max_running is not None:
            running: int = self.connection.execute(sql("running_of"), (task, partition)).get
            room = limit.max_running - running
        if limit.rate is not None and room > 0:
            # Whatever lies in the future counts too: the clock was set back, and no limit is exceeded for that.
            since = self.now - limit.rate.seconds
            (row,) = self._rows("starts_of", task, partition, since)
            count, oldest = row
            room = min(room, limit.rate.starts - count)
            if room <= 0 and oldest is not None:
                self.come_back(oldest + limit.rate.seconds)
        return room

    def record(self, started: Sequence[Due]) -> None:
        """These are started: keep that for the rates."""
        for due in started:
            rate = None if due.partition is None else self.limits.get(due.task, UNLIMITED).rate
            if rate is not None:
                values = (due.task, due.partition, self.now, due.seq, self.now + rate.seconds)
                self.connection.execute(sql("add_start"), values)

    def come_back(self, at: float) -> None:
        """There may be something for a claim at this moment."""
        self.again_at = at if self.again_at is None else min(at, self.again_at)

    def _visit(self, lane: Lane) -> Iterator[tuple[str, Due]]:
        """The partitions that have something due and are not paused, from the next in turn, once around."""
        visits = 0
        begin = self.cursors.get(lane.place, "")
        for start, end in ((begin, None), ("", begin)):
            place = start
            while (row := self._next(lane, place)) is not None and (end is None or row[0] < end):
                partition, run_at, seq, expires_at = row
                first = Due(run_at, seq, expires_at, lane.task, partition)
                place = self.cursors[lane.place] = partition + "\0"  # no text lies between these two
                if first.run_at <= self.now and not self.pauses.cover(lane.queue, lane.task, partition):
                    yield partition, first
                visits += 1
                if visits == MOST_VISITS:
                    self.come_back(self.now + REST)
                    return

    def _next(self, lane: Lane, start: str) -> Row | None:
        return next(iter(self._rows("next_partition", *lane.place, start)), None)

    def _in(self, lane: Lane, partition: str, most: int) -> list[Due]:
        rows = self._rows("due_in_partition", *lane.place, partition, self.now, most)
        return [Due(run_at, seq, expires_at, lane.task, partition) for run_at, seq, expires_at in rows]

    def _rows(self, name: str, *values: SQLiteValue) -> list[Row]:
        return self.connection.execute(sql(name), values).fetchall()
