"""Clauses 15 and 16."""

import pytest

from postlude.errors import IllegalTransition, JobNotFound
from postlude.ids import new_job_id
from postlude.job import Event, JobState, Terms
from postlude.stores.contract import Claimed, Store
from tests.stores.making import chain_of, claim_all, claim_of, ended, queued, read, staged, states

S = JobState


async def test_clause_15_a_queued_job_is_cancelled_at_once(store: Store, owner: int) -> None:
    chain = chain_of(owner, 3)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.RELEASE)])
    assert await store.cancel(chain[1].id, reason="not needed", now=12.0) is S.CANCELLED
    assert await states(store, chain) == [S.QUEUED, S.CANCELLED, S.CANCELLED]
    record = await read(store, chain[1])
    assert (record.reason, record.finished_at, record.cancelled_by) == ("not needed", 12.0, None)
    assert (await read(store, chain[2])).cancelled_by == chain[1].id
    # Its own end comes first: what happens to the one before it changes nothing.
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.FAIL)])
    assert (await read(store, chain[1])).cancelled_by is None


async def test_clause_15_a_running_or_staged_one_is_asked(store: Store, owner: int) -> None:
    running, stay = queued(), staged(owner)
    await store.insert([running])
    (claim,) = await claim_all(store, owner)
    await store.insert([stay])
    assert await store.cancellations(owner) == frozenset()
    assert await store.cancel(running.id, reason="a", now=12.0) is S.RUNNING
    assert await store.cancel(stay.id, reason="b", now=12.0) is S.STAGED
    assert await store.cancel(stay.id, reason="b", now=13.0) is S.STAGED
    assert await store.cancellations(owner) == {running.id, stay.id}
    assert await store.cancellations(owner + 1) == frozenset()
    assert (await read(store, running)).cancel_requested
    assert await store.settle([ended(claim, Event.CANCEL)]) == frozenset()
    assert await store.settle([ended(claim_of(stay), Event.SUCCEED)]) == frozenset()
    assert await store.cancellations(owner) == frozenset()
    assert await states(store, [running, stay]) == [S.CANCELLED, S.SUCCEEDED]


@pytest.mark.parametrize("event", [Event.POSTPONE, Event.RELEASE, Event.RESCUE])
async def test_clause_15_what_was_asked_for_is_not_forgotten(store: Store, owner: int, event: Event) -> None:
    chain = chain_of(owner, 2)
    await store.insert(chain)
    await store.cancel(chain[0].id, reason="asked in time", now=3.0)
    # Its worker settled before it heard of it.
    await store.settle([ended(claim_of(chain[0]), event, at=4.0)])
    record = await read(store, chain[0])
    assert (record.state, record.reason, record.finished_at) == (S.CANCELLED, "asked in time", 4.0)
    assert (await read(store, chain[1])).cancelled_by == chain[0].id


async def test_clause_15_nor_is_it_for_one_behind(store: Store, owner: int) -> None:
    chain = chain_of(owner, 3)
    await store.insert(chain)
    await store.cancel(chain[1].id, reason="asked in time", now=3.0)
    await store.settle([ended(claim_of(chain[0]), Event.POSTPONE)])
    assert await states(store, chain) == [S.QUEUED, S.CANCELLED, S.CANCELLED]
    assert (await read(store, chain[1])).reason == "asked in time"
    assert (await read(store, chain[2])).cancelled_by == chain[1].id


async def test_clause_15_of_several_behind_each_in_its_own_name(store: Store, owner: int) -> None:
    chain = chain_of(owner, 5)
    await store.insert(chain)
    for job in (chain[1], chain[3]):
        await store.cancel(job.id, reason="asked in time", now=3.0)
    await store.settle([ended(claim_of(chain[0]), Event.POSTPONE)])
    assert [(await read(store, job)).cancelled_by for job in chain] == [None, None, chain[1].id, None, chain[3].id]


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.CANCEL])
async def test_clause_15_a_finished_one_cannot_be_cancelled(store: Store, owner: int, event: Event) -> None:
    job = staged(owner)
    await store.insert([job])
    await store.settle([ended(claim_of(job), event)])
    with pytest.raises(IllegalTransition) as raised:
        await store.cancel(job.id, reason="x", now=12.0)
    assert (raised.value.event, raised.value.job_id) == ("cancel", job.id)


async def test_clause_15_and_16_an_unknown_job(store: Store) -> None:
    with pytest.raises(JobNotFound):
        await store.cancel(new_job_id(), reason="x", now=1.0)
    with pytest.raises(JobNotFound):
        await store.retry(new_job_id(), now=1.0)


@pytest.mark.parametrize("event", [Event.FAIL, Event.CANCEL, Event.SET_ASIDE])
async def test_clause_16_retry_revives_exactly_what_its_failure_cancelled(
    store: Store, owner: int, event: Event
) -> None:
    chain = chain_of(owner, 5)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.SUCCEED)])
    # The last but one goes by hand before, and takes the last with it.
    await store.settle([ended(claim_of(chain[1]), Event.RELEASE)])
    await store.cancel(chain[3].id, reason="by hand", now=5.0)
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, event, interruptions=1)])
    assert await states(store, chain) == [S.SUCCEEDED, claim_end(event), S.CANCELLED, S.CANCELLED, S.CANCELLED]
    late = queued(after=chain[2].id)
    await store.insert([late])

    await store.retry(chain[1].id, now=50.0)
    assert await states(store, [*chain, late]) == [S.SUCCEEDED, S.QUEUED, S.QUEUED, S.CANCELLED, S.CANCELLED, S.QUEUED]
    record = await read(store, chain[1])
    assert (record.attempt, record.interruptions, record.run_at) == (1, 1, 50.0)
    assert (record.finished_at, record.reason, record.cancel_requested) == (None, None, False)
    record = await read(store, chain[2])
    assert (record.waiting, record.cancelled_by, record.finished_at, record.reason) == (True, None, None, None)
    assert [claim.job_id for claim in await claim_all(store, owner, now=50.0)] == [chain[1].id]


def claim_end(event: Event) -> JobState:
    return S.CANCELLED if event is Event.CANCEL else S.FAILED


async def test_clause_16_due_at_the_moment_that_is_named(store: Store, owner: int) -> None:
    chain = chain_of(owner, 2)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    await store.retry(chain[0].id, now=50.0, run_at=70.0)
    assert await states(store, chain) == [S.QUEUED, S.QUEUED]
    assert (await claim_all(store, owner, now=69.0)) == []
    assert [claim.job_id for claim in await claim_all(store, owner, now=70.0)] == [chain[0].id]


async def test_clause_16_what_was_cancelled_by_another_waits_for_that_one(store: Store, owner: int) -> None:
    chain = chain_of(owner, 3)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    for job in chain[1:]:
        with pytest.raises(IllegalTransition, match=f"retry job {chain[0].id} first"):
            await store.retry(job.id, now=50.0)


async def test_clause_16_an_ephemeral_one_cannot_be_retried(store: Store, owner: int) -> None:
    job = staged(owner, arguments=None)
    await store.insert([job])
    await store.settle([ended(claim_of(job), Event.FAIL)])
    with pytest.raises(IllegalTransition, match="ephemeral: its arguments never left"):
        await store.retry(job.id, now=50.0)


async def test_clause_16_behind_an_ephemeral_one_that_is_gone_it_goes_on_without_it(store: Store, owner: int) -> None:
    chain = chain_of(owner, 4)
    chain[0] = chain[0]._replace(arguments=None)
    await store.insert(chain)
    with pytest.raises(IllegalTransition):
        await store.retry(chain[1].id, now=50.0)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    assert await states(store, chain) == [S.FAILED, S.CANCELLED, S.CANCELLED, S.CANCELLED]
    with pytest.raises(IllegalTransition, match=f"is cancelled: retry job {chain[1].id} first"):
        await store.retry(chain[2].id, now=50.0)

    await store.retry(chain[1].id, now=50.0)
    assert await states(store, chain) == [S.FAILED, S.QUEUED, S.QUEUED, S.QUEUED]
    for job in chain[1:]:
        (claim,) = await claim_all(store, owner, now=50.0)
        assert claim.job_id == job.id
        await store.settle([ended(claim, Event.SUCCEED)])


async def test_clause_16_behind_several_that_are_gone_it_goes_on_without_them(store: Store, owner: int) -> None:
    chain = chain_of(owner, 4)
    chain[:2] = [job._replace(arguments=None) for job in chain[:2]]
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    await store.retry(chain[2].id, now=50.0)
    assert await states(store, chain) == [S.FAILED, S.CANCELLED, S.QUEUED, S.QUEUED]


async def test_clause_16_beside_it_behind_the_one_that_is_gone_stays_cancelled(store: Store, owner: int) -> None:
    """Two that come directly behind the same one: what waited for that would wait for ever."""
    gone = chain_of(owner, 1)[0]._replace(arguments=None)
    one, beside = (staged(owner, after=gone) for _ in range(2))
    behind = staged(owner, after=one)
    await store.insert([gone, one, beside, behind])
    await store.settle([ended(claim_of(gone), Event.FAIL)])
    await store.retry(one.id, now=50.0)
    assert await states(store, [gone, one, beside, behind]) == [S.FAILED, S.QUEUED, S.CANCELLED, S.QUEUED]
    await store.retry(beside.id, now=50.0)
    claims = await claim_all(store, owner, now=50.0)
    assert {claim.job_id for claim in claims} == {one.id, beside.id}


async def test_clause_16_what_comes_before_the_one_that_is_gone_still_comes_first(store: Store, owner: int) -> None:
    first = queued()
    chain = chain_of(owner, 2)
    chain[0] = chain[0]._replace(arguments=None, after=first.id)
    await store.insert([first])
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    with pytest.raises(IllegalTransition, match=f"Job {first.id}, before it in its chain, is queued and comes first"):
        await store.retry(chain[1].id, now=50.0)


async def test_clause_16_behind_an_ephemeral_one_that_another_cancelled_that_one_is_first(
    store: Store, owner: int
) -> None:
    chain = chain_of(owner, 3)
    chain[1] = chain[1]._replace(arguments=None)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    with pytest.raises(IllegalTransition, match=f"retry job {chain[0].id} first"):
        await store.retry(chain[2].id, now=50.0)


async def test_clause_16_an_ephemeral_one_behind_is_not_revived(store: Store, owner: int) -> None:
    chain = chain_of(owner, 5)
    chain[2] = chain[2]._replace(arguments=None)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    await store.retry(chain[0].id, now=50.0)
    assert await states(store, chain) == [S.QUEUED, S.QUEUED, S.FAILED, S.CANCELLED, S.CANCELLED]
    record = await read(store, chain[2])
    assert (record.finished_at, record.cancelled_by) == (50.0, None)
    assert record.reason == "its arguments lived only in a process that gave it away"
    for job in chain[3:]:
        record = await read(store, job)
        assert (record.cancelled_by, record.finished_at) == (chain[2].id, 50.0)


async def test_clause_16_only_what_has_failed_or_was_cancelled(store: Store, owner: int) -> None:
    waiting, stay = queued(run_at=99.0), staged(owner)
    await store.insert([waiting, stay])
    for job in (waiting, stay):
        with pytest.raises(IllegalTransition):
            await store.retry(job.id, now=50.0)
    await store.settle([ended(claim_of(stay), Event.SUCCEED)])
    with pytest.raises(IllegalTransition, match="is succeeded"):
        await store.retry(stay.id, now=50.0)


async def test_clause_16_one_that_was_set_aside_runs_alone(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.SET_ASIDE, interruptions=3)])
    await store.retry(job.id, now=50.0)
    claimed = await store.claim(owner=owner, tasks=["app:work"], limit=9, now=50.0, idle=False)
    assert claimed == Claimed([], alone_waits=True)
    (claim,) = await claim_all(store, owner, now=50.0, idle=True)
    assert (claim.attempt, claim.interruptions) == (2, 3)


async def test_clause_16_a_cancelled_one_can_be_cancelled_again_after_its_retry(store: Store) -> None:
    job = queued()
    await store.insert([job])
    for _ in range(2):
        await store.cancel(job.id, reason="again", now=5.0)
        await store.retry(job.id, now=6.0)
    assert (await read(store, job)).state is S.QUEUED


async def test_clause_16_one_that_has_expired_runs_when_somebody_wants_it(store: Store, owner: int) -> None:
    terms = Terms(expires_at=20.0)
    first = queued(terms=terms)
    behind = queued(after=first.id, chain=first.id, terms=terms)
    await store.insert([first, behind])
    assert await claim_all(store, owner, now=30.0) == []
    assert await states(store, [first, behind]) == [S.CANCELLED] * 2
    await store.retry(first.id, now=40.0)
    for job in (first, behind):
        assert (await read(store, job)).expires_at is None
        (claim,) = await claim_all(store, owner, now=50.0)
        assert claim.job_id == job.id
        await store.settle([ended(claim, Event.SUCCEED)])
