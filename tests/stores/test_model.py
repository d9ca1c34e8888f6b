"""The store against a small model of the contract: whatever is done in whatever order, both say the same."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from math import inf
from pathlib import Path
from typing import Any, TypeVar, get_args
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from postlude.errors import IllegalTransition, KeyTaken
from postlude.ids import new_job_id, new_token
from postlude.job import DEFAULT_TERMS, Claim, Event, JobState, Key, NewJob, Terms, WhenTaken
from postlude.limits import Limit
from postlude.pauses import Pause
from postlude.stores.contract import Claimed, Filter
from postlude.stores.sqlite import SQLiteStore, location
from tests.stores.making import ended
from tests.stores.model import KNOWN, LIMITED, MAX_RUNNING, TASKS, Job, Model

S, E = JobState, Event
T = TypeVar("T")
EPHEMERAL = 3
ENDS = [E.SUCCEED, E.SUCCEED, E.FAIL, E.POSTPONE, E.RELEASE, E.CANCEL, E.RESCUE, E.SET_ASIDE]
LIMITS = {LIMITED: Limit(max_running=MAX_RUNNING)}
PAUSES = [Pause("queue", "q"), Pause("task", TASKS[1]), Pause("partition", LIMITED, "p")]
KEYS = [None, *(Key("k", way) for way in get_args(WhenTaken))]


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """The moments count from the one at which the job is added; the partition is that of the task that has some."""
    if draw(st.booleans()):
        return Terms()
    key = draw(st.sampled_from(KEYS))
    return Terms(
        queue=draw(st.sampled_from(["default", "default", "q"])),
        rank=draw(st.sampled_from([0, 0, -1, 2])),
        expires_at=draw(st.sampled_from([None, None, 2.0, 6.0])),
        partition=draw(st.sampled_from([None, "", "p"])),
        key=key and key._replace(until=draw(st.sampled_from([None, 4.0]))),
    )


class StoreAndModel(RuleBasedStateMachine):
    """Does the same to both."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.store = SQLiteStore(str(Path(self.folder.name) / "jobs.db"))
        self.model = Model()
        self.now = 100.0
        self.owners: list[int] = []
        self.claims: dict[UUID, Claim] = {}
        """The latest claim of each job, whether it still holds or not."""

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    @initialize()
    def open(self) -> None:
        self.run(self.store.open())
        self.owners = [self.run(self.store.enlist()) for _ in range(2)]
        # What most examples would take long to come to: some that wait, under a limit and without.
        for partition in (None, None, "", "p", "p"):
            self.add([self.new(S.QUEUED, 0, 0.0, None, 0, Terms(partition=partition))])
        self.add([self.new(S.QUEUED, 1, 0.0, None, 0, Terms(key=Key("k", "replace"), expires_at=6.0))])

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def pick(self, number: int, wanted: Callable[[Job], bool] = lambda job: True) -> Job | None:
        found = [job for job in self.model.jobs.values() if wanted(job)]
        return found[number % len(found)] if found else None

    def add(self, jobs: list[NewJob]) -> None:
        answered = self.model.insert(jobs)
        assert self.run(self.store.insert(jobs)) == answered
        for job_id in answered:
            self.claims.pop(job_id, None)

    def new(self, state: JobState, task: int, delay: float, after: NewJob | None, owner: int, given: Terms) -> NewJob:
        is_staged = state is S.STAGED
        # What is put into the queue at once has its arguments there.
        arguments = None if is_staged and task == EPHEMERAL else "[]"
        job = NewJob(
            new_job_id(), TASKS[min(task, 2)], arguments, state, created_at=self.now, run_at=self.now + delay,
            after=after.id if after else None, chain=(after.chain or after.id) if after else None,
            owner=owner if is_staged else None, claim=new_token() if is_staged else None,
            terms=self.at_this_moment(given, TASKS[min(task, 2)], keyed=arguments is not None),
        )  # fmt: skip
        if is_staged:
            self.claims[job.id] = Claim(
                job.claim or 0,
                job.id,
                job.task,
                arguments,
                S.STAGED,
                0,
                0,
                None,
                None,
                job.chain,
                job.after,
                self.now,
                None,
                owner,
            )
        return job

    def at_this_moment(self, given: Terms, task: str, *, keyed: bool) -> Terms:
        if given == Terms():
            return DEFAULT_TERMS
        key = given.key if keyed else None
        return given._replace(
            expires_at=given.expires_at and self.now + given.expires_at,
            partition=given.partition if task == LIMITED else None,
            key=key and key._replace(until=key.until and self.now + key.until),
        )

    states = st.sampled_from([S.STAGED, S.QUEUED, S.QUEUED])
    numbers = st.integers(0, 50)

    @rule(
        state=states,
        tasks=st.lists(st.integers(0, EPHEMERAL), min_size=1, max_size=4),
        delay=st.sampled_from([0.0, 0.0, 5.0]),
        owner=st.integers(0, 1),
        given=terms(),
    )
    def insert_chain(self, state: JobState, tasks: list[int], delay: float, owner: int, given: Terms) -> None:
        jobs: list[NewJob] = []
        for task in tasks:
            jobs.append(self.new(state, task, delay, jobs[-1] if jobs else None, self.owners[owner], given))
            given = given._replace(key=None)
        self.add(jobs)

    @precondition(lambda self: self.model.jobs)
    @rule(
        number=numbers,
        state=states,
        tasks=st.lists(st.sampled_from([0, 1, EPHEMERAL]), min_size=1, max_size=2),
        owner=st.integers(0, 1),
        given=terms(),
    )
    def insert_late(self, number: int, state: JobState, tasks: list[int], owner: int, given: Terms) -> None:
        before = self.pick(
            number, lambda job: not any(other.new.after == job.new.id for other in self.model.jobs.values())
        )
        assert before
        jobs: list[NewJob] = []
        for task in tasks:
            jobs.append(self.new(state, task, 0.0, jobs[-1] if jobs else before.new, self.owners[owner], given))
            given = given._replace(key=None)
        self.add(jobs)

    @rule(limit=st.integers(1, 4), idle=st.booleans(), owner=st.integers(0, 1), limits=st.booleans())
    def claim(self, limit: int, idle: bool, owner: int, limits: bool) -> None:
        claimed = self.run(
            self.store.claim(
                owner=self.owners[owner], tasks=KNOWN, limit=limit, now=self.now, idle=idle,
                limits=LIMITS if limits else {},
            )
        )  # fmt: skip
        expected, alone_waits = self.model.claim(limit=limit, now=self.now, idle=idle, limits=limits)
        assert claimed.alone_waits is alone_waits
        if expected is None:
            expected = self.in_turn(claimed, limit, limits=limits)
        assert [claim.job_id for claim in claimed.claims] == [job.new.id for job in expected]
        for claim, job in zip(claimed.claims, expected, strict=True):
            job.attempt += 1
            job.state, job.owner, job.claim = S.RUNNING, self.owners[owner], claim.id
            assert (claim.attempt, claim.interruptions) == (job.attempt, job.interruptions)
            self.claims[claim.job_id] = claim
        if limits and len(expected) < limit and not any(job.alone for job in expected):
            # Whatever is left is held back, and said to be.
            left = [job for job in self.model.due(self.now, alone=False) if not self.model.covered(job)]
            if claimed.again_at is None:
                assert all(self.model.full(job) for job in left)
                assert claimed.held_back or not left

    def in_turn(self, claimed: Claimed, limit: int, *, limits: bool) -> list[Job]:
        """What a claim came to of which the model does not say whose turn it was, only what must hold."""
        model, now = self.model, self.now
        due = [job for job in model.due(now, alone=False) if not model.covered(job)]
        records = self.run(self.store.get([job.new.id for job in due]))
        cancelled = [model.jobs[record.id] for record in records if record.state is S.CANCELLED]
        assert all(job.expired(now) for job in cancelled)
        for job in cancelled:
            model.end(job, S.CANCELLED)
        found = [model.jobs[claim.job_id] for claim in claimed.claims]
        assert len({job.new.id for job in found}) == len(found) <= limit
        for job in found:
            assert job in due
            assert not job.expired(now)
        taken = [job.terms.partition for job in found if job.new.task == LIMITED]
        if limits:
            assert None not in taken
            assert all(taken.count(each) + model.running(each) <= MAX_RUNNING for each in set(taken))
        left = [job for job in due if job not in found and job not in cancelled]
        if limits:
            rooms = {job.terms.partition: MAX_RUNNING - model.running(job.terms.partition) for job in left}
            left = [
                job for job in left if job.new.task != LIMITED
                or taken.count(job.terms.partition) < rooms[job.terms.partition]
            ]  # fmt: skip
        assert len(found) == limit or not left or cancelled
        lowest = min((job.terms.rank for job in left), default=99)
        assert all(job.terms.rank <= lowest for job in found)
        for job in found:
            assert not any(
                other.terms.partition == job.terms.partition
                and (other.terms.queue, other.new.task) == (job.terms.queue, job.new.task)
                and other.rank < job.rank
                for other in left
            )
        return found

    @rule(pause=st.sampled_from(PAUSES))
    def pause(self, pause: Pause) -> None:
        self.run(self.store.pause(pause))
        self.model.pauses.add(pause)

    @precondition(lambda self: self.model.pauses)
    @rule(pause=st.sampled_from(PAUSES))
    def resume(self, pause: Pause) -> None:
        assert self.run(self.store.resume(pause)) is (pause in self.model.pauses)
        for other in self.model.pauses - {pause}:
            assert self.run(self.store.resume(other))
        self.model.pauses.clear()

    @precondition(lambda self: self.claims)
    @rule(number=numbers)
    def start(self, number: int) -> None:
        claim = list(self.claims.values())[number % len(self.claims)]
        job = self.model.jobs[claim.job_id]
        if job.waiting and job.state is S.STAGED:
            return
        holds = job.claim == claim.id
        assert self.run(self.store.start([claim], now=self.now)) == (frozenset() if holds else {claim.job_id})
        if holds and job.state is S.STAGED:
            job.state, job.attempt = S.RUNNING, job.attempt + 1
            self.claims[claim.job_id] = claim._replace(state=S.RUNNING, attempt=job.attempt, started_at=self.now)

    @precondition(lambda self: self.claims)
    @rule(picks=st.lists(st.tuples(numbers, st.sampled_from(ENDS), st.booleans()), min_size=1, max_size=3))
    def settle(self, picks: list[tuple[int, Event, bool]]) -> None:
        chosen = {list(self.claims)[number % len(self.claims)]: (event, alone) for number, event, alone in picks}
        # One after the other in the model, and those that only succeed first, as in any order they might be.
        ordered = sorted(chosen.items(), key=lambda item: item[1][0] is not E.SUCCEED)
        settlements, refused = [], set()
        for job_id, (picked, alone) in ordered:
            event = picked
            claim, job = self.claims[job_id], self.model.jobs[job_id]
            if job.waiting and event not in {E.RELEASE, E.CANCEL}:
                # What waits does not run: it can be given back or cancelled.
                event = E.RELEASE
            if job.ephemeral and event in {E.POSTPONE, E.RELEASE, E.RESCUE}:
                # Nobody asks for that: its arguments would be gone.
                event = E.FAIL
            settlement = ended(claim, event, at=self.now)
            if settlement.state is S.QUEUED:
                settlement = settlement._replace(alone=alone, run_at=self.now + 3)
            if event in {E.RESCUE, E.SET_ASIDE}:
                settlement = settlement._replace(interruptions=claim.interruptions + 1)
            settlements.append(settlement)
            if job.claim == claim.id:
                self.model.settle(job, event, **settlement._asdict())
            else:
                refused.add(job_id)
        assert self.run(self.store.settle(settlements)) == refused

    @precondition(lambda self: self.model.jobs)
    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        job = self.pick(number)
        assert job
        if job.state.finished:
            with pytest.raises(IllegalTransition):
                self.run(self.store.cancel(job.new.id, reason="asked", now=self.now))
            return
        if job.state is S.QUEUED:
            self.model.end(job, S.CANCELLED)
        else:
            job.cancel_requested = True
        assert self.run(self.store.cancel(job.new.id, reason="asked", now=self.now)) is job.state

    @precondition(lambda self: self.model.jobs)
    @rule(number=numbers)
    def retry(self, number: int) -> None:
        job = self.pick(number, lambda job: job.state in {S.FAILED, S.CANCELLED}) or self.pick(number)
        assert job
        ended_so = job.state in {S.FAILED, S.CANCELLED}
        if not ended_so or job.ephemeral or self.model.gone_before(job) is None:
            with pytest.raises(IllegalTransition):
                self.run(self.store.retry(job.new.id, now=self.now))
            return
        if self.model.key_taken(job, self.now):
            with pytest.raises(KeyTaken):
                self.run(self.store.retry(job.new.id, now=self.now))
            return
        self.run(self.store.retry(job.new.id, now=self.now))
        self.model.retry(job, self.now)

    @rule(number=st.integers(0, 1))
    def an_owner_dies_and_is_rescued(self, number: int) -> None:
        """As far as others can see, a process that has dropped its lock is one that has died."""
        dead = self.owners[number]
        assert self.store._open
        self.store._open.liveness.give_up(dead)
        orphans = self.run(self.store.orphans(limit=1000))
        expected = {job.new.id for job in self.model.jobs.values() if job.owner == dead}
        assert {claim.job_id for claim in orphans} == expected
        assert self.run(self.store.bury()) == (0 if expected else 1)
        # The engine's order: those first that were committed first, and what is behind goes with them.
        for claim in orphans:
            job = self.model.jobs[claim.job_id]
            event = E.FAIL if job.ephemeral else E.RESCUE if claim.state is S.RUNNING else E.RELEASE
            settlement = ended(claim, event, at=self.now, run_at=self.now)
            holds = job.claim == claim.id
            assert self.run(self.store.settle([settlement])) == (frozenset() if holds else {claim.job_id})
            if holds:
                self.model.settle(job, event, **settlement._asdict())
        assert self.run(self.store.bury()) == (1 if expected else 0)
        self.owners[number] = self.run(self.store.enlist())

    @precondition(lambda self: self.model.jobs)
    @rule(numbers=st.lists(numbers, max_size=3))
    def withdraw(self, numbers: list[int]) -> None:
        # Whole chains, as it is in life: nobody else has seen the ids of an insert that was not confirmed.
        heads = [self.pick(number, lambda job: job.new.after is None) for number in numbers]
        chosen = {job.new.id: job for head in heads if head for job in [head, *self.model.behind(head.new.id)]}
        if any(job.state is not S.STAGED for job in chosen.values()):
            return
        self.run(self.store.withdraw([job.new for job in chosen.values()]))
        self.model.withdraw(chosen.values())
        for job_id in chosen:
            if job_id not in self.model.jobs:
                self.claims.pop(job_id)

    @rule(seconds=st.sampled_from([1.0, 3.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def both_say_the_same(self) -> None:
        if not self.owners:
            return
        records = {record.id: record for record in self.run(self.store.list(Filter(), limit=10_000, before=None))}
        assert records.keys() == self.model.jobs.keys()
        for job_id, job in self.model.jobs.items():
            record = records[job_id]
            assert (record.state, record.attempt, record.interruptions, record.cancelled_by, record.chain) == (
                job.state, job.attempt, job.interruptions, job.cancelled_by, job.chain,
            )  # fmt: skip
            assert (record.queue, -record.priority, record.expires_at, record.partition) == job.terms[:4]
            assert not (job.ephemeral and record.state is S.QUEUED)
            if not job.state.finished:
                assert (record.waiting, record.run_at) == (job.waiting, job.run_at)
                assert record.cancel_requested is job.cancel_requested
        counts: dict[JobState, int] = {}
        for job in self.model.jobs.values():
            counts[job.state] = counts.get(job.state, 0) + 1
        assert self.run(self.store.count(Filter())) == counts
        found = {record.id for record in self.run(self.store.get(list(self.model.aliases)))}
        assert found == set(self.model.aliases.values())

    @invariant()
    def so_do_the_questions_of_the_workers(self) -> None:
        if not self.owners:
            return
        jobs = self.model.jobs.values()
        for owner in self.owners:
            asked = {job.new.id for job in jobs if job.owner == owner and job.cancel_requested}
            assert self.run(self.store.cancellations(owner)) == asked
        claimable = [
            job.run_at
            for alone in (False, True)
            for job in self.model.due(float("inf"), alone=alone)
            if not self.model.covered(job, partition=alone)
        ]
        waiting = self.run(self.store.waiting_tasks())
        assert min((waiting.get(name, inf) for name in KNOWN), default=inf) == min(claimable, default=inf)
        assert set(waiting) == {job.new.task for job in jobs if job.state is S.QUEUED}
        assert self.run(self.store.orphans(limit=10)) == []


def check(monkeypatch: pytest.MonkeyPatch, *, examples: int, steps: int) -> None:
    monkeypatch.setattr(location, "measure_sync", lambda folder: 0.0)
    run_state_machine_as_test(
        StoreAndModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_store_does_what_the_model_does(monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, examples=60, steps=30)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_store_does_what_the_model_does_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, examples=500, steps=60)
