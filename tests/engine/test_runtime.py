"""The engine of one application: opened once, whoever asks first and however that ends."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

import postlude.runtime
from postlude.calls import Call, CallOptions, Chain
from postlude.errors import SettingsError, StoreClosed, StoreLocationError, StoreUnavailable
from postlude.registry import Registry
from postlude.runtime import Runtime
from postlude.settings import Settings
from postlude.stores import open_store
from postlude.stores.contract import Description, Store
from postlude.withdrawals import Withdrawals
from tests.engine.fakes import FakeClock, FaultyStore, turns


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


# A commit that fails


def work() -> None:
    pass


async def prepared(tmp_path: Path) -> tuple[Runtime, FaultyStore, Callable[[], Call]]:
    settings = Settings(url=f"sqlite:///{tmp_path / 'jobs.db'}")
    runtime = Runtime(settings, Registry(Path(__file__).parents[2]), FakeClock(), no_calls)
    await runtime.store()
    process = runtime._process
    assert process is not None
    faulty = FaultyStore(process.store)
    process.store = cast("Store", faulty)
    process.withdrawals = Withdrawals(process.store)
    return runtime, faulty, lambda: runtime.prepare(work, (), {}, CallOptions())


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreClosed("closed"), RuntimeError("a mistake")])
async def test_after_a_late_commit_that_failed_the_next_call_comes_after_what_is_committed(
    tmp_path: Path, error: Exception
) -> None:
    runtime, faulty, new = await prepared(tmp_path)
    chain, calls = Chain(), [new() for _ in range(5)]
    await runtime.commit(chain, calls[:2])
    before = chain.first, chain.last
    faulty.fail("insert", error)
    with pytest.raises(type(error)):
        await runtime.commit(chain, calls[2:4])
    assert (chain.first, chain.last) == before == (calls[0].id, calls[1].id)
    assert [call.claim is None for call in calls] == [False, False, True, True, True]
    await runtime.commit(chain, calls[4:])
    last = calls[4].claim
    assert last is not None
    assert (last.chain, last.after) == before
    await runtime.close()


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a mistake")])
async def test_a_first_commit_that_failed_leaves_no_chain_behind(tmp_path: Path, error: Exception) -> None:
    runtime, faulty, new = await prepared(tmp_path)
    chain, calls = Chain(), [new(), new()]
    faulty.fail("insert", error)
    with pytest.raises(type(error)):
        await runtime.commit(chain, calls)
    assert (chain.first, chain.last, chain.unconfirmed) == (None, None, ())
    assert [call.claim for call in calls] == [None, None]
    await runtime.close()


async def test_nothing_to_store_is_committed_without_a_store(tmp_path: Path) -> None:
    settings = Settings(url=f"sqlite:///{tmp_path / 'missing' / 'jobs.db'}")
    runtime = Runtime(settings, Registry(tmp_path), FakeClock(), no_calls)
    await runtime.commit(Chain(), [])
    await runtime.commit(Chain(), [runtime.prepare(lambda: None, (), {}, CallOptions())])


async def test_withdrawals_go_on_until_the_store_answers_and_not_after_the_end(tmp_path: Path) -> None:
    runtime, faulty, new = await prepared(tmp_path)
    process = runtime._process
    assert process is not None
    faulty.fail("insert", StoreUnavailable("away"))
    faulty.fail("withdraw", StoreUnavailable("away"), StoreClosed("closed"))
    with pytest.raises(StoreUnavailable):
        await runtime.commit(Chain(), [new()])
    await turns()
    assert process.withdrawals.tasks == (f"{__name__}:work",)
    await process.withdrawals.end(5)
    assert process.withdrawals.tasks == (f"{__name__}:work",)
    calls = faulty.calls["withdraw"]
    process.withdrawals.go_on()
    await process.withdrawals.end(5)
    await turns()
    assert faulty.calls["withdraw"] == calls == 2
