"""Unique jobs: who holds a key, and what becomes of a job whose key is held."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from postlude.errors import KeyTaken
from postlude.job import Event, JobState, transition
from postlude.stores.sqlite import chains
from postlude.stores.sqlite.rows import new_job_values
from postlude.stores.sqlite.statements import sql, sql_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from apsw import Connection

    from postlude.job import Key, NewJob
    from postlude.stores.sqlite.rows import Row


def insert_unique(connection: Connection, jobs: Sequence[NewJob]) -> tuple[list[NewJob], dict[UUID, UUID]]:
    """Write new jobs one by one: some have keys, or may be there already (clauses 3 and 26 to 28).

    Returns:
        Those that were written, and which of the others were answered by whom: by themselves, if they are there.
    """
    written: list[NewJob] = []
    answered: dict[UUID, UUID] = {}
    for job in jobs:
        there: Row | None = connection.execute(sql("state"), (job.id.bytes,)).fetchone()
        if there is not None and job.state is JobState.STAGED and there[0] != JobState.STAGED:
            # Its first insert was not confirmed, and it could not be withdrawn: it is for whoever claims it, and what
            # it has by now can be more than it had then.
            answered[job.id] = job.id
            continue
        if answered:
            job = _behind_holder(connection, job, answered)  # noqa: PLW2901 - the same job, in its right place
        # One that is still staged was not withdrawn: to write it fails, as it does for one without a key.
        holder = _holder_instead(connection, job) if there is None else None
        if holder is not None:
            answered[job.id] = holder
            connection.execute(sql("add_alias"), (job.id.bytes, holder.bytes))
            continue
        connection.execute(sql_for("insert", 1), new_job_values(job))
        key = job.terms.key
        if key is not None:
            connection.execute(sql("lose_key"), (job.task, key.value))
            connection.execute(sql("hold_key"), (job.task, key.value, job.id.bytes, key.until, key.replaceable))
        written.append(job)
    return written, answered


def _behind_holder(connection: Connection, job: NewJob, answered: Mapping[UUID, UUID]) -> NewJob:
    """The same job, behind the one that answered in place of that before it, and in the chain of that one."""
    after, first = job.after, job.chain
    if after is not None:
        after = answered.get(after, after)
    if first is not None and first in answered:
        first = chains.chain_of(connection, answered[first])
    return job._replace(after=after, chain=first)


def _holder_instead(connection: Connection, job: NewJob) -> UUID | None:
    """The job that answers in place of this one, changed if that is wanted; None: this one is written."""
    key = job.terms.key
    row = None if key is None else _holder(connection, job.task, key.value, job.created_at)
    if key is None or row is None:
        return None
    holder, state, replaceable, cancel_requested = row
    if key.replaceable:
        if state.finished or (replaceable and (state is JobState.RUNNING or cancel_requested)):
            return None
        if replaceable:
            _change(connection, holder, job, key)
            if state is JobState.STAGED:
                # Its process has its own copy of the arguments: from now on it is for whoever claims it.
                queued = transition(JobState.STAGED, Event.RELEASE)
                connection.execute(sql("queue_staged"), (queued, holder))
                chains.queue_behind(connection, UUID(bytes=holder), at=job.created_at)
    return UUID(bytes=holder)


def _holder(connection: Connection, task: str, key: str, now: float) -> tuple[bytes, JobState, bool, bool] | None:
    """Who holds the key: its id and state, whether it is replaceable, and whether somebody asked to cancel it."""
    row: Row | None = connection.execute(sql("holder"), (task, key)).fetchone()
    if row is None:
        return None
    holder, value, until, replaceable, cancel_requested, expires_at = row
    state = JobState(value)
    if state is JobState.SUCCEEDED:
        holds = until is None or until > now
    elif state is JobState.QUEUED and expires_at is not None and expires_at <= now:
        # No claim has met it yet. What it answered now would never run.
        chains.cancel_expired(connection, UUID(bytes=holder), at=now)
        holds = False
    else:
        holds = not state.finished
    return (holder, state, bool(replaceable), bool(cancel_requested)) if holds else None


def _change(connection: Connection, holder: bytes, job: NewJob, key: Key) -> None:
    terms = job.terms
    values = {
        "arguments": job.arguments,
        "policy": job.policy,
        "origin": job.origin,
        "queue": terms.queue,
        "rank": terms.rank,
        "expires_at": terms.expires_at,
        "partition": terms.partition,
        "run_at": job.run_at if key.on_conflict == "debounce" else None,
        "id": holder,
    }
    connection.execute(sql("change"), values)
    connection.execute(sql("change_key"), (key.until, holder))


def take_again(connection: Connection, keyed: Iterable[Row], now: float) -> None:
    """Jobs that had let go of their keys are to run again: each in `keyed` with its id, task and key (clause 29).

    Raises:
        KeyTaken: another one holds it, or two of them would.
    """
    taken: dict[tuple[str, str], UUID] = {}
    for value, task, key in keyed:
        job_id = UUID(bytes=value)
        holder = taken.get((task, key))
        row = _holder(connection, task, key, now) if holder is None else None
        if row is not None:
            holder = UUID(bytes=row[0])
        if holder is not None and holder != job_id:
            raise KeyTaken(job_id, key, holder)
        connection.execute(sql("lose_key"), (task, key))
        connection.execute(sql("hold_key_again"), (value,))
        taken[task, key] = job_id


def resolved(connection: Connection, job_id: UUID) -> UUID:
    """The job that an id leads to: another one, if that had answered in its place."""
    row: Row | None = connection.execute(sql("alias"), (job_id.bytes,)).fetchone()
    return job_id if row is None else UUID(bytes=row[0])
