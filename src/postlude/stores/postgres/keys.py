"""Unique jobs: who holds a key, and what becomes of a job whose key is held. Always while the key is locked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from postlude.errors import KeyTaken
from postlude.job import Event, JobState, transition
from postlude.stores.postgres import chains

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from postlude.job import Key, NewJob
    from postlude.stores.postgres.session import Session


def locked_for(jobs: Iterable[NewJob]) -> list[tuple[str, str, str]]:
    """What has to be locked before jobs with keys are written."""
    return [("key", job.task, job.terms.key.value) for job in jobs if job.terms.key is not None]


async def insert_unique(session: Session, jobs: Sequence[NewJob]) -> tuple[list[NewJob], dict[UUID, UUID]]:
    """Write new jobs one by one: some have keys, or may be there already (clauses 3 and 26 to 28).

    Returns:
        Those that were written, and which of the others were answered by whom: by themselves, if they are there.
    """
    written: list[NewJob] = []
    answered: dict[UUID, UUID] = {}
    for job in jobs:
        there = await session.value("state", job.id)
        if there is not None and job.state is JobState.STAGED and there != JobState.STAGED:
            # Its first insert was not confirmed, and it could not be withdrawn: it is for whoever claims it, and what
            # it has by now can be more than it had then.
            answered[job.id] = job.id
            continue
        if answered:
            job = await _behind_holder(session, job, answered)  # noqa: PLW2901 - the same job, in its right place
        # One that is still staged was not withdrawn: to write it fails, as it does for one without a key.
        holder = await _holder_instead(session, job) if there is None else None
        if holder is not None:
            answered[job.id] = holder
            await session.do("add_alias", job.id, holder)
            continue
        await chains.insert_one(session, job)
        key = job.terms.key
        if key is not None:
            await session.do("lose_key", session.namespace, job.task, key.value)
            await session.do("hold_key", session.namespace, job.task, key.value, job.id, key.until, key.replaceable)
        written.append(job)
    return written, answered


async def _behind_holder(session: Session, job: NewJob, answered: Mapping[UUID, UUID]) -> NewJob:
    """The same job, behind the one that answered in place of that before it, and in the chain of that one."""
    after, first = job.after, job.chain
    if after is not None:
        after = answered.get(after, after)
    if first is not None and first in answered:
        first = await chains.chain_of(session, answered[first])
    return job._replace(after=after, chain=first)


class Holder(NamedTuple):
    """Who holds a key."""

    id: UUID
    state: JobState
    replaceable: bool
    cancel_requested: bool


async def _holder_instead(session: Session, job: NewJob) -> UUID | None:
    """The job that answers in place of this one, changed if that is wanted; None: this one is written."""
    key = job.terms.key
    holder = None if key is None else await _holder(session, job.task, key.value, job.created_at)
    if key is None or holder is None:
        return None
    if key.replaceable:
        asked = holder.state is JobState.RUNNING or holder.cancel_requested
        if holder.state.finished or (holder.replaceable and asked):
            return None
        if holder.replaceable:
            await _change(session, holder.id, job, key)
            if holder.state is JobState.STAGED:
                # Its process has its own copy of the arguments: from now on it is for whoever claims it.
                await session.do("queue_staged", transition(JobState.STAGED, Event.RELEASE), holder.id)
                await chains.queue_behind(session, holder.id, at=job.created_at)
    return holder.id


async def _holder(session: Session, task: str, key: str, now: float) -> Holder | None:
    row = await session.row("holder", session.namespace, task, key)
    if row is None:
        return None
    state = JobState(row["state"])
    if state is JobState.SUCCEEDED:
        holds = row["until"] is None or row["until"] > now
    elif state is JobState.QUEUED and row["expires_at"] is not None and row["expires_at"] <= now:
        # No claim has met it yet. What it answered now would never run.
        await chains.cancel_expired(session, row["id"], at=now)
        holds = False
    else:
        holds = not state.finished
    return Holder(row["id"], state, row["replaceable"], row["cancel_requested"]) if holds else None


async def _change(session: Session, holder: UUID, job: NewJob, key: Key) -> None:
    run_at = job.run_at if key.on_conflict == "debounce" else None
    terms = job.terms
    await session.do(
        "change",
        job.arguments,
        job.policy,
        job.origin,
        terms.queue,
        terms.rank,
        terms.expires_at,
        terms.partition,
        run_at,
        holder,
    )
    await session.do("change_key", key.until, holder)


async def take_again(session: Session, keyed: Iterable[tuple[UUID, str, str]], now: float) -> None:
    """Jobs that had let go of their keys are to run again: each in `keyed` with its id, task and key (clause 29).

    Raises:
        KeyTaken: another one holds it, or two of them would.
    """
    keyed = list(keyed)
    await session.lock(("key", task, key) for _, task, key in keyed)
    taken: dict[tuple[str, str], UUID] = {}
    for job_id, task, key in keyed:
        holder = taken.get((task, key))
        if holder is None and (found := await _holder(session, task, key, now)) is not None:
            holder = found.id
        if holder is not None and holder != job_id:
            raise KeyTaken(job_id, key, holder)
        await session.do("lose_key", session.namespace, task, key)
        await session.do("hold_key_again", job_id)
        taken[task, key] = job_id


async def resolved(session: Session, job_id: UUID) -> UUID:
    """The job that an id leads to: another one, if that had answered in its place."""
    found: UUID | None = await session.value("alias", job_id)
    return job_id if found is None else found
