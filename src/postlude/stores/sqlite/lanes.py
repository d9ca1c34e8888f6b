"""The lanes of the queue: where the jobs of one queue, task and rank stand, in the order in which they are due."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from postlude.pauses import Pause, Pauses
from postlude.stores.lanes import Lane, Place
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from apsw import Connection

    from postlude.stores.sqlite.rows import Row

_BEFORE_RANKS: Final = -(2**31)
_AFTER_RANKS: Final = 2**31
_AFTER_NAMES: Final = "\U0010ffff"


def read_pauses(connection: Connection) -> Pauses:
    """Read what is paused."""
    rows: list[Row] = connection.execute(sql("pauses")).fetchall()
    return Pauses(
        Pause(kind=kind, name=name, partition=partition, reason=reason, since=since)
        for kind, name, partition, reason, since in rows
    )


def all_lanes(connection: Connection) -> Iterator[Lane]:
    """Every lane in which jobs wait, whether somebody knows their task or not, and whether it is paused or not."""
    return (lane for limited in (False, True) for lane in _scan(connection, None, Pauses(), limited=limited))


def lanes_of(connection: Connection, tasks: Collection[str], pauses: Pauses) -> Iterator[Lane]:
    """The lanes of these tasks that are not paused.

    Both the names asked for and the lanes are sorted, and each step leaps to the next that can be in both: however many
    jobs wait, and under however many names that are not asked for, there are few more steps than names asked for.
    """
    names = sorted(tasks)
    return (lane for limited in (False, True) for lane in _scan(connection, names, pauses, limited=limited))


def _scan(connection: Connection, names: Sequence[str] | None, pauses: Pauses, *, limited: bool) -> Iterator[Lane]:
    statement = sql("next_lane_limited" if limited else "next_lane")
    start: Place = ("", "", _BEFORE_RANKS)
    row: Row | None
    while (row := connection.execute(statement, start).fetchone()) is not None:
        queue, task, rank, first_due = row
        lane = Lane(queue, task, rank, first_due, limited)
        leap = None if names is None else _leap(names, lane)
        if leap is not None:
            start = leap
        elif pauses.cover(lane.queue, lane.task):
            whole_queue = pauses.cover_queue(lane.queue)
            start = (lane.queue, _AFTER_NAMES if whole_queue else lane.task, _AFTER_RANKS)
        else:
            yield lane
            start = (lane.queue, lane.task, lane.rank + 1)


def _leap(names: Sequence[str], lane: Lane) -> Place | None:
    """Where to go on from a lane that was not asked for; None if it was."""
    position = bisect_left(names, lane.task)
    if position == len(names):
        return lane.queue, _AFTER_NAMES, _AFTER_RANKS
    if names[position] == lane.task:
        return None
    return lane.queue, names[position], _BEFORE_RANKS
