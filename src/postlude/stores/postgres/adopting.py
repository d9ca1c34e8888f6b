"""Jobs that were stored before their task had a limit: from the first claim on that knows of one, they count.

Without a partition they stand in lanes at which no limit is looked at. They get the one of a task that has no
`partition_by`: what theirs would be now, only the process that adds a job can say. What runs already is counted there
by the limiter, without a write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.stores.lanes import MOST_ADOPTED, after_adopting, to_adopt

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from postlude.stores.lanes import Lane
    from postlude.stores.postgres.session import Session


async def adopt(
    session: Session, lanes: Sequence[Lane], limits: Collection[str], now: float
) -> tuple[list[Lane], bool]:
    """Let the limits count what is due without a partition in these lanes.

    Returns:
        The lanes, those without a partition only for tasks that have no limit; and whether there may be more to adopt.
    """
    adopted = to_adopt(lanes, limits)
    if not adopted:
        return list(lanes), False
    await session.lock(("limit", lane.task) for lane in adopted)
    left = MOST_ADOPTED
    for lane in adopted:
        left -= await session.do("adopt_due", session.namespace, *lane.place, now, left)
    return after_adopting(lanes, adopted), left == 0


async def adopt_one(session: Session, seq: int) -> None:
    """The same for one queued job."""
    await session.do("adopt_one", session.namespace, seq)
