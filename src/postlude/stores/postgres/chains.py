"""What happens to the jobs behind another one in its chain, in the commit of what happened to that one.

Everything here but `advance` is done while the chain is locked (`lock_chains`): each statement sees what those before
it have left. A job that is tied on holds its predecessor's row until its commit, and `advance` comes after the row of
the one that has succeeded was written: so either the newcomer sees the success, or the success sees the newcomer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.failed import telling
from postlude.ids import new_token
from postlude.job import Event, JobState, transition
from postlude.stores.postgres.rows import columns_of, plain
from postlude.stores.reasons import ERASED, EXPIRED, GIVEN_AWAY, before_it

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    import asyncpg

    from postlude.job import NewJob
    from postlude.stores.postgres.session import Session


async def lock_chains(session: Session, ids: Iterable[UUID]) -> None:
    """Wait until nobody else changes the chains of these jobs; a job without one has the chain it would be first of."""
    rows = await session.rows("chains_of", list(ids))
    await session.lock(("chain", chain) for (chain,) in rows)


async def advance(session: Session, ids: Iterable[UUID]) -> None:
    """Let go of what waits for jobs that have succeeded (clause 11)."""
    await session.do("advance", list(ids))


async def queue_behind(session: Session, job_id: UUID, *, at: float) -> None:
    """Queue the staged jobs behind one that was queued again, but no ephemeral one (clause 12)."""
    queued = transition(JobState.STAGED, Event.RELEASE)
    rows = await session.rows("queue_behind", job_id, queued)
    # From the end, so that of several that end here each does in its own name.
    for row in sorted(rows, key=_seq, reverse=True):
        if row["cancel_requested"]:
            await cancel_queued(session, row["id"], at=at, reason=row["reason"])
        elif row["ephemeral"]:
            await _abandon(session, row["id"], at=at, reason=GIVEN_AWAY)


async def revive_behind(session: Session, job_id: UUID, roots: Sequence[UUID], *, at: float) -> None:
    """Queue again what comes behind a job and was cancelled in the name of `root` (clause 16)."""
    revived = transition(JobState.CANCELLED, Event.RETRY)
    rows = await session.rows("revive_behind", revived, roots, job_id)
    for row in sorted(rows, key=_seq, reverse=True):
        if row["ephemeral"] or row["erased"]:
            await _abandon(session, row["id"], at=at, reason=GIVEN_AWAY if row["ephemeral"] else ERASED)


async def cancel_queued(session: Session, job_id: UUID, *, at: float, reason: str | None) -> None:
    """Cancel a queued job that somebody asked to cancel, and all behind it (clause 15)."""
    cancelled = transition(JobState.QUEUED, Event.CANCEL, job_id=job_id)
    await session.do("end", cancelled, at, plain(reason), None, job_id)
    await end_without_success(session, job_id, cancelled, at=at)


async def cancel_expired(session: Session, job_id: UUID, *, at: float) -> None:
    """Cancel a queued job that no attempt may start any more, and all behind it (clause 7)."""
    await cancel_queued(session, job_id, at=at, reason=EXPIRED)


async def end_without_success(session: Session, job_id: UUID, state: JobState, *, at: float) -> None:
    """Cancel all jobs behind one that has failed or was cancelled, however far (clause 13)."""
    await _cancel_behind(session, job_id, at=at, reason=before_it(job_id, state), root=job_id)


async def tie_on(session: Session, job: NewJob, after: UUID) -> None:
    """Put a job that comes behind an older one into the state that the older one implies (clause 14)."""
    if job.chain is not None and (first := await session.value("alias", job.chain)) is not None:
        # Another job has answered in place of the first of its chain, in an earlier commit.
        await session.do("move_chain", await chain_of(session, first), job.chain)
    if job.chain in {None, after}:
        # It was stored while it was the only one, and belonged to none; who settles it goes by that.
        await session.do("put_into_chain", after)
    row = await session.row("predecessor", after)
    holder = await session.value("alias", after) if row is None else None
    if holder is not None:
        await session.do("put_behind", holder, job.id)
        await tie_on(session, job, holder)
        return
    if row is None or row["state"] == JobState.SUCCEEDED:
        # Nobody would ever let go of a job that waits for one which is not there.
        await session.do("stop_waiting", job.id)
        return
    state = JobState(row["state"])
    if state.finished:
        # What a retry revives goes by the first in the line: the one whose own end cancelled all the others.
        root = row["cancelled_by"] or after
        reason = before_it(after, state)
        cancelled = transition(job.state, Event.CANCEL, job_id=job.id)
        await session.do("end", cancelled, job.created_at, reason, root, job.id)
        await _cancel_behind(session, job.id, at=job.created_at, reason=reason, root=root)


async def chain_of(session: Session, job_id: UUID) -> UUID:
    """The chain of a job that is there; with this, one that was alone becomes the first of its own."""
    await session.do("put_into_chain", job_id)
    chain: UUID = await session.value("chain", job_id)
    return chain


async def insert_one(session: Session, job: NewJob) -> None:
    """Write a job beside the one that it follows from."""
    await session.do("insert", session.namespace, *columns_of([job]))


async def _cancel_behind(session: Session, job_id: UUID, *, at: float, reason: str, root: UUID) -> None:
    cancelled = transition(JobState.QUEUED, Event.CANCEL)
    await session.do("cancel_behind", job_id, cancelled, at, reason, root)


async def _abandon(session: Session, job_id: UUID, *, at: float, reason: str) -> None:
    """End a job that nobody can run: it would wait for ever, and with it all behind it."""
    failed = transition(JobState.STAGED, Event.FAIL)
    await session.do("end", failed, at, reason, None, job_id)
    await _tell(session, job_id, at=at, reason=reason)
    await end_without_success(session, job_id, failed, at=at)


async def _tell(session: Session, job_id: UUID, *, at: float, reason: str) -> None:
    """Insert the job that tells of a failure which no settlement has brought (clause 34)."""
    row = await session.row("abandoned", job_id)
    if row is None:
        return
    then = telling(
        row["policy"],
        job_id=job_id,
        task=row["task"],
        attempts=row["attempt"],
        failure=None,
        reason=reason,
        origin=row["origin"],
        at=at,
        unique=new_token(),
    )
    if then is not None:
        await insert_one(session, then)


def _seq(row: asyncpg.Record) -> int:
    seq: int = row["seq"]
    return seq
