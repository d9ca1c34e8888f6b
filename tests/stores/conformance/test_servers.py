"""Clause 22."""

from postlude.stores.contract import Store
from tests.stores.other_process import OtherProcess
from tests.stores.places import open_place


async def test_clause_22_one_process_of_a_server_speaks(url: str, store: Store) -> None:
    assert await store.speaks_for("server")
    assert await store.speaks_for("server"), "it goes on to be the one"
    with OtherProcess(url) as other:
        assert not other.do("speaks_for", "server")
        assert other.do("speaks_for", "another server")
        assert not await store.speaks_for("another server")


async def test_clause_22_until_it_ends_however_it_does(url: str, store: Store) -> None:
    with OtherProcess(url) as other:
        assert other.do("speaks_for", "server")
        assert not await store.speaks_for("server")
        other.kill()
    assert await store.speaks_for("server")


async def test_clause_22_or_closes_its_store(url: str, store: Store) -> None:
    with OtherProcess(url) as other:
        assert await store.speaks_for("server")
        second = open_place(url)
        await second.open()
        assert await second.speaks_for("server"), "it is the process that speaks"
        await second.close()
        assert not other.do("speaks_for", "server"), "the first one is still open"
        await store.close()
        assert other.do("speaks_for", "server")


async def test_clause_22_it_is_no_proof_of_life(url: str, store: Store) -> None:
    with OtherProcess(url) as other:
        other.do("enlist")
        (job_id,) = other.do("stage", 1)
        assert await store.speaks_for("server")
        other.kill()
        assert [str(claim.job_id) for claim in await store.orphans(limit=9)] == [job_id]
