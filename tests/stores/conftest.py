"""The stores on which the conformance suite runs."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from postlude.errors import StoreError
from postlude.stores import open_store
from postlude.stores.contract import Store


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for a store of each kind."""
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = open_store(url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def owner(store: Store) -> AsyncIterator[int]:
    owner = await store.enlist()
    yield owner
    with suppress(StoreError):  # a test may have closed the store, or taken its file away
        await store.dismiss(owner)
