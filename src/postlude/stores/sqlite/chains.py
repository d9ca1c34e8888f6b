"""What happens to the jobs behind another one in its chain, in the commit of what happened to that one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

from postlude.failed import telling
from postlude.ids import new_token
from postlude.job import Event, JobState, transition
from postlude.stores.reasons import ERASED, EXPIRED, GIVEN_AWAY, before_it
from postlude.stores.sqlite.keys import resolved
from postlude.stores.sqlite.rows import id_of, new_job_values
from postlude.stores.sqlite.statements import portions, sql, sql_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apsw import Connection, SQLiteValue

    from postlude.job import NewJob
    from postlude.stores.sqlite.rows import Row


def advance(connection: Connection, ids: Sequence[bytes]) -> None:
    """Let go of what waits for jobs that have succeeded (clause 11)."""
    # Nearly always nothing waits for anything, and then one look saves one for each job.
    if connection.execute(sql("any_waiting")).fetchone() is not None:
        for portion in portions(ids):
            connection.execute(sql_for("advance", len(portion)), tuple(portion))


def queue_behind(connection: Connection, job_id: UUID, *, at: float) -> None:
    """Queue the staged jobs behind one that was queued again, but no ephemeral one (clause 12)."""
    queued = transition(JobState.STAGED, Event.RELEASE)
    rows: list[Row] = connection.execute(sql("queue_behind"), (job_id.bytes, queued)).fetchall()
    # From the end, so that of several that end here each does in its own name.
    for _, follower, cancel_requested, reason, ephemeral in sorted(rows, reverse=True):
        if cancel_requested:
            cancel_queued(connection, UUID(bytes=follower), at=at, reason=reason)
        elif ephemeral:
            _abandon(connection, UUID(bytes=follower), at=at, reason=GIVEN_AWAY)


def keyed_behind(connection: Connection, job_id: UUID, roots: Sequence[UUID]) -> list[Row]:
    """Id, task and key of each job that has one, and that `revive_behind` lets run again."""
    return connection.execute(sql("keyed_behind"), _cancelled_behind(job_id, roots)).fetchall()


def revive_behind(connection: Connection, job_id: UUID, roots: Sequence[UUID], *, at: float) -> None:
    """Queue again what comes behind a job and was cancelled in the name of one of `roots` (clause 16)."""
    values = {"revived": transition(JobState.CANCELLED, Event.RETRY), **_cancelled_behind(job_id, roots)}
    rows: list[Row] = connection.execute(sql("revive_behind"), values).fetchall()
    for _, follower, ephemeral, erased in sorted(rows, reverse=True):
        if ephemeral or erased:
            _abandon(connection, UUID(bytes=follower), at=at, reason=GIVEN_AWAY if ephemeral else ERASED)


def _cancelled_behind(job_id: UUID, roots: Sequence[UUID]) -> dict[str, SQLiteValue]:
    return {"job": job_id.bytes, "roots": json.dumps([root.hex for root in roots])}


def cancel_queued(connection: Connection, job_id: UUID, *, at: float, reason: str | None) -> None:
    """Cancel a queued job that somebody asked to cancel, and all behind it (clause 15)."""
    cancelled = transition(JobState.QUEUED, Event.CANCEL, job_id=job_id)
    connection.execute(sql("end"), (cancelled, at, reason, None, job_id.bytes))
    cancel_behind(connection, job_id, at=at, reason=before_it(job_id, cancelled), root=job_id)


def cancel_expired(connection: Connection, job_id: UUID, *, at: float) -> None:
    """Cancel a queued job that no attempt may start any more, and all behind it (clause 7)."""
    cancel_queued(connection, job_id, at=at, reason=EXPIRED)


def cancel_behind(connection: Connection, job_id: UUID, *, at: float, reason: str, root: UUID) -> None:
    """Cancel all jobs behind one, however far, in the name of `root` (clause 13)."""
    cancelled = transition(JobState.QUEUED, Event.CANCEL)
    connection.execute(sql("cancel_behind"), (job_id.bytes, cancelled, at, reason, root.bytes))


def end_without_success(connection: Connection, job_id: UUID, state: JobState, *, at: float) -> None:
    """Cancel all jobs behind one that has failed or was cancelled."""
    cancel_behind(connection, job_id, at=at, reason=before_it(job_id, state), root=job_id)


def _abandon(connection: Connection, job_id: UUID, *, at: float, reason: str) -> None:
    """End a job that nobody can run: it would wait for ever, and with it all behind it."""
    failed = transition(JobState.STAGED, Event.FAIL)
    connection.execute(sql("end"), (failed, at, reason, None, job_id.bytes))
    _tell(connection, job_id, at=at, reason=reason)
    end_without_success(connection, job_id, failed, at=at)


def _tell(connection: Connection, job_id: UUID, *, at: float, reason: str) -> None:
    """Insert the job that tells of a failure which no settlement has brought (clause 34)."""
    row: Row = connection.execute(sql("abandoned"), (job_id.bytes,)).get
    task, attempts, policy, origin = row
    then = telling(
        policy,
        job_id=job_id,
        task=task,
        attempts=attempts,
        failure=None,
        reason=reason,
        origin=origin,
        at=at,
        unique=new_token(),
    )
    if then is not None:
        connection.execute(sql_for("insert", 1), new_job_values(then))


def tie_on(connection: Connection, job: NewJob, after: UUID) -> None:
    """Put a job that comes behind an older one into the state that the older one implies (clause 14)."""
    if job.chain is not None and (first := resolved(connection, job.chain)) != job.chain:
        # Another job has answered in place of the first of its chain, in an earlier commit.
        connection.execute(sql("move_chain"), (chain_of(connection, first).bytes, job.chain.bytes))
    if job.chain == after:
        # Its first job was stored while it was the only one, and belonged to none.
        connection.execute(sql("put_into_chain"), (after.bytes,))
    row: Row | None = connection.execute(sql("predecessor"), (after.bytes,)).fetchone()
    holder = resolved(connection, after) if row is None else after
    if holder != after:
        connection.execute(sql("put_behind"), (holder.bytes, job.id.bytes))
        tie_on(connection, job, holder)
        return
    if row is None or row[0] == JobState.SUCCEEDED:
        # Nobody would ever let go of a job that waits for one which is not there.
        connection.execute(sql("stop_waiting"), (job.id.bytes,))
        return
    state = JobState(row[0])
    if state.finished:
        # What a retry revives goes by the first in the line: the one whose own end cancelled all the others.
        root = id_of(row[1]) or after
        reason = before_it(after, state)
        cancelled = transition(job.state, Event.CANCEL, job_id=job.id)
        connection.execute(sql("end"), (cancelled, job.created_at, reason, root.bytes, job.id.bytes))
        cancel_behind(connection, job.id, at=job.created_at, reason=reason, root=root)


def chain_of(connection: Connection, job_id: UUID) -> UUID:
    """The chain of a job that is there; with this, one that was alone becomes the first of its own."""
    connection.execute(sql("put_into_chain"), (job_id.bytes,))
    return UUID(bytes=connection.execute(sql("chain"), (job_id.bytes,)).get)
