"""What people ask: cancel, retry and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.errors import JobNotFound
from postlude.job import ERASED, Event, JobState, transition
from postlude.policy import Policy
from postlude.stores.postgres import chains, keys
from postlude.stores.postgres.keys import resolved
from postlude.stores.postgres.rows import plain
from postlude.stores.predecessors import Predecessor, gone_before
from postlude.stores.reasons import EPHEMERAL_RETRIED, ERASED_RETRIED, not_deleted, not_retried

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    from postlude.stores.postgres.session import Session


async def cancel(session: Session, job_id: UUID, reason: str, now: float) -> JobState:
    """Cancel what waits, and ask those who run it for the rest (clause 15)."""
    job_id = await resolved(session, job_id)
    await chains.lock_chains(session, [job_id])
    state = JobState((await _found(session, "state", job_id))["state"])
    cancelled = transition(state, Event.CANCEL, job_id=job_id)
    if state is JobState.QUEUED:
        await chains.cancel_queued(session, job_id, at=now, reason=reason)
        return cancelled
    await session.do("request_cancel", plain(reason), job_id)
    return state


async def retry(session: Session, job_id: UUID, now: float, run_at: float | None) -> None:
    """Queue the job, and behind it what its end had cancelled (clauses 16 and 29)."""
    job_id = await resolved(session, job_id)
    await chains.lock_chains(session, [job_id])
    row = await _found(session, "retryable", job_id)
    queued = transition(JobState(row["state"]), Event.RETRY, job_id=job_id)
    if row["arguments"] is None:
        raise not_retried(job_id, row["state"], EPHEMERAL_RETRIED)
    if row["arguments"] == ERASED:
        raise not_retried(job_id, row["state"], ERASED_RETRIED)
    gone = await _gone_before(session, job_id, row["state"], row["after"])
    keyed = [(job_id, row["task"], row["key"])] if row["key"] is not None else []
    roots = [job_id, *gone]
    keyed += [tuple(found) for found in await session.rows("keyed_behind", roots, job_id)]
    await keys.take_again(session, keyed, now)
    alone = Policy.loads(row["policy"]).runs_alone(row["interruptions"])
    await session.do("retry", queued, now if run_at is None else run_at, alone, job_id)
    await chains.revive_behind(session, job_id, roots, at=now)


async def _gone_before(session: Session, job_id: UUID, state: str, after: UUID | None) -> list[UUID]:
    asking, found = gone_before(job_id, state, after), None
    while True:
        try:
            asked = asking.send(found)
        except StopIteration as end:
            gone: list[UUID] = end.value
            return gone
        row = await session.row("predecessor", asked)
        found = None if row is None else Predecessor(*row)


async def delete(session: Session, job_id: UUID) -> None:
    """Remove a job that has ended, and all that is known of it (clause 30)."""
    found = await resolved(session, job_id)
    row = await session.row("deletable", found)
    if row is None:
        raise JobNotFound(job_id)
    state = JobState(row["state"])
    if not state.finished:
        raise not_deleted(found, state)
    if row["chain"] is not None and await session.value("chain_goes_on", row["chain"]):
        raise not_deleted(found, state, chain_goes_on=True)
    await remove(session, [found])


async def remove(session: Session, ids: list[UUID]) -> None:
    """Delete the rows of these jobs, and all rows that belong to them."""
    for name in ("delete_attempts", "delete_logs", "delete_keys", "delete_aliases", "delete_jobs"):
        await session.do(name, ids)


async def _found(session: Session, statement: str, job_id: UUID) -> asyncpg.Record:
    row = await session.row(statement, job_id)
    if row is None:
        raise JobNotFound(job_id)
    return row
