"""A claim or an insert that was committed, and whose answer was lost: its job must not stay where nobody knows it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from postlude.errors import StoreUnavailable
from postlude.job import Interrupted, JobState
from postlude.running.execution import decide
from postlude.stores.contract import Filter
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location
from tests.stores.making import claim_all, keyed, queued, read, staged
from tests.stores.places import HASTY, new_namespace


@pytest.fixture
async def store(postgres: str) -> AsyncIterator[PostgresStore]:
    dsn, _, namespace = new_namespace(postgres).partition("#")
    store = PostgresStore(Location(dsn, namespace=namespace), patience=HASTY)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def owner(store: PostgresStore) -> AsyncIterator[int]:
    owner = await store.enlist()
    yield owner
    await store.dismiss(owner)


async def test_it_is_an_orphan_that_never_began(
    store: PostgresStore, owner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.insert([queued(policy='{"interrupted":"hold"}')])
    assert await store.orphans(limit=9) == []
    with monkeypatch.context() as patched:
        really: Callable[..., Awaitable[Any]] = store._do

        async def unheard(*operation: Any, **options: Any) -> Any:
            await really(*operation, **options)
            message = "the connection was cut"
            raise StoreUnavailable(message)

        patched.setattr(store, "_do", unheard)
        with pytest.raises(StoreUnavailable):
            await claim_all(store, owner)
    (orphan,) = await store.orphans(limit=9)
    assert await store.settle([decide(Interrupted("its process died"), orphan, 9.0)]) == frozenset()
    record = await read(store, orphan)
    assert (record.state, record.attempt, record.interruptions) == (JobState.QUEUED, 0, 0)
    assert await store.orphans(limit=9) == []
    (claim,) = await claim_all(store, owner)
    assert claim.attempt == 1
    # One whose answer came is nobody else's.
    assert await store.orphans(limit=9) == []


async def test_what_was_refused_does_not_come_back_after_its_withdrawal(
    store: PostgresStore, owner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [staged(owner), keyed("k")._replace(state=JobState.STAGED, owner=owner, claim=1)]

    def stuck(_: object) -> None:
        message = "there was no answer"
        raise StoreUnavailable(message)

    async def refused() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(store._now().inserting, "_apply", stuck)
            with pytest.raises(StoreUnavailable):
                await store.insert(jobs)

    await refused()
    await store.withdraw(jobs)
    other = PostgresStore(store._location, patience=HASTY)
    await other.open()
    await other.insert(jobs)  # the same write, which arrives now
    await other.close()
    assert await store.orphans(limit=9) == []
    assert await store.count(Filter()) == {}
    # The key is free again; and what is inserted anew, with an answer, is refused no more.
    await refused()
    assert await store.insert(jobs) == {}
    assert await store.orphans(limit=9) == []
    assert await store.count(Filter()) == {JobState.STAGED: 2}
    await store.withdraw(jobs)
