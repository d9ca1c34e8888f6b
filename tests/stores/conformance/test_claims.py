"""Clauses 5 to 9."""

import asyncio
from math import inf

import pytest

from postlude.job import Event, JobState, Progress, Report, Terms
from postlude.limits import Limit, Rate
from postlude.stores.contract import Claimed, Filter, Store
from tests.stores.making import ask as ask_for
from tests.stores.making import chain_of, claim_all, claim_of, ended, limited, queued, read, staged, states
from tests.stores.other_process import OtherProcess


async def test_clause_5_a_late_finisher_loses(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (late,) = await claim_all(store, owner)
    await store.settle([ended(late, Event.RESCUE, interruptions=1)])
    (current,) = await claim_all(store, owner)

    assert await store.settle([ended(late, Event.FAIL)]) == {job.id}
    assert await store.report({late: Report(Progress(1))}) == {job.id}
    assert await store.start([late], now=11.0) == {job.id}
    record = await read(store, job)
    assert (record.state, record.attempt, record.interruptions) == (JobState.RUNNING, 2, 1)
    assert record.failure is None
    assert record.progress is None

    assert await store.settle([ended(current, Event.SUCCEED)]) == frozenset()
    assert (await read(store, job)).state is JobState.SUCCEEDED
    assert [line.outcome for line in await store.attempts(job.id)] == ["interrupted"]


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.POSTPONE, Event.RELEASE, Event.CANCEL])
async def test_clause_5_a_claim_ends_once(store: Store, owner: int, event: Event) -> None:
    job = staged(owner)
    await store.insert([job])
    settlement = ended(claim_of(job), event)
    assert await store.settle([settlement]) == frozenset()
    before = await read(store, job)
    assert await store.settle([settlement]) == {job.id}
    assert await store.settle([ended(claim_of(job), Event.SUCCEED, at=99.0)]) == {job.id}
    assert await read(store, job) == before


async def test_clause_5_one_refused_among_many_changes_nothing_for_the_others(store: Store, owner: int) -> None:
    jobs = [staged(owner) for _ in range(21)]
    await store.insert(jobs)
    wrong = [ended(claim_of(job)._replace(id=7), Event.SUCCEED) for job in jobs[:3]]
    right = [ended(claim_of(job), Event.SUCCEED) for job in jobs[3:]]
    # Together in one call, and beside it calls that share the commit.
    mixed, *single = await asyncio.gather(
        store.settle([*right[:9], *wrong]), *(store.settle([settlement]) for settlement in right[9:])
    )
    assert mixed == {job.id for job in jobs[:3]}
    assert set(single) == {frozenset()}
    assert await store.count(Filter()) == {JobState.STAGED: 3, JobState.SUCCEEDED: 18}


async def test_clause_5_the_id_of_another_jobs_claim_does_not_fit(store: Store, owner: int) -> None:
    first, second = staged(owner), staged(owner)
    await store.insert([first, second])
    crossed = claim_of(first)._replace(id=claim_of(second).id)
    assert await store.settle([ended(crossed, Event.SUCCEED)]) == {first.id}
    assert await store.start([crossed], now=2.0) == {first.id}
    assert await store.report({crossed: Report(Progress(1))}) == {first.id}


async def test_clause_6_two_processes_never_claim_the_same(url: str, store: Store) -> None:
    jobs = [queued() for _ in range(200)]
    await store.insert(jobs)
    with OtherProcess(url) as one, OtherProcess(url) as two:
        one.do("enlist")
        two.do("enlist")
        one.begin("claim_everything")
        two.begin("claim_everything")
        taken = one.result() + two.result()
    assert sorted(taken) == sorted(str(job.id) for job in jobs)


async def test_clause_6_calls_side_by_side_never_claim_the_same(store: Store, owner: int) -> None:
    await store.insert([queued() for _ in range(40)])
    found = await asyncio.gather(*(claim_all(store, owner, limit=7) for _ in range(10)))
    ids = [claim.job_id for claims in found for claim in claims]
    assert len(ids) == len(set(ids)) == 40


async def test_clause_7_only_what_is_due_known_and_not_waiting(store: Store, owner: int) -> None:
    due, later, unknown = queued(run_at=5.0), queued(run_at=10.5), queued("gone:task")
    behind = queued(after=due.id)
    await store.insert([due, later, unknown, behind])
    (claim,) = await claim_all(store, owner, now=10.0)
    assert claim.job_id == due.id
    assert await claim_all(store, owner, now=10.0) == []
    assert [claim.job_id for claim in await claim_all(store, owner, now=10.5)] == [later.id]


async def test_clause_7_the_earliest_due_first_then_the_first_committed(store: Store, owner: int) -> None:
    names = ["app:work", "app:alpha", "app:zeta"]
    jobs = [queued(names[i % 3], run_at=float(run_at)) for i, run_at in enumerate([3, 1, 2, 1, 3, 2, 1, 1, 0])]
    for job in jobs:
        await store.insert([job])
    expected = [job.id for _, _, job in sorted((job.run_at, i, job) for i, job in enumerate(jobs))]
    taken = []
    for limit in (1, 4, 100):
        claimed = await store.claim(owner=owner, tasks=names, limit=limit, now=10.0, idle=False)
        taken += [claim.job_id for claim in claimed.claims]
    assert taken == expected


async def test_clause_7_the_names_asked_for_may_be_none_or_many(store: Store, owner: int) -> None:
    await store.insert([queued(f"app:t{n:03}") for n in range(0, 100, 10)])
    nothing = await store.claim(owner=owner, tasks=(), limit=9, now=10.0, idle=True)
    assert nothing.claims == []
    known = frozenset(f"app:t{n:03}" for n in range(5, 95, 5))
    claimed = await store.claim(owner=owner, tasks=known, limit=100, now=10.0, idle=True)
    assert {claim.task for claim in claimed.claims} == {f"app:t{n:03}" for n in range(10, 95, 10)}


async def test_clause_7_a_limit_of_nothing_takes_nothing(store: Store, owner: int) -> None:
    await store.insert([queued()])
    assert await claim_all(store, owner, limit=0) == []


async def test_clause_7_a_claim_carries_all_that_the_attempt_needs(store: Store, owner: int) -> None:
    first = queued()
    job = queued(after=first.id, chain=first.id, policy='{"max_interruptions":5}', origin="{}", created_at=1.5)
    await store.insert([first, job])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.SUCCEED)])
    (claim,) = await claim_all(store, owner, now=10.0)
    assert claim._replace(id=0) == claim_of(job._replace(owner=owner, claim=0))._replace(
        state=JobState.RUNNING, attempt=1, started_at=10.0, due_at=1.0
    )


async def test_clause_7_a_claim_says_since_when_it_was_due(store: Store, owner: int) -> None:
    await store.insert([queued(run_at=2.0), queued("app:limited", run_at=3.0, terms=Terms(partition="a"))])
    limits = {"app:limited": Limit(1)}
    tasks = ["app:work", "app:limited"]
    claimed = await store.claim(owner=owner, tasks=tasks, limit=9, now=10.0, idle=False, limits=limits)
    assert {claim.task: claim.due_at for claim in claimed.claims} == {"app:work": 2.0, "app:limited": 3.0}


async def test_clause_7_the_smallest_rank_first_whatever_is_due_when(store: Store, owner: int) -> None:
    names = ["app:work", "app:alpha"]
    ranks = [0, 5, -3, 0, -3, 100, -100, 5]
    jobs = [
        queued(names[n % 2], run_at=9.0 - n, terms=Terms(rank=rank, queue=f"q{n % 3}")) for n, rank in enumerate(ranks)
    ]
    later = queued(run_at=11.0, terms=Terms(rank=-100))
    await store.insert([*jobs, later])
    taken = [
        claim.job_id
        for limit in (1, 2, 2, 100)
        for claim in (await ask_for(store, owner, tasks=names, limit=limit)).claims
    ]
    assert taken == [job.id for job in sorted(jobs, key=lambda job: (job.terms.rank, job.run_at))]


async def test_clause_7_what_has_expired_is_cancelled_with_all_behind_it(store: Store, owner: int) -> None:
    expired = queued(terms=Terms(expires_at=10.0))
    behind = queued(after=expired.id, chain=expired.id)
    further = queued(after=behind.id, chain=expired.id)
    in_time = queued(run_at=2.0, terms=Terms(expires_at=10.001))
    await store.insert([expired, behind, further, in_time])
    assert [claim.job_id for claim in await claim_all(store, owner)] == [in_time.id]
    assert await states(store, [expired, behind, further]) == [JobState.CANCELLED] * 3
    assert [(await read(store, job)).cancelled_by for job in (expired, behind, further)] == [
        None,
        expired.id,
        expired.id,
    ]
    assert "expire" in str((await read(store, expired)).reason)
    assert (await read(store, expired)).attempt == 0


@pytest.mark.parametrize("partition", [None, "p"])
async def test_clause_7_what_stands_behind_many_expired_ones_is_given(
    store: Store, owner: int, partition: str | None
) -> None:
    gone = [queued(run_at=1.0, terms=Terms(expires_at=5.0, partition=partition)) for _ in range(1_000)]
    good = queued(run_at=2.0, terms=Terms(partition=partition))
    await store.insert([*gone, good])
    calls = 0
    while not (claimed := await ask_for(store, owner, limit=1)).claims:
        calls += 1
        assert calls < 50  # some may be left to the next call, so that no commit waits long behind one, but not each
        assert claimed.again_at is not None
        assert claimed.again_at <= 10.0
    assert [claim.job_id for claim in claimed.claims] == [good.id]
    assert await store.count(Filter()) == {JobState.RUNNING: 1, JobState.CANCELLED: 1_000}


async def test_clause_7_what_has_expired_takes_no_room_in_a_limit(store: Store, owner: int) -> None:
    await store.insert([limited(terms=Terms(expires_at=5.0)), limited(run_at=2.0)])
    claimed = await ask_for(store, owner, limits=Limit(max_running=1, rate=Rate(1, 60.0)))
    while not claimed.claims:
        assert claimed.again_at is not None
        claimed = await ask_for(store, owner, limits=Limit(max_running=1, rate=Rate(1, 60.0)))
    assert len(claimed.claims) == 1


async def test_clause_7_an_expired_job_that_ran_before_is_cancelled_as_well(store: Store, owner: int) -> None:
    job = queued(terms=Terms(expires_at=30.0))
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.POSTPONE)])
    assert await claim_all(store, owner, now=30.0) == []
    record = await read(store, job)
    assert (record.state, record.attempt) == (JobState.CANCELLED, 1)


@pytest.mark.parametrize("idle", [True, False])
async def test_clause_9_no_worker_comes_to_rest_for_an_expired_job(store: Store, owner: int, idle: bool) -> None:
    suspect, other = queued(terms=Terms(expires_at=15.0)), queued()
    await store.insert([suspect])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.RESCUE, alone=True)])
    await store.insert([other])
    assert not (await ask_for(store, owner, now=20.0, limit=0)).alone_waits
    claimed = await ask_for(store, owner, now=20.0, idle=idle)
    assert [claim.job_id for claim in claimed.claims] == [other.id]
    assert not claimed.alone_waits
    assert (await read(store, suspect)).state is JobState.CANCELLED


async def test_clause_8_claim_counts_the_attempt(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    for number in (1, 2, 3):
        (claim,) = await claim_all(store, owner, now=number * 30.0)
        assert (claim.attempt, claim.started_at, claim.state) == (number, number * 30.0, JobState.RUNNING)
        record = await read(store, job)
        assert (record.attempt, record.started_at, record.state) == (number, number * 30.0, JobState.RUNNING)
        await store.settle([ended(claim, Event.POSTPONE)])


async def test_clause_8_start_counts_the_attempt_once(store: Store, owner: int) -> None:
    job = staged(owner)
    await store.insert([job])
    assert await store.start([claim_of(job)], now=3.0) == frozenset()
    # Again, because the first answer did not arrive.
    assert await store.start([claim_of(job)], now=4.0) == frozenset()
    record = await read(store, job)
    assert (record.state, record.attempt, record.started_at) == (JobState.RUNNING, 1, 3.0)


async def test_clause_8_start_records_when_the_attempt_began(store: Store, owner: int) -> None:
    job = staged(owner)
    await store.insert([job])
    await store.start([claim_of(job)._replace(started_at=2.0)], now=3.0)
    assert (await read(store, job)).started_at == 2.0


async def test_clause_8_an_unrecorded_attempt_is_counted_when_it_is_settled(store: Store, owner: int) -> None:
    job = staged(owner)
    await store.insert([job])
    assert (await read(store, job)).attempt == 0
    await store.settle([ended(claim_of(job), Event.SUCCEED)])
    record = await read(store, job)
    assert (record.state, record.attempt, record.started_at, record.finished_at) == (JobState.SUCCEEDED, 1, 8.0, 9.0)


async def test_clause_9_alone_and_first_into_an_idle_worker(store: Store, owner: int) -> None:
    suspect, other = queued(), queued(run_at=0.5)
    await store.insert([suspect])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.RESCUE, alone=True)])
    await store.insert([other, queued(run_at=99.0)])

    busy = await store.claim(owner=owner, tasks=["app:work"], limit=9, now=10.0, idle=False)
    assert [claim.job_id for claim in busy.claims] == [other.id]
    assert busy.alone_waits
    await store.insert([queued()])
    idle = await store.claim(owner=owner, tasks=["app:work"], limit=9, now=10.0, idle=True)
    assert [claim.job_id for claim in idle.claims] == [suspect.id]
    assert not idle.alone_waits


async def test_clause_9_what_is_alone_waits_for_its_moment_and_its_name(store: Store, owner: int) -> None:
    for task, run_at in (("app:work", 20.0), ("gone:task", 1.0)):
        await store.insert([queued(task)])
        claimed = await store.claim(owner=owner, tasks=[task], limit=1, now=10.0, idle=True)
        await store.settle([ended(claimed.claims[0], Event.RESCUE, alone=True, run_at=run_at)])
    claimed = await store.claim(owner=owner, tasks=["app:work"], limit=1, now=10.0, idle=True)
    assert claimed == Claimed([], alone_waits=False)
    assert await store.waiting_tasks() == {"app:work": 20.0, "gone:task": 1.0}
    claimed = await store.claim(owner=owner, tasks=["app:work"], limit=1, now=20.0, idle=True)
    assert len(claimed.claims) == 1
    # Settled without the mark it is a job like any other.
    await store.settle([ended(claimed.claims[0], Event.RELEASE)])
    assert len(await claim_all(store, owner, idle=False)) == 1


async def test_with_each_name_that_waits_comes_the_first_moment_that_claim_could_give(store: Store, owner: int) -> None:
    first = queued(run_at=30.0)
    await store.insert(
        [first, queued(run_at=40.0), queued("gone:task", run_at=1.0), queued(after=first.id, run_at=2.0)]
    )
    assert await store.waiting_tasks() == {"app:work": 30.0, "gone:task": 1.0}
    await store.insert([queued(run_at=20.0, terms=Terms(rank=5)), queued(run_at=25.0, terms=Terms(partition="p"))])
    assert await store.waiting_tasks() == {"app:work": 20.0, "gone:task": 1.0}


async def test_waiting_tasks_are_the_names_of_all_that_is_queued(store: Store, owner: int) -> None:
    assert await store.waiting_tasks() == {}
    first, running = queued("a:first", run_at=99.0), queued()
    await store.insert([running, staged(owner, "a:staged")])
    (claim,) = await claim_all(store, owner)
    alone = queued()
    await store.insert([alone])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.RESCUE, alone=True)])
    await store.insert([first, queued("a:behind", after=first.id), queued("a:unknown"), queued("a:unknown")])
    assert await store.waiting_tasks() == {"a:first": 99.0, "a:behind": inf, "a:unknown": 1.0, "app:work": 9.0}


async def test_chains_are_claimed_in_their_order(store: Store, owner: int) -> None:
    chain = chain_of(owner, 3)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.RELEASE)])
    order = []
    while claims := await claim_all(store, owner):
        assert len(claims) == 1
        order.append(claims[0].job_id)
        await store.settle([ended(claims[0], Event.SUCCEED)])
    assert order == [job.id for job in chain]


async def test_clause_9_whoever_has_no_slot_may_ask(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)

    async def ask(*, idle: bool) -> Claimed:
        return await store.claim(owner=owner, tasks=["app:work"], limit=0, now=50.0, idle=idle)

    assert await ask(idle=False) == Claimed([], alone_waits=False)
    await store.settle([ended(claim, Event.RESCUE, alone=True)])
    assert await ask(idle=False) == Claimed([], alone_waits=True)
    assert await ask(idle=True) == Claimed([], alone_waits=True)
