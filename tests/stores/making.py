"""Jobs and settlements for tests of the stores."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from postlude.ids import new_job_id, new_token
from postlude.job import (
    DEFAULT_TERMS,
    Claim,
    Event,
    Failure,
    Followers,
    JobState,
    Key,
    NewJob,
    Record,
    Settlement,
    Terms,
    WhenTaken,
    transition,
)
from postlude.limits import Limit
from postlude.stores.contract import Claimed, Pruned, Store

FAILURE = Failure("ValueError", "no", "Traceback …")


def queued(task: str = "app:work", *, run_at: float = 1.0, after: UUID | None = None, **other: Any) -> NewJob:
    job = NewJob(new_job_id(), task, '{"a":[]}', JobState.QUEUED, created_at=1.0, run_at=run_at, after=after)
    return job._replace(**other)


def staged(owner: int, task: str = "app:work", *, after: NewJob | None = None, **other: Any) -> NewJob:
    job = NewJob(
        new_job_id(),
        task,
        '{"a":[]}',
        JobState.STAGED,
        created_at=1.0,
        run_at=1.0,
        owner=owner,
        claim=new_token(),
        after=after.id if after else None,
        chain=(after.chain or after.id) if after else None,
    )
    return job._replace(**other)


def chain_of(owner: int, length: int) -> list[NewJob]:
    """A request's tasks in order."""
    jobs = [staged(owner)]
    jobs[0] = jobs[0]._replace(chain=jobs[0].id)
    while len(jobs) < length:
        jobs.append(staged(owner, after=jobs[-1]))
    return jobs


def claim_of(job: NewJob) -> Claim:
    """The claim under which a staged job runs in its owner."""
    assert job.owner is not None
    assert job.claim is not None
    return Claim(
        id=job.claim,
        job_id=job.id,
        task=job.task,
        arguments=job.arguments,
        state=JobState.STAGED,
        attempt=0,
        interruptions=0,
        policy=job.policy,
        origin=job.origin,
        chain=job.chain,
        after=job.after,
        created_at=job.created_at,
        started_at=None,
        owner=job.owner,
    )


def ended(claim: Claim, event: Event, *, at: float = 9.0, **other: Any) -> Settlement:
    """The settlement that the engine makes of an event."""
    started = claim.state is JobState.RUNNING
    counted = claim.attempt if started else claim.attempt + 1
    settlement = Settlement(
        job_id=claim.job_id,
        claim=claim.id,
        state=transition(claim.state, event),
        at=at,
        attempt=counted - 1 if event is Event.RELEASE else counted,
        interruptions=claim.interruptions,
        started_at=claim.started_at if started else 8.0,
    )
    return settlement._replace(**(DETAILS[event] | other))


DETAILS: dict[Event, dict[str, Any]] = {
    Event.SUCCEED: {"followers": Followers.ADVANCE},
    Event.FAIL: {"followers": Followers.CANCEL, "failure": FAILURE, "outcome": "failed", "reason": "ValueError: no"},
    Event.POSTPONE: {"followers": Followers.QUEUE, "failure": FAILURE, "outcome": "failed", "run_at": 20.0},
    Event.RELEASE: {"followers": Followers.QUEUE, "run_at": 9.0},
    Event.CANCEL: {"followers": Followers.CANCEL, "outcome": "cancelled", "reason": "asked"},
    Event.RESCUE: {"followers": Followers.QUEUE, "outcome": "interrupted", "run_at": 9.0, "reason": "gone"},
    Event.SET_ASIDE: {"followers": Followers.CANCEL, "outcome": "interrupted", "reason": "gone too often"},
}


async def read(store: Store, job: NewJob | Claim | UUID) -> Record:
    """The one job, which must be there."""
    job_id = job if isinstance(job, UUID) else job.id if isinstance(job, NewJob) else job.job_id
    (record,) = await store.get([job_id])
    return record


async def states(store: Store, jobs: Sequence[NewJob]) -> list[JobState]:
    return [(await read(store, job)).state for job in jobs]


async def claim_all(
    store: Store, owner: int, *, now: float = 10.0, idle: bool = False, limit: int = 100
) -> list[Claim]:
    claimed = await store.claim(owner=owner, tasks=["app:work"], limit=limit, now=now, idle=idle)
    return claimed.claims


def limited(partition: str = "", *, terms: Terms = DEFAULT_TERMS, **other: Any) -> NewJob:
    """A job that limits count."""
    return queued(terms=terms._replace(partition=partition), **other)


def keyed(
    key: str = "k",
    on_conflict: WhenTaken = "return",
    *,
    until: float | None = None,
    owner: int | None = None,
    **other: Any,
) -> NewJob:
    """A job with a key: staged if it has an owner."""
    terms = Terms(key=Key(key, on_conflict, until))
    return queued(terms=terms, **other) if owner is None else staged(owner, terms=terms, **other)


async def ask(
    store: Store,
    owner: int,
    *,
    limits: Mapping[str, Limit] | Limit | None = None,
    tasks: Sequence[str] = ("app:work",),
    now: float = 10.0,
    limit: int = 100,
    idle: bool = False,
) -> Claimed:
    """Claim; one limit alone is that of all the tasks."""
    of_tasks = dict.fromkeys(tasks, limits) if isinstance(limits, Limit) else limits or {}
    return await store.claim(owner=owner, tasks=tasks, limit=limit, now=now, idle=idle, limits=of_tasks)


async def fail(store: Store, owner: int, job: NewJob) -> None:
    """Run a queued job, and let it fail."""
    (claim,) = [claim for claim in await claim_all(store, owner) if claim.job_id == job.id]
    await store.settle([ended(claim, Event.FAIL)])


KEEP = {JobState.SUCCEEDED: 100.0, JobState.FAILED: 200.0, JobState.CANCELLED: 300.0}


async def prune_all(store: Store, *, now: float, portion: int = 100, shortest: float = 0.0) -> int:
    """Prune from the beginning to the end; returns how many were removed."""
    removed, place = 0, 0
    while True:
        pruned: Pruned = await store.prune(KEEP, shortest=shortest, now=now, place=place, limit=portion)
        removed += pruned.jobs
        if pruned.place is None:
            return removed
        place = pruned.place
