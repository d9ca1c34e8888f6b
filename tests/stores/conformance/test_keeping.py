"""Clauses 30 and 31. What has ended is kept for 100, 200 or 300 seconds: succeeded, failed, cancelled."""

import pytest

from postlude.errors import IllegalTransition, JobNotFound
from postlude.ids import new_job_id
from postlude.job import Event, JobState, Terms
from postlude.limits import Limit, Rate
from postlude.policy import Policy
from postlude.stores.contract import Filter, Store
from tests.stores.making import (
    ask,
    chain_of,
    claim_all,
    claim_of,
    ended,
    fail,
    keyed,
    limited,
    prune_all,
    queued,
    read,
    staged,
)  # fmt: skip


async def test_clause_30_a_deleted_job_is_gone_with_all_that_was_known_of_it(store: Store, owner: int) -> None:
    job, again, other = keyed(), keyed(), queued("app:other")
    await store.insert([job, other])
    await store.insert([again])
    await fail(store, owner, job)
    await store.delete(job.id)
    assert await store.get([job.id, again.id]) == []
    assert await store.attempts(job.id) == []
    assert await store.count(Filter()) == {JobState.QUEUED: 1}
    assert await store.insert([keyed()]) == {}
    for gone in (job.id, again.id, new_job_id()):
        with pytest.raises(JobNotFound):
            await store.delete(gone)


async def test_clause_30_what_has_not_ended_stays(store: Store, owner: int) -> None:
    running, waiting, at_work = queued(), queued("app:other"), staged(owner)
    await store.insert([running, waiting, at_work])
    await claim_all(store, owner)
    for job in (running, waiting, at_work):
        with pytest.raises(IllegalTransition):
            await store.delete(job.id)
    assert await store.count(Filter()) == {JobState.RUNNING: 1, JobState.QUEUED: 1, JobState.STAGED: 1}


async def test_clause_30_and_31_nothing_of_a_chain_that_goes_on(store: Store, owner: int) -> None:
    chain = chain_of(owner, 3)
    await store.insert(chain)
    for job in chain:
        with pytest.raises(IllegalTransition):
            await store.delete(chain[0].id)
        assert await prune_all(store, now=1e6) == 0
        await store.settle([ended(claim_of(job), Event.SUCCEED)])
    assert await prune_all(store, now=1e6, portion=2) == 3


async def test_clause_31_nothing_of_a_chain_that_began_late(store: Store, owner: int) -> None:
    """It was alone when it was stored."""
    first = queued()
    await store.insert([first])
    behind = queued("app:other", after=first.id, chain=first.id)
    await store.insert([behind])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.SUCCEED)])
    assert await prune_all(store, now=1e6) == 0
    assert (await read(store, behind)).after == first.id


async def test_clause_31_each_is_kept_for_its_time_by_how_it_ended(store: Store, owner: int) -> None:
    ways = {Event.SUCCEED: 100.0, Event.FAIL: 200.0, Event.CANCEL: 300.0}
    jobs = {event: staged(owner) for event in ways}
    await store.insert([*jobs.values(), queued(), staged(owner)])
    for event, job in jobs.items():
        await store.settle([ended(claim_of(job), event, at=10.0)])
    for event, seconds in ways.items():
        assert await prune_all(store, now=10.0 + seconds - 0.01) == 0
        assert await prune_all(store, now=10.0 + seconds) == 1
        assert await store.get([jobs[event].id]) == []
    assert await store.count(Filter()) == {JobState.QUEUED: 1, JobState.STAGED: 1}


@pytest.mark.parametrize(
    ("retention", "event", "seconds"),
    [
        (5.0, Event.SUCCEED, 5.0),
        (900.0, Event.SUCCEED, 900.0),
        ([7.0, 800.0, 9.0], Event.SUCCEED, 7.0),
        ([7.0, 800.0, 9.0], Event.FAIL, 800.0),
        ([7.0, 800.0, 9.0], Event.CANCEL, 9.0),
        (0.0, Event.FAIL, 0.0),
    ],
)
async def test_clause_31_a_job_may_say_itself_for_how_long(
    store: Store, owner: int, retention: float | list[float], event: Event, seconds: float
) -> None:
    job = staged(owner, policy=Policy(retention=retention).dumps())
    await store.insert([job])
    await store.settle([ended(claim_of(job), event, at=10.0)])
    assert await prune_all(store, now=10.0 + seconds - 0.01) == 0
    assert await prune_all(store, now=10.0 + seconds) == 1


async def test_clause_31_whoever_holds_its_key_until_later_stays_until_then(store: Store, owner: int) -> None:
    until, without = keyed("until", until=5_000.0), keyed("without")
    failed = keyed("failed", until=6_000.0)
    await store.insert([until, without])
    await store.settle([ended(claim, Event.SUCCEED) for claim in await claim_all(store, owner)])
    assert await prune_all(store, now=4_999.0) == 1
    assert await store.insert([again := keyed("until", created_at=4_999.0)]) == {again.id: until.id}
    assert await store.insert([keyed("without", created_at=4_999.0)]) == {}
    assert await prune_all(store, now=5_000.0) == 1
    assert await store.get([again.id]) == []
    await store.insert([failed])
    await store.cancel(failed.id, reason="asked", now=10.0)
    assert await prune_all(store, now=5_001.0) == 1


async def test_clause_31_a_portion_at_a_time(store: Store, owner: int) -> None:
    jobs = [staged(owner) for _ in range(25)]
    await store.insert(jobs)
    await store.settle([ended(claim_of(job), Event.SUCCEED) for job in jobs if job is not jobs[7]])
    counts, place = [], 0
    while True:
        pruned = await store.prune(KEEP_NOTHING, shortest=0.0, now=50.0, place=place, limit=10)
        counts.append(pruned.jobs)
        if pruned.place is None:
            break
        place = pruned.place
    assert counts == [9, 10, 5]
    assert await store.count(Filter()) == {JobState.STAGED: 1}


KEEP_NOTHING = dict.fromkeys((JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED), 0.0)


async def test_clause_31_what_a_rate_still_counts_is_not_forgotten_with_its_job(store: Store, owner: int) -> None:
    limit = Limit(rate=Rate(2, 500.0))
    await store.insert([limited() for _ in range(5)])
    claimed = await ask(store, owner, limits=limit)
    await store.settle([ended(claim, Event.SUCCEED) for claim in claimed.claims])
    assert await prune_all(store, now=300.0) == 2
    assert (await ask(store, owner, limits=limit, now=300.0)).claims == []
    assert await prune_all(store, now=510.0) == 0
    assert len((await ask(store, owner, limits=limit, now=510.0)).claims) == 2


async def test_clause_31_a_pruned_job_that_others_were_cancelled_by_leaves_them_to_be_retried(
    store: Store, owner: int
) -> None:
    first = queued(terms=Terms(expires_at=5.0))
    behind = queued(after=first.id, chain=first.id, policy=Policy(retention=9e9).dumps())
    await store.insert([first, behind])
    assert await claim_all(store, owner) == []
    assert await prune_all(store, now=1_000.0) == 1
    await store.retry(behind.id, now=1_000.0)
    assert [claim.job_id for claim in await claim_all(store, owner, now=1_000.0)] == [behind.id]
