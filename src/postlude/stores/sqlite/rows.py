"""Between the rows of the database and the values of `job.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from postlude.job import Attempt, Claim, JobState, Record
from postlude.stores.texts import failure_of, progress_of

if TYPE_CHECKING:
    from apsw import SQLiteValue

    from postlude.job import NewJob

Row: TypeAlias = tuple[Any, ...]
"""What a SELECT gives: the types of its columns are those of the schema, which no checker knows."""

_STATES = {state.value: state for state in JobState}


def new_job_values(job: NewJob) -> tuple[SQLiteValue, ...]:
    """The parameters of one row of `insert.sql`."""
    terms = job.terms
    key = None if terms.key is None else terms.key.value
    return (*plain_job_values(job), terms.queue, terms.rank, terms.expires_at, terms.partition, key)


def plain_job_values(job: NewJob) -> tuple[SQLiteValue, ...]:
    """The parameters of one row of `insert_plain.sql`, for a job with `DEFAULT_TERMS`."""
    chain, after = job.chain, job.after
    return (
        job.id.bytes,
        job.task,
        job.arguments,
        job.state,
        job.created_at,
        job.run_at,
        job.policy,
        job.origin,
        None if chain is None else chain.bytes,
        None if after is None else after.bytes,
        job.owner,
        job.claim,
        # Right for everything behind a job of the same insert; what comes behind an older one is looked at afterwards.
        after is not None,
    )


def claim_of(row: Row) -> Claim:
    """The claim in a row of `claim.sql` or `claims_of.sql`, whose first two columns give the order."""
    (due_at, _, claim, job_id, task, arguments, state, attempt, interruptions, policy, origin, chain, after,
     created_at, started_at, owner, saved, *orphaned) = row  # fmt: skip
    stopping, run_at = orphaned or (False, 0.0)
    return Claim(
        id=claim,
        job_id=UUID(bytes=job_id),
        task=task,
        arguments=arguments,
        state=_STATES[state],
        attempt=attempt,
        interruptions=interruptions,
        policy=policy,
        origin=origin,
        chain=id_of(chain),
        after=id_of(after),
        created_at=created_at,
        started_at=started_at,
        owner=owner,
        stopping=bool(stopping),
        run_at=run_at,
        saved=saved,
        due_at=due_at,
    )


def record_of(row: Row) -> Record:
    """The job in a row of `get.sql` or of one of the lists."""
    (job_id, task, state, arguments, attempt, interruptions, created_at, run_at, started_at, finished_at, failure,
     reason, progress, origin, policy, chain, after, waiting, cancel_requested, cancelled_by, queue, rank, expires_at,
     partition, key, result, saved) = row[:27]  # fmt: skip
    return Record(
        id=UUID(bytes=job_id),
        task=task,
        state=_STATES[state],
        arguments=arguments,
        attempt=attempt,
        interruptions=interruptions,
        created_at=created_at,
        run_at=run_at,
        started_at=started_at,
        finished_at=finished_at,
        failure=failure_of(failure),
        reason=reason,
        progress=progress_of(progress),
        origin=origin,
        policy=policy,
        chain=id_of(chain),
        after=id_of(after),
        waiting=bool(waiting),
        cancel_requested=bool(cancel_requested),
        cancelled_by=id_of(cancelled_by),
        queue=queue,
        priority=-rank,
        expires_at=expires_at,
        partition=partition,
        key=key,
        result=result,
        saved=saved,
    )


def attempt_of(row: Row) -> Attempt:
    """The line of history in a row of `attempts.sql`."""
    number, outcome, started_at, ended_at, failure, reason = row
    return Attempt(number, outcome, started_at, ended_at, failure_of(failure), reason)


def id_of(value: bytes | None) -> UUID | None:
    """The id in a column that may be empty."""
    return None if value is None else UUID(bytes=value)
