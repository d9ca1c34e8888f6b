"""The rows of the schedules: putting them there, and the step from one moment to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.stores.moments import ScheduleRow
from postlude.stores.postgres.writing import insert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postlude.stores.moments import Firing
    from postlude.stores.postgres.session import Session


async def schedules(session: Session) -> list[ScheduleRow]:
    """Read all rows, by name (clause 37)."""
    return [ScheduleRow(*row) for row in await session.rows("schedules", session.namespace)]


async def put(session: Session, rows: Sequence[ScheduleRow]) -> frozenset[str]:
    """Write each; returns the names of those that would have come to a moment again (clause 35)."""
    return frozenset(
        row.name
        for row, changed in [
            (row, await session.do("put_schedule", session.namespace, row.name, row.task, row.spec, row.next_at))
            for row in sorted(rows)  # always in one order, so that two that start at once do not wait for each other
        ]
        if not changed
    )


async def fire(session: Session, firing: Firing) -> bool:
    """Take the step if nobody has taken it, and insert the jobs with it (clause 36)."""
    f = firing
    place = (session.namespace, f.name, f.spec, f.expected)
    if not await session.do("fire", f.next_at, f.moment, *place):
        return False
    if f.jobs:
        (answered,) = await insert(session, [f.jobs])
        last = f.jobs[-1].id
        await session.do("note_last_job", answered.get(last, last), session.namespace, f.name)
    return True


async def remove(session: Session, name: str) -> bool:
    """Delete the row; returns whether it was there (clause 37)."""
    return await session.do("remove_schedule", session.namespace, name) > 0
