"""Clause 21."""

from typing import NamedTuple

import pytest

from postlude.ids import new_job_id
from postlude.job import Event, JobState, NewJob
from postlude.stores.contract import Filter, Store
from tests.stores.making import chain_of, claim_all, claim_of, ended, queued, staged
from tests.stores.places import open_place

S = JobState


class Shelf(NamedTuple):
    """Some jobs of every state, in the order in which they were committed."""

    jobs: list[NewJob]
    states: dict[NewJob, JobState]


@pytest.fixture
async def shelf(store: Store, owner: int) -> Shelf:
    chain = chain_of(owner, 3)
    lone = [staged(owner, "app:other"), staged(owner), staged(owner, "app:other")]
    running, later = queued("app:other"), queued(run_at=99.0)
    for jobs in (chain, lone[:1], lone[1:], [running], [later]):
        await store.insert(jobs)
    await store.claim(owner=owner, tasks=["app:other"], limit=1, now=5.0, idle=False)
    await store.settle([ended(claim_of(chain[0]), Event.FAIL), ended(claim_of(lone[0]), Event.SUCCEED)])
    ends = [S.FAILED, S.CANCELLED, S.CANCELLED, S.SUCCEEDED, S.STAGED, S.STAGED, S.RUNNING, S.QUEUED]
    jobs = [*chain, *lone, running, later]
    return Shelf(jobs, dict(zip(jobs, ends, strict=True)))


@pytest.mark.parametrize(
    "states",
    [
        frozenset(),
        {S.STAGED},
        {S.QUEUED},
        {S.RUNNING},
        {S.SUCCEEDED},
        {S.FAILED, S.CANCELLED},
        {S.STAGED, S.QUEUED, S.SUCCEEDED},
        frozenset(S),
    ],
    ids=lambda states: "+".join(sorted(states)) or "all",
)
@pytest.mark.parametrize("task", [None, "app:work", "app:other", "no:such"])
@pytest.mark.parametrize("by_chain", [False, True])
async def test_clause_21_list_and_count_by_every_filter(
    store: Store, shelf: Shelf, states: frozenset[JobState], task: str | None, by_chain: bool
) -> None:
    chain = shelf.jobs[0].id if by_chain else None
    filter_ = Filter(frozenset(states), task, chain)
    expected = [
        job
        for job in reversed(shelf.jobs)
        if (not states or shelf.states[job] in states) and task in {None, job.task} and chain in {None, job.chain}
    ]
    listed = await store.list(filter_, limit=100, before=None)
    assert [record.id for record in listed] == [job.id for job in expected]
    assert [record.state for record in listed] == [shelf.states[job] for job in expected]

    counts: dict[JobState, int] = {}
    for job in expected:
        counts[shelf.states[job]] = counts.get(shelf.states[job], 0) + 1
    assert await store.count(filter_) == counts


async def test_clause_21_page_by_page(store: Store, shelf: Shelf) -> None:
    found: list[NewJob] = []
    by_id = {job.id: job for job in shelf.jobs}
    before = None
    while page := await store.list(Filter(), limit=3, before=before):
        assert len(page) <= 3
        found += [by_id[record.id] for record in page]
        before = page[-1].id
    assert found == shelf.jobs[::-1]


async def test_clause_21_get_leaves_out_what_is_unknown(store: Store, shelf: Shelf) -> None:
    wanted = [shelf.jobs[2].id, new_job_id(), shelf.jobs[0].id]
    assert {record.id for record in await store.get(wanted)} == {wanted[0], wanted[2]}


async def test_clause_21_another_store_sees_it_at_once(url: str, store: Store, owner: int) -> None:
    second = open_place(url)
    await second.open()
    for number in range(1, 6):
        await store.insert([queued()])
        assert await second.count(Filter()) == {S.QUEUED: number}
    for claim in await claim_all(second, await second.enlist()):
        await second.settle([ended(claim, Event.SUCCEED)])
        (record,) = await store.get([claim.job_id])
        assert record.state is S.SUCCEEDED
    await second.close()


async def test_attempts_of_an_unknown_job(store: Store) -> None:
    assert await store.attempts(new_job_id()) == []
