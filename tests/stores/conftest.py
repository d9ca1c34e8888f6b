"""An open store, and a worker of it."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from postlude.errors import StoreError
from postlude.stores.contract import Store
from tests.stores.places import open_place


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty place for a store."""
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = open_place(url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def owner(store: Store) -> AsyncIterator[int]:
    owner = await store.enlist()
    yield owner
    with suppress(StoreError):  # a test may have closed the store, or taken its file away
        await store.dismiss(owner)
