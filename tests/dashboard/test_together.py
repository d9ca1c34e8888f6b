"""That pages which ask at the same moment are answered by one reading, and none by one from before."""

import asyncio

import pytest

from postlude.dashboard.together import Together


class View:
    """Reads when it is let."""

    def __init__(self) -> None:
        self.times = 0
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()

    async def read(self, what: str) -> tuple[str, int]:
        self.times += 1
        number = self.times
        self.begun.set()
        await self.let_go.wait()
        if what == "wrong":
            raise ConnectionError(what)
        return what, number


async def test_who_comes_while_it_is_read_shares_the_reading_after_that() -> None:
    view, together = View(), Together()
    first = asyncio.create_task(together.read(view.read, "overview"))
    await view.begun.wait()
    others = [asyncio.create_task(together.read(view.read, "overview")) for _ in range(20)]
    view.let_go.set()
    assert await asyncio.gather(first, *others) == [("overview", 1), *[("overview", 2)] * 20]
    assert await together.read(view.read, "overview") == ("overview", 3), "it is another moment"


async def test_who_leaves_takes_nothing_away_and_what_is_wrong_is_told_to_all() -> None:
    view, together = View(), Together()
    readers = [
        asyncio.create_task(together.read(view.read, what)) for what in ("overview", "overview", "wrong", "wrong")
    ]
    await view.begun.wait()
    readers[0].cancel()
    view.let_go.set()
    assert await readers[1] == ("overview", 1)
    for reader in readers[2:]:
        with pytest.raises(ConnectionError):
            await reader
    assert view.times == 2
