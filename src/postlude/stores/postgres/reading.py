"""What is asked without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.job import JobState
from postlude.stores.lanes import first_moments
from postlude.stores.postgres.keys import resolved
from postlude.stores.postgres.rows import attempt_of, record_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from postlude.job import Attempt, Record
    from postlude.stores.contract import Filter
    from postlude.stores.postgres.looking import Sight
    from postlude.stores.postgres.session import Session

_LATER_THAN_ALL: Final = 2**63 - 1


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


async def list_jobs(session: Session, wanted: Filter, limit: int, before: UUID | None) -> list[Record]:
    """Read the newest of the jobs asked for."""
    place = _LATER_THAN_ALL
    if before is not None:
        found = await session.value("place", await resolved(session, before))
        if found is None:
            return []
        place = found
    rows = await session.rows("list", session.namespace, place, _names(wanted), wanted.task, wanted.chain, limit)
    return [record_of(row) for row in rows]


async def count(session: Session, wanted: Filter) -> Mapping[JobState, int]:
    """Read how many there are of each state."""
    rows = await session.rows("count", session.namespace, _names(wanted), wanted.task, wanted.chain)
    counts = {JobState(state): number for state, number in rows}
    return {state: counts[state] for state in JobState if state in counts}


def _names(wanted: Filter) -> list[str] | None:
    """The states asked for; None: all."""
    return [state.value for state in wanted.states] or None
