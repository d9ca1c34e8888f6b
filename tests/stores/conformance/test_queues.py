"""Clause 53."""

from collections import Counter
from collections.abc import Mapping
from math import inf

import pytest

from postlude.job import Event, JobState, NewJob, Terms
from postlude.limits import Limit
from postlude.stores.contract import Claimed, Store
from tests.stores.making import ended, queued

TASKS = ("app:work", "app:other")


def of(queue: str, *, rank: int = 0, partition: str | None = None, expires_at: float | None = None) -> NewJob:
    terms = Terms(queue=queue, rank=rank, partition=partition, expires_at=expires_at)
    return queued(terms=terms)


async def claim(
    store: Store,
    owner: int,
    queues: Mapping[str, int | None],
    *,
    limit: int = 100,
    limits: Mapping[str, Limit] | None = None,
    idle: bool = False,
) -> Claimed:
    return await store.claim(
        owner=owner, tasks=TASKS, limit=limit, now=10.0, idle=idle, limits=limits or {}, queues=queues
    )


def ids(jobs: list[NewJob]) -> set[object]:
    return {job.id for job in jobs}


@pytest.mark.parametrize("most", [None, 100])
async def test_clause_53_no_other_queue_gives_a_job(store: Store, owner: int, most: int | None) -> None:
    mail, reports = [of("mail") for _ in range(3)], [of("reports") for _ in range(3)]
    await store.insert([*mail, *reports])
    taken = await claim(store, owner, {"mail": most, "empty": None})
    assert {each.job_id for each in taken.claims} == ids(mail)
    assert not taken.held_back
    assert await store.waiting_tasks(["mail"]) == {"app:work": inf}
    assert await store.waiting_tasks(["mail", "reports"]) == {"app:work": 1.0}
    assert await store.waiting_tasks() == {"app:work": 1.0}


async def test_clause_53_never_more_of_a_queue_than_it_says(store: Store, owner: int) -> None:
    mail, reports = [of("mail") for _ in range(5)], [of("reports") for _ in range(5)]
    await store.insert([*mail, *reports])
    queues = {"mail": 2, "reports": None}
    first = await claim(store, owner, queues)
    queue_of = {job.id: job.terms.queue for job in (*mail, *reports)}
    assert Counter(queue_of[each.job_id] for each in first.claims) == {"mail": 2, "reports": 5}
    assert first.held_back
    again = await claim(store, owner, queues)
    assert again.claims == []
    assert again.held_back
    (one, *_) = [each for each in first.claims if queue_of[each.job_id] == "mail"]
    await store.settle([ended(one, Event.SUCCEED)])
    (next_one,) = (await claim(store, owner, queues)).claims
    assert next_one.job_id == mail[2].id


async def test_clause_53_it_counts_what_belongs_to_the_same_worker_alone(store: Store, owner: int) -> None:
    await store.insert([of("mail") for _ in range(4)])
    other = await store.enlist()
    assert len((await claim(store, owner, {"mail": 2})).claims) == 2
    assert len((await claim(store, other, {"mail": 1})).claims) == 1
    assert len((await claim(store, other, {})).claims) == 1
    await store.dismiss(other)


async def test_clause_53_priorities_hold_between_the_queues(store: Store, owner: int) -> None:
    late, urgent, plain = of("reports", rank=5), of("reports", rank=-5), of("mail")
    await store.insert([late, plain, urgent])
    taken = await claim(store, owner, {"mail": 5, "reports": 5}, limit=2)
    assert [each.job_id for each in taken.claims] == [urgent.id, plain.id]


async def test_clause_53_over_several_lanes_of_one_queue(store: Store, owner: int) -> None:
    jobs = [of("mail", rank=rank) for rank in (0, 1, 0, 1)]
    other = [job._replace(task="app:other") for job in (of("mail"), of("mail"))]
    await store.insert([*jobs, *other])
    taken = await claim(store, owner, {"mail": 3})
    assert {each.job_id for each in taken.claims} == {jobs[0].id, jobs[2].id, other[0].id}


async def test_clause_53_together_with_limits(store: Store, owner: int) -> None:
    jobs = [of("mail", partition=name) for name in ("a", "a", "b", "c")]
    await store.insert(jobs)
    limits = {"app:work": Limit(max_running=1)}
    taken = await claim(store, owner, {"mail": 2}, limits=limits)
    assert {each.job_id for each in taken.claims} == {jobs[0].id, jobs[2].id}
    for each in taken.claims:
        await store.settle([ended(each, Event.SUCCEED)])
    taken = await claim(store, owner, {"mail": 2}, limits=limits)
    assert {each.job_id for each in taken.claims} == {jobs[1].id, jobs[3].id}


async def test_clause_53_one_that_has_expired_takes_no_room(store: Store, owner: int) -> None:
    stale, fresh = of("mail", expires_at=5.0), of("mail")
    await store.insert([stale, fresh])
    taken = await claim(store, owner, {"mail": 1})
    assert [each.job_id for each in taken.claims] == [fresh.id]
    (record,) = await store.get([stale.id])
    assert record.state is JobState.CANCELLED


@pytest.mark.parametrize(("queues", "claimed"), [({"reports": None}, 0), ({"mail": None}, 1), ({"mail": 1}, 1)])
async def test_clause_53_a_job_that_must_run_alone(
    store: Store, owner: int, queues: Mapping[str, int | None], claimed: int
) -> None:
    await store.insert([of("mail")])
    (first,) = (await claim(store, owner, {})).claims
    await store.settle([ended(first, Event.RESCUE, interruptions=2, alone=True)])
    assert (await claim(store, owner, queues)).alone_waits == bool(claimed)
    assert len((await claim(store, owner, queues, idle=True)).claims) == claimed
