"""Clauses 35 to 37."""

import asyncio
from contextlib import suppress
from math import inf

import pytest

from postlude.job import JobState, NewJob
from postlude.stores.contract import Filter, Store
from postlude.stores.moments import Firing, ScheduleRow
from tests.stores.making import claim_all, keyed, queued, read, states
from tests.stores.other_process import OtherProcess
from tests.stores.places import open_place

NIGHTLY = ScheduleRow("nightly", "app:work", "cron 0 3 * * * in UTC", 100.0)


def step(row: ScheduleRow, next_at: float, *jobs: NewJob) -> Firing:
    return Firing(row.name, row.spec, row.next_at, next_at, row.next_at, jobs)


async def only_row(store: Store) -> ScheduleRow:
    (row,) = await store.schedules()
    return row


async def test_clause_35_rows_that_are_missing_are_added(store: Store) -> None:
    other = ScheduleRow("hourly", "app:other", "every 3600.0 s", inf)
    assert not await store.put_schedules([NIGHTLY, other])
    assert list(await store.schedules()) == [other, NIGHTLY], "by name"


async def test_clause_35_the_same_spec_keeps_its_moment(store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    assert not await store.put_schedules([NIGHTLY._replace(task="app:moved", next_at=500.0)])
    assert await only_row(store) == NIGHTLY._replace(task="app:moved")


async def test_clause_35_another_spec_has_another_moment(store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    other = NIGHTLY._replace(spec="every 60.0 s", next_at=60.0)
    assert not await store.put_schedules([other])
    assert await only_row(store) == other, "an earlier moment too: none of the first ones was decided on"


async def test_clause_35_no_moment_comes_again_with_another_spec(store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    assert await store.fire(step(NIGHTLY, 200.0))
    before = await only_row(store)
    again = NIGHTLY._replace(spec="every 100.0 s", next_at=100.0)
    assert await store.put_schedules([again]) == {"nightly"}
    assert await only_row(store) == before
    assert not await store.put_schedules([again._replace(next_at=101.0)])
    assert await only_row(store) == again._replace(next_at=101.0, last_moment=100.0)


async def test_clause_36_a_step_is_one_commit_with_its_jobs(store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    jobs = [queued(run_at=100.0), queued(run_at=150.0)]
    assert await store.fire(step(NIGHTLY, 200.0, *jobs)._replace(moment=150.0))
    expected = NIGHTLY._replace(next_at=200.0, last_moment=150.0, last_job=jobs[-1].id)
    assert await only_row(store) == expected
    assert await states(store, jobs) == [JobState.QUEUED] * 2
    assert (await read(store, jobs[0])).run_at == 100.0


async def test_clause_36_its_jobs_can_be_claimed(store: Store, owner: int) -> None:
    await store.put_schedules([NIGHTLY])
    job = queued(origin='{"schedule":"nightly"}')
    assert await store.fire(step(NIGHTLY, 200.0, job))
    (claim,) = await claim_all(store, owner)
    assert (claim.job_id, claim.origin) == (job.id, job.origin)


async def test_clause_36_a_step_without_jobs_keeps_the_last_one(store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    job = queued()
    assert await store.fire(step(NIGHTLY, 200.0, job))
    assert await store.fire(step(await only_row(store), 300.0))
    assert await only_row(store) == NIGHTLY._replace(next_at=300.0, last_moment=200.0, last_job=job.id)


async def test_clause_36_the_last_job_is_the_one_that_answers(store: Store) -> None:
    holder = keyed()
    await store.insert([holder])
    await store.put_schedules([NIGHTLY])
    assert await store.fire(step(NIGHTLY, 200.0, queued(), keyed()))
    assert (await only_row(store)).last_job == holder.id
    assert await store.fire(step(await only_row(store), 300.0, keyed(), last := queued()))
    assert (await only_row(store)).last_job == last.id


@pytest.mark.parametrize(
    "other", [{"expected": 99.0}, {"spec": "every 60.0 s"}, {"name": "weekly"}], ids=["moment", "spec", "name"]
)
async def test_clause_36_nothing_happens_when_it_is_not_as_expected(store: Store, other: dict[str, object]) -> None:
    await store.put_schedules([NIGHTLY])
    job = queued()
    assert not await store.fire(step(NIGHTLY, 200.0, job)._replace(**other))  # type: ignore[arg-type] # names of fields
    assert await only_row(store) == NIGHTLY
    assert not await store.get([job.id])


async def test_clause_36_the_row_does_not_move_on_without_its_jobs(store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    job = queued()
    await store.insert([job])
    with suppress(Exception):  # ids are unique: what a store says when they are not is not in the contract
        await store.fire(step(NIGHTLY, 200.0, queued(), job))
    assert await only_row(store) == NIGHTLY


async def test_clause_36_of_many_one_does_it(url: str, store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    second = open_place(url)
    await second.open()
    steps = [step(NIGHTLY, 200.0, queued()) for _ in range(16)]
    fired = await asyncio.gather(*((store, second)[n % 2].fire(one) for n, one in enumerate(steps)))
    await second.close()
    assert fired.count(True) == 1
    (job,) = await store.list(Filter(), limit=100, before=None)
    assert (await only_row(store)).last_job == job.id == steps[fired.index(True)].jobs[0].id


async def test_clause_37_rows_stay_and_all_processes_see_them(url: str, store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    with OtherProcess(url) as other:
        assert other.do("schedules") == ["nightly"]
    await store.close()
    await store.open()
    assert await only_row(store) == NIGHTLY


async def test_clause_37_a_removed_row_is_gone_and_its_jobs_stay(store: Store) -> None:
    other = NIGHTLY._replace(name="hourly")
    await store.put_schedules([NIGHTLY, other])
    job = queued()
    assert await store.fire(step(NIGHTLY, 200.0, job))
    assert await store.remove_schedule("nightly")
    assert await only_row(store) == other
    assert await states(store, [job]) == [JobState.QUEUED]
    assert not await store.remove_schedule("nightly"), "it was not there any more"


async def test_clause_37_a_removed_row_takes_no_step_and_begins_anew(store: Store) -> None:
    await store.put_schedules([NIGHTLY])
    assert await store.fire(step(NIGHTLY, 200.0))
    moved = await only_row(store)
    assert await store.remove_schedule("nightly")
    assert not await store.fire(step(moved, 300.0, queued()))
    assert not await store.put_schedules([NIGHTLY])
    assert await only_row(store) == NIGHTLY, "nothing of the former one is left"
