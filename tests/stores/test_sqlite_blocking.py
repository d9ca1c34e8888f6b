"""Nothing of the store runs on the event loop that could wait for the disk."""

import pytest

from postlude.job import Event
from postlude.stores import open_store
from postlude.stores.contract import Filter, Store
from tests.stores.making import claim_all, claim_of, ended, queued, staged


@pytest.mark.usefixtures("no_blocking")
async def test_no_operation_blocks_the_loop(url: str) -> None:
    store: Store = open_store(url)
    await store.open()
    owner = await store.enlist()
    job = staged(owner)
    await store.insert([job, queued()])
    for claim in [claim_of(job), *await claim_all(store, owner)]:
        await store.settle([ended(claim, Event.FAIL)])
    await store.retry(job.id, now=1.0)
    await store.orphans(limit=1)
    await store.bury()
    await store.list(Filter(), limit=1, before=None)
    await store.announce_stop(owner)
    await store.dismiss(owner)
    await store.close()
