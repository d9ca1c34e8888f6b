"""What is asked without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.stores.lanes import first_moments
from postlude.stores.postgres.keys import resolved
from postlude.stores.postgres.rows import attempt_of, record_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from postlude.job import Attempt, Record
    from postlude.stores.postgres.looking import Sight
    from postlude.stores.postgres.session import Session


async def waiting_tasks(session: Session, sight: Sight, queues: Collection[str]) -> dict[str, float]:
    """Read under which names jobs are queued, and when the first of each could be claimed."""
    seen = await sight.look(session)
    return first_moments(seen.lanes, seen.alone, seen.behind, seen.pauses, queues)


async def get(session: Session, ids: Sequence[UUID]) -> list[Record]:
    """Read the jobs that these ids lead to."""
    rows = await session.rows("get", list(ids))
    found = {row["id"] for row in rows}
    missing = [job_id for job_id in ids if job_id not in found]
    if missing:
        # They may have been answered by others.
        aliased = {row["job"] for row in await session.rows("aliases", missing)} - found
        rows += await session.rows("get", sorted(aliased)) if aliased else []
    return [record_of(row) for row in rows]


async def attempts(session: Session, job_id: UUID) -> list[Attempt]:
    """Read the history of a job."""
    return [attempt_of(row) for row in await session.rows("attempts", await resolved(session, job_id))]
