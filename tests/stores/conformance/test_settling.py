"""Clauses 10 to 14."""

import pytest

from postlude.job import Event, Followers, JobState, Progress, Report
from postlude.stores.contract import Filter, Store
from tests.stores.making import FAILURE, chain_of, claim_all, claim_of, ended, queued, read, staged, states

S = JobState


async def test_clause_10_outcome_and_history_are_of_one_moment(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner, now=2.0)
    await store.settle([ended(claim, Event.POSTPONE, at=3.0)])
    record = await read(store, job)
    assert (record.state, record.run_at, record.finished_at, record.failure) == (S.QUEUED, 20.0, None, FAILURE)
    (claim,) = await claim_all(store, owner, now=21.0)
    await store.settle([ended(claim, Event.FAIL, at=22.0)])
    record = await read(store, job)
    assert (record.state, record.finished_at, record.failure) == (S.FAILED, 22.0, FAILURE)
    assert record.reason == "ValueError: no"
    history = await store.attempts(job.id)
    assert [(line.number, line.outcome, line.started_at, line.ended_at) for line in history] == [
        (1, "failed", 2.0, 3.0),
        (2, "failed", 21.0, 22.0),
    ]
    assert {line.failure for line in history} == {FAILURE}


async def test_clause_10_a_success_leaves_no_line_and_no_failure(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.POSTPONE)])
    (claim,) = await claim_all(store, owner, now=30.0)
    await store.settle([ended(claim, Event.SUCCEED)])
    record = await read(store, job)
    assert (record.state, record.failure, record.reason) == (S.SUCCEEDED, None, None)
    assert len(await store.attempts(job.id)) == 1


async def test_clause_10_an_attempt_that_leaves_no_trace(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.RELEASE, attempt=0)])
    assert (await read(store, job)).attempt == 0
    assert await store.attempts(job.id) == []


async def test_clause_11_the_next_one_stops_waiting(store: Store, owner: int) -> None:
    chain = chain_of(owner, 3)
    await store.insert(chain)
    assert [(await read(store, job)).waiting for job in chain] == [False, True, True]
    await store.settle([ended(claim_of(chain[0]), Event.SUCCEED)])
    assert [(await read(store, job)).waiting for job in chain] == [False, False, True]
    assert await states(store, chain) == [S.SUCCEEDED, S.STAGED, S.STAGED]


async def test_clause_11_whatever_the_settlement_says_of_followers(store: Store, owner: int) -> None:
    first = staged(owner)
    await store.insert([first])
    # Tied on when the settlement of the lone job before it was decided already.
    late = queued(after=first.id)
    await store.insert([late])
    await store.settle([ended(claim_of(first), Event.SUCCEED, followers=Followers.NONE)])
    assert [claim.job_id for claim in await claim_all(store, owner)] == [late.id]


@pytest.mark.parametrize("event", [Event.POSTPONE, Event.RELEASE, Event.RESCUE])
async def test_clause_12_those_behind_are_queued_and_wait(store: Store, owner: int, event: Event) -> None:
    chain = chain_of(owner, 3)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), event, run_at=9.0)])
    assert await states(store, chain) == [S.QUEUED] * 3
    assert [claim.job_id for claim in await claim_all(store, owner)] == [chain[0].id]
    assert await store.settle([ended(claim_of(chain[1]), Event.SUCCEED)]) == {chain[1].id}


async def test_clause_12_only_when_the_settlement_says_so(store: Store, owner: int) -> None:
    chain = chain_of(owner, 2)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.RELEASE, followers=Followers.NONE)])
    assert await states(store, chain) == [S.QUEUED, S.STAGED]


@pytest.mark.parametrize("event", [Event.FAIL, Event.CANCEL, Event.SET_ASIDE])
async def test_clause_13_all_behind_are_cancelled_with_it(store: Store, owner: int, event: Event) -> None:
    chain = chain_of(owner, 4)
    unrelated = staged(owner)
    await store.insert([*chain, unrelated])
    await store.settle([ended(claim_of(chain[0]), Event.SUCCEED)])
    await store.settle([ended(claim_of(chain[1]), event)])
    failed = transition_target(event)
    assert await states(store, [*chain, unrelated]) == [S.SUCCEEDED, failed, S.CANCELLED, S.CANCELLED, S.STAGED]
    for job in chain[2:]:
        record = await read(store, job)
        assert (record.cancelled_by, record.finished_at) == (chain[1].id, 9.0)
        assert record.reason is not None
        assert str(chain[1].id) in record.reason
    assert await store.settle([ended(claim_of(chain[2]), Event.SUCCEED)]) == {chain[2].id}


def transition_target(event: Event) -> JobState:
    return S.CANCELLED if event is Event.CANCEL else S.FAILED


async def test_clause_13_also_those_that_are_queued(store: Store, owner: int) -> None:
    chain = chain_of(owner, 3)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), Event.RELEASE)])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.FAIL)])
    assert await states(store, chain) == [S.FAILED, S.CANCELLED, S.CANCELLED]


async def test_clause_14_late_behind_one_that_has_succeeded(store: Store, owner: int) -> None:
    first = staged(owner)
    await store.insert([first])
    await store.settle([ended(claim_of(first), Event.SUCCEED)])
    late = staged(owner, after=first)
    later = staged(owner, after=late)
    await store.insert([late, later])
    assert [(await read(store, job)).waiting for job in (late, later)] == [False, True]


@pytest.mark.parametrize("event", [Event.FAIL, Event.CANCEL])
async def test_clause_14_late_behind_one_that_has_not(store: Store, owner: int, event: Event) -> None:
    chain = chain_of(owner, 2)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), event)])
    late = staged(owner, after=chain[1])
    later = staged(owner, after=late)
    await store.insert([late, later])
    for job in (late, later):
        record = await read(store, job)
        # By the one whose retry revives them.
        assert (record.state, record.cancelled_by) == (S.CANCELLED, chain[0].id)
        assert record.finished_at == job.created_at
    assert await store.settle([ended(claim_of(late), Event.SUCCEED)]) == {late.id}


async def test_clause_14_late_behind_one_that_is_not_there(store: Store, owner: int) -> None:
    late = queued(after=staged(owner).id)
    await store.insert([late])
    assert [claim.job_id for claim in await claim_all(store, owner)] == [late.id]


async def test_clause_14_late_behind_one_that_still_runs(store: Store, owner: int) -> None:
    first = staged(owner)
    await store.insert([first])
    late = staged(owner, after=first)
    await store.insert([late])
    assert (await read(store, late)).waiting
    await store.settle([ended(claim_of(first), Event.FAIL)])
    assert (await read(store, late)).cancelled_by == first.id


async def test_progress_is_kept_until_the_next_attempt(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    assert await store.report({claim: Report(Progress(3, 10, "three"))}) == frozenset()
    assert (await read(store, job)).progress == Progress(3, 10, "three")
    await store.report({claim: Report(Progress(4.5))})
    await store.settle([ended(claim, Event.POSTPONE)])
    assert (await read(store, job)).progress == Progress(4.5)
    await claim_all(store, owner, now=30.0)
    assert (await read(store, job)).progress is None


async def test_a_staged_job_may_report(store: Store, owner: int) -> None:
    job = staged(owner)
    await store.insert([job])
    assert await store.report({claim_of(job): Report(Progress(1))}) == frozenset()
    assert (await read(store, job)).progress == Progress(1)
    assert await store.count(Filter()) == {S.STAGED: 1}


@pytest.mark.parametrize("event", [Event.POSTPONE, Event.RELEASE, Event.RESCUE])
async def test_clause_12_an_ephemeral_one_behind_fails(store: Store, owner: int, event: Event) -> None:
    chain = chain_of(owner, 4)
    chain[1] = chain[1]._replace(arguments=None)
    await store.insert(chain)
    await store.settle([ended(claim_of(chain[0]), event, at=9.0)])
    assert await states(store, chain) == [S.QUEUED, S.FAILED, S.CANCELLED, S.CANCELLED]
    record = await read(store, chain[1])
    assert record.reason == "its arguments lived only in a process that gave it away"
    assert (record.finished_at, record.cancelled_by) == (9.0, None)
    assert {(await read(store, job)).cancelled_by for job in chain[2:]} == {chain[1].id}
    # Whoever has its claim still is told, and nothing is left over from a rescue.
    assert await store.settle([ended(claim_of(chain[1]), Event.SUCCEED)]) == {chain[1].id}


async def test_clause_14_a_job_that_was_alone_becomes_the_first_of_its_chain(store: Store, owner: int) -> None:
    first, other = staged(owner), staged(owner)
    await store.insert([first, other])
    assert (await read(store, first)).chain is None
    late = staged(owner, after=first)
    later = staged(owner, after=late)
    await store.insert([late])
    await store.insert([later])
    found = await store.list(Filter(chain=first.id), limit=9, before=None)
    assert [record.id for record in found] == [later.id, late.id, first.id]
    assert (await read(store, other)).chain is None
