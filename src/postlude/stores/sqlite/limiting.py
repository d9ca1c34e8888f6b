"""Which jobs of a lane with limits may start now: by what runs in each partition, and by what has started there."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from postlude.ids import new_token
from postlude.limits import UNLIMITED
from postlude.stores.lanes import MOST_VISITS, WHOLE_TASK, Due, Visit
from postlude.stores.sqlite.statements import sql
from postlude.stores.turns import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from apsw import Connection, SQLiteValue

    from postlude.pauses import Pauses
    from postlude.stores.lanes import Lane
    from postlude.stores.sqlite.rows import Row
    from postlude.stores.turns import Turns

NEXT_TEXT: Final = "\0"
"""No text lies between one and the same with this behind it."""


@dataclass(slots=True)
class Limiter:
    """Looks at the lanes with limits during one claim.

    Args:
        connection: inside the transaction of the claim.
        turns: decides.
        pauses: what is paused.
    """

    connection: Connection
    turns: Turns
    pauses: Pauses
    _running: Mapping[str, int] | None = None
    """How many run without a partition, by task; None: nobody has asked yet."""

    def due(self, lane: Lane, most: int) -> list[Due]:
        """Up to so many jobs of the lane, one from each partition in turn."""
        firsts: list[Due] = []
        partitions: list[str] = []
        left_at: str | None = None
        for partition, first in self._visit(lane):
            if first is None:
                left_at = self.turns.left(partition)
                break
            partitions.append(partition)
            if self.room(lane.task, partition) > 0:
                firsts.append(first)
                if len(firsts) == most:
                    break
        wanted = self.turns.wanted(lane, firsts, most)
        rows = [self._in(lane, partition, count) for partition, count in wanted]
        found = in_turn(firsts, rows, most)
        return self.turns.visited(Visit(lane, found, len(firsts), left_at, partitions))

    def look_behind(self) -> None:
        """Ask what the limits hold back now that the claim has taken its part."""
        for lane, partitions in self.turns.full():
            for partition in partitions:
                if self._in(lane, partition, 1):
                    self.turns.forget(lane.task, partition)
                    self.room(lane.task, partition)

    def room(self, task: str, partition: str) -> int:
        """How many more may start there now."""
        if not self.turns.knows(task, partition):
            self.turns.learn(task, partition, self._read_room(task, partition))
        return self.turns.room(task, partition)

    def _read_room(self, task: str, partition: str) -> int:
        limit = self.turns.limits.get(task, UNLIMITED)
        room = sys.maxsize
        if limit.max_running is not None:
            running: int = self.connection.execute(sql("running_of"), (task, partition)).get
            room = limit.max_running - running
            if partition == WHOLE_TASK:
                room -= self._without_partition().get(task, 0)
        if limit.rate is not None and room > 0:
            # Whatever lies in the future counts too: the clock was set back, and no limit is exceeded for that.
            ((count, oldest),) = self._rows("starts_of", task, partition, self.turns.now, limit.rate.seconds)
            room = self.turns.within(limit.rate, room, count, oldest)
        return room

    def _without_partition(self) -> Mapping[str, int]:
        """How many run of each task that were stored before it had a limit: one look for all tasks."""
        if self._running is None:
            self._running = dict(self._rows("running_without_partition"))
        return self._running

    def record(self, started: Sequence[Due]) -> None:
        """These are started: keep that for the rates."""
        for task, partition, until in self.turns.counted(started):
            self.connection.execute(sql("add_start"), (task, partition, self.turns.now, new_token(), until))

    def _visit(self, lane: Lane) -> Iterator[tuple[str, Due | None]]:
        """The partitions that have something due and are not paused, from the next in turn, once around.

        One without a job says that the visit ends there, before its time.
        """
        visits = 0
        begin = self.turns.cursors.get(lane.place, "")
        for start, end in ((begin, None), ("", begin)):
            place = start
            while (row := self._next(lane, place)) is not None and (end is None or row[0] < end):
                partition, run_at, seq, expires_at = row
                place = partition + NEXT_TEXT
                if run_at <= self.turns.now and not self.pauses.cover(lane.queue, lane.task, partition):
                    yield partition, Due(run_at, seq, expires_at, lane.task, partition)
                visits += 1
                if visits == MOST_VISITS:
                    yield partition, None
                    return

    def _next(self, lane: Lane, start: str) -> Row | None:
        return next(iter(self._rows("next_partition", *lane.place, start)), None)

    def _in(self, lane: Lane, partition: str, most: int) -> list[Due]:
        rows = self._rows("due_in_partition", *lane.place, partition, self.turns.now, most)
        return [Due(run_at, seq, expires_at, lane.task, partition) for run_at, seq, expires_at in rows]

    def _rows(self, name: str, *values: SQLiteValue) -> list[Row]:
        return self.connection.execute(sql(name), values).fetchall()
