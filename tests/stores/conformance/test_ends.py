"""Clauses 32 to 34: what stays of a job that has ended, and who is told."""

import pytest

from postlude.errors import IllegalTransition
from postlude.job import ERASED, Event, JobState, NewJob
from postlude.policy import Policy
from postlude.stores.contract import Filter, Store
from tests.stores.making import chain_of, claim_all, claim_of, ended, queued, read, staged, states

S = JobState
FORGETFUL = Policy(keep_arguments=False).dumps()
TELLING = Policy(on_failure=["app:alarm", Policy(retries=4).dumps()]).dumps()


def forgetful(job: NewJob) -> NewJob:
    return job._replace(policy=FORGETFUL, arguments='{"args":["secret"],"kwargs":{}}')


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.CANCEL, Event.SET_ASIDE])
async def test_clause_32_erased_when_it_is_settled(store: Store, owner: int, event: Event) -> None:
    job, other = forgetful(staged(owner)), staged(owner)
    await store.insert([job, other])
    assert (await read(store, job)).arguments == job.arguments
    await store.settle([ended(claim_of(job), event), ended(claim_of(other), event)])
    record = await read(store, job)
    assert (record.arguments, record.erased, record.ephemeral) == (ERASED, True, False)
    assert ((await read(store, other)).arguments, (await read(store, other)).erased) == (other.arguments, False)


@pytest.mark.parametrize("event", [Event.POSTPONE, Event.RELEASE, Event.RESCUE])
async def test_clause_32_not_before_its_end(store: Store, owner: int, event: Event) -> None:
    job = forgetful(staged(owner))
    await store.insert([job])
    await store.settle([ended(claim_of(job), event)])
    (claim,) = await claim_all(store, owner, now=50.0)
    assert claim.arguments == job.arguments


async def test_clause_32_erased_when_it_is_cancelled_instead_of_queued(store: Store, owner: int) -> None:
    job = forgetful(staged(owner))
    await store.insert([job])
    await store.cancel(job.id, reason="enough", now=2.0)
    await store.settle([ended(claim_of(job), Event.POSTPONE)])
    assert ((await read(store, job)).state, (await read(store, job)).erased) == (S.CANCELLED, True)


async def test_clause_32_erased_when_it_is_cancelled_or_expires_in_the_queue(store: Store, owner: int) -> None:
    cancelled, expired = forgetful(queued()), forgetful(queued())
    expired = expired._replace(terms=expired.terms._replace(expires_at=5.0))
    await store.insert([cancelled, expired])
    await store.cancel(cancelled.id, reason="enough", now=2.0)
    assert await claim_all(store, owner, now=10.0) == []
    for job in (cancelled, expired):
        assert ((await read(store, job)).state, (await read(store, job)).erased) == (S.CANCELLED, True)


async def test_clause_32_erased_with_its_chain_and_late_behind_it(store: Store, owner: int) -> None:
    chain = [forgetful(job) for job in chain_of(owner, 3)]
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    late = forgetful(staged(owner, after=chain[2]))
    await store.insert([late])
    assert await states(store, [*chain, late]) == [S.FAILED, S.CANCELLED, S.CANCELLED, S.CANCELLED]
    assert [(await read(store, job)).erased for job in [*chain, late]] == [True] * 4


async def test_clause_32_an_ephemeral_one_stays_one(store: Store, owner: int) -> None:
    job = staged(owner, policy=FORGETFUL, arguments=None)
    await store.insert([job])
    await store.settle([ended(claim_of(job), Event.FAIL)])
    assert ((await read(store, job)).ephemeral, (await read(store, job)).erased) == (True, False)


async def test_clause_32_it_cannot_be_retried(store: Store, owner: int) -> None:
    job = forgetful(staged(owner))
    await store.insert([job])
    await store.settle([ended(claim_of(job), Event.FAIL)])
    with pytest.raises(IllegalTransition, match="erased when it ended, since its task says keep_arguments=False"):
        await store.retry(job.id, now=20.0)
    assert (await read(store, job)).state is S.FAILED


async def test_clause_32_a_retry_revives_what_is_behind_it_but_not_what_was_erased(store: Store, owner: int) -> None:
    chain = chain_of(owner, 4)
    chain[2] = forgetful(chain[2])
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL)])
    await store.retry(chain[0].id, now=20.0)
    assert await states(store, chain) == [S.QUEUED, S.QUEUED, S.FAILED, S.CANCELLED]
    assert (await read(store, chain[2])).reason == (
        "its arguments were erased when it was cancelled (keep_arguments=False)"
    )
    # Nothing but it stands in the way of the last one.
    for now in (30.0, 40.0):
        (claim,) = await claim_all(store, owner, now=now)
        await store.settle([ended(claim, Event.SUCCEED)])
    await store.retry(chain[3].id, now=50.0)
    assert [claim.job_id for claim in await claim_all(store, owner, now=60.0)] == [chain[3].id]


@pytest.mark.parametrize("result", ['{"a":1}', None])
async def test_clause_33_the_result_is_of_the_moment_of_success(store: Store, owner: int, result: str | None) -> None:
    plain, reported, last = staged(owner), staged(owner), queued()
    await store.insert([plain, reported, last])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.POSTPONE, run_at=11.0)])
    assert (await read(store, last)).result is None
    (claim,) = await claim_all(store, owner, now=12.0)
    await store.settle(
        [
            ended(claim_of(plain), Event.SUCCEED, result=result),
            ended(
                claim_of(reported), Event.SUCCEED, result=result, reason="in the other way that a success is written"
            ),
            ended(claim, Event.SUCCEED, result=result),
        ]
    )
    assert [(await read(store, job)).result for job in (plain, reported, last)] == [result] * 3


async def test_clause_33_a_late_finisher_leaves_none(store: Store, owner: int) -> None:
    job = staged(owner)
    await store.insert([job])
    await store.settle([ended(claim_of(job), Event.RESCUE)])
    (claim,) = await claim_all(store, owner)
    assert await store.settle([ended(claim_of(job), Event.SUCCEED, result='"late"')]) == {job.id}
    await store.settle([ended(claim, Event.SUCCEED, result='"first"')])
    assert (await read(store, job)).result == '"first"'


async def test_clause_34_who_is_told_is_queued_in_the_same_commit(store: Store, owner: int) -> None:
    job, telling = staged(owner), queued("app:alarm", policy=Policy(retries=4).dumps())
    await store.insert([job])
    failure = ended(claim_of(job), Event.FAIL, then=telling)
    assert await store.settle([failure]) == frozenset()
    record = await read(store, telling)
    assert (record.state, record.task, record.arguments) == (S.QUEUED, "app:alarm", telling.arguments)
    assert record.policy == telling.policy
    # A settlement that is written twice, since the first time was not confirmed, is refused with all that it says.
    assert await store.settle([failure]) == {job.id}
    assert await store.count(Filter()) == {S.FAILED: 1, S.QUEUED: 1}


async def test_clause_34_nobody_is_told_by_a_settlement_that_is_refused(store: Store, owner: int) -> None:
    job, other = staged(owner), staged(owner)
    await store.insert([job, other])
    late = ended(claim_of(job), Event.FAIL, then=queued("app:alarm"))
    await store.settle([ended(claim_of(job), Event.RESCUE)])
    assert await store.settle([ended(claim_of(other), Event.SUCCEED), late]) == {job.id}
    assert await store.count(Filter(task="app:alarm")) == {}


async def test_clause_34_also_of_a_failure_that_the_store_has_found(store: Store, owner: int) -> None:
    chain = chain_of(owner, 2)
    chain[1] = chain[1]._replace(arguments=None, policy=TELLING, origin='{"route":"/"}')
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.RELEASE)])
    assert (await read(store, chain[1])).state is S.FAILED
    (telling,) = await store.list(Filter(task="app:alarm"), limit=9, before=None)
    assert (telling.state, telling.policy, telling.origin) == (S.QUEUED, Policy(retries=4).dumps(), '{"route":"/"}')
    assert telling.arguments is not None
    assert str(chain[1].id) in telling.arguments
