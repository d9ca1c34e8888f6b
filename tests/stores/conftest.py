"""An open store, a worker of it, and a connection beside all stores."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
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


@pytest.fixture
async def admin(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database of the tests, beside those of any store."""
    connection = await asyncpg.connect(postgres)
    yield connection
    await connection.close()
