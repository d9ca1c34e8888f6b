"""The contract of a store, in memory and without haste: what each operation comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from postlude.job import Event, Followers, JobState, NewJob, Terms, transition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from uuid import UUID

    from postlude.pauses import Pause

S = JobState
TASKS = ("app:a", "app:b", "app:unknown")
KNOWN = TASKS[:2]
LIMITED = TASKS[0]
"""The only task with partitions; it has a limit only in claims that say so."""
MAX_RUNNING = 1


@dataclass
class Job:
    """A job as the contract describes it."""

    new: NewJob
    seq: int
    state: JobState
    run_at: float
    waiting: bool
    owner: int | None
    claim: int | None
    terms: Terms
    until: float | None = None
    """How long it holds its key after success."""
    held: bool = False
    """Whether it has its key, as far as no other one has taken it."""
    attempt: int = 0
    interruptions: int = 0
    alone: bool = False
    cancel_requested: bool = False
    cancelled_by: UUID | None = None
    history: int = 0
    chain: UUID | None = None

    @property
    def ephemeral(self) -> bool:
        return self.new.arguments is None

    @property
    def rank(self) -> tuple[int, float, int]:
        return self.terms.rank, self.run_at, self.seq

    def expired(self, now: float) -> bool:
        return self.terms.expires_at is not None and self.terms.expires_at <= now


class Model:
    """The contract."""

    def __init__(self) -> None:
        self.jobs: dict[UUID, Job] = {}
        self.aliases: dict[UUID, UUID] = {}
        self.pauses: set[Pause] = set()

    def behind(self, job_id: UUID) -> list[Job]:
        direct = [job for job in self.jobs.values() if job.new.after == job_id]
        return direct + [further for job in direct for further in self.behind(job.new.id)]

    # -- writing

    def insert(self, jobs: list[NewJob]) -> dict[UUID, UUID]:
        answered: dict[UUID, UUID] = {}
        written: list[Job] = []
        for each in jobs:
            new = each._replace(after=answered.get(each.after, each.after)) if each.after else each
            if new.chain in answered:
                first = self.jobs[answered[new.chain]]
                first.chain = first.chain or first.new.id
                new = new._replace(chain=first.chain)
            holder = self.instead(new)
            if holder is not None:
                answered[new.id] = self.aliases[new.id] = holder.new.id
                continue
            seq = 1 + max((job.seq for job in self.jobs.values()), default=0)
            job = Job(new, seq, new.state, new.run_at, new.after is not None, new.owner, new.claim, new.terms)
            job.chain = new.chain
            if new.terms.key is not None:
                self.take_key(job)
                job.until = new.terms.key.until
            self.jobs[new.id] = job
            written.append(job)
        own = {job.new.id for job in written}
        for job in written:
            if job.new.after and job.new.after not in own:
                self.tie_on(job)
        return answered

    def tie_on(self, job: Job) -> None:
        before = self.jobs.get(job.new.after) if job.new.after else None
        if before and job.new.chain == job.new.after:
            before.chain = before.chain or job.new.chain
        if before is None or before.state is S.SUCCEEDED:
            job.waiting = False
        elif before.state.finished:
            self.end(job, S.CANCELLED, before.cancelled_by or before.new.id)

    def withdraw(self, jobs: Collection[Job]) -> None:
        kept = [job for job in jobs if job.new.id in self.aliases.values()]
        for job in jobs:
            if job not in kept:
                self.jobs.pop(job.new.id)
        for job in kept:
            job.state, job.owner, job.claim = S.QUEUED, None, None
            if job.new.after:
                self.tie_on(job)

    def end(self, job: Job, state: JobState, cancelled_by: UUID | None = None) -> None:
        job.state, job.owner, job.claim, job.cancelled_by = state, None, None, cancelled_by
        if state is S.SUCCEEDED:
            for other in self.jobs.values():
                if other.new.after == job.new.id:
                    other.waiting = False
        else:
            for other in self.behind(job.new.id):
                if not other.state.finished:
                    other.state, other.owner, other.claim = S.CANCELLED, None, None
                    other.cancelled_by = cancelled_by or job.new.id

    def queue(self, job: Job) -> None:
        job.state, job.owner, job.claim = S.QUEUED, None, None
        if job.cancel_requested:
            self.end(job, S.CANCELLED)
        elif job.ephemeral:
            self.end(job, S.FAILED)

    def queue_behind(self, job: Job) -> None:
        for behind in sorted(self.behind(job.new.id), key=lambda each: each.seq, reverse=True):
            if behind.state is S.STAGED:
                self.queue(behind)

    def settle(self, job: Job, event: Event, **other: Any) -> None:
        target = transition(job.state, event)
        job.attempt = other["attempt"]
        job.interruptions = other["interruptions"]
        job.history += other["outcome"] is not None
        job.alone = other["alone"]
        if target is not S.QUEUED:
            self.end(job, target)
            return
        if not job.cancel_requested:
            job.run_at = other["run_at"]
        self.queue(job)
        if job.state is S.QUEUED and other["followers"] is Followers.QUEUE:
            self.queue_behind(job)

    # -- keys

    def instead(self, new: NewJob) -> Job | None:
        """The job that answers in place of this one, changed if that is wanted."""
        key = new.terms.key
        holder = self.holder(new.task, key.value, new.created_at) if key else None
        if key is None or holder is None or holder.new.terms.key is None:
            return None
        replaceable = holder.new.terms.key.replaceable
        if key.replaceable:
            if holder.state.finished or (replaceable and (holder.state is S.RUNNING or holder.cancel_requested)):
                return None
            if replaceable:
                self.change(holder, new)
        return holder

    def change(self, holder: Job, new: NewJob) -> None:
        assert new.terms.key
        holder.terms, holder.until = new.terms, new.terms.key.until
        holder.attempt, holder.interruptions, holder.alone = 0, 0, False
        if new.terms.key.on_conflict == "debounce":
            holder.run_at = new.run_at
        if holder.state is S.STAGED:
            self.queue(holder)
            self.queue_behind(holder)

    def holder(self, task: str, key: str, now: float) -> Job | None:
        for job in self.jobs.values():
            if not job.held or job.new.task != task or job.new.terms.key is None or job.new.terms.key.value != key:
                continue
            if job.state is S.SUCCEEDED:
                return job if job.until is None or job.until > now else None
            if job.state is S.QUEUED and job.expired(now):
                self.end(job, S.CANCELLED)
            return None if job.state.finished else job
        return None

    def take_key(self, job: Job) -> None:
        key = job.new.terms.key
        for other in self.jobs.values():
            if key and other.new.terms.key and (other.new.task, other.new.terms.key.value) == (job.new.task, key.value):
                other.held = False
        job.held = True

    # -- claims

    def covered(self, job: Job, *, partition: bool = True) -> bool:
        """Whether it is paused."""
        names = {("queue", job.terms.queue, ""), ("task", job.new.task, "")}
        if partition and job.terms.partition is not None:
            names.add(("partition", job.new.task, job.terms.partition))
        return any((pause.kind, pause.name, pause.partition) in names for pause in self.pauses)

    def due(self, now: float, *, alone: bool) -> list[Job]:
        """Those of the known tasks, paused or not."""
        found = [
            job
            for job in self.jobs.values()
            if job.state is S.QUEUED
            and not job.waiting
            and job.alone is alone
            and job.run_at <= now
            and job.new.task in KNOWN
        ]
        # What is alone comes before all others, whatever its rank.
        return sorted(found, key=lambda job: job.rank[1:] if alone else job.rank)

    def running(self, partition: str | None) -> int:
        jobs = [job for job in self.jobs.values() if job.new.task == LIMITED and job.state is S.RUNNING]
        return sum((job.terms.partition or "") == (partition or "") for job in jobs)

    def full(self, job: Job) -> bool:
        return job.new.task == LIMITED and self.running(job.terms.partition) >= MAX_RUNNING

    def adopt(self, jobs: Iterable[Job]) -> None:
        """From the first claim on that knows of a limit, it counts those that were added without a partition."""
        for job in jobs:
            if job.new.task == LIMITED and job.terms.partition is None:
                job.terms = job.terms._replace(partition="")

    def first_alone(self, now: float, *, limits: bool) -> Job | None:
        for job in self.due(now, alone=True):
            if not self.covered(job):
                if limits:
                    self.adopt([job])
                if not (limits and self.full(job)):
                    return job
        return None

    def claim(self, *, limit: int, now: float, idle: bool, limits: bool) -> tuple[list[Job] | None, bool]:
        """Those that come first, and whether one that runs alone waits; None where partitions take turns."""
        while True:
            alone = self.first_alone(now, limits=limits)
            taking = alone is not None and (idle or alone.expired(now))
            waits = alone is not None and not taking
            found = [alone] if alone and taking else []
            if not taking:
                lanes = [job for job in self.due(now, alone=False) if not self.covered(job, partition=False)]
                if limits:
                    self.adopt(lanes)
                found = [job for job in lanes if not self.covered(job)][:limit]
                if any(job.terms.partition is not None for job in lanes):
                    return None, waits
            fresh = [job for job in found if not job.expired(now)]
            for job in found:
                if job.expired(now):
                    self.end(job, S.CANCELLED)
            if fresh or not found:
                return fresh, waits

    # -- by hand

    def gone_before(self, job: Job) -> list[Job] | None:
        """The ephemeral ones before it that never succeed any more; None if another one has to come first."""
        gone: list[Job] = []
        before = self.jobs.get(job.new.after) if job.new.after else None
        while before is not None and before.state is not S.SUCCEEDED:
            if not (before.ephemeral and before.state.finished):
                return None
            gone.append(before)
            before = self.jobs.get(before.new.after) if before.new.after else None
        return gone

    def key_taken(self, job: Job, now: float) -> bool:
        """Whether the keys of what a retry would revive are held by others; if not, they are taken."""
        roots = {each.new.id for each in (job, *(self.gone_before(job) or ()))}
        others = [
            each
            for each in self.jobs.values()
            if each.cancelled_by in roots and each.state is S.CANCELLED and each.seq > job.seq
        ]
        keyed = [each for each in (job, *others) if each.new.terms.key and not each.ephemeral]
        names = [(each.new.task, each.new.terms.key.value) for each in keyed if each.new.terms.key]
        if len(set(names)) < len(names) or any(self.held_by_another(*name, now) for name in names):
            return True
        for each, name in zip(keyed, names, strict=True):
            self.holder(*name, now)  # one that has expired is cancelled
            self.take_key(each)
        return False

    def held_by_another(self, task: str, key: str, now: float) -> bool:
        names = {
            (job.new.task, job.new.terms.key.value): job for job in self.jobs.values() if job.held and job.new.terms.key
        }
        job = names.get((task, key))
        if job is None or job.state in {S.FAILED, S.CANCELLED} or (job.state is S.QUEUED and job.expired(now)):
            return False
        return job.state is not S.SUCCEEDED or job.until is None or job.until > now

    def retry(self, job: Job, now: float) -> None:
        job.state, job.run_at, job.waiting, job.cancelled_by = S.QUEUED, now, False, None
        job.cancel_requested = False
        job.alone = job.interruptions >= 2
        job.terms = job.terms._replace(expires_at=None)
        for root in (job, *(self.gone_before(job) or ())):
            self.revive(job, root.new.id)

    def revive(self, job: Job, root: UUID) -> None:
        revived = [other for other in self.behind(job.new.id) if other.cancelled_by == root]
        for other in revived:
            other.state, other.waiting, other.cancelled_by, other.cancel_requested = S.QUEUED, True, None, False
            other.terms = other.terms._replace(expires_at=None)
        for other in sorted(revived, key=lambda each: each.seq, reverse=True):
            if other.ephemeral:
                self.end(other, S.FAILED)
