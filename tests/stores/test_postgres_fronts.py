"""Where claims begin in the lanes of a PostgreSQL store, and how soon what comes before that is found."""

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest

from postlude.job import JobState, Terms
from postlude.pauses import Pause
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.fronts import LONGEST, SHARE, Allowance, Fronts
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.presence import Patience
from tests.stores.making import ask, queued, staged
from tests.stores.places import HASTY, new_namespace, server


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_quick_costs_nothing_of_the_allowance() -> None:
    allowance = Allowance(Hand())
    for _ in range(10_000):
        allowance.spend(0.001)
    assert allowance.is_left()


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0])
def test_what_is_slow_gets_its_share_of_the_time_and_no_more(seconds: float) -> None:
    clock = Hand()
    allowance = Allowance(clock)
    used = 0.0
    while clock.now < 10_000:
        if allowance.is_left():
            allowance.spend(seconds)
            used += seconds
        clock.now += 0.01
    assert used / clock.now == pytest.approx(SHARE, rel=0.05)


def test_what_is_very_slow_is_done_again_after_the_longest_time() -> None:
    clock = Hand()
    allowance = Allowance(clock)
    allowance.spend(1e9)
    clock.now = 0.99 * LONGEST
    assert not allowance.is_left()
    clock.now = 1.01 * LONGEST
    assert allowance.is_left()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with server() as dsn:
        yield dsn


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
async def store(postgres: str, clock: Hand) -> AsyncIterator[PostgresStore]:
    """A store that has no time for looks from the beginning before its clock is moved."""
    dsn, _, namespace = new_namespace(postgres).partition("#")
    fronts = Fronts(clock)
    fronts.allowance.spend(1e9)
    store = PostgresStore(Location(dsn, namespace=namespace), patience=HASTY, fronts=fronts)
    await store.open()
    yield store
    await store.close()


async def claimed(store: PostgresStore, owner: int, *, now: float, limit: int = 100) -> list[UUID]:
    claims = (await ask(store, owner, tasks=["app:work", "app:other"], now=now, limit=limit)).claims
    records = {record.id: record for record in await store.get([claim.job_id for claim in claims])}
    assert all(record.state is JobState.RUNNING for record in records.values())
    return [claim.job_id for claim in claims]


async def test_a_look_from_the_fronts_finds_what_comes_behind_them(store: PostgresStore) -> None:
    owner = await store.enlist()
    jobs = [queued(run_at=100.0 + number // 3) for number in range(10)]
    await store.insert(jobs)
    for begin in range(0, 10, 4):
        assert await claimed(store, owner, now=200.0, limit=4) == [job.id for job in jobs[begin : begin + 4]]
    later = queued(run_at=201.0)
    await store.insert([later])
    assert await store.waiting_tasks() == {"app:work": 201.0}
    assert await claimed(store, owner, now=200.0) == []
    assert await claimed(store, owner, now=202.0) == [later.id]
    await store.dismiss(owner)


async def test_a_look_from_the_fronts_finds_lanes_that_nobody_knew(store: PostgresStore) -> None:
    owner = await store.enlist()
    await store.insert([queued(run_at=100.0)])
    assert len(await claimed(store, owner, now=200.0)) == 1
    urgent, elsewhere = queued(run_at=1.0, terms=Terms(rank=-5)), queued(run_at=2.0, terms=Terms(queue="a"))
    other = queued("app:other", run_at=3.0)
    await store.insert([other, elsewhere, urgent])
    assert await claimed(store, owner, now=200.0) == [urgent.id, elsewhere.id, other.id]
    await store.dismiss(owner)


async def test_a_commit_that_comes_late_is_found_at_once(store: PostgresStore) -> None:
    owner = await store.enlist()
    await store.insert([queued(run_at=200.0)])
    assert len(await claimed(store, owner, now=200.0)) == 1
    late = queued(run_at=199.8)
    await store.insert([late])
    assert await claimed(store, owner, now=200.1) == [late.id]
    await store.dismiss(owner)


async def test_what_comes_before_the_front_waits_no_longer_than_it_may(store: PostgresStore, clock: Hand) -> None:
    owner = await store.enlist()
    await store.insert([queued(run_at=200.0)])
    assert len(await claimed(store, owner, now=300.0)) == 1
    early = queued(run_at=100.0)
    await store.insert([early])
    assert await claimed(store, owner, now=300.0) == []
    clock.now += 1.01 * LONGEST
    assert await claimed(store, owner, now=300.0) == [early.id]
    await store.dismiss(owner)


async def test_no_front_jumps_over_what_was_paused_between_a_look_and_its_claim(store: PostgresStore) -> None:
    owner = await store.enlist()
    job, pause = queued(run_at=100.0), Pause("task", "app:work")
    await store.insert([job])
    other = PostgresStore(store._location, patience=HASTY)
    await other.open()
    assert await store.waiting_tasks() == {"app:work": 100.0}
    await other.pause(pause)
    assert await claimed(store, owner, now=200.0) == []
    await other.resume(pause)
    await other.close()
    assert await claimed(store, owner, now=200.0) == [job.id]
    await store.dismiss(owner)


async def test_claims_of_who_has_no_row_are_rescued_though_thorough_looks_come_singly(
    store: PostgresStore, clock: Hand
) -> None:
    """While a transaction is open for long each of them takes long."""
    place = store._location
    rescuer = PostgresStore(place, patience=Patience(second_look=1e-6, calm=0.0))
    await rescuer.open()
    rescuer._thorough = Allowance(clock)
    gone, alive = await store.enlist(), await store.enlist()
    await store.dismiss(gone)
    job = staged(gone)
    await store.insert([job])
    assert await rescuer.orphans(limit=9) == []
    rescuer._thorough.spend(1e9)
    assert await rescuer.orphans(limit=9) == [], "it sees none but the living one"
    clock.now += 2 * LONGEST
    assert [orphan.job_id for orphan in await rescuer.orphans(limit=9)] == [job.id]
    await rescuer.close()
    await store.dismiss(alive)
