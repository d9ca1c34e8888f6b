"""Between the rows of the database and the values of `job.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postlude.job import Attempt, Claim, JobState, Record
from postlude.stores.texts import failure_of, progress_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from postlude.job import NewJob

_STATES = {state.value: state for state in JobState}


def columns_of(jobs: Sequence[NewJob]) -> list[list[Any]]:
    """The parameters of `insert.sql` behind the namespace: a list for each column of `parts/new_columns.sql`."""
    return [list(column) for column in zip(*map(values_of, jobs), strict=True)]


def values_of(job: NewJob) -> tuple[Any, ...]:
    """A value for each column of `parts/new_columns.sql`."""
    terms = job.terms
    return (
        job.id,
        job.task,
        job.arguments,
        job.state.value,
        job.created_at,
        job.run_at,
        job.policy,
        job.origin,
        job.chain,
        job.after,
        job.owner,
        job.claim,
        # Right for everything behind a job of the same insert; what comes behind an older one is looked at afterwards.
        job.after is not None,
        terms.queue,
        terms.rank,
        terms.expires_at,
        terms.partition,
        None if terms.key is None else terms.key.value,
    )


def claim_of(row: asyncpg.Record, due_at: float = 0.0) -> Claim:
    """The claim in a row with the columns of `parts/claim.sql`; `due_at` of one that was claimed from the queue."""
    return Claim(
        id=row["claim"],
        job_id=row["id"],
        task=row["task"],
        arguments=row["arguments"],
        state=_STATES[row["state"]],
        attempt=row["attempt"],
        interruptions=row["interruptions"],
        policy=row["policy"],
        origin=row["origin"],
        chain=row["chain"],
        after=row["after"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        owner=row["owner"],
        saved=row["saved"],
        due_at=due_at,
    )


def orphan_of(row: asyncpg.Record) -> Claim:
    """The same of an orphan, with what its worker had announced."""
    return claim_of(row)._replace(stopping=row["stopping"], run_at=row["run_at"])


def record_of(row: asyncpg.Record) -> Record:
    """The job in a row with the columns of `parts/record.sql`."""
    progress = row["progress"]
    return Record(
        id=row["id"],
        task=row["task"],
        state=_STATES[row["state"]],
        arguments=row["arguments"],
        attempt=row["attempt"],
        interruptions=row["interruptions"],
        created_at=row["created_at"],
        run_at=row["run_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        failure=failure_of(row["failure"]),
        reason=row["reason"],
        progress=progress_of(progress),
        origin=row["origin"],
        policy=row["policy"],
        chain=row["chain"],
        after=row["after"],
        waiting=row["waiting"],
        cancel_requested=row["cancel_requested"],
        cancelled_by=row["cancelled_by"],
        queue=row["queue"],
        priority=-row["rank"],
        expires_at=row["expires_at"],
        partition=row["partition"],
        key=row["key"],
        result=row["result"],
        saved=row["saved"],
    )


def attempt_of(row: asyncpg.Record) -> Attempt:
    """The line of history in a row of `attempts.sql`."""
    return Attempt(
        row["number"], row["outcome"], row["started_at"], row["ended_at"], failure_of(row["failure"]), row["reason"]
    )


def plain(text: str | None) -> str | None:
    """A text for people as PostgreSQL can keep it: it has no character of the number 0."""
    return None if text is None else text.replace("\0", "�")
