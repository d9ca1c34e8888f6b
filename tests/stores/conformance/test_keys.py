"""Clauses 26 to 29."""

import asyncio
from typing import Literal
from uuid import UUID

import pytest

from postlude.errors import KeyTaken
from postlude.job import Event, JobState, Key, NewJob, Progress, Report, Terms, WhenTaken
from postlude.loglines import LogLine
from postlude.policy import Policy
from postlude.stores.contract import Filter, Store
from tests.stores.making import claim_all, claim_of, ended, fail, keyed, queued, read, staged, states
from tests.stores.other_process import OtherProcess
from tests.stores.places import open_place

Holder = Literal[
    "queued", "waiting", "staged", "asked to cancel", "running", "succeeded", "expired key", "failed", "cancelled"
]
HOLDERS: dict[Holder, tuple[bool, str, str]] = {
    # what becomes of a new job with "return", and of one that replaces: where the holder is not replaceable, and is
    "queued": (False, "answered", "changed"),
    "waiting": (False, "answered", "changed"),
    "staged": (False, "answered", "changed"),
    "asked to cancel": (False, "answered", "written"),
    "running": (False, "answered", "written"),
    "succeeded": (False, "written", "written"),
    "expired key": (True, "written", "written"),
    "failed": (True, "written", "written"),
    "cancelled": (True, "written", "written"),
}
FORGETFUL = Policy(keep_arguments=False).dumps()
WAYS: tuple[WhenTaken, ...] = ("return", "replace", "debounce")


async def holder_in(store: Store, owner: int, state: Holder, way: WhenTaken) -> NewJob:
    """A job with the key "k" that has come that far."""
    if state in {"staged", "asked to cancel"}:
        job = keyed("k", way, owner=owner)
        await store.insert([job])
        if state == "asked to cancel":
            await store.cancel(job.id, reason="asked", now=2.0)
        return job
    if state == "waiting":
        first = queued("app:other")
        job = keyed("k", way, after=first.id)
        await store.insert([first, job])
        return job
    job = keyed("k", way, until=5.0 if state == "expired key" else None)
    await store.insert([job])
    if state == "cancelled":
        await store.cancel(job.id, reason="asked", now=2.0)
    elif state != "queued":
        (claim,) = await claim_all(store, owner)
        if state != "running":
            await store.settle([ended(claim, Event.FAIL if state == "failed" else Event.SUCCEED)])
    return job


@pytest.mark.parametrize("state", HOLDERS)
@pytest.mark.parametrize("of_holder", WAYS)
@pytest.mark.parametrize("way", WAYS)
async def test_clause_28_what_becomes_of_a_job_whose_key_is_taken(
    store: Store, owner: int, state: Holder, of_holder: WhenTaken, way: WhenTaken
) -> None:
    free, if_not_replaceable, if_replaceable = HOLDERS[state]
    holder = await holder_in(store, owner, state, of_holder)
    before = await read(store, holder)
    terms = Terms("q", -4, 99.0, "p", Key("k", way, 60.0))
    new = queued(arguments='["new"]', policy="{}", origin='{"a":1}', run_at=44.0, created_at=6.0, terms=terms)
    answered = await store.insert([new])
    if way == "return":
        expected = "written" if free else "answered"
    else:
        expected = if_replaceable if of_holder != "return" or free else if_not_replaceable
    after = await read(store, holder)
    if expected == "written":
        assert answered == {}
        assert after == before
        assert (await read(store, new)).id == new.id
        # And it is the holder now.
        assert await store.insert([third := keyed("k", created_at=6.0)]) == {third.id: new.id}
        return
    assert answered == {new.id: holder.id}
    assert (await read(store, new)).id == holder.id
    if expected == "answered":
        assert after == before
    else:
        assert after == before._replace(
            arguments='["new"]', policy="{}", origin='{"a":1}', queue="q", priority=4, expires_at=99.0, partition="p",
            run_at=44.0 if way == "debounce" else before.run_at, state=JobState.QUEUED,
        )  # fmt: skip
    assert await store.count(Filter(task="app:work")) == {after.state: 1}


async def test_clause_26_keys_of_other_tasks_are_other_keys(store: Store, owner: int) -> None:
    jobs = [keyed("k"), keyed("k", task="app:other"), keyed("l"), queued()]
    assert await store.insert(jobs) == {}


async def test_clause_26_within_one_insert_too(store: Store, owner: int) -> None:
    first, second, third = keyed(), keyed(), keyed("l")
    behind = queued(after=second.id, chain=second.id)
    assert await store.insert([first, second, third, behind]) == {second.id: first.id}
    record = await read(store, behind)
    assert (record.after, record.chain, record.waiting) == (first.id, first.id, True)
    assert (await read(store, first)).chain == first.id


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL])
async def test_clause_26_what_comes_behind_an_answered_job_comes_behind_the_holder(
    store: Store, owner: int, late: bool, event: Event
) -> None:
    holder, again = keyed(), keyed()
    behind = queued("app:other", after=again.id, chain=again.id)
    further = queued("app:other", after=behind.id, chain=again.id)
    await store.insert([holder])
    if late:
        await store.insert([again])
        await store.insert([behind, further])
    else:
        await store.insert([again, behind, further])
    assert [(await read(store, job)).waiting for job in (behind, further)] == [True, True]
    assert (await read(store, behind)).after == holder.id
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, event)])
    record = await read(store, behind)
    if event is Event.SUCCEED:
        assert (record.state, record.waiting) == (JobState.QUEUED, False)
        return
    assert (record.state, record.cancelled_by) == (JobState.CANCELLED, holder.id)
    await store.retry(again.id, now=20.0)
    assert await states(store, [holder, behind, further]) == [JobState.QUEUED] * 3


@pytest.mark.parametrize("commits", [1, 2, 3])
@pytest.mark.parametrize("alone", [True, False])
async def test_clause_26_what_comes_behind_an_answered_job_is_of_the_chain_of_the_holder(
    store: Store, owner: int, alone: bool, commits: int
) -> None:
    """Also where its request has added it later, and that of the holder had others before it."""
    first = queued("app:other")
    holder = keyed() if alone else keyed(after=first.id, chain=first.id)
    await store.insert([first, holder])
    again = keyed()
    again = again._replace(chain=again.id)
    behind = queued("app:other", after=again.id, chain=again.id)
    further = queued("app:other", after=behind.id, chain=again.id)
    jobs = [again, behind, further]
    for portion in {1: [jobs], 2: [jobs[:1], jobs[1:]], 3: [[job] for job in jobs]}[commits]:
        await store.insert(portion)
    chain = holder.id if alone else first.id
    assert {(await read(store, job)).chain for job in (holder, behind, further)} == {chain}


async def test_clause_26_behind_an_answered_job_whose_holder_has_ended(store: Store, owner: int) -> None:
    holder, again = keyed(), keyed()
    await store.insert([holder])
    await store.insert([again])
    await fail(store, owner, holder)
    late = queued("app:other", after=again.id)
    await store.insert([late])
    record = await read(store, late)
    assert (record.state, record.cancelled_by) == (JobState.CANCELLED, holder.id)


async def test_clause_26_the_id_of_an_answered_job_leads_to_the_holder(store: Store, owner: int) -> None:
    older, holder, again, newer = queued("app:other"), keyed(), keyed(), queued("app:other")
    for job in (older, holder, again, newer):
        await store.insert([job])
    assert [record.id for record in await store.get([again.id])] == [holder.id]
    assert {record.id for record in await store.get([again.id, holder.id, newer.id])} == {holder.id, newer.id}
    assert [record.id for record in await store.list(Filter(), limit=9, before=again.id)] == [older.id]
    line = LogLine(9.0, "INFO", "app", "said", 1)
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.FAIL, lines=[line])])
    assert [line.outcome for line in await store.attempts(again.id)] == ["failed"]
    assert await store.logs(again.id) == [line]
    await store.retry(again.id, now=11.0)
    assert await store.cancel(again.id, reason="asked", now=12.0) is JobState.CANCELLED
    await store.delete(again.id)
    assert await store.get([again.id, holder.id]) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tried", [False, True])
async def test_clause_26_a_holder_that_has_expired_answers_nobody(
    store: Store, owner: int, way: WhenTaken, tried: bool
) -> None:
    """It would never run, and with it neither would the call that it answers."""
    holder = keyed("k", "replace")
    holder = holder._replace(terms=holder.terms._replace(expires_at=60.0))
    behind = queued("app:other", after=holder.id, chain=holder.id)
    await store.insert([holder, behind])
    if tried:
        (claim,) = await claim_all(store, owner)
        await store.settle([ended(claim, Event.POSTPONE)])
    new = keyed("k", way, created_at=60.0)
    assert await store.insert([early := keyed("k", created_at=59.9)]) == {early.id: holder.id}
    assert await store.insert([new]) == {}
    assert await states(store, [holder, behind]) == [JobState.CANCELLED] * 2
    assert "expire" in str((await read(store, holder)).reason)
    assert [claim.job_id for claim in await claim_all(store, owner, now=61.0)] == [new.id]


async def test_clause_29_a_holder_that_has_expired_keeps_no_key_from_a_retried_job(store: Store, owner: int) -> None:
    job, other = keyed(), keyed()
    other = other._replace(terms=other.terms._replace(expires_at=60.0))
    await store.insert([job])
    await fail(store, owner, job)
    await store.insert([other])
    with pytest.raises(KeyTaken):
        await store.retry(job.id, now=59.0)
    await store.retry(job.id, now=60.0)
    assert await states(store, [job, other]) == [JobState.QUEUED, JobState.CANCELLED]


async def test_clause_27_a_withdrawn_job_lets_go_of_its_key(store: Store, owner: int) -> None:
    job = keyed(owner=owner)
    await store.insert([job])
    await store.withdraw([job])
    assert await store.insert([keyed()]) == {}


async def test_clause_27_a_job_holds_its_key_through_everything_but_its_end(store: Store, owner: int) -> None:
    job = keyed(owner=owner)
    await store.insert([job])

    async def held() -> bool:
        return bool(await store.insert([keyed()]))

    assert await held()
    await store.start([claim_of(job)], now=2.0)
    await store.settle([ended(claim_of(job)._replace(state=JobState.RUNNING, attempt=1), Event.POSTPONE)])
    assert await held()
    (claim,) = await claim_all(store, owner, now=30.0)
    await store.settle([ended(claim, Event.RESCUE, alone=True)])
    assert await held()
    (claim,) = await claim_all(store, owner, now=30.0, idle=True)
    await store.settle([ended(claim, Event.SUCCEED)])
    assert await held()
    await store.delete(job.id)
    assert not await held()


async def test_clause_27_after_success_until_the_moment_that_came_with_it(store: Store, owner: int) -> None:
    job = keyed(until=50.0)
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.SUCCEED)])
    assert await store.insert([early := keyed(created_at=49.9)]) == {early.id: job.id}
    assert await store.insert([keyed(created_at=50.0)]) == {}


async def test_clause_28_the_moment_of_the_key_is_changed_too(store: Store, owner: int) -> None:
    await store.insert([keyed("k", "replace", until=20.0)])
    await store.insert([keyed("k", "replace", until=50.0)])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.SUCCEED)])
    assert await store.insert([keyed(created_at=49.0)]) != {}
    assert await store.insert([keyed(created_at=51.0)]) == {}


async def test_clause_28_what_is_changed_is_new_work(store: Store, owner: int) -> None:
    """Nothing that an attempt at the former work has saved, said or come to counts for it; its history stays."""
    job = keyed("k", "replace")
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    await store.report({claim: Report(Progress(3.0), '{"page":7}')})
    await store.settle([ended(claim, Event.RESCUE, interruptions=2, alone=True)])
    (claim,) = await claim_all(store, owner, idle=True)
    await store.settle([ended(claim, Event.POSTPONE, alone=True, progress=Progress(4.0))])
    await store.insert([keyed("k", "replace", arguments='["new"]')])
    record = await read(store, job)
    assert (record.saved, record.progress, record.failure, record.reason) == (None, None, None, None)
    assert (record.attempt, record.interruptions, record.started_at) == (0, 0, None)
    assert [line.outcome for line in await store.attempts(job.id)] == ["interrupted", "failed"]
    (claim,) = await claim_all(store, owner, now=30.0)
    assert (claim.arguments, claim.attempt, claim.interruptions, claim.saved) == ('["new"]', 1, 0, None)


async def test_clause_28_a_running_holder_that_lost_its_key_ends_as_ever(store: Store, owner: int) -> None:
    first, second = keyed("k", "replace"), keyed("k", "replace")
    await store.insert([first])
    (claim,) = await claim_all(store, owner)
    await store.insert([second])
    await store.settle([ended(claim, Event.FAIL)])
    with pytest.raises(KeyTaken) as caught:
        await store.retry(first.id, now=11.0)
    assert (caught.value.key, caught.value.holder) == ("k", second.id)
    assert await store.insert([third := keyed()]) == {third.id: second.id}


@pytest.mark.parametrize("free", [True, False])
async def test_clause_29_a_retried_job_takes_its_key_again(store: Store, owner: int, free: bool) -> None:
    """As it was: with its moment, and whether it is replaceable."""
    job, other = keyed("k", "replace", until=70.0), keyed()
    await store.insert([job])
    await fail(store, owner, job)
    await store.insert([other])
    with pytest.raises(KeyTaken) as caught:
        await store.retry(job.id, now=11.0)
    assert caught.value.holder == other.id
    assert (await read(store, job)).state is JobState.FAILED
    await store.cancel(other.id, reason="asked", now=12.0)
    if free:
        await store.delete(other.id)
    await store.retry(job.id, now=13.0)
    assert await store.insert([new := keyed("k", "replace", until=80.0, arguments='["new"]')]) == {new.id: job.id}
    assert (await read(store, job)).arguments == '["new"]'
    (claim,) = await claim_all(store, owner, now=20.0)
    await store.settle([ended(claim, Event.SUCCEED)])
    assert await store.insert([keyed(created_at=79.0)]) != {}
    assert await store.insert([keyed(created_at=80.0)]) == {}


async def test_clause_29_the_keys_of_those_behind_it_count_as_well(store: Store, owner: int) -> None:
    first = queued()
    behind = keyed("k", task="app:other", after=first.id, chain=first.id)
    await store.insert([first, behind])
    await fail(store, owner, first)
    other = keyed("k", task="app:other")
    await store.insert([other])
    with pytest.raises(KeyTaken) as caught:
        await store.retry(first.id, now=11.0)
    assert caught.value.holder == other.id
    assert await states(store, [first, behind]) == [JobState.FAILED, JobState.CANCELLED]
    await store.cancel(other.id, reason="asked", now=12.0)
    await store.retry(first.id, now=13.0)
    assert await store.insert([new := keyed("k", task="app:other")]) == {new.id: behind.id}


async def test_clause_29_behind_an_ephemeral_one_that_is_gone(store: Store, owner: int) -> None:
    """It is one of those that the ephemeral one had cancelled, and does not stand in its own way."""
    first = staged(owner, "app:other", arguments=None)
    behind = keyed(owner=owner, after=first)
    await store.insert([first, behind])
    await store.settle([ended(claim_of(first), Event.FAIL)])
    await store.retry(behind.id, now=11.0)
    assert await store.insert([new := keyed()]) == {new.id: behind.id}


async def test_clause_29_the_key_of_what_is_not_revived_stands_in_no_way(store: Store, owner: int) -> None:
    """It was erased when it was cancelled, and fails instead."""
    first = queued()
    behind = keyed("k", task="app:other", after=first.id, chain=first.id, policy=FORGETFUL)
    await store.insert([first, behind])
    await fail(store, owner, first)
    other = keyed("k", task="app:other")
    await store.insert([other])
    await store.retry(first.id, now=11.0)
    assert await states(store, [first, behind, other]) == [JobState.QUEUED, JobState.FAILED, JobState.QUEUED]
    assert await store.insert([new := keyed("k", task="app:other")]) == {new.id: other.id}


async def test_clause_29_nor_does_that_of_what_comes_behind_what_is_not_revived(store: Store, owner: int) -> None:
    first, erased = queued(), queued("app:other", policy=FORGETFUL)
    erased = erased._replace(after=first.id, chain=first.id)
    behind = keyed("k", task="app:other", after=erased.id, chain=first.id)
    await store.insert([first, erased, behind])
    await fail(store, owner, first)
    other = keyed("k", task="app:other")
    await store.insert([other])
    await store.retry(first.id, now=11.0)
    assert await states(store, [first, erased, behind]) == [JobState.QUEUED, JobState.FAILED, JobState.CANCELLED]
    assert await store.insert([new := keyed("k", task="app:other")]) == {new.id: other.id}


async def test_clause_29_nor_does_that_of_what_comes_before_it(store: Store, owner: int) -> None:
    """What the end of one that is gone had cancelled as well, but which comes before the job that is retried."""
    first = keyed("first", policy=FORGETFUL)
    await store.insert([first])
    before = keyed("k", task="app:other", after=first.id, chain=first.id)
    job = queued("app:other", after=first.id, chain=first.id)
    await store.insert([before])
    await store.insert([job])
    await fail(store, owner, first)
    other = keyed("k", task="app:other")
    await store.insert([other])
    await store.retry(job.id, now=11.0)
    assert await states(store, [before, job]) == [JobState.CANCELLED, JobState.QUEUED]
    assert await store.insert([new := keyed("k", task="app:other")]) == {new.id: other.id}


async def test_clause_29_no_two_of_those_behind_it_get_one_key(store: Store, owner: int) -> None:
    first = queued()
    behind = keyed("k", task="app:other", after=first.id, chain=first.id)
    await store.insert([first, behind])
    await fail(store, owner, first)
    second = keyed("k", task="app:other", after=behind.id, chain=first.id)
    await store.insert([second])
    with pytest.raises(KeyTaken):
        await store.retry(first.id, now=11.0)
    await store.delete(second.id)
    await store.retry(first.id, now=11.0)


async def test_clause_26_sixteen_producers_in_threads_give_one_job(url: str, store: Store) -> None:
    def produce() -> set[UUID]:
        async def insert() -> set[UUID]:
            mine = open_place(url)
            await mine.open()
            jobs = [keyed() for _ in range(5)]
            found = await asyncio.gather(*(mine.insert([job]) for job in jobs))
            await mine.close()
            return {answered.get(job.id, job.id) for job, answered in zip(jobs, found, strict=True)}

        return asyncio.run(insert())

    ids = set().union(*await asyncio.gather(*(asyncio.to_thread(produce) for _ in range(16))))
    assert await store.count(Filter()) == {JobState.QUEUED: 1}
    assert [record.id for record in await store.get(list(ids))] == list(ids)


async def test_clause_26_sixteen_producers_in_processes_give_one_job(url: str, store: Store) -> None:
    processes = [OtherProcess(url) for _ in range(4)]
    try:
        for process in processes:
            process.do("enlist")
        for process in processes:
            process.begin("insert_key", "k", 4)
        ids = {job_id for process in processes for job_id in await asyncio.to_thread(process.result)}
    finally:
        for process in processes:
            process.kill()
    assert len(ids) == 1
    assert await store.count(Filter()) == {JobState.QUEUED: 1}


async def test_clause_3_the_id_of_a_withdrawn_call_leads_nowhere(store: Store, owner: int) -> None:
    holder, again = keyed(), keyed(owner=owner)
    await store.insert([holder])
    assert await store.insert([again]) == {again.id: holder.id}
    await store.withdraw([again])
    assert await store.get([again.id]) == []
    assert (await read(store, holder)).state is JobState.QUEUED


@pytest.mark.parametrize("waits", [True, False])
async def test_clause_3_a_job_that_answers_another_call_is_queued_in_place_of_being_withdrawn(
    store: Store, owner: int, waits: bool
) -> None:
    """The other call was confirmed: it must not be lost because this one was not."""
    first = staged(owner, "app:other") if not waits else queued("app:other")
    job = keyed(owner=owner, after=first)
    mine, again = keyed(owner=owner), keyed()
    await store.insert([first])
    await store.insert([job, mine])
    assert await store.insert([again]) == {again.id: job.id}
    await store.withdraw([first, job, mine] if not waits else [job, mine])
    assert await store.get([mine.id]) == []
    record = await read(store, again.id)
    assert (record.id, record.state, record.waiting) == (job.id, JobState.QUEUED, waits)
    assert len(await claim_all(store, owner)) == (0 if waits else 1)
    assert await store.settle([ended(claim_of(job), Event.SUCCEED)]) == {job.id}


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED])
@pytest.mark.parametrize("way", WAYS)
async def test_clause_3_withdrawn_and_kept_and_inserted_again(
    store: Store, owner: int, way: WhenTaken, state: JobState
) -> None:
    """The call that it answers was confirmed in between, and keeps what it asked for."""
    job = keyed("k", way, owner=owner)
    job = job._replace(chain=job.id)
    behind, beside = staged(owner, "app:other", after=job), staged(owner, "app:other")
    confirmed = keyed("k", way, arguments='["confirmed"]')
    await store.insert([job, behind, beside])
    assert await store.insert([confirmed]) == {confirmed.id: job.id}
    await store.withdraw([job, behind, beside])
    if state is not JobState.QUEUED:
        (claim,) = await claim_all(store, owner)
        if state is JobState.SUCCEEDED:
            await store.settle([ended(claim, Event.SUCCEED)])
    before = await read(store, job)
    answered = await store.insert([job, behind, beside])
    # What stood behind it became queued with it if it was replaced, and else was withdrawn.
    assert answered == {each.id: each.id for each in ((job,) if way == "return" else (job, behind))}
    assert await read(store, job) == before
    assert before.arguments == (job.arguments if way == "return" else confirmed.arguments)
    assert (await read(store, confirmed.id)).id == job.id
    record = await read(store, behind)
    assert (record.after, record.waiting) == (job.id, state is not JobState.SUCCEEDED)
    assert (await read(store, beside)).state is JobState.STAGED
    # And no id leads to itself: with the job, all is gone.
    assert [record.id for record in await store.get([job.id, confirmed.id])] == [job.id]


async def test_clause_2_a_keyed_job_whose_insert_fails_holds_nothing(store: Store, owner: int) -> None:
    known = staged(owner)
    await store.insert([known])
    results = await asyncio.gather(
        store.insert([keyed("k"), known]), store.insert([keyed("l")]), return_exceptions=True
    )
    assert isinstance(results[0], Exception)
    assert results[1] == {}
    assert await store.insert([keyed("k")]) == {}
