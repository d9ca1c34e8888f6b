"""The engine of one application: opened once, whoever asks first and however that ends."""

import asyncio
import threading
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from uuid import UUID

import pytest

import postlude.runtime
from postlude.errors import SettingsError, StoreLocationError
from postlude.registry import Registry
from postlude.runtime import Runtime
from postlude.settings import Settings
from postlude.stores import open_store
from postlude.stores.contract import Description, Store
from tests.engine.fakes import FakeClock, turns


def no_calls() -> Collection[UUID]:
    return ()


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    settings = Settings(url=f"sqlite:///{tmp_path / 'jobs.db'}")
    runtime = Runtime(settings, Registry(tmp_path), FakeClock(), no_calls)
    yield runtime
    await runtime.stopped()


class Opening:
    """Counts how often a store is made, and holds up its opening until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, held: bool) -> None:
        self.made = 0
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self._held = held
        monkeypatch.setattr(postlude.runtime, "open_store", self._make)

    def _make(self, url: str) -> Store:
        self.made += 1
        store = open_store(url)
        really = store.open

        async def slowly() -> Description:
            self.reached.set()
            await self.go_on.wait()
            return await really()

        if self._held:
            store.open = slowly  # type: ignore[method-assign]
        return store


async def test_the_store_is_opened_once_for_all_who_ask(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(monkeypatch, held=True)
    asked = [asyncio.ensure_future(runtime.store()) for _ in range(5)]
    await opening.reached.wait()
    opening.go_on.set()
    assert len({id(store) for store in await asyncio.gather(*asked)}) == 1
    assert await runtime.store() is asked[0].result()
    assert opening.made == 1


@pytest.mark.parametrize("who", ["the first", "another"])
async def test_a_request_that_is_cancelled_while_it_waits_for_the_store_fails_no_other(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    opening = Opening(monkeypatch, held=True)
    asked = [asyncio.ensure_future(runtime.store()) for _ in range(3)]
    await opening.reached.wait()
    asked.pop(0 if who == "the first" else 1).cancel()
    await turns()
    opening.go_on.set()
    assert len({id(store) for store in await asyncio.gather(*asked)}) == 1
    assert opening.made == 1


async def test_from_several_threads_at_once(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(monkeypatch, held=False)
    together = threading.Barrier(4, timeout=30)

    def ask() -> Store:
        together.wait()
        return asyncio.run(runtime.store())

    stores = await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(4)))
    assert len({id(store) for store in stores}) == 1
    assert opening.made == 1


async def test_when_it_cannot_be_opened_everybody_learns_why_and_may_try_again(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    runtime = Runtime(Settings(url=f"sqlite:///{folder / 'jobs.db'}"), Registry(tmp_path), FakeClock(), no_calls)
    results = await asyncio.gather(*(runtime.store() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreLocationError] * 3
    assert "POSTLUDE_URL" in str(results[0])
    folder.mkdir()
    await runtime.store()
    await runtime.stopped()


async def test_stopped_before_it_was_started_and_twice(runtime: Runtime) -> None:
    await runtime.stopped()
    await runtime.store()
    await runtime.stopped()
    await runtime.stopped()


def test_a_url_that_names_no_store_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"expected sqlite:///path/to/jobs\.db, got 'redis://cache'"):
        Runtime(Settings(url="redis://cache"), Registry(tmp_path), FakeClock(), no_calls)
