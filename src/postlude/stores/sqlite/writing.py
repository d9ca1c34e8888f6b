"""The writes that come in numbers: insert and settle. Each takes what several callers submitted, in one go."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from postlude.errors import PostludeError
from postlude.job import DEFAULT_TERMS, Event, Followers, JobState, transition
from postlude.stores.sqlite import chains, keys, logs
from postlude.stores.sqlite.rows import new_job_values, plain_job_values
from postlude.stores.sqlite.statements import portions, sql, sql_for
from postlude.stores.texts import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from apsw import Connection, SQLiteValue

    from postlude.job import NewJob, Settlement


_NONE: Final[Mapping[UUID, UUID]] = MappingProxyType({})


def insert(connection: Connection, payloads: Sequence[Sequence[NewJob]]) -> Sequence[Mapping[UUID, UUID]]:
    """Write the new jobs of all callers, in as few statements as there can be."""
    answered: list[Mapping[UUID, UUID]] = [_NONE] * len(payloads)
    if all(job.terms is DEFAULT_TERMS for jobs in payloads for job in jobs):
        # Nearly always: a third of the columns are left to their defaults then.
        _insert(connection, "insert_plain", plain_job_values, payloads)
        _tie_on(connection, payloads)
        return answered
    groups = list(payloads)
    unique = [place for place, jobs in enumerate(payloads) if any(job.terms.key is not None for job in jobs)]
    for place in unique:
        groups[place], answered[place] = keys.insert_unique(connection, payloads[place])
    _insert(connection, "insert", new_job_values, (jobs for place, jobs in enumerate(payloads) if place not in unique))
    _tie_on(connection, groups)
    return answered


def insert_carefully(connection: Connection, payloads: Sequence[Sequence[NewJob]]) -> Sequence[Mapping[UUID, UUID]]:
    """Write the new jobs of all callers one by one, and leave those as they are that came with an earlier insert."""
    answered: list[Mapping[UUID, UUID]] = []
    for jobs in payloads:
        written, instead = keys.insert_unique(connection, jobs)
        _tie_on(connection, [written])
        answered.append(instead)
    return answered


def _insert(
    connection: Connection,
    statement: str,
    values_of: Callable[[NewJob], tuple[SQLiteValue, ...]],
    groups: Iterable[Sequence[NewJob]],
) -> None:
    for portion in portions([job for jobs in groups for job in jobs]):
        values: list[SQLiteValue] = []
        for job in portion:
            values += values_of(job)
        connection.execute(sql_for(statement, len(portion)), values)


def _tie_on(connection: Connection, groups: Sequence[Sequence[NewJob]]) -> None:
    if any(job.after is not None for jobs in groups for job in jobs):  # most often nothing comes behind anything
        for jobs in groups:
            for job, after in _late(jobs):
                chains.tie_on(connection, job, after)


def _late(jobs: Sequence[NewJob]) -> Iterable[tuple[NewJob, UUID]]:
    """Those that come behind a job which is not inserted with them."""
    followers = [(job, job.after) for job in jobs if job.after is not None]
    if followers:
        own = {job.id for job in jobs}
        return [(job, after) for job, after in followers if after not in own]
    return ()


def withdraw(connection: Connection, jobs: Sequence[NewJob]) -> None:
    """Delete what is still staged under its owner, unless a call that is not named here relies on it."""
    for job in jobs:
        if job.terms.key is not None:
            connection.execute(sql("delete_alias"), (job.id.bytes,))
    kept = [job for job in jobs if job.owner is not None and not _withdrawn(connection, job)]
    for job in kept:
        # From now on it is for whoever claims it, and of those before it some may be gone.
        connection.execute(sql("queue_staged"), (transition(job.state, Event.RELEASE), job.id.bytes))
        if job.after is not None:
            chains.tie_on(connection, job, job.after)


def _withdrawn(connection: Connection, job: NewJob) -> bool:
    """Delete the job if it is still staged; False: it answers another call in its place, and has to stay."""
    keyed = job.terms.key is not None
    if keyed and connection.execute(sql("answers_others"), (job.id.bytes,)).fetchone() is not None:
        return False
    connection.execute(sql("withdraw"), (job.id.bytes, job.owner))
    if keyed and connection.changes():
        connection.execute(sql("let_go_of_key"), (job.id.bytes,))
    return True


class SomeRefused(PostludeError):
    """A claim of the group was not its job's any more: `settle_carefully` finds out which. Never leaves the writer."""


def settle(connection: Connection, payloads: Sequence[Sequence[Settlement]]) -> Sequence[frozenset[UUID]]:
    """End the claims of all callers, when none is refused.

    Raises:
        SomeRefused: one is, and the transaction has to be rolled back.
    """
    settlements = [settlement for payload in payloads for settlement in payload]
    plain = [settlement for settlement in settlements if _is_plain(settlement)]
    for portion in portions(plain):
        _succeed(connection, portion)
    if len(plain) < len(settlements) and not all(
        _settle(connection, settlement) for settlement in settlements if not _is_plain(settlement)
    ):
        raise SomeRefused
    return [frozenset()] * len(payloads)


def settle_carefully(connection: Connection, payloads: Sequence[Sequence[Settlement]]) -> Sequence[frozenset[UUID]]:
    """End the claims of all callers, one by one; gives each the ids of the refused."""
    return [frozenset(s.job_id for s in payload if not _settle(connection, s)) for payload in payloads]


def _is_plain(settlement: Settlement) -> bool:
    """Whether it says no more than that the task returned, and what."""
    s = settlement
    plain = s.state is JobState.SUCCEEDED and s.outcome is None and s.reason is None
    return plain and s.progress is None and not s.lines


def _succeed(connection: Connection, portion: Sequence[Settlement]) -> None:
    ids = [s.job_id.bytes for s in portion]
    values: list[SQLiteValue] = [portion[0].state]
    for job_id, s in zip(ids, portion, strict=True):
        values += (job_id, s.claim, s.at, s.attempt, s.interruptions, s.started_at, s.result)
    connection.execute(sql_for("succeed", len(portion)), values)
    if connection.changes() < len(portion):
        raise SomeRefused
    chains.advance(connection, ids)


def _settle(connection: Connection, settlement: Settlement) -> bool:
    """Settle one of any kind; returns whether its claim was still the job's."""
    row = connection.execute(sql("claimed"), (settlement.job_id.bytes, settlement.claim)).fetchone()
    if row is None:
        return False
    cancel_requested, reason = row
    s = settlement
    if cancel_requested and not s.state.finished:
        # Asked for while it ran, and it did not hear of it: it must not run again (clause 15).
        cancelled = transition(s.state, Event.CANCEL, job_id=s.job_id)
        s = s._replace(state=cancelled, reason=reason, run_at=None, alone=False)
    finished_at = s.at if s.state.finished else None
    what = (
        s.state,
        finished_at,
        s.attempt,
        s.interruptions,
        s.started_at,
        s.run_at,
        dumps(s.failure),
        s.reason,
        s.alone,
        dumps(s.progress),
        s.result,
    )
    connection.execute(sql("settle"), (*what, s.job_id.bytes, s.claim))
    if s.outcome is not None:
        line = (s.job_id.bytes, s.attempt, s.outcome, s.started_at, s.at, dumps(s.failure), s.reason)
        connection.execute(sql("add_attempt"), line)
    if s.lines:
        logs.append(connection, s.job_id, s.lines)
    if s.then is not None:
        connection.execute(sql_for("insert", 1), new_job_values(s.then))
    _follow(connection, s)
    return True


def _follow(connection: Connection, settlement: Settlement) -> None:
    # An end has its consequence whatever the settlement says of followers: a late call may have tied one on after the
    # settlement was decided.
    s = settlement
    if s.state is JobState.SUCCEEDED:
        chains.advance(connection, [s.job_id.bytes])
    elif s.state.finished:
        chains.end_without_success(connection, s.job_id, s.state, at=s.at)
    elif s.followers is Followers.QUEUE:
        chains.queue_behind(connection, s.job_id, at=s.at)
