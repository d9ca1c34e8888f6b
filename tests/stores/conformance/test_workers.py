"""Clauses 17 to 20."""

from uuid import UUID

from postlude.job import Event, JobState
from postlude.stores.contract import Store
from tests.stores.making import claim_of, ended, queued, read, staged
from tests.stores.other_process import OtherProcess
from tests.stores.places import open_place


async def test_clause_17_a_worker_lives_as_long_as_its_process(url: str, store: Store) -> None:
    with OtherProcess(url) as other:
        other.do("enlist")
        (job_id,) = other.do("stage", 1)
        assert await store.orphans(limit=9) == []
        other.kill()
        assert [str(claim.job_id) for claim in await store.orphans(limit=9)] == [job_id]


async def test_clause_17_closing_a_store_does_not_end_its_workers(url: str, store: Store) -> None:
    """A thread that cannot be stopped goes on with its attempt until the process ends."""
    second = open_place(url)
    await second.open()
    job = staged(await second.enlist())
    await second.insert([job])
    await second.close()
    with OtherProcess(url) as other:
        assert other.do("orphans") == []
    assert await store.orphans(limit=9) == []


async def test_clause_17_one_that_lives_is_known_to(store: Store, owner: int) -> None:
    assert owner
    assert 0 <= store.silence() < 10
    assert store.sure_of(owner)


async def test_clause_17_two_workers_of_one_process_are_two(store: Store) -> None:
    first, second = await store.enlist(), await store.enlist()
    assert first != second
    jobs = [staged(first), staged(second)]
    await store.insert(jobs)
    assert await store.orphans(limit=9) == []
    await store.dismiss(first)
    # It still owned a job when it left.
    assert [claim.job_id for claim in await store.orphans(limit=9)] == [jobs[0].id]


async def test_clause_18_orphans_are_the_claims_of_the_dead_only(url: str, store: Store, owner: int) -> None:
    mine = staged(owner)
    await store.insert([mine, *(queued() for _ in range(3))])
    with OtherProcess(url) as living, OtherProcess(url) as dead:
        living.do("enlist")
        living.do("claim", 1)
        dead_owner = dead.do("enlist")
        taken = set(dead.do("claim", 2)) | set(dead.do("stage", 2))
        dead.kill()
        orphans = await store.orphans(limit=9)
        assert {str(claim.job_id) for claim in orphans} == taken
        assert {claim.owner for claim in orphans} == {dead_owner}
        assert sorted(claim.state for claim in orphans) == [JobState.RUNNING] * 2 + [JobState.STAGED] * 2
        assert len(await store.orphans(limit=3)) == 3
        assert living.do("orphans") == [str(claim.job_id) for claim in orphans]

        # They carry the claim under which they can be settled, once.
        settlements = [ended(claim, Event.RESCUE) for claim in orphans]
        assert await store.settle(settlements) == frozenset()
        assert await store.settle(settlements) == {claim.job_id for claim in orphans}
        assert await store.orphans(limit=9) == []


async def test_clause_18_also_of_an_owner_whose_row_is_gone(store: Store) -> None:
    """Its row can be missing: the worker was dismissed with a job on its hands that arrived late."""
    owner = await store.enlist()
    await store.dismiss(owner)
    job = staged(owner)
    await store.insert([job])
    (orphan,) = await store.orphans(limit=9)
    assert (orphan.job_id, orphan.owner, orphan.stopping) == (job.id, owner, False)


async def test_clause_19_a_row_goes_when_it_owns_nothing(url: str, store: Store, owner: int) -> None:
    with OtherProcess(url) as other:
        other.do("enlist")
        (job_id,) = other.do("stage", 1)
        assert await store.bury() == 0
        other.kill()
    assert await store.bury() == 0
    (orphan,) = await store.orphans(limit=9)
    await store.settle([ended(orphan, Event.RESCUE)])
    assert await store.bury() == 1
    assert await store.bury() == 0
    assert (await read(store, UUID(job_id))).state is JobState.QUEUED


async def test_clause_19_dismissed_with_a_job_on_its_hands(store: Store, owner: int) -> None:
    job = staged(owner)
    await store.insert([job])
    await store.announce_stop(owner)
    await store.dismiss(owner)
    (orphan,) = await store.orphans(limit=9)
    # The row is still there, since what it announced has to be read.
    assert orphan.stopping
    await store.settle([ended(claim_of(job), Event.SUCCEED)])
    assert await store.bury() == 1


async def test_clause_19_dismissing_twice_is_fine(store: Store, owner: int) -> None:
    await store.dismiss(owner)
    await store.dismiss(owner)
    assert await store.bury() == 0


async def test_clause_20_what_was_announced_is_read_with_the_orphans(url: str, store: Store) -> None:
    with OtherProcess(url) as announced, OtherProcess(url) as silent:
        expected = {}
        for other in (announced, silent):
            other.do("enlist")
            (job_id,) = other.do("stage", 1)
            expected[job_id] = other is announced
        announced.do("announce_stop")
        announced.kill()
        silent.kill()
        assert {str(claim.job_id): claim.stopping for claim in await store.orphans(limit=9)} == expected
