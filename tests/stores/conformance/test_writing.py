"""Clauses 1 to 4."""

import asyncio

import pytest

from postlude.errors import StoreClosed, StoreError
from postlude.job import Event, JobState
from postlude.stores.contract import Filter, Store
from tests.stores.making import chain_of, claim_of, ended, queued, read, staged
from tests.stores.other_process import OtherProcess
from tests.stores.places import open_place


async def test_clause_1_what_was_inserted_is_there_as_it_was(store: Store, owner: int) -> None:
    job = staged(owner, policy='{"interrupted":"hold"}', origin='{"route":"/"}', run_at=2.5, created_at=1.25)
    await store.insert([job])
    record = await read(store, job)
    assert (record.id, record.task, record.arguments) == (job.id, job.task, job.arguments)
    assert (record.state, record.created_at, record.run_at) == (JobState.STAGED, 1.25, 2.5)
    assert (record.policy, record.origin) == (job.policy, job.origin)
    assert (record.attempt, record.interruptions, record.waiting, record.ephemeral) == (0, 0, False, False)


async def test_clause_1_what_was_inserted_outlives_the_process(url: str, store: Store) -> None:
    with OtherProcess(url) as other:
        other.do("enlist")
        (job_id,) = other.do("stage", 1)
        other.kill()
    counts = await store.count(Filter())
    assert counts == {JobState.STAGED: 1}
    assert [str(record.id) for record in await store.list(Filter(), limit=9, before=None)] == [job_id]


async def test_clause_1_a_job_without_arguments_is_ephemeral(store: Store, owner: int) -> None:
    job = staged(owner, arguments=None)
    await store.insert([job])
    assert (await read(store, job)).ephemeral


async def test_clause_2_an_insert_is_whole(store: Store) -> None:
    there, new = queued(), queued()
    await store.insert([there])
    with pytest.raises(StoreError, match="in the store already"):
        await store.insert([new, there])
    assert await store.get([new.id]) == []


async def test_clause_2_a_write_that_fails_does_not_fail_the_others(store: Store, owner: int) -> None:
    there, waits = queued(), queued()
    await store.insert([there, waits])
    others = [queued() for _ in range(10)]
    results = await asyncio.gather(
        *(store.insert([job]) for job in others[:5]),
        store.insert([there]),
        store.cancel(there.id, reason="enough", now=5.0),
        store.retry(waits.id, now=5.0),
        *(store.insert([job]) for job in others[5:]),
        return_exceptions=True,
    )
    errors = [type(result).__name__ for result in results if isinstance(result, BaseException)]
    assert errors == ["StoreError", "IllegalTransition"]
    assert len(await store.get([job.id for job in others])) == len(others)
    assert (await read(store, there)).state is JobState.CANCELLED


async def test_clause_2_nothing_to_do_is_fine(store: Store) -> None:
    await store.insert([])
    await store.withdraw([])
    assert await store.settle([]) == frozenset()
    assert await store.start([], now=1.0) == frozenset()
    assert await store.report({}) == frozenset()
    assert await store.get([]) == []


async def test_clause_3_withdraw_removes_what_is_staged_under_its_owner(store: Store, owner: int) -> None:
    staged_jobs = chain_of(owner, 3)
    foreign = staged(await store.enlist())
    waiting = queued()
    await store.insert([*staged_jobs, foreign, waiting])
    never_arrived = staged(owner)
    await store.withdraw([*staged_jobs, never_arrived, foreign._replace(owner=owner), waiting])
    assert await store.count(Filter()) == {JobState.STAGED: 1, JobState.QUEUED: 1}
    await store.withdraw(staged_jobs)


async def test_clause_3_withdraw_leaves_what_has_started(store: Store, owner: int) -> None:
    job = staged(owner)
    await store.insert([job])
    await store.start([claim_of(job)], now=2.0)
    await store.withdraw([job])
    assert (await read(store, job)).state is JobState.RUNNING


async def test_clause_3_what_was_queued_meanwhile_is_inserted_again(store: Store, owner: int) -> None:
    """The job before it was queued for a retry, and those behind it with it."""
    chain = chain_of(owner, 3)
    await store.insert(chain[:1])
    await store.insert(chain[1:])
    await store.settle([ended(claim_of(chain[0]), Event.POSTPONE)])
    await store.withdraw(chain[1:])
    before = [await read(store, job) for job in chain[1:]]
    beside = staged(owner)
    assert await store.insert([*chain[1:], beside]) == {job.id: job.id for job in chain[1:]}
    assert [await read(store, job) for job in chain[1:]] == before
    assert (await read(store, beside)).state is JobState.STAGED


async def test_clause_4_opening_again_changes_nothing(url: str, store: Store) -> None:
    job = queued()
    await store.insert([job])
    second = open_place(url)
    await second.open()
    assert (await read(second, job)).state is JobState.QUEUED
    await second.close()
    assert (await read(store, job)).state is JobState.QUEUED


async def test_a_store_that_is_not_open_says_so(url: str, store: Store) -> None:
    with pytest.raises(StoreClosed, match="is not open: call open"):
        await open_place(url).get([])
    await store.close()
    await store.close()
    with pytest.raises(StoreClosed):
        await store.insert([queued()])


async def test_close_finishes_what_is_under_way(url: str, store: Store) -> None:
    jobs = [queued() for _ in range(20)]
    inserts = [asyncio.ensure_future(store.insert([job])) for job in jobs]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*inserts)
    again = open_place(url)
    await again.open()
    assert len(await again.get([job.id for job in jobs])) == len(jobs)
    await again.close()


def test_several_event_loops_use_one_store(url: str) -> None:
    """As TestClient does, which runs each request in a loop of its own."""
    store = open_place(url)
    asyncio.run(store.open()).warnings  # noqa: B018 - it was opened in a loop that is gone
    jobs = [queued() for _ in range(3)]
    for job in jobs:
        asyncio.run(store.insert([job]))
    assert len(asyncio.run(store.get([job.id for job in jobs]))) == 3
    asyncio.run(store.close())
