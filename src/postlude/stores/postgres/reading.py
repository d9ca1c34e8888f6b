"""What is asked without changing anything."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from postlude.job import JobState
from postlude.stores.postgres.keys import resolved
from postlude.stores.postgres.lanes import all_lanes, read_pauses
from postlude.stores.postgres.rows import attempt_of, record_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from postlude.job import Attempt, Record
    from postlude.stores.contract import Filter
    from postlude.stores.postgres.session import Session

_LATER_THAN_ALL: Final = 2**63 - 1


async def waiting_tasks(session: Session) -> frozenset[str]:
    """Read under which names jobs are queued."""
    behind = await session.rows("behind", session.namespace)
    alone = await session.rows("alone", session.namespace, inf)
    lanes = await all_lanes(session)
    return frozenset(lane.task for lane in lanes) | {row["task"] for row in (*behind, *alone)}


async def next_due(session: Session, tasks: Collection[str]) -> float | None:
    """Read when the earliest job that could be claimed is due."""
    pauses = await read_pauses(session)
    lanes = await all_lanes(session)
    moments = [lane.first_due for lane in lanes if lane.task in tasks and not pauses.cover(lane.queue, lane.task)]
    moments += [
        row["run_at"]
        for row in await session.rows("alone", session.namespace, inf)
        if row["task"] in tasks and not pauses.cover(row["queue"], row["task"], row["partition"])
    ]
    return min(moments, default=None)


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
    states = [state.value for state in wanted.states] or None
    rows = await session.rows("list", session.namespace, place, states, wanted.task, wanted.chain, limit)
    return [record_of(row) for row in rows]


async def count(session: Session, wanted: Filter) -> Mapping[JobState, int]:
    """Read how many there are of each state."""
    rows = await session.rows("count", session.namespace, wanted.task, wanted.chain)
    counts = {JobState(state): number for state, number in rows}
    states = wanted.states or frozenset(JobState)
    return {state: counts[state] for state in JobState if state in states and counts.get(state)}
