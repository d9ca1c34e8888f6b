"""Clause 41."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from postlude.stores.contract import Store
from postlude.stores.notifying import Change
from tests.stores.places import open_place


class Heard:
    """What a listener heard, in whatever thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self.last: Change | None = None

    def __call__(self, change: Change) -> None:
        self._loop.call_soon_threadsafe(self._changes.put_nowait, change)

    async def hears(self, change: Change, teller: Store) -> None:
        """Return when it has heard that. It is told again and again: a hint may be lost."""
        while self.last != change:
            teller.notify(change)
            with suppress(TimeoutError):
                self.last = await asyncio.wait_for(self._changes.get(), 0.1)

    @property
    def nothing(self) -> bool:
        return self._changes.empty()


@pytest.fixture
async def another(url: str, store: Store) -> AsyncIterator[Callable[[], Store]]:
    """Opens further stores at the same place."""
    opened: list[Store] = []

    async def open_one() -> Store:
        one = open_place(url)
        await one.open()
        opened.append(one)
        return one

    first, second = await open_one(), await open_one()
    yield iter((first, second)).__next__
    for one in opened:
        await one.close()


async def test_clause_41_what_one_tells_all_others_hear(store: Store, another: Callable[[], Store]) -> None:
    changes: tuple[Change, ...] = ("queued", "paused", "cancelled")
    everybody = store, another(), another()
    heard = [Heard() for _ in everybody]
    for one, listener in zip(everybody, heard, strict=True):
        one.listen(listener)
    for change in changes:
        for listener in heard[1:]:
            await listener.hears(change, store)
    # By now it would have come round to the one that told it.
    assert heard[0].nothing


async def test_clause_41_one_that_was_closed_hears_nothing_more(store: Store, another: Callable[[], Store]) -> None:
    closed, still = another(), another()
    nothing, something = Heard(), Heard()
    closed.listen(nothing)
    still.listen(something)
    await closed.close()
    await something.hears("queued", store)
    assert nothing.nothing


async def test_clause_41_what_is_told_before_the_end_is_heard(store: Store, another: Callable[[], Store]) -> None:
    teller, heard = another(), Heard()
    store.listen(heard)
    await heard.hears("paused", teller)
    teller.notify("queued")
    await teller.close()
    await heard.hears("queued", teller)  # which tells nothing any more


async def test_clause_41_to_tell_nobody_or_after_the_end_does_nothing(store: Store) -> None:
    store.notify("queued")
    await store.close()
    store.notify("queued")
