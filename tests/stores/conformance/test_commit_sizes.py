"""How many operations share a commit is counted by the process that makes it."""

import asyncio

from postlude.stores.contract import Store
from postlude.stores.entries import SIZES
from tests.stores.making import queued


async def test_each_commit_is_counted_once_by_how_many_share_it(store: Store) -> None:
    before = sum(store.commit_sizes.counts)
    await store.insert([queued()])
    alone = list(store.commit_sizes.counts)
    assert sum(alone) == before + 1
    await asyncio.gather(*(store.insert([queued()]) for _ in range(8)))
    after = [new - old for new, old in zip(store.commit_sizes.counts, alone, strict=True)]
    assert 1 <= sum(after) <= 8
    most = sum(count * bound for count, bound in zip(after, SIZES, strict=False))
    assert most >= 8, "each of them is in a bucket that reaches as far"
