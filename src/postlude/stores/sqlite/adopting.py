"""Jobs that were stored before their task had a limit: from the first claim on that knows of one, they count.

Without a partition they stand in lanes at which no limit is looked at. They get the one of a task that has no
`partition_by`: what theirs would be now, only the process that adds a job can say. What runs already is counted there
by the limiter, without a write.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from postlude.stores.lanes import MOST_ADOPTED
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apsw import Connection

    from postlude.limits import Limit
    from postlude.stores.lanes import Lane


def adopt(
    connection: Connection, lanes: Sequence[Lane], limits: Mapping[str, Limit], now: float
) -> tuple[list[Lane], bool]:
    """Let the limits count what is due without a partition in these lanes.

    Returns:
        The lanes, those without a partition only for tasks that have no limit; and whether there may be more to adopt.
    """
    plain = [lane for lane in lanes if not lane.limited and lane.task in limits]
    if not plain:
        return list(lanes), False
    left = MOST_ADOPTED
    by_place = {lane.place: lane for lane in lanes if lane.limited}
    for lane in sorted(plain, key=attrgetter("rank")):
        connection.execute(sql("adopt_due"), (*lane.place, now, left))
        left -= connection.changes()
        by_place.setdefault(lane.place, lane._replace(limited=True))
    others = [lane for lane in lanes if not lane.limited and lane.task not in limits]
    return [*others, *by_place.values()], left == 0


def adopt_one(connection: Connection, seq: int) -> None:
    """The same for one queued job."""
    connection.execute(sql("adopt_one"), (seq,))
